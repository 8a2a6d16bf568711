"""Folds of one data set among the rows of a collection, pooled to one row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unetzoo._util.language import _
from unetzoo.records.fields import dig
from unetzoo.report.matrix import Cell, Row, settled
from unetzoo.report.verdicts.best import MIN_FOLDS, pool_folds
from unetzoo.report.verdicts.comparison import Comparison, Finding
from unetzoo.report.verdicts.family import interval
from unetzoo.report.verdicts.pair import prob_false, two_sided


def pooled(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with all folds of one data set as one row, corrected anew; the same rows if none are folds.

    Args:
        rows: Rows of a collection.
    """
    units: dict[str, list[Row]] = {}
    for row in rows:
        units.setdefault(fold_key(row) or row.label, []).append(row)
    if all(len(some) == 1 for some in units.values()):
        return list(rows)
    return settled([some[0] if len(some) == 1 else _pool(some) for some in units.values()])


def fold_key(row: Row) -> str | None:
    """Return what the folds of one data set share: its name, options and number of folds; None if it is no fold."""
    data = dig(row.models[0].trial, "data") if row.models else None
    if not isinstance(data, dict) or data.get("fold") is None:
        return None
    return json.dumps(
        {key: value for key, value in data.items() if key not in ("fold", "digest", "root")}, sort_keys=True
    )


def _pool(rows: Sequence[Row]) -> Row:
    """Return one row for the folds of one data set."""
    data = rows[0].models[0].trial["data"]
    names = list(dict.fromkeys(name for row in rows for name in row.cells))
    cells = {}
    for name in names:
        dice = np.array([row.cell(name).dice for row in rows], float)  # None becomes NaN
        known = not np.isnan(dice).any()
        cells[name] = Cell(
            dice=float(np.mean(dice)) if known else None,
            sd=float(np.std(dice, ddof=1)) if known else None,
            seeds=len(rows),
            failed=sum(row.cell(name).failed for row in rows),
            unlearnt=sum(row.cell(name).unlearnt for row in rows),
            mark="not enough data" if known else None,
        )
    order = sorted(cells, key=lambda name: -(cells[name].dice or -1.0))
    shared = set.intersection(*(set(row.findings) for row in rows))
    findings = {key: _finding([row.findings[key] for row in rows], 1 / (data["folds"] - 1)) for key in sorted(shared)}
    label = _("{label} ({n} folds)", label=data["name"], n=len(rows))
    return Row(label, None, {name: cells[name] for name in order}, None, rows[0].margin, findings)


def _finding(folds: Sequence[Finding], held_out: float) -> Finding:
    """Return the finding of one pair over the folds; with too few of them, or a fold without a score, no evidence."""
    first = folds[0].comparison
    found = Comparison(
        first.model,
        seeds=min(f.comparison.seeds for f in folds),
        images=sum(f.comparison.images for f in folds),
        reference=first.reference,
        note=_("{n} folds, pooled by Nadeau and Bengio's corrected t", n=len(folds)),
    )
    differences = np.array([f.comparison.difference for f in folds], float)
    if len(folds) < MIN_FOLDS or np.isnan(differences).any():
        note = _("{n} folds with scores, a verdict needs {least}", n=len(folds), least=MIN_FOLDS)
        return Finding(replace(found, note=note))
    e = pool_folds(differences, held_out)
    low, high = (float(x) for x in interval(e))
    agree = int((np.sign(differences) == np.sign(e.difference)).sum())
    found = replace(found, difference=float(e.difference), low_alone=low, high_alone=high, agree=agree)
    return Finding(replace(found, p=float(two_sided(e)), prob_false=float(prob_false(e))), e)
