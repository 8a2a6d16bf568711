"""Intervals as strips inside the cells of a table: positions in per cent of a scale that all rows share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unetzoo.report.judgement import Judgement
from unetzoo.report.words import missing

Strip = dict[str, float]  # left, width, at: per cent
AIR = 0.04  # of the scale, free at each end


def score_strips(rows: Sequence[Mapping[str, Any]]) -> dict[str, Strip]:
    """Return the strip of each variant's mean Dice ± SD, by label."""
    found = {}
    for row in rows:
        if not missing(row["dice"]):
            sd = 0.0 if missing(row["dice_sd"]) else row["dice_sd"]
            found[str(row["model"])] = (row["dice"] - sd, row["dice"], row["dice"] + sd)
    return _placed(found)[0]


def difference_strips(j: Judgement) -> dict[str, Any]:
    """Return the strip of each variant's difference from the reference, and where the margin and zero lie.

    Returns:
        ``by_label`` -> label -> strip; ``zero`` -> strip of the margin, around zero. Empty if nothing is judged.
    """
    found = {
        c.model: (c.low, c.difference, c.high)
        for c in j.against.values()
        if j.judged(c) and c.low is not None and c.high is not None and c.difference is not None
    }
    if not found:
        return {}
    by_label, (zero,) = _placed(found, [(-j.margin, 0.0, j.margin)])
    return {"by_label": by_label, "zero": zero}


def _placed(
    found: Mapping[str, tuple[float, float, float]], fixed: Iterable[tuple[float, float, float]] = ()
) -> tuple[dict[str, Strip], list[Strip]]:
    fixed = list(fixed)
    ends = [value for triple in [*found.values(), *fixed] for value in triple]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    span = (high - low) or 1.0
    low, span = low - AIR * span, (1 + 2 * AIR) * span

    def strip(triple: tuple[float, float, float]) -> Strip:
        left, at, right = (round(100 * (value - low) / span, 2) for value in triple)
        return {"left": left, "width": round(right - left, 2), "at": at}

    return {label: strip(triple) for label, triple in found.items()}, [strip(triple) for triple in fixed]
