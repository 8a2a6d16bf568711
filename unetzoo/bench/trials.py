"""Trials: one model, one seed, everything resolved, and the id that tells them apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from unetzoo._util.text import Printable
from unetzoo.bench.suite import Measurement
from unetzoo.data.registry import OnLeak
from unetzoo.errors import Strict
from unetzoo.grid.spec import UNetSpec
from unetzoo.metrics.policy import Scoring
from unetzoo.models.factory import ModelConfig
from unetzoo.models.grid_entry import GRID
from unetzoo.train.recipe import Recipe

if TYPE_CHECKING:
    from typing_extensions import Self

PROTOCOL = 3  # to be raised whenever the same trial would give another result


class TrialModel(Strict):
    """A model with all its options resolved.

    Attributes:
        label: Its name in the report.
        name: Its registered name, or the name of a trivial predictor.
        in_channels: Channels of the images.
        num_classes: Classes of the data set.
        options: All its options.
        source: Its entry's `Entry.fingerprint`.
        weights: Hash of its pretrained weights; empty if it starts from random ones.
        matched: How its width was matched to the reference's size.
        baseline: True for a trivial predictor.
    """

    label: Printable
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

    @property
    def of_grid(self) -> bool:
        """True for a spec of the grid, of whichever version."""
        return not self.source or self.source.startswith(GRID)


class TrialData(Strict):
    """The data set of a trial: a `DataRequest`, and the digest of the content that it had."""

    name: str
    root: str | None
    options: dict[str, Any]
    n_train: int | None = None
    folds: int | None = None
    fold: int | None = None
    split_seed: int | None = None
    on_leak: OnLeak | None = None
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

    @field_validator("train", mode="before")
    @classmethod
    def _before_recipes(cls, value: Any) -> Any:
        """Read the training of a record that is older than recipes; there was one, today's "modern"."""
        return {"recipe": "modern", **value} if isinstance(value, dict) else value

    @cached_property
    def id(self) -> str:
        """Hash of all that decides the result, of the label, and of the measurements requested.

        Options at their default, and of recipes "modern", are left out, so that an option added later does not make old
        records stale; whoever changes a default raises `PROTOCOL`. Data and pretrained weights enter by their digest,
        not by their place. The requested device, threads and precision enter the id; the record states the values
        actually used.
        """
        tables = ("train", "measure", "score")
        left_out = {"data": {"root"}, "model": {"matched", "baseline"}, **dict.fromkeys(tables, True)}
        identity = self.model_dump(mode="json", exclude=left_out)
        identity["data"] = {name: value for name, value in identity["data"].items() if value is not None}
        identity["data"]["options"].pop("accept_reading", None)  # it changes no item; the digest is of what was read
        if self.model.baseline:
            tables = ("score",)  # nothing else affects a baseline
        identity |= {table: getattr(self, table).model_dump(mode="json", exclude_defaults=True) for table in tables}
        identity["score"].pop("margin", None)  # only the report reads it
        identity.get("measure", {}).pop("where", None)
        if not self.model.baseline:  # the recipe of the first records, which had no other, is left out
            named = {} if self.train.recipe == "modern" else {"recipe": self.train.recipe}
            identity["train"] = {k: v for k, v in identity["train"].items() if k != "recipe"} | named
        options = identity["model"]["options"]
        if self.model.weights:
            del options["pretrained"]  # only the place of the weights; their hash is in the id
        else:
            del identity["model"]["weights"]
        if self.model.of_grid:
            neutral = UNetSpec().model_dump(mode="json")
            identity["model"]["options"] = {k: v for k, v in options.items() if v != neutral[k]}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, whose id is its own."""
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop("id", None)
        return copied

    @property
    def costs_id(self) -> str:
        """Hash of all of a trial that its model's costs depend on; equal for all seeds."""
        identity = self.model.model_dump(mode="json", exclude={"label", "matched", "baseline"})
        measure = self.measure.model_dump(mode="json", exclude={"where"})
        identity |= {"train": self.train.model_dump(mode="json"), "measure": measure}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def stem(self) -> str:
        """File name without suffix: label and seed for the reader, and the id to make it unique."""
        plain = (c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in self.model.label)
        safe = "".join(plain)[:60].lstrip(".")
        return f"{safe}-s{self.seed}-{self.id}"
