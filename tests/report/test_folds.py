"""Folds of one data set are pooled to one row; other rows stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import t

from support.records import load, record
from unetzoo.report.folds import fold_key, pooled
from unetzoo.report.matrix import Row, judge_rows, mean_ranks


def fold(k: int, folds: int = 5, **means: float) -> list[dict[str, Any]]:
    """Return records of each label with one seed on fold k; images differ from fold to fold."""
    rng = np.random.default_rng(k)
    data = {"name": "cells", "options": {}, "folds": folds, "fold": k, "digest": f"d{k}"}
    made = [record(label, 0, mean + rng.normal(0, 0.01, 6)) for label, mean in means.items()]
    for one in made:
        one["trial"]["data"] = data
    return made


def rows_of(*members: list[dict[str, Any]]) -> list[Row]:
    return judge_rows({f"row{k}": load(*records) for k, records in enumerate(members)}, {})


def test_five_folds_are_one_data_set():
    other = [record(label, seed, 0.7) for label in ("unet", "b") for seed in range(3)]
    rows = rows_of(*(fold(k, unet=0.8, b=0.7) for k in range(5)), other)
    assert len({fold_key(row) for row in rows[:5]}) == 1
    assert fold_key(rows[5]) is None
    first, last = pooled(rows)
    assert (first.label, last.label) == ("cells (5 folds)", "row5")
    c = first.comparisons["unet", "b"]
    differences = np.array([row.cell("unet").dice or 0 for row in rows[:5]])
    differences -= [row.cell("b").dice or 0 for row in rows[:5]]
    error = np.sqrt((1 / 5 + 1 / 4) * differences.var(ddof=1))
    assert c.difference == pytest.approx(differences.mean())
    assert c.p == pytest.approx(2 * t.sf(differences.mean() / error, 4))
    assert c.verdict == "better"
    assert (first.cell("unet").mark, first.cell("b").mark) == ("best", "worse")
    ranks, over = mean_ranks([first, last], ["unet", "b"])
    assert over == ["cells (5 folds)", "row5"]
    assert [rank.mean for rank in ranks] == [1.25, 1.75]
    assert [(rank.low, rank.high) for rank in ranks] == [(1.0, 1.5), (1.5, 2.0)]


def test_two_folds_are_too_few():
    (row,) = pooled(rows_of(*(fold(k, unet=0.8, b=0.7) for k in range(2))))
    c = row.comparisons["unet", "b"]
    assert (c.verdict, c.p) == ("not enough data", None)
    assert c.note == "2 folds with scores, a verdict needs 3"


def test_no_folds_no_change():
    rows = rows_of([record(label, seed, 0.7) for label in ("unet", "b") for seed in range(3)])
    assert pooled(rows) == rows


def test_different_options_are_different_data_sets():
    rows = rows_of(fold(0, unet=0.8, b=0.7), fold(0, folds=4, unet=0.8, b=0.7))
    assert [row.label for row in pooled(rows)] == ["row0", "row1"]


def test_a_variant_that_failed_on_a_fold_is_never_better():
    members = [fold(k, unet=0.8, b=0.7) for k in range(5)]
    lost = record("unet", 1, 0.8)
    lost["trial"]["data"] = members[0][0]["trial"]["data"]
    lost |= {"status": "crashed", "reason": "out of luck", "result": None, "curves": None, "cost": None}
    (row,) = pooled(rows_of([*members[0], lost], *members[1:]))
    c = row.comparisons["unet", "b"]
    assert c.verdict == "not enough data"
    assert c.note.startswith("unet: of its trials 1 failed")
