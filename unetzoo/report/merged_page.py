"""The page of several runs side by side."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from unetzoo._util.atomic import write_atomic
from unetzoo._util.language import ENGLISH, N_, _, language
from unetzoo.errors import UnetzooError
from unetzoo.records.frame import csv_text
from unetzoo.report import check_margin
from unetzoo.report.advice import advise
from unetzoo.report.alarms import red_lines
from unetzoo.report.answer import answer
from unetzoo.report.choice import answer as choice
from unetzoo.report.comparisons import against, sampled
from unetzoo.report.folds import pooled
from unetzoo.report.machines import COSTS, cell
from unetzoo.report.matrix import MARKS, judge_rows, mean_ranks
from unetzoo.report.merge import Part, different_digests, gather, machine_of, rows_of, run_names
from unetzoo.report.page import render
from unetzoo.report.statistics import summarise
from unetzoo.report.verdict_table import joined_verdicts
from unetzoo.report.words import DASH, number

COSTS_APART = N_(
    "Measured costs stand in columns of their machine, as those of different machines cannot be compared, and no"
    " variant is recommended by its latency."
)


def build_merged(folders: Sequence[Path], out: Path, margin: float | None = None, lang: str = ENGLISH) -> Path:
    """Write the report of several runs to ``out``; return the path of its page.

    Args:
        folders: Output folders of runs or collections.
        out: Folder for ``index.html``, ``summary.md``, ``results.csv`` and ``verdicts.csv``.
        margin: Largest difference in Dice that does not matter; None takes the records'.
        lang: Language of the page and the summary, from `unetzoo._util.language.LANGUAGES`.

    Raises:
        UnetzooError: If the language is unknown, a folder has no records, records cannot be compared, or ``out`` is one
            of the folders or has records of its own.
    """
    if out.resolve() in [folder.resolve() for folder in folders] or (out / "records").exists():
        raise UnetzooError(f"--out {out}: holds a run of its own, whose report would be lost; name another folder")
    check_margin(margin)
    with language(lang):
        return _build(folders, out, margin)


def _build(folders: Sequence[Path], out: Path, margin: float | None) -> Path:
    parts, remarks = gather(folders, margin)
    variables = {
        "title": " + ".join(run_names(folders)),
        "matrix": _matrix(parts),
        "remarks": [*remarks, *different_digests(parts)],
        "sections": [section(part) for part in parts],
    }
    results = [part.tables.trials.copy().assign(data=part.label, machine=_machines(part)) for part in parts]
    try:
        write_atomic(out / "results.csv", csv_text(pd.concat(results, ignore_index=True)))
        found = {part.label: part.judgement.every for part in parts}
        write_atomic(out / "verdicts.csv", csv_text(joined_verdicts(found)))
        write_atomic(out / "summary.md", render("merged.md.j2", variables, "merged_conventions.txt.j2"))
        write_atomic(out / "index.html", render("merged.html.j2", variables, "merged_conventions.txt.j2"))
    except OSError as error:
        raise UnetzooError(f"{out}: cannot write the report: {error.strerror or error}") from None
    return out / "index.html"


def _machines(part: Part) -> list[str]:
    """Return the machine of each row of the trials, which are in the order of the records."""
    return [machine_of(record) if record.cost else "" for record in part.tables.records]


def section(part: Part) -> dict[str, Any]:
    """Return what the page shows of one data set."""
    j, t = part.judgement, part.tables
    rows = rows_of(part)
    apart = {
        machine: {row["model"]: row for row in summarise(own).to_dict("records")}
        for machine, own in part.machines.items()
    }
    costs = {
        machine: [cost for cost in COSTS if any(not pd.isna(row[cost]) for row in some.values())]
        for machine, some in apart.items()
    }
    one_machine = len(part.machines) < 2
    return {
        "label": part.label,
        "recommendation": advise(rows, j).sentences if one_machine else [_(COSTS_APART)],
        "answer": answer(rows, j),
        "warnings": red_lines(t),
        "groups": [(machine, len(shown)) for machine, shown in costs.items() if shown],
        "heads": [_(COSTS[cost][0]) for shown in costs.values() for cost in shown],
        "reference": j.reference,
        "rows": [
            {
                **_scores(part, row),
                "costs": [
                    _cost(apart[machine].get(row["model"]), cost) for machine, shown in costs.items() for cost in shown
                ],
            }
            for row in rows
        ],
        "sampled": sampled(j),
    }


def _scores(part: Part, row: dict[str, Any]) -> dict[str, Any]:
    spread = "" if pd.isna(row["dice_sd"]) else f" ± {number(row['dice_sd'])}"
    return {
        "model": row["model"],
        "runs": ", ".join(part.runs.get(row["model"], [])),
        "dice": number(row["dice"]) + spread,
        "seeds": _("{n} (+{failed} failed)", n=row["seeds"], failed=row["failed"])
        if row["failed"]
        else f"{row['seeds']}",
        "against": against(part.judgement, row["model"]),
        "params": number(row["params"], 2, 1e6),
        "macs": number(row["macs"], 2, 1e9),
    }


def _cost(row: dict[str, Any] | None, cost: str) -> str:
    return DASH if row is None else cell(row, cost)


def _matrix(parts: Sequence[Part]) -> dict[str, Any]:
    """Return the table of data sets by variants, folds pooled; empty for a single data set."""
    if len(parts) < 2:
        return {}
    rows = judge_rows(
        {part.label: part.tables for part in parts}, {part.label: part.judgement.margin for part in parts}
    )
    units = pooled(rows)
    models = list(dict.fromkeys(name for row in units for name in row.cells))
    ranks, ranked = mean_ranks(units, models)

    def mean(row: Any, model: str) -> str:
        found = row.cell(model)
        sign = f"{MARKS[found.mark]} " if found.mark else ""
        return DASH if found.dice is None else f"{sign}{number(found.dice)}"

    return {
        "models": models,
        "rows": [{"label": row.label, "cells": [mean(row, m) for m in models]} for row in units],
        "answer": choice(units, models, ranks, ranked),
    }
