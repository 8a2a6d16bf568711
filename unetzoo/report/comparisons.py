"""Tables of comparisons: the column against the reference, every pair, other metrics and costs, and remarks."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from unetzoo._util.language import N_, _, _n
from unetzoo.records.frame import Tables
from unetzoo.records.learnt import still_rising
from unetzoo.report.answer import settled_by
from unetzoo.report.judgement import COST_TITLES, METRIC_TITLES, Judgement
from unetzoo.report.naming import named
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.words import DASH, between, number, p_text, percent, signed

SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": "?"}
LEGEND = N_("▲ better, ▼ worse, = equivalent, ? undecided, \u2013 not judged.")
MOST_LABELS = 24  # of the matrix of pairs
MOST_PAIRS = 45  # listed one by one


def against(j: Judgement, label: str) -> dict[str, str] | None:
    """Return the cell of a variant against the reference; None for the reference and for what has no comparison."""
    c = j.against.get(label)
    return None if c is None else {**_cell(j, c), "interval": interval(j, c), "word": _word(j, c)}


def _word(j: Judgement, c: Comparison) -> str:
    """Return the verdict in words; nothing if one seed leaves nothing to judge."""
    return j.standing.wording(c) if j.ranked else ""


def _cell(j: Judgement, c: Comparison, difference: str | None = None) -> dict[str, str]:
    css = c.verdict if j.judged(c) else "thin" if c.verdict == "not enough data" else "failed"
    return {"sign": SIGNS.get(c.verdict, DASH), "css": css, "difference": difference or signed(c.difference)}


def interval(j: Judgement, c: Comparison) -> str:
    """Return the simultaneous interval; nothing without a verdict, since it would be read as one."""
    return between(c.low, c.high) if j.judged(c) and c.low is not None else ""


def remarks(t: Tables, j: Judgement) -> list[str]:
    """Return remarks under the table: images and groups, notes of the comparisons, runs that were still rising."""
    notes: dict[str, list[str]] = {}
    for c in j.against.values():
        if c.note and c.verdict in ("better", "worse", "equivalent"):  # the other notes are in the answer
            notes.setdefault(c.note, []).append(c.model)
    lines = [sampled(j)]
    lines += [_("{label}: {what}.", label=_(", ").join(models), what=note) for note, models in notes.items()]
    if rising := [r for r in t.models if still_rising(r)]:
        still = _(
            "Still rising, as the best checkpoint was the last: {trials}. What the page says of these variants holds at"
            " this budget; longer training may change it.",
            trials=named(rising),
        )
        lines.append(still)
    return lines


def sampled(j: Judgement) -> str:
    """Say how many test images there are, and in how many groups they were sampled."""
    images = _n("{n} test image", "{n} test images", j.images)
    if j.groups is None:
        return _(
            "{images}. No groups are known (patients, films, volumes), so each counts as sampled by itself.",
            images=images,
        )
    return _n(
        "{images}, sampled in {n} group (patients, films or volumes).",
        "{images}, sampled in {n} groups (patients, films or volumes).",
        j.groups,
        images=images,
    )


def pairs(j: Judgement, labels: Sequence[str]) -> dict[str, Any]:
    """Return the matrix of all pairs and their details; empty if no pair is judged.

    Args:
        j: The verdicts.
        labels: The variants, in the order of the rows.
    """
    found = j.by_pair
    known = [label for label in labels if any(label == model for model, _other in found)]
    if not any(j.judged(c) for c in found.values()):
        return {}
    cells = {pair: _cell(j, c) for pair, c in found.items()}
    matrix = [{"model": a, "cells": [cells.get((a, b)) for b in known]} for a in known]
    listed = [found[pair] for pair in combinations(known, 2) if pair in found]
    return {
        "labels": known,
        "matrix": matrix if 2 < len(known) <= MOST_LABELS else [],
        "details": [details(j, c) for c in listed] if len(listed) <= MOST_PAIRS else [],
    }


def details(j: Judgement, c: Comparison) -> dict[str, str]:
    """Return a comparison in texts: verdict, difference, intervals, effect, and what would settle it."""
    judged = j.judged(c)
    return {
        "pair": _("{label} against {reference}", label=c.model, reference=c.reference),
        "word": j.standing.wording(c),
        "difference": signed(c.difference),
        "interval": interval(j, c),
        "alone": between(c.low_alone, c.high_alone) if judged and c.low_alone is not None else DASH,
        "p": p_text(c.p_adjusted).removeprefix("= ") if c.p_adjusted is not None else DASH,
        "effect": signed(c.effect, 2) if judged else DASH,
        "superiority": percent(c.superiority) if judged else DASH,
        "prob_false": percent(c.prob_false, 1) if judged else DASH,
        "sd": " / ".join(number(sd) for sd in (c.sd_image, c.sd_seed, c.sd_interaction)) if judged else DASH,
        "agree": _("{n} of {all}", n=c.agree, all=c.seeds),
        "settle": settled_by(c) if c.verdict == "undecided" else "" if judged else c.note,
    }


def other_verdicts(j: Judgement, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the table of verdicts against the reference on boundary metrics and costs; empty if there are none.

    Args:
        j: The verdicts.
        rows: Summary rows, which give the order.
    """
    known = {m: {c.model: c for c in some if c.reference == j.reference} for m, some in j.others.items()}
    shown = [m for m, some in known.items() if any(j.judged(c) for c in some.values())]
    if not shown:
        return {}

    def cell(metric: str, row: dict[str, Any]) -> dict[str, str] | None:
        c = known[metric].get(row["model"])
        if c is None or c.difference is None:
            return None
        if metric not in COST_TITLES:
            return _cell(j, c, signed(c.difference, 2 if metric in ("hd95", "assd") else 3))
        digits = 2 if abs(c.difference) >= 0.005 or c.verdict == "equivalent" else 4
        return _cell(j, c, f"{1 + c.difference:.{digits}f}\u00d7")

    titles = {**METRIC_TITLES, **COST_TITLES}
    return {
        "heads": [dict(zip(("title", "unit"), map(_, titles[m]), strict=True)) for m in shown],
        "rows": [
            {"model": row["model"], "cells": [cell(m, row) for m in shown]}
            for row in rows
            if any(row["model"] in known[m] for m in shown)
        ],
    }
