"""Trials: one model, one seed, everything resolved, and the id that tells them apart."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from unetzoo.bench.suite import Measurement
from unetzoo.errors import Strict
from unetzoo.grid.spec import UNetSpec
from unetzoo.metrics.policy import Scoring
from unetzoo.models.entry import GRID
from unetzoo.models.factory import ModelConfig
from unetzoo.train.recipe import Recipe

PROTOCOL = 3  # raised whenever the same trial would give another result


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
