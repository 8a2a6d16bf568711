"""Suite: a question as data. Read from TOML, checked to the last key, and expanded to trials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from unetzoo._util.plugins import import_plugins
from unetzoo._util.toml import parse_toml
from unetzoo.bench import baselines
from unetzoo.bench.limits import Limits
from unetzoo.data.base import SegmentationDataset, create_dataset, list_datasets
from unetzoo.encoders.suffixes import WEIGHT_FILES
from unetzoo.errors import Strict, UnetzooError, nearest
from unetzoo.grid.spec import UNetSpec
from unetzoo.metrics.policy import Scoring
from unetzoo.models.entry import GRID
from unetzoo.models.factory import ModelConfig, resolve_model
from unetzoo.models.registry import entries, list_models, model_info
from unetzoo.train.recipe import Recipe

if TYPE_CHECKING:
    from unetzoo.bench.collection import Collection

PROTOCOL = 3  # raised whenever the same trial would give another result
SPLIT_OPTIONS = ("n_train", "folds", "fold", "split_seed")  # of every data set
QUICK_SUITE = Path(__file__).with_name("quick.toml")


class ModelRequest(Strict):
    """A model of the suite: its registered name, changed options, changes of ``[train]``, its label in the report.

    A name may be a pattern such as 'unet_d*': all registered models that match and that no request before it gave.
    Models that train differently answer a question about recipes, not about networks alone; the report says so.
    """

    name: str
    set: dict[str, Any] = {}
    train: dict[str, Any] = {}
    label: str | None = Field(None, min_length=1)


class DataRequest(Strict):
    """The data set: a registered name, where its files lie (relative to the suite file), its options and its split."""

    name: str = "cells"
    root: str | None = None
    options: dict[str, Any] = {}
    n_train: int | None = Field(None, ge=1, description="training images to use; fewer are among more")
    folds: int | None = Field(None, ge=2, description="k of k-fold")
    fold: int | None = Field(None, ge=0, description="which of them, from 0")
    split_seed: int | None = Field(None, ge=0, description="of what is drawn of the split")

    @model_validator(mode="after")
    def _once(self) -> DataRequest:
        for name in SPLIT_OPTIONS:
            if name in self.options and getattr(self, name) is not None:
                raise ValueError(f"{name} stands in data and in its options; give it once")
        return self

    def open(self) -> SegmentationDataset:
        split = {name: value for name in SPLIT_OPTIONS if (value := getattr(self, name)) is not None}
        return create_dataset(self.name, self.root, **self.options, **split)


class Measurement(Strict):
    """What latency and inference memory are measured on: a batch of square images."""

    size: int = Field(256, ge=8)
    batch_size: int = Field(1, ge=1)
    repeats: int = Field(30, ge=5, description="timed forward passes of one attempt")
    seconds: float = Field(5.0, gt=0, description="after which there are fewer of them, 5 at least")
    attempts: int = Field(3, ge=1, description="timings of a model whose timing was noisy")


class Suite(Strict):
    """Everything that decides a suite's records."""

    name: str = Field(min_length=1)
    question: str = ""
    imports: list[str] = Field([], description="modules or .py files that register models or data sets")
    models: list[ModelRequest] = Field(min_length=1)
    set: dict[str, Any] = Field({}, description="options changed in every model")
    seeds: list[int] = Field([0], min_length=1)
    data: DataRequest = DataRequest()
    train: Recipe = Recipe()
    measure: Measurement = Measurement()
    score: Scoring = Scoring()
    limits: Limits = Limits()
    baselines: bool = Field(True, description="run the trivial predictors too, as reference rows")
    match: Literal["params", "macs"] | None = Field(
        None, description="give every model the width at which it meets the reference's parameters or MACs"
    )
    reference: str | None = Field(None, description="label of the model to match; default: the first")

    @field_validator("models", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """A bare string is a model without changes."""
        return [{"name": v} if isinstance(v, str) else v for v in value] if isinstance(value, list) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        """``seeds = 3`` is 0, 1, 2."""
        return list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _distinct(self) -> Suite:
        if self.name in (".", "..") or any(c in self.name for c in "/\\"):
            raise ValueError(f"name = {self.name!r} names a folder too, so it must not be a path")
        if any(not 0 <= seed < 2**31 for seed in self.seeds):
            raise ValueError(f"seeds = {self.seeds}: each must be 0 to 2**31 - 1")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {self.seeds}: one stands twice")
        for request in self.models:
            self.recipe(request)
        if self.reference is not None and self.match is None:
            raise ValueError("reference is the model to match, and match is not given; it is params or macs")
        return self

    def recipe(self, request: ModelRequest) -> Recipe:
        """What a model trains with. Raises `UnetzooError` on a change that is no option or value of ``[train]``."""
        where = f"models: {request.label or request.name}: train"
        return self.train.changed(request.train, where) if request.train else self.train


class TrialModel(Strict):
    """A model resolved to its last option; ``source`` is its entry's `Entry.fingerprint`.

    ``weights`` is a hash of the file with its pretrained ones, empty where it starts at random. ``matched`` tells how
    its width was found. A ``baseline`` has the name of a trivial predictor.
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
        return ModelConfig(**self.model_dump(include=set(ModelConfig.model_fields)))

    @property
    def of_grid(self) -> bool:
        """True for a spec of the grid, of whichever version."""
        return not self.source or self.source.startswith(GRID)


class TrialData(Strict):
    name: str
    root: str | None
    options: dict[str, Any]
    n_train: int | None = None
    folds: int | None = None
    fold: int | None = None
    split_seed: int | None = None
    digest: str


class Trial(Strict):
    """One model, one seed, everything resolved. The same trial gives the same result on the same machine."""

    protocol: int = PROTOCOL
    model: TrialModel
    data: TrialData
    train: Recipe
    measure: Measurement
    score: Scoring = Scoring()
    seed: int

    @property
    def id(self) -> str:
        """A hash of all that decides the result, of the label, and of what is to be measured.

        Options at their default are left out, so that an option added later does not make old records stale; a
        default that is changed raises `PROTOCOL`. Of the data and of pretrained weights the digest counts, not where
        they lie; device, threads and precision count as they were asked for, and the record says what they came to.
        """
        tables = ("train", "measure", "score")
        left_out = {"data": {"root"}, "model": {"matched", "baseline"}, **dict.fromkeys(tables, True)}
        facts = self.model_dump(mode="json", exclude=left_out)
        facts["data"] = {name: value for name, value in facts["data"].items() if value is not None}
        if self.model.baseline:
            tables = ("score",)  # nothing else touches it
        facts |= {table: getattr(self, table).model_dump(mode="json", exclude_defaults=True) for table in tables}
        options = facts["model"]["options"]
        if self.model.weights:
            del options["pretrained"]  # says where they lie
        else:
            del facts["model"]["weights"]
        if self.model.of_grid:
            neutral = UNetSpec().model_dump(mode="json")
            facts["model"]["options"] = {k: v for k, v in options.items() if v != neutral[k]}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def stem(self) -> str:
        """A file name: label and seed to be read, the id to be unique."""
        plain = (c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in self.model.label)
        safe = "".join(plain)[:60].lstrip(".")
        return f"{safe}-s{self.seed}-{self.id}"


def read_suite(path: Path) -> Suite | Collection:
    """Read and check a suite file; one with several ``[[data]]`` is a `Collection`.

    Raises `UnetzooError` naming file, table, key, value and what is allowed.
    """
    data = _read(path)
    if isinstance(data.get("data"), list):
        from unetzoo.bench.collection import collection_from  # it stands on this module

        return collection_from(data, str(path), path.parent)
    return suite_from(data, str(path), path.parent)


def _read(path: Path) -> dict[str, Any]:
    """The tables of a suite file, named after it where they give no name."""
    try:
        return {"name": path.stem, **parse_toml(path.read_text(encoding="utf-8"), str(path))}
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnetzooError(f"{path}: is not UTF-8 text") from None


def suite_from(data: Mapping[str, Any], where: str, here: Path) -> Suite:
    """A checked suite whose paths are relative to the folder ``here``; ``where`` begins its `UnetzooError`."""
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
    """The options with a file of pretrained weights relative to ``here``."""
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
    """A suite with the changes of a command line; without one, the quick suite.

    Models or data of one's own without a suite get the quick suite's training, and models as registered:
    its narrow width is not carried over. ``settings`` are for every model that does not set the option itself.
    """
    own = data is not None or models is not None
    base = suite or suite_from(_read(QUICK_SUITE), str(QUICK_SUITE), QUICK_SUITE.parent)
    changes: dict[str, Any] = {"imports": [*base.imports, *imports]}
    import_plugins(changes["imports"])  # they may register the data set that is asked for
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
    """All trials: the baselines, then the models, seeds outermost.

    So an interrupted suite has every model before a second seed of one.

    Raises `UnetzooError` on an unknown model, option or value, on two models with one label, and where ``score.isbi``
    names no class of the data set.
    """
    suite.score.separator(dataset.info.class_names)
    data = TrialData(**suite.data.model_dump(), digest=dataset.digest())
    requests = _named(suite.models)
    models = [_resolve(request, suite.set, dataset) for request in requests]
    labels = [model.label for model in models]
    for label in labels:
        if labels.count(label) > 1:
            raise UnetzooError(f"two models have the label {label!r}; give one a label of its own")
        if suite.baselines and label in [baseline.label for baseline in baselines.BASELINES.values()]:
            raise UnetzooError(f"the label {label!r} is a baseline's; give the model another one")
    if suite.match is not None:
        models = _matched(models, suite)
    for model in models:  # here, not after the trials before it
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
    """A request for each model that the shell pattern of a name matches; a plain or registered name is one."""
    requests: list[ModelRequest] = []
    for request in models:
        if not set("*?[") & set(request.name) or request.name in entries():
            requests.append(request)
            continue
        if request.label is not None:
            raise UnetzooError(f"models: label = {request.label!r} is for one model, and {request.name!r} is a pattern")
        if not (names := list_models(request.name)):
            raise UnetzooError(f"models: no model matches {request.name!r}; 'unetzoo list' names all")
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
    """Every model at the width that meets the reference's parameters or MACs."""
    from unetzoo.bench.match import count, match_width  # builds models, so it needs torch

    assert suite.match is not None
    by_label = {model.label: model for model in models}
    label = suite.reference or models[0].label
    if label not in by_label:
        raise UnetzooError(f"reference = {label!r} is no model of the suite; {nearest(label, by_label)}")
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
    """A hash of a model's pretrained weights, '' without. Raises `UnetzooError` where they cannot be had."""
    if config.pretrained is None:
        return ""
    from unetzoo.encoders.files import digest

    with _naming(config.name):
        return digest(*config.pretrained)


@contextmanager
def _naming(model: str) -> Iterator[None]:
    try:
        yield
    except UnetzooError as error:
        already = str(error).startswith(f"model {model!r}")
        raise UnetzooError(f"{error}" if already else f"model {model!r}: {error}") from None
