"""The page of a collection of data sets, made from their records and ``collection.json`` alone."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo.errors import UnetzooError
from unetzoo.records.fields import class_names, current, dig
from unetzoo.records.frame import joined, read_members, tables
from unetzoo.records.manifest import Manifest
from unetzoo.report import curves, page, protocol
from unetzoo.report.alarms import red_lines
from unetzoo.report.heat_map import heat_map
from unetzoo.report.matrix import MARKS, MIN_DATA_SETS, Mark, Rank, Row, judge, mean_ranks
from unetzoo.report.sections import failures
from unetzoo.report.statistics import MIN_IMAGES, RESAMPLES
from unetzoo.report.words import DASH, listed, number, percent, signed, words

CONVENTIONS = "collection_conventions.txt.j2"
PLOT = "dice_by_data_set"
CURVES = "learning_curves"
CURVES_CAPTION = (
    "Test Dice against the number of training images: means over seeds; the bands are 95 % intervals of the mean over"
    " test images and seeds (no band for one seed or fewer than five images)."
)
CAPTION = (
    "Test Dice, mean over seeds. \u2605 the highest of its row, \u2248 indistinguishable from it, ? not enough data to"
    " judge; no mark: lower. Darker means nearer to the row's best. Right-hand column: the best trivial predictor."
)


def build_collection(folder: Path, manifest: Manifest, *, brief: bool = False) -> Path:
    """Write the report of each data set, then the page over all of them.

    Args:
        folder: Output folder of the collection.
        manifest: Contents of its ``collection.json``.
        brief: See `unetzoo.report.write_report`.

    Returns:
        The path of the page.

    Raises:
        UnetzooError: If no data set has a record, or the folder cannot be written.
    """
    members = read_members(folder, manifest)
    made = {label: page.build(folder / label, keep=() if brief else None).name for label in members}
    asked = {label: [(trial.model, trial.id) for trial in trials] for label, trials in manifest.data.items()}
    kept = {label: current(records, asked[label]) for label, (records, _) in members.items()}
    earlier = sum(len(records) - len(kept[label]) for label, (records, _) in members.items())
    rows = [
        judge(label, tables(kept[label], members[label][1]) if label in members else None) for label in manifest.data
    ]
    models = _models(manifest, rows)
    learned = curves.learning_curves(rows)
    variables = context(manifest, rows, models, earlier, learned) | {"pages": made, "brief": brief}
    plots = {CURVES: curves.plot(learned, models)} if learned else {}
    if plot := heat_map(rows, models):
        plots[PLOT] = plot
    captions = {PLOT: CAPTION, CURVES: CURVES_CAPTION}
    variables |= {"plots": {name: captions[name] for name in plots}}
    results = joined({label: tables(*found) for label, found in members.items()})
    inline = {name: page.data_uri(name, *both) for name, both in plots.items()}
    try:
        page.write_plots(folder, [*captions], plots, page.BRIEF if brief else page.SUFFIXES)
        write_atomic(folder / "results.csv", results.to_csv(index=False, lineterminator="\n"))
        write_atomic(folder / "summary.md", page.render("collection.md.j2", variables, CONVENTIONS))
        html = page.render("collection.html.j2", variables | {"inline": inline}, CONVENTIONS)
        write_atomic(folder / "index.html", html)
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot write the report: {error.strerror or error}") from None
    return folder / "index.html"


def _models(manifest: Manifest, rows: Sequence[Row]) -> list[str]:
    """Return the models in the order of the suite, then those found only in the records."""
    asked = [trial.model for trials in manifest.data.values() for trial in trials if not trial.baseline]
    return list(dict.fromkeys([*asked, *sorted(name for row in rows for name in row.cells)]))


def context(
    manifest: Manifest, rows: list[Row], models: list[str], earlier: int, learned: Sequence[curves.Curve]
) -> dict[str, Any]:
    """Return everything the templates print.

    Args:
        manifest: The collection's name, question and planned trials.
        rows: One per data set.
        models: Labels, in the order of the columns.
        earlier: Number of records left out because their settings are no longer in the suite.
        learned: Learning curves among the rows; if there are any, no mean ranks are shown.
    """
    # Points of a learning curve share their test images, so they are not a sample of data sets to rank over.
    ranks, ranked = ([], []) if learned else mean_ranks(rows, models)
    asked = {(label, trial.id) for label, some in manifest.data.items() for trial in some if not trial.baseline}
    records = [record for row in rows for record in row.models]
    found = {(row.label, record.id) for row in rows for record in row.models}
    return {
        "title": manifest.name,
        "question": manifest.question or "Which U-Net should I use, and does it depend on the data?",
        "answer": [line for curve in learned for line in curves.sentences(curve, models)]
        or answer(rows, models, ranks, ranked),
        "missing": missing_trials(manifest, rows),
        "warnings": below_baselines(rows),
        "notes": _notes(rows, ranks, ranked, earlier),
        "models": models,
        "rows": [_line(row, models) for row in rows],
        "ranks": {rank.model: _rank(rank) for rank in ranks},
        "data_sets": [_data_set(row) for row in rows if row.tables],
        "variants": protocol.variants(records),
        "finished": sum(len(row.tables.done) for row in rows if row.tables),
        "trials": len(asked | found),
        "resamples": RESAMPLES,
        "resampled": any(rank.first is not None for rank in ranks),
        "least": MIN_DATA_SETS,
        "min_images": MIN_IMAGES,
    }


def answer(rows: Sequence[Row], models: Sequence[str], ranks: Sequence[Rank], ranked: Sequence[str]) -> list[str]:
    """State the result in sentences: the best model by data set, whether the choice depends on the data, mean ranks."""
    shown = [row for row in rows if row.best is not None]
    if not shown:
        return ["No trial finished with a test score, so there is no result yet."]
    where = {m: [row.label for row in shown if row.best == m] for m in models}
    order = sorted((m for m in models if where[m]), key=lambda m: -len(where[m]))
    counts = [f"{m} on {len(where[m])} ({listed(where[m])})" for m in order]
    sentences = [f"Highest mean Dice on {_data_sets(len(shown))}: {listed(counts)}."]
    marks = {m: [row.cell(m).mark for row in shown] for m in models}
    judged = [m for m in models if set(marks[m]) & {"best", "indistinguishable", "worse"}]
    if len(shown) < 2 or len(judged) < 2:
        return [*sentences, "Too few verdicts are available to say whether the best variant depends on the data set."]
    return [*sentences, *_depends({m: marks[m] for m in judged}), *_ranked(rows, ranks, ranked)]


def _depends(marks: dict[str, list[Mark | None]]) -> list[str]:
    """Say if one variant is good enough everywhere; ``marks`` has one mark per data set for each variant."""
    n = len(next(iter(marks.values())))
    level = {m: sum(mark in ("best", "indistinguishable") for mark in each) for m, each in marks.items()}
    order = sorted(marks, key=lambda m: -level[m])
    counts = [f"{m} on {level[m]} of {n}" for m in order]
    sentences = [f"Highest, or indistinguishable from it: {listed(counts, len(counts))}."]
    never = [m for m in order if "worse" not in marks[m]]
    lower = "nowhere shown to score lower than the highest"
    if everywhere := [m for m in never if level[m] == n]:
        are = "is" if len(everywhere) == 1 else "are"
        return [*sentences, f"On this evidence one choice can serve all of them: {listed(everywhere)} {are} {lower}."]
    if never:
        are = "is" if len(never) == 1 else "are"
        rest = "but without a verdict or a score on some data set"
        return [
            *sentences,
            f"It is open whether the choice depends on the data set: {listed(never)} {are} {lower}, {rest}.",
        ]
    rest = "each variant is shown to score lower than the highest on at least one"
    return [*sentences, f"So the choice depends on the data set: {rest}."]


def _ranked(rows: Sequence[Row], ranks: Sequence[Rank], ranked: Sequence[str]) -> list[str]:
    if not ranks:
        return []
    over = _data_sets(len(ranked)) if len(ranked) < len(rows) else f"all {len(rows)} data sets"
    means = [f"{rank.model} {_rank(rank)['text']}" for rank in ranks]
    sentences = [f"Mean rank over {over}: {listed(means, len(means))}."]
    if (share := ranks[0].first) is not None:
        sentences.append(f"{ranks[0].model} has the lowest mean rank in {percent(share)} of resampled data sets.")
    return sentences


def _data_sets(n: int) -> str:
    return "1 data set" if n == 1 else f"{n} data sets"


def _rank(rank: Rank) -> dict[str, str]:
    mean = number(rank.mean, 2)
    interval = "" if rank.low is None else f"{number(rank.low, 1)} to {number(rank.high, 1)}"
    return {"mean": mean, "interval": interval, "text": f"{mean} ({interval})" if interval else mean}


def missing_trials(manifest: Manifest, rows: Sequence[Row]) -> list[str]:
    """List the planned trials without a readable record, one line per data set."""
    sentences = []
    for row in rows:
        asked = manifest.data[row.label]
        done = {record.id for record in row.tables.records} if row.tables else set()
        lacking = [trial for trial in asked if trial.id not in done]
        if not row.tables:
            planned = f"; {len(asked)} are planned" if asked else ""
            sentences.append(f"{row.label}: no trial has run yet{planned}.")
        elif lacking:
            seeds: dict[str, list[str]] = {}
            for trial in lacking:
                seeds.setdefault(trial.model, []).extend([] if trial.baseline else [str(trial.seed)])
            names = [f"{m} (seed{'s' if len(s) > 1 else ''} {listed(s)})" if s else m for m, s in seeds.items()]
            sentences.append(f"{row.label}: {len(lacking)} of {len(asked)} trials have no record: {listed(names)}.")
    return sentences


def below_baselines(rows: Sequence[Row]) -> list[str]:
    """List the variants that do not beat the best trivial predictor, one line per data set."""
    sentences = []
    for row in rows:
        name, least = row.baseline or ("", -1.0)
        scores = [(m, row.cell(m).dice) for m in row.cells]
        if beaten := [f"{m} ({dice:.3f})" for m, dice in scores if dice is not None and dice <= least]:
            sentences.append(f"{row.label}: not better than {name} (Dice {least:.3f}): {listed(beaten)}.")
    return sentences


def _notes(rows: Sequence[Row], ranks: Sequence[Rank], ranked: Sequence[str], earlier: int) -> list[str]:
    sentences = []
    if ranks and len(ranked) < len(rows):
        out = [row.label for row in rows if row.label not in ranked]
        sentences.append(f"Not in the mean ranks, because a variant has no score there: {listed(out)}.")
    if earlier:
        records = "1 record" if earlier == 1 else f"{earlier} records"
        sentences.append(
            f"Left out here: {records} with earlier settings of a variant; see the data sets' pages and results.csv."
        )
    return sentences


def _line(row: Row, models: Sequence[str]) -> dict[str, Any]:
    """Format a row of the table."""
    t = row.tables
    return {
        "label": row.label,
        "cells": [_cell(row, m) for m in models],
        "baseline": row.baseline,
        "failed": len(failures(t)) if t else None,
        "warnings": len(red_lines(t)) if t else None,
    }


def _cell(row: Row, model: str) -> dict[str, Any]:
    cell = row.cell(model)
    text = number(cell.dice) + (f" ± {number(cell.sd)}" if cell.dice is not None and cell.sd is not None else "")
    return {
        "text": text,
        "mark": cell.mark,
        "sign": MARKS[cell.mark] if cell.mark else "",
        "difference": "" if cell.difference is None else signed(cell.difference),
        "failed": cell.failed,
    }


def _data_set(row: Row) -> dict[str, str]:
    """Describe a data set, from the first record of its trials."""
    assert row.tables is not None
    records = row.models or row.tables.records
    first = records[0] if records else None
    if first is None:
        return {"label": row.label}
    sizes = [dig(first.data, "splits", split, "n") for split in ("train", "val", "test")]
    counted = dig(first.data, "foreground")
    names = class_names(first)
    batch, crop = (dig(first.trial, "train", key) for key in ("batch_size", "crop"))
    return {
        "label": row.label,
        "what": words(first.data.get("description") or dig(first.trial, "data", "name") or DASH),
        "images": " / ".join(DASH if n is None else words(n) for n in sizes),
        "channels": words(first.data.get("channels") or DASH),
        "classes": ", ".join(names[i] for i in counted if i < len(names)) if isinstance(counted, list) else DASH,
        "budget": protocol.budget(first) or DASH,
        "crops": DASH if batch is None or crop is None else f"{words(batch)} of {words(crop)} px",
    }
