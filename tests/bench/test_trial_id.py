"""A trial's id is computed once, and that of a changed copy is its own."""

from __future__ import annotations

import pickle
from typing import Any

from unetzoo.bench.expand import expand
from unetzoo.bench.suite import Suite

SUITE: dict[str, Any] = {
    "name": "s",
    "models": ["unet_d2"],
    "data": {"name": "cells", "options": {"n_train": 3, "n_val": 1, "n_test": 2, "size": 48}},
    "train": {"steps": 2, "batch_size": 2, "crop": 32},
    "baselines": False,
}


def test_the_id_of_a_copy_is_its_own() -> None:
    suite = Suite.from_mapping(SUITE, "s.toml")
    (trial,) = expand(suite, suite.data.open())
    known = trial.id
    changed = trial.model_copy(update={"seed": 7})
    assert changed.id != known
    assert trial.model_copy().id == known
    assert pickle.loads(pickle.dumps(trial)).id == known
    assert "id" not in trial.model_dump()
    assert type(trial).from_json(trial.model_dump_json(), "t") == trial
