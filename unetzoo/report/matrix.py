"""Data sets by models: the highest of each row, those shown to be lower, ranks, and one choice for all.

Every pair of models on every data set is compared, and all of these comparisons are corrected together, so a statement
about any of them holds at the stated rate. The rules are in `unetzoo.report.verdicts.best`. Rows that are folds of one
data set are each judged by themselves, and are pooled to one data set for ranks and for one choice.
"""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from unetzoo._util.language import _
from unetzoo.records.frame import Tables
from unetzoo.records.record import Record
from unetzoo.report.alarms import best_baseline
from unetzoo.report.groups import groups_by_key
from unetzoo.report.standing import JUDGED, Standing, standing
from unetzoo.report.statistics import pairs_of, score_grids, summarise
from unetzoo.report.verdicts.best import rank_bounds, serves_all, with_best
from unetzoo.report.verdicts.comparison import (
    MARGIN,
    WITHHELD,
    Comparison,
    Family,
    Finding,
    settle,
)
from unetzoo.report.verdicts.family import MIN_SEEDS
from unetzoo.report.verdicts.observing import observe_all
from unetzoo.report.verdicts.pair import Array, Evidence
from unetzoo.report.words import DASH, listed

Mark = Literal[
    "best", "equivalent", "undecided", "worse", "not enough data", "not judged: near-duplicates across splits"
]
MARKS = {"best": "★", "equivalent": "=", "undecided": "?", "worse": "▼", "not enough data": DASH, WITHHELD: DASH}
Pairs = dict[tuple[str, str], Finding]  # (model, other), the other sorting first


@dataclass(frozen=True)
class Cell:
    """One model on one data set; ``dice`` and ``mark`` are None if no trial has a score.

    Attributes:
        dice: Mean over the finished seeds.
        sd: SD over these seeds.
        seeds: Number of seeds that finished and learnt.
        failed: Number of trials that failed.
        unlearnt: Number of trials that did not learn.
        mark: Verdict against the row's highest; "best" for that one.
        difference: Mean difference from the row's highest, on the seeds and images both have.
        low: Lower bound of the difference from the best of the others (Hsu's interval), simultaneous over the page.
        high: Its upper bound.
    """

    dice: float | None = None
    sd: float | None = None
    seeds: int = 0
    failed: int = 0
    unlearnt: int = 0
    mark: Mark | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def whole(self) -> bool:
        """True if no trial failed or did not learn; else the model is never equivalent, and no choice for all."""
        return not self.failed and not self.unlearnt

    @property
    def ranked(self) -> bool:
        """True if the model may be the highest of its row: a score, enough seeds, and all of them whole."""
        return self.dice is not None and self.seeds >= MIN_SEEDS and self.whole


@dataclass(frozen=True)
class Row:
    """One data set; ``tables`` is None if it has no record, or stands for several folds.

    Attributes:
        label: Name of the data set in the collection.
        tables: Its records.
        cells: One cell for each model that has a record.
        baseline: The best trivial predictor and its test Dice.
        margin: Largest difference in Dice that does not matter here.
        findings: What each pair of models shows by itself.
        comparisons: The same, corrected for all pairs of the collection.
    """

    label: str
    tables: Tables | None
    cells: dict[str, Cell]
    baseline: tuple[str, float] | None
    margin: float = MARGIN
    findings: Pairs = field(default_factory=dict)
    comparisons: dict[tuple[str, str], Comparison] = field(default_factory=dict)

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

    def lower(self, models: Sequence[str]) -> Array:
        """Return (k, k), True where the first model is shown to score lower than the second."""
        shown = {key: c.verdict for key, c in self.comparisons.items()}
        return np.array(
            [[shown.get((i, j)) == "worse" or shown.get((j, i)) == "better" for j in models] for i in models]
        )


@dataclass(frozen=True)
class Rank:
    """A model's mean rank over data sets (1 is best), and the lowest and highest that the data allow."""

    model: str
    mean: float
    low: float
    high: float


def judge_rows(members: Mapping[str, Tables | None], margins: Mapping[str, float]) -> list[Row]:
    """Compare all models on all data sets, corrected together.

    Args:
        members: Records of each data set; None if it has none.
        margins: Largest difference in Dice that does not matter, for data sets with records.
    """
    return settled([_observed(label, t, margins.get(label, MARGIN)) for label, t in members.items()])


def settled(rows: Sequence[Row]) -> list[Row]:
    """Correct the findings of all rows together, and mark the cells."""
    every = [finding for row in rows for finding in row.findings.values()]
    found: Iterator[Comparison] = iter(settle(every, Family(margin=None, plan=False)))
    rows = [replace(row, comparisons=_worded(row, {key: next(found) for key in row.findings})) for row in rows]
    return [replace(row, cells=_marked(row)) for row in rows]


def _worded(row: Row, found: dict[tuple[str, str], Comparison]) -> dict[tuple[str, str], Comparison]:
    """Call a difference within the row's margin equivalent, and take back the verdicts that conditions do not allow."""
    conditions = standing(row.tables) if row.tables else _standing_of_folds(row)
    worded = {}
    for key, c in found.items():
        if c.verdict == "undecided" and c.low is not None and c.high is not None:
            within = -row.margin <= c.low and c.high <= row.margin
            c = replace(c, verdict="equivalent") if within else c
        worded[key] = conditions.temper(c)
    return worded


def _standing_of_folds(row: Row) -> Standing:
    """Return the conditions of a row that stands for several folds: those of its cells."""
    setbacks = {}
    for label, cell in row.cells.items():
        if how := setbacks_of(cell):
            setbacks[label] = _("of its trials {what}", what=listed(how))
    return Standing(unlearnt={}, setbacks=setbacks, uneven={}, rising=frozenset())


def setbacks_of(cell: Cell) -> list[str]:
    """Return how many trials failed and how many did not learn, in words; empty if none did."""
    failed = [_("{n} failed", n=cell.failed)] if cell.failed else []
    return failed + ([_("{n} did not learn", n=cell.unlearnt)] if cell.unlearnt else [])


def _observed(label: str, tables: Tables | None, margin: float) -> Row:
    """Return a row whose cells have no mark yet."""
    if tables is None:
        return Row(label, None, {}, None)
    counted = standing(tables).counted
    grids, groups = score_grids(counted(tables.images)), groups_by_key(tables)
    names = [] if tables.leaking else [(name, other) for other, name in combinations(sorted(grids), 2)]
    found = observe_all(pairs_of(grids, names, groups), Family())
    findings = {(each.comparison.model, each.comparison.reference): each for each in found}
    trials = counted(tables.done)
    seeds = trials.groupby("model")["seed"].nunique()
    cells = {}
    for row in summarise(tables).to_dict("records"):
        name, known, learnt = str(row["model"]), row["dice"] == row["dice"], int(seeds.get(row["model"], 0))
        cells[name] = Cell(
            dice=row["dice"] if known else None,
            sd=row["dice_sd"] if row["dice_sd"] == row["dice_sd"] else None,
            seeds=learnt,
            failed=row["failed"],
            unlearnt=row["seeds"] - learnt,
            mark=(WITHHELD if tables.leaking else "not enough data") if known else None,
        )
    return Row(label, tables, cells, best_baseline(tables), margin, findings)


def _marked(row: Row) -> dict[str, Cell]:
    """Return the cells, sorted from the highest mean down as before, with marks and intervals."""
    scored = [name for name, cell in row.cells.items() if cell.dice is not None]
    best = next((name for name in scored if row.cells[name].ranked), None)
    if best is None:
        return row.cells
    lower = row.lower(scored)
    low, high = with_best(*_bounds(row, scored))
    cells = dict(row.cells)
    for k, name in enumerate(scored):
        cell, c = cells[name], row.comparisons.get((max(name, best), min(name, best)))
        if name == best:
            mark: Mark | None = "best"
        elif lower[k].any():
            mark = "worse"
        elif c is None or c.verdict not in JUDGED:
            mark = cell.mark
        else:  # "better" would be about the common seeds alone, against the highest mean of all seeds
            mark = "equivalent" if c.verdict == "equivalent" else "undecided"
        difference = None if c is None or c.difference is None else c.difference * (1 if name > best else -1)
        bounds = (float(low[k]), float(high[k])) if np.isfinite([low[k], high[k]]).all() else (None, None)
        cells[name] = replace(cell, mark=mark, difference=difference, low=bounds[0], high=bounds[1])
    return cells


def _bounds(row: Row, models: Sequence[str]) -> tuple[Array, Array]:
    """Return simultaneous bounds (k, k) of the first model minus the second; infinite without a verdict."""
    low = np.full((len(models), len(models)), -np.inf)
    high = -low
    for i, name in enumerate(models):
        for j, other in enumerate(models):
            c = row.comparisons.get((name, other))
            if c is not None and c.p is not None:
                low[i, j], high[i, j] = c.low, c.high
                low[j, i], high[j, i] = -high[i, j], -low[i, j]
    return low, high


def complete_rows(rows: Sequence[Row], models: Sequence[str]) -> tuple[list[str], list[Row]]:
    """Return the models with a score anywhere, and the rows on which all of these can be ranked.

    Args:
        rows: One per data set.
        models: Labels to look for.
    """
    known = [m for m in models if any(row.cell(m).dice is not None for row in rows)]
    return known, [row for row in rows if all(row.cell(m).ranked for m in known)]


def mean_ranks(rows: Sequence[Row], models: Sequence[str]) -> tuple[list[Rank], list[str]]:
    """Rank the models on the data sets where every model can be ranked, if there are verdicts on any.

    Ties share their ranks. Models without a score anywhere are left out. The bounds are the means over these data sets
    of the ranks that the verdicts leave open, so they hold for these data sets, not for others.

    Args:
        rows: One per data set, folds pooled.
        models: Labels to rank.

    Returns:
        The mean ranks, lowest first (empty with fewer than two models or data sets, or without a verdict), and the
        labels of the data sets.
    """
    known, whole = complete_rows(rows, models)
    judged = any(c.p is not None for row in whole for c in row.comparisons.values())
    if len(known) < 2 or len(whole) < 2 or not judged:
        return [], [row.label for row in whole]
    dice = np.array([[row.cell(m).dice for m in known] for row in whole], float)
    means = rankdata(-np.round(dice, 12), axis=1).mean(axis=0)
    low, high = np.mean([rank_bounds(row.lower(known)) for row in whole], axis=0).tolist()
    found = [Rank(*each) for each in zip(known, means.tolist(), low, high, strict=True)]
    return sorted(found, key=lambda rank: rank.mean), [row.label for row in whole]


def one_for_all(rows: Sequence[Row], models: Sequence[str]) -> list[str]:
    """Return the models shown on every data set to be lower than no other by more than its margin.

    A model of which a trial failed or did not learn is never among them.

    Args:
        rows: One per data set, folds pooled.
        models: Labels to choose from.
    """
    known = [m for m in models if any(row.cell(m).dice is not None for row in rows)]
    if len(known) < 2 or not rows:
        return []
    evidence: list[dict[tuple[int, int], Evidence]] = []
    for row in rows:
        evidence.append({})
        for (i, name), (j, other) in combinations(enumerate(sorted(known)), 2):
            found = row.findings.get((other, name))
            if found is not None and found.evidence is not None:
                evidence[-1][j, i] = found.evidence
    serves = dict(zip(sorted(known), serves_all(evidence, [row.margin for row in rows], len(known)), strict=True))
    return [m for m in known if serves[m] and all(row.cell(m).whole for row in rows)]
