"""A suite: a question as data, read from TOML, checked to the last key, and expanded to trials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from unetzoo.bench import baselines
from unetzoo.bench.limits import Limits
from unetzoo.data.base import SegmentationDataset, create_dataset, list_datasets
from unetzoo.errors import Strict, UnetzooError, nearest
from unetzoo.metrics.policy import Scoring
from unetzoo.plugins import import_plugins
from unetzoo.registry import ModelConfig, entries, list_models, model_info, resolve_model
from unetzoo.spec import WEIGHT_FILES, UNetSpec
from unetzoo.toml import parse_toml
from unetzoo.train.recipe import Recipe

if TYPE_CHECKING:
    from unetzoo.bench.collection import Collection

PROTOCOL = 3  # to be raised whenever the same trial would give another result
SPLIT_OPTIONS = ("n_train", "folds", "fold", "split_seed")  # options that every data set has
QUICK_SUITE = Path(__file__).with_name("quick.toml")


class ModelRequest(Strict):
    """A model of the suite, or several by a pattern.

    If models train differently, the suite compares recipes and not only networks; the report says so.

    Attributes:
        name: Registered name, or a pattern such as 'unet_d*' for all matching models that no earlier request named.
        set: Options of the model that differ from the registered ones.
        train: Changes to the suite's ``[train]``.
        label: Name of the model in the report; default: the name with the changed options.
    """

    name: str
    set: dict[str, Any] = {}
    train: dict[str, Any] = {}
    label: str | None = Field(None, min_length=1)


class DataRequest(Strict):
    """The data set of a suite.

    Attributes:
        name: Registered name.
        root: Folder of its files, relative to the suite file.
        options: Its options.
    """

    name: str = "cells"
    root: str | None = None
    options: dict[str, Any] = {}
    n_train: int | None = Field(
        None, ge=1, description="number of training images; smaller subsets are contained in larger ones"
    )
    folds: int | None = Field(None, ge=2, description="number of folds of a cross-validation")
    fold: int | None = Field(None, ge=0, description="index of the fold, from 0")
    split_seed: int | None = Field(None, ge=0, description="seed of the random parts of the split")

    @model_validator(mode="after")
    def _once(self) -> DataRequest:
        for name in SPLIT_OPTIONS:
            if name in self.options and getattr(self, name) is not None:
                raise ValueError(f"{name} is given in data and in data.options; give it once")
        return self

    def open(self) -> SegmentationDataset:
        """Open the data set.

        Raises:
            UnetzooError: If the name, an option, the split or the files are not valid.
        """
        split = {name: value for name in SPLIT_OPTIONS if (value := getattr(self, name)) is not None}
        return create_dataset(self.name, self.root, **self.options, **split)


class Measurement(Strict):
    """Settings for measuring latency and inference memory on a batch of square images."""

    size: int = Field(256, ge=8, description="side of the images in px")
    batch_size: int = Field(1, ge=1, description="images per batch")
    repeats: int = Field(30, ge=5, description="timed forward passes per attempt")
    seconds: float = Field(5.0, gt=0, description="time limit per attempt; at least 5 passes are timed")
    attempts: int = Field(3, ge=1, description="attempts at most, if the timing is noisy")


class Suite(Strict):
    """The request of a user: models, data, training and measurement; all that decides the suite's records.

    Attributes:
        name: Name of the suite, and of its folder.
        question: The question it answers, for the report.
        models: The models to compare.
        seeds: Seeds of every model; a number n stands for 0 to n - 1.
        data: The data set.
        train: The recipe.
        measure: How cost is measured.
        score: The policy of the scores.
        limits: Limits of a trial.
    """

    name: str = Field(min_length=1)
    question: str = ""
    imports: list[str] = Field([], description="modules or .py files that register models or data sets")
    models: list[ModelRequest] = Field(min_length=1)
    set: dict[str, Any] = Field({}, description="options to change in every model that does not set them itself")
    seeds: list[int] = Field([0], min_length=1)
    data: DataRequest = DataRequest()
    train: Recipe = Recipe()
    measure: Measurement = Measurement()
    score: Scoring = Scoring()
    limits: Limits = Limits()
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
        return list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _distinct(self) -> Suite:
        if self.name in (".", "..") or any(c in self.name for c in "/\\"):
            raise ValueError(f"name = {self.name!r} must not be a path, because it also names the output folder")
        if any(not 0 <= seed < 2**31 for seed in self.seeds):
            raise ValueError(f"seeds = {self.seeds}: each must be 0 to 2**31 - 1")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {self.seeds}: one is given twice; give each once")
        for request in self.models:
            self.recipe(request)
        if self.reference is not None and self.match is None:
            raise ValueError(f"reference = {self.reference!r} has no effect without match; set match to params or macs")
        return self

    def recipe(self, request: ModelRequest) -> Recipe:
        """Return the recipe that a model of the suite trains with.

        Raises:
            UnetzooError: If one of its changes is not a valid option or value of ``[train]``.
        """
        where = f"models: {request.label or request.name}: train"
        return self.train.changed(request.train, where) if request.train else self.train


class TrialModel(Strict):
    """A model with all its options resolved.

    Attributes:
        label: Its name in the report.
        name: Its registered name, or the name of a trivial predictor.
        in_channels: Channels of the images.
        num_classes: Classes of the data set.
        options: All its options.
        source: Fingerprint of the code that defines it; empty for a model of the grid.
        weights: Hash of its pretrained weights; empty if it starts from random ones.
        matched: How its width was matched to the reference's size.
        baseline: True for a trivial predictor.
    """

    label: str
    name: str
    in_channels: int
    num_classes: int
    options: dict[str, Any]
    source: str = ""
    weights: str = ""
    matched: dict[str, Any] = {}
    baseline: bool = False

    @property
    def config(self) -> ModelConfig:
        """The model's config, from which it can be built."""
        return ModelConfig(**self.model_dump(include=set(ModelConfig.model_fields)))


class TrialData(Strict):
    """The data set of a trial: a `DataRequest`, and the digest of the content that it had."""

    name: str
    root: str | None
    options: dict[str, Any]
    n_train: int | None = None
    folds: int | None = None
    fold: int | None = None
    split_seed: int | None = None
    digest: str


class Trial(Strict):
    """One model and one seed, with everything resolved; the same trial gives the same result on the same machine."""

    protocol: int = PROTOCOL
    model: TrialModel
    data: TrialData
    train: Recipe
    measure: Measurement
    score: Scoring = Scoring()
    seed: int

    @property
    def id(self) -> str:
        """Hash of all that decides the result, of the label, and of the measurements requested.

        Options at their default are left out, so that an option added later does not make old records stale; whoever
        changes a default raises `PROTOCOL`. Data and pretrained weights enter by their digest, not by their place.
        The requested device, threads and precision enter the id; the record states the values actually used.
        """
        tables = ("train", "measure", "score")
        left_out = {"data": {"root"}, "model": {"matched", "baseline"}, **dict.fromkeys(tables, True)}
        facts = self.model_dump(mode="json", exclude=left_out)
        facts["data"] = {name: value for name, value in facts["data"].items() if value is not None}
        if self.model.baseline:
            tables = ("score",)  # nothing else affects a baseline
        facts |= {table: getattr(self, table).model_dump(mode="json", exclude_defaults=True) for table in tables}
        options = facts["model"]["options"]
        if self.model.weights:
            del options["pretrained"]  # only the place of the weights; their hash is in the id
        else:
            del facts["model"]["weights"]
        if not self.model.source:  # a model of the grid
            neutral = UNetSpec().model_dump(mode="json")
            facts["model"]["options"] = {k: v for k, v in options.items() if v != neutral[k]}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def stem(self) -> str:
        """File name without suffix: label and seed for the reader, and the id to make it unique."""
        plain = (c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in self.model.label)
        safe = "".join(plain)[:60].lstrip(".")
        return f"{safe}-s{self.seed}-{self.id}"


def read_suite(path: Path) -> Suite | Collection:
    """Read and check a suite file.

    Args:
        path: The TOML file.

    Returns:
        The suite, or a `Collection` if the file has a list ``[[data]]``.

    Raises:
        UnetzooError: If the file cannot be read or is not valid; the message names file, table, key, value and what is
            allowed.
    """
    data = _read(path)
    if isinstance(data.get("data"), list):
        from unetzoo.bench.collection import collection_from  # imported here, because it imports this module

        return collection_from(data, str(path), path.parent)
    return suite_from(data, str(path), path.parent)


def _read(path: Path) -> dict[str, Any]:
    """Parse a suite file; its name is that of the file unless it gives one.

    Raises:
        UnetzooError: If the file cannot be read or is not valid TOML.
    """
    try:
        return {"name": path.stem, **parse_toml(path.read_text(encoding="utf-8"), str(path))}
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnetzooError(f"{path}: is not UTF-8 text") from None


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
        "imports": [str(here / Path(i).expanduser()) if i.endswith(".py") else i for i in suite.imports]
    }
    changes["set"] = _located(suite.set, here)
    changes["models"] = [r.model_copy(update={"set": _located(r.set, here)}) for r in suite.models]
    if suite.data.root is not None:
        root = str(here / Path(suite.data.root).expanduser())
        changes["data"] = suite.data.model_copy(update={"root": root})
    return suite.model_copy(update=changes)


def _located(options: dict[str, Any], here: Path) -> dict[str, Any]:
    """Return the options with a file of pretrained weights made relative to ``here``."""
    file = options.get("pretrained")
    if not isinstance(file, str) or Path(file).suffix.lower() not in WEIGHT_FILES:
        return options
    return {**options, "pretrained": str(here / Path(file).expanduser())}


def adjust(
    suite: Suite | None,
    *,
    data: str | None = None,
    models: list[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    imports: Iterable[str] = (),
) -> Suite:
    """Return a suite with the changes of a command line.

    Models or data given without a suite get the quick suite's training, but models as registered: its narrow width
    is not carried over.

    Args:
        suite: The suite to change; default: the quick suite.
        data: Registered data set, folder, CSV file of pairs or dataset.toml; default: the suite's.
        models: Names of the models; default: the suite's.
        settings: Model options for every model that does not set them itself.
        seeds: Number of seeds.
        steps: Training steps, which replace any other budget.
        imports: Modules or ``.py`` files that register models or data sets.

    Returns:
        The changed copy.

    Raises:
        UnetzooError: If there is no such data, or a change is not valid.
    """
    own = data is not None or models is not None
    base = suite or suite_from(_read(QUICK_SUITE), str(QUICK_SUITE), QUICK_SUITE.parent)
    changes: dict[str, Any] = {"imports": [*base.imports, *imports]}
    import_plugins(changes["imports"])  # first, because they may register the requested data set
    if suite is None and own:
        path = Path(data or "cells").expanduser().resolve()
        name = path.parent.name if path.name == "dataset.toml" else path.name
        changes |= {"name": name or "data", "question": "", "set": {}}
    if data is not None:
        known = data in list_datasets()
        if not known and not _is_data(Path(data).expanduser()):
            raise UnetzooError(
                f"--data {data!r} is neither a folder, a CSV of pairs, a dataset.toml nor a data set; "
                f"{nearest(data, list_datasets())}"
            )
        changes["data"] = {"name": data} if known else {"name": "folder", "root": data}
    if models is not None:
        changes["models"] = [name.strip() for name in models if name.strip()]
    if settings:
        changes["set"] = {**changes.get("set", base.set), **settings}
    if seeds is not None:
        changes["seeds"] = seeds
    if steps is not None:
        changes["train"] = {**base.train.model_dump(), "steps": steps, "minutes": None, "flops": None}
    return Suite.from_mapping({**base.model_dump(), **changes}, "suite")


def _is_data(path: Path) -> bool:
    return path.is_dir() or (path.suffix.lower() in (".csv", ".toml") and path.is_file())


def expand(suite: Suite, dataset: SegmentationDataset) -> list[Trial]:
    """Expand a suite to its trials.

    Args:
        suite: The suite.
        dataset: Its open data set.

    Returns:
        The baselines, then the models with seeds outermost, so that an interrupted suite has every model before a
        second seed of any.

    Raises:
        UnetzooError: If a model, option or value is unknown, two models have one label, no width matches the reference,
            or ``score.isbi`` is not a class of the data set.
    """
    suite.score.separator(dataset.info.class_names)
    data = TrialData(**suite.data.model_dump(), digest=dataset.digest())
    requests = _named(suite.models)
    models = [_resolve(request, suite.set, dataset) for request in requests]
    labels = [model.label for model in models]
    for label in labels:
        if labels.count(label) > 1:
            raise UnetzooError(f"two models have the label {label!r}; give one of them another")
        if suite.baselines and label in [baseline.label for baseline in baselines.BASELINES.values()]:
            raise UnetzooError(f"the label {label!r} belongs to a baseline; give the model another")
    if suite.match is not None:
        models = _matched(models, suite)
    for model in models:  # now, rather than after the trials before it
        with _naming(model.name):
            model.config.check()
    common = {"data": data, "measure": suite.measure, "score": suite.score}
    recipes = [suite.recipe(request) for request in requests]
    for model, recipe in zip(models, recipes, strict=True):
        if recipe.of_the_encoder():
            from unetzoo.train.transfer import check_transfer  # imports torch

            check_transfer(recipe, model.config, model.label)
    names = baselines.BASELINES if suite.baselines else ()
    return [
        *(Trial(model=_baseline(name, dataset), train=suite.train, seed=0, **common) for name in names),
        *(
            Trial(model=model, train=recipe, seed=seed, **common)
            for seed in suite.seeds
            for model, recipe in zip(models, recipes, strict=True)
        ),
    ]


def _named(models: Sequence[ModelRequest]) -> list[ModelRequest]:
    """Return one request per model, with the patterns among the names expanded.

    Raises:
        UnetzooError: If a pattern matches no model or has a label.
    """
    requests: list[ModelRequest] = []
    for request in models:
        if not set("*?[") & set(request.name) or request.name in entries():
            requests.append(request)
            continue
        if request.label is not None:
            raise UnetzooError(f"models: label = {request.label!r} needs one model, but {request.name!r} is a pattern")
        if not (names := list_models(request.name)):
            raise UnetzooError(f"models: no model matches {request.name!r}; 'unetzoo list' lists all")
        given = {earlier.label or earlier.name for earlier in requests}
        requests += [request.model_copy(update={"name": name}) for name in names if name not in given]
    return requests


def _baseline(name: str, dataset: SegmentationDataset) -> TrialModel:
    return TrialModel(
        label=baselines.BASELINES[name].label,
        name=name,
        in_channels=dataset.info.channels,
        num_classes=dataset.info.classes,
        options={},
        source=f"baseline v{baselines.VERSION}",
        baseline=True,
    )


def _matched(models: list[TrialModel], suite: Suite) -> list[TrialModel]:
    """Return every model at the width that matches the reference's parameters or MACs.

    Raises:
        UnetzooError: If the reference is not a model of the suite, or a model cannot be matched.
    """
    from unetzoo.bench.match import count, match_width  # imports torch

    assert suite.match is not None
    by_label = {model.label: model for model in models}
    label = suite.reference or models[0].label
    if label not in by_label:
        raise UnetzooError(f"reference = {label!r} is not the label of a model here; {nearest(label, by_label)}")
    size = suite.measure.size
    target = count(by_label[label].config, suite.match, size)
    found = []
    for model in models:
        config, reached = model.config, target
        if model.label != label:
            with _naming(model.name):
                config, reached = match_width(model.config, target, suite.match, size)
        facts = {"what": suite.match, "reference": label, "target": target, "reached": reached}
        facts["ratio"] = round(reached / target, 4)
        found.append(model.model_copy(update={"options": config.options, "matched": facts}))
    return found


def _resolve(request: ModelRequest, common: dict[str, Any], dataset: SegmentationDataset) -> TrialModel:
    config = resolve_model(
        request.name,
        in_channels=dataset.info.channels,
        num_classes=dataset.info.classes,
        changes={**common, **request.set},
    )
    label = request.label
    if label is None:
        named = {k: Path(v).name if k == "pretrained" and isinstance(v, str) else v for k, v in request.set.items()}
        changed = ", ".join(f"{k}={v}" for k, v in named.items())
        label = f"{request.name}({changed})" if changed else request.name
    facts = {"source": model_info(request.name).fingerprint(), "weights": _weights(config)}
    return TrialModel(label=label, **facts, **config.model_dump())


def _weights(config: ModelConfig) -> str:
    """Return a hash of a model's pretrained weights, '' if it has none.

    Raises:
        UnetzooError: If the weights are not available.
    """
    if config.pretrained is None:
        return ""
    from unetzoo.pretrained import digest

    with _naming(config.name):
        return digest(*config.pretrained)


@contextmanager
def _naming(model: str) -> Iterator[None]:
    """Begin the errors of a block with the name of the model, unless they already do.

    Raises:
        UnetzooError: If the block does.
    """
    try:
        yield
    except UnetzooError as error:
        already = str(error).startswith(f"model {model!r}")
        raise UnetzooError(f"{error}" if already else f"model {model!r}: {error}") from None
