"""A suite: a question as data, read from TOML, checked to the last key, and expanded to trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from unetzoo._util.paths import user_path
from unetzoo._util.text import Printable
from unetzoo.bench.limits import Limits
from unetzoo.bench.ray_options import RayOptions
from unetzoo.bench.slurm_options import SlurmOptions
from unetzoo.data.base import SegmentationDataset
from unetzoo.data.registry import OnLeak, create_dataset
from unetzoo.encoders.suffixes import WEIGHT_FILES
from unetzoo.errors import Strict
from unetzoo.metrics.policy import Scoring
from unetzoo.train.recipe import Recipe

if TYPE_CHECKING:
    pass

SPLIT_OPTIONS = ("n_train", "folds", "fold", "split_seed")  # options that every data set has
MOST_SEEDS = 10_000
QUICK_SUITE = Path(__file__).with_name("quick.toml")


class ModelRequest(Strict):
    """A model of the suite, or several by a pattern.

    If models train differently, the suite compares recipes and not only networks; the report says so.
    """

    name: str = Field(
        description="registered name, or a pattern such as 'unet_d*' for all matching models that none before it names"
    )
    set: dict[str, Any] = Field({}, description="options of the model that differ from the registered ones")
    train: dict[str, Any] = Field({}, description="changes to the suite's `[train]` for this model")
    label: Printable | None = Field(
        None, min_length=1, description="name in the report; default: the name with the changed options"
    )
    match: bool = Field(True, description="whether the suite's ``match`` chooses its width; False keeps the given one")


class DataRequest(Strict):
    """The data set of a suite."""

    name: str = Field("cells", description="registered name")
    root: str | None = Field(None, description="folder of its files, relative to the suite file")
    options: dict[str, Any] = Field({}, description="options of the data set")
    n_train: int | None = Field(
        None, ge=1, description="number of training images; smaller subsets are contained in larger ones"
    )
    folds: int | None = Field(None, ge=2, description="number of folds of a cross-validation")
    fold: int | None = Field(None, ge=0, description="index of the fold, from 0")
    split_seed: int | None = Field(None, ge=0, description="seed of the random parts of the split")
    on_leak: OnLeak = Field(
        "refuse", description="data with one image or group in two splits: 'refuse' or 'drop_from_training'"
    )

    @model_validator(mode="after")
    def _once(self) -> DataRequest:
        for name in SPLIT_OPTIONS:
            if name in self.options and getattr(self, name) is not None:
                raise ValueError(f"{name} is given in data and in data.options; give it once")
        return self

    def open(self, *, compare: bool = False) -> SegmentationDataset:
        """Open the data set.

        Args:
            compare: Search for near-duplicates in the same pass; see `unetzoo.create_dataset`.

        Raises:
            UnetzooError: If the name, an option, the split or the files are not valid.
        """
        split = {name: value for name in SPLIT_OPTIONS if (value := getattr(self, name)) is not None}
        return create_dataset(self.name, self.root, on_leak=self.on_leak, compare=compare, **self.options, **split)


class Measurement(Strict):
    """Settings for measuring latency and inference memory on a batch of square images."""

    size: int = Field(256, ge=8, description="side of the images in px")
    batch_size: int = Field(1, ge=1, description="images per batch")
    repeats: int = Field(30, ge=5, description="timed forward passes per attempt")
    seconds: float = Field(5.0, gt=0, description="time limit per attempt; at least 5 passes are timed")
    attempts: int = Field(3, ge=1, description="attempts at most, if the timing is noisy")
    where: Literal["any", "exclusive", "off"] = Field(
        "any",
        description="take timings anywhere, only where a trial may use all cores of a machine, or nowhere: with 'off', "
        "records have parameters and MACs as their only costs; not in ids",
    )


class Suite(Strict):
    """A question as data: models, data set, training and measurement."""

    name: str = Field(min_length=1, description="name of the suite and of its output folder")
    question: Printable = Field("", description="question that the suite answers, for the report")
    imports: list[str] = Field([], description="modules or .py files that register models or data sets")
    models: list[ModelRequest] = Field(min_length=1, description="models to compare")
    set: dict[str, Any] = Field({}, description="options to change in every model that does not set them itself")
    seeds: list[int] = Field([0], min_length=1, description="seeds of every model; a number n stands for 0 to n - 1")
    data: DataRequest = Field(DataRequest(), description="data set")
    train: Recipe = Field(Recipe(), description="training recipe of every model")
    measure: Measurement = Field(Measurement(), description="settings for measuring latency and memory")
    score: Scoring = Field(Scoring(), description="conventions of the scores")
    limits: Limits = Field(Limits(), description="limits of each trial")
    slurm: SlurmOptions = Field(SlurmOptions(), description="options of the jobs on a Slurm cluster")
    ray: RayOptions = Field(RayOptions(), description="resources of a trial on a Ray cluster")
    baselines: bool = Field(True, description="also run the trivial predictors, as reference rows")
    match: Literal["params", "macs"] | None = Field(
        None, description="give every model the width at which it matches the reference's parameters or MACs"
    )
    reference: str | None = Field(None, description="label of the model to match; default: the first model")

    @field_validator("models", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Accept a bare string as a model without changes."""
        return [{"name": v} if isinstance(v, str) else v for v in value] if isinstance(value, list) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        """Accept ``seeds = 3`` as 0, 1, 2."""
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if not 1 <= value <= MOST_SEEDS:
            raise ValueError(f"a number of seeds must be 1 to {MOST_SEEDS}, not {value}")
        return list(range(value))

    @model_validator(mode="after")
    def _distinct(self) -> Suite:
        if not self.name.isprintable():
            raise ValueError(f"name = {self.name!r} has characters that cannot be shown; remove them")
        if self.name in (".", "..") or any(c in self.name for c in "/\\"):
            raise ValueError(f"name = {self.name!r} must not be a path, because it also names the output folder")
        if any(not 0 <= seed < 2**31 for seed in self.seeds):
            raise ValueError(f"seeds = {self.seeds}: each must be 0 to 2**31 - 1")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {self.seeds}: one is given twice; give each once")
        for request in self.models:
            if self.recipe(request).compute == "auto" and self.measure.where == "off":
                raise ValueError("compute = 'auto' chooses by timings, which measure.where = 'off' forbids")
        if self.reference is not None and self.match is None:
            raise ValueError(f"reference = {self.reference!r} has no effect without match; set match to params or macs")
        if self.match is None and (given := next((m for m in self.models if not m.match), None)):
            name = given.label or given.name
            raise ValueError(f"models: {name}: match = false has no effect unless the suite sets match")
        return self

    def __repr__(self) -> str:
        """Return the question, the models and what they share; settings at their defaults are left out."""
        default = Suite(name="default", models=self.models)
        changed = {
            name: value.model_dump(exclude_defaults=True)
            for name in ("data", "train", "measure", "score", "limits")
            if (value := getattr(self, name)) != getattr(default, name)
        }
        lines = [f"Suite {self.name!r}: {len(self.models)} models, seeds {self.seeds} on {self.data.name}"]
        lines += [f"  question: {self.question}"] if self.question else []
        for model in self.models:
            rest = [f"{k} = {v!r}" for k, v in {**model.set, **model.train}.items()]
            name = model.name if model.label is None else f"{model.label} ({model.name})"
            lines.append(f"  model {name}{': ' if rest else ''}{', '.join(rest)}")
        shared = {"set": self.set, **changed}
        lines += [f"  {k}: {', '.join(f'{a} = {b!r}' for a, b in v.items())}" for k, v in shared.items() if v]
        return "\n".join(lines)

    __str__ = __repr__

    def recipe(self, request: ModelRequest) -> Recipe:
        """Return the recipe that a model of the suite trains with.

        Raises:
            UnetzooError: If one of its changes is not a valid option or value of ``[train]``.
        """
        where = f"models: {request.label or request.name}: train"
        return self.train.changed(request.train, where) if request.train else self.train


def suite_from(data: Mapping[str, Any], where: str, here: Path) -> Suite:
    """Build a suite from parsed tables.

    Args:
        data: The tables.
        where: Beginning of error messages, such as the path of the file.
        here: Folder that relative paths start from.

    Returns:
        The checked suite.

    Raises:
        UnetzooError: If an option or value is not valid.
    """
    suite = Suite.from_mapping(data, where)
    changes: dict[str, Any] = {
        "imports": [str(here / user_path(i, "imports")) if i.endswith(".py") else i for i in suite.imports]
    }
    changes["set"] = _located(suite.set, here)
    changes["models"] = [r.model_copy(update={"set": _located(r.set, here)}) for r in suite.models]
    if suite.data.root is not None:
        root = str(here / user_path(suite.data.root, "data.root"))
        changes["data"] = suite.data.model_copy(update={"root": root})
    return suite.model_copy(update=changes)


def _located(options: dict[str, Any], here: Path) -> dict[str, Any]:
    """Return the options with a file of pretrained weights made relative to ``here``."""
    file = options.get("pretrained")
    if not isinstance(file, str) or Path(file).suffix.lower() not in WEIGHT_FILES:
        return options
    return {**options, "pretrained": str(here / user_path(file, "pretrained"))}
