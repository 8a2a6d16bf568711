"""Data sets by models: the best of each row, those indistinguishable from it, and how stable the ranks are."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from unetzoo.records.frame import Tables
from unetzoo.records.record import Record
from unetzoo.report.alarms import best_baseline
from unetzoo.report.statistics import ALPHA, compare, draws, score_grids, summarise

Mark = Literal["best", "indistinguishable", "worse", "not enough data"]
MARKS = {"best": "★", "indistinguishable": "≈", "worse": "", "not enough data": "?"}
MIN_DATA_SETS = 5  # fewer are not resampled: with three there are only ten different resamples


@dataclass(frozen=True)
class Cell:
    """One model on one data set; ``dice`` and ``mark`` are None if no trial has a score."""

    dice: float | None = None
    sd: float | None = None
    failed: int = 0
    mark: Mark | None = None
    difference: float | None = None  # from the row's best, on the seeds and images both have


@dataclass(frozen=True)
class Row:
    """One data set; ``tables`` is None if it has no record."""

    label: str
    tables: Tables | None
    cells: dict[str, Cell]
    baseline: tuple[str, float] | None  # the best trivial predictor and its test Dice

    def cell(self, model: str) -> Cell:
        """Return the cell of a model, an empty one if it has no record."""
        return self.cells.get(model, Cell())

    @property
    def best(self) -> str | None:
        """Label of the best model; None if none is marked."""
        return next((model for model, cell in self.cells.items() if cell.mark == "best"), None)

    @property
    def models(self) -> list[Record]:
        """Records of the models that stand for this data set in the tables."""
        return self.tables.models if self.tables else []


@dataclass(frozen=True)
class Rank:
    """A model's mean rank over data sets (1 is best); fields from resampling are None with too few data sets."""

    model: str
    mean: float
    low: float | None = None
    high: float | None = None
    first: float | None = None  # share of resamples in which its mean rank is the lowest


def judge(label: str, tables: Tables | None) -> Row:
    """Compare each model with the row's highest mean Dice, by the rules of `unetzoo.report.statistics`.

    Args:
        label: The data set.
        tables: Its records; None if there are none.
    """
    if tables is None:
        return Row(label, None, {}, None)
    summary, grids = summarise(tables), score_grids(tables.images)
    scored = summary[summary["dice"].notna()]
    best = None if scored.empty else str(scored["model"].iloc[0])
    versus = {c.model: c for c in compare(grids, best)} if best is not None else {}
    cells = {}
    for row in summary.to_dict("records"):
        name, known = str(row["model"]), row["dice"] == row["dice"]
        found = versus.get(name)
        verdict = "best" if name == best else found.verdict if found else "not enough data"
        cells[name] = Cell(
            dice=row["dice"] if known else None,
            sd=row["dice_sd"] if row["dice_sd"] == row["dice_sd"] else None,
            failed=row["failed"],
            # A model can be "better" than the best on the common seeds and images, which are fewer than those
            # behind the means.
            mark=("indistinguishable" if verdict == "better" else verdict) if known else None,
            difference=found.difference if known and found else None,
        )
    return Row(label, tables, cells, best_baseline(tables))


def mean_ranks(rows: Sequence[Row], models: Sequence[str]) -> tuple[list[Rank], list[str]]:
    """Rank the models on the data sets where every model has a score.

    Ties share their ranks. Models without a score anywhere are left out.

    Args:
        rows: One per data set.
        models: Labels to rank.

    Returns:
        The mean ranks, lowest first (empty with fewer than two models or data sets), and the labels of the data sets.
    """
    known = [m for m in models if any(row.cell(m).dice is not None for row in rows)]
    whole = [row for row in rows if all(row.cell(m).dice is not None for m in known)]
    if len(known) < 2 or len(whole) < 2:
        return [], [row.label for row in whole]
    dice = np.array([[row.cell(m).dice for m in known] for row in whole], float)
    ranks = rankdata(-np.round(dice, 12), axis=1)  # (data sets, models)
    means = ranks.mean(axis=0)
    low = high = first = [None] * len(known)
    if len(whole) >= MIN_DATA_SETS:
        drawn = draws("images", len(whole)).astype(float)
        resampled = drawn @ ranks / drawn.sum(axis=1, keepdims=True)
        low, high = np.percentile(resampled, [100 * ALPHA / 2, 100 - 100 * ALPHA / 2], axis=0).tolist()
        lowest = np.isclose(resampled, resampled.min(axis=1, keepdims=True), rtol=0, atol=1e-9)
        first = (lowest / lowest.sum(axis=1, keepdims=True)).mean(axis=0).tolist()
    found = [Rank(*each) for each in zip(known, means.tolist(), low, high, first, strict=True)]
    return sorted(found, key=lambda rank: rank.mean), [row.label for row in whole]
