"""Suite: a question as data. Read from TOML, checked to the last key, and expanded to trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from unetzoo.bench.limits import Limits
from unetzoo.data.base import SegmentationDataset
from unetzoo.data.registry import create_dataset
from unetzoo.encoders.suffixes import WEIGHT_FILES
from unetzoo.errors import Strict
from unetzoo.metrics.policy import Scoring
from unetzoo.train.recipe import Recipe

if TYPE_CHECKING:
    pass

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
