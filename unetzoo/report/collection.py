"""The page of a collection of data sets, made from their records and ``collection.json`` alone."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo._util.language import ENGLISH, N_, _, _n, language
from unetzoo.errors import UnetzooError
from unetzoo.records.fields import class_names, current, dig, margin_of
from unetzoo.records.frame import csv_text, joined, tables
from unetzoo.records.manifest import Manifest
from unetzoo.records.reading import read_members
from unetzoo.report import curves, page, protocol
from unetzoo.report.alarms import red_lines
from unetzoo.report.choice import answer, margins_text, open_ranks, rank_texts
from unetzoo.report.folds import pooled
from unetzoo.report.heat_map import heat_map
from unetzoo.report.matrix import MARKS, Rank, Row, judge_rows, mean_ranks, setbacks_of
from unetzoo.report.naming import with_seeds
from unetzoo.report.options import Options
from unetzoo.report.sections import failures
from unetzoo.report.standing import standing
from unetzoo.report.style import SCREEN
from unetzoo.report.verdict_table import joined_verdicts
from unetzoo.report.verdicts.family import MIN_GROUPS, MIN_SEEDS
from unetzoo.report.words import DASH, listed, number, signed, words

UNRANKED = N_("\u2013 not judged; the variants are in the order of the suite.")
LEGEND = N_(
    "★ the highest of its data set, = equivalent to it, ▼ shown to score lower than another, ? undecided, \u2013 not"
    " judged."
)
CONVENTIONS = "collection_conventions.txt.j2"
PLOT = "dice_by_data_set"
CURVES = "learning_curves"
CURVES_CAPTION = N_(
    "Test Dice against the number of training images: means over seeds; the bands are 95 % intervals of the mean over"
    " test images and seeds (no band for fewer than three seeds, or five images or groups)."
)
CAPTION = N_(
    "Test Dice, mean over seeds. {legend} Darker means nearer to the highest of the data set; data sets without a"
    " highest are left out. Last: the best trivial predictor."
)


def build_collection(
    folder: Path,
    manifest: Manifest,
    *,
    brief: bool = False,
    margins: Mapping[str, float | None] | None = None,
    options: Options | None = None,
) -> Path:
    """Write the report of each data set, then the page over all of them.

    Args:
        folder: Output folder of the collection.
        manifest: Contents of its ``collection.json``.
        brief: See `unetzoo.report.write_report`.
        margins: Largest difference in Dice that does not matter, by data set; None takes the records'.
        options: What else the report of each data set has.

    Returns:
        The path of the page.

    Raises:
        UnetzooError: If no data set has a record, or the folder cannot be written.
    """
    options = options or Options()
    with options.clock.stage("reading"):
        members = read_members(folder, manifest)
    asked_margins = margins or {}
    keep = () if brief else None
    made = {
        label: page.build(folder / label, keep=keep, margin=asked_margins.get(label), options=options).name
        for label in members
    }
    asked = {label: [(trial.model, trial.id) for trial in trials] for label, trials in manifest.data.items()}
    kept = {label: current(records, asked[label]) for label, (records, _bad) in members.items()}
    earlier = sum(len(records) - len(kept[label]) for label, (records, _bad) in members.items())
    given = {label: tables(kept[label], members[label][1]) if label in members else None for label in manifest.data}
    found = {label: margin_of(t.records) for label, t in given.items() if t}
    rows = judge_rows(given, found | {label: m for label, m in asked_margins.items() if m is not None})
    models = _models(manifest, rows)
    learned = curves.learning_curves(rows)
    variables = context(manifest, rows, models, earlier, learned) | {"pages": made, "brief": brief}
    formats = options.formats or (page.BRIEF if brief else SCREEN)
    drawn = tuple(dict.fromkeys([*formats, *SCREEN]))
    with language(ENGLISH):
        plots = {CURVES: curves.plot(learned, models, drawn)} if learned else {}
        if plot := heat_map(rows, models, drawn):
            plots[PLOT] = plot
    captions = {PLOT: _(CAPTION, legend=_(LEGEND)), CURVES: _(CURVES_CAPTION)}
    variables |= {"plots": {name: captions[name] for name in plots}}
    results = joined({label: tables(*found) for label, found in members.items()})
    inline = {name: page.data_uri(name, plot) for name, plot in plots.items()}
    try:
        page.write_plots(folder, [*captions], plots, formats)
        write_atomic(folder / "results.csv", csv_text(results))
        every = {row.label: row.comparisons.values() for row in [*rows, *pooled(rows)]}
        write_atomic(folder / "verdicts.csv", csv_text(joined_verdicts(every)))
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
    units = pooled(rows)
    ranks, ranked = ([], []) if learned else mean_ranks(units, models)
    listed_ranks = [] if open_ranks(ranks) else ranks
    asked = {(label, trial.id) for label, some in manifest.data.items() for trial in some if not trial.baseline}
    records = [record for row in rows for record in row.models]
    found = {(row.label, record.id) for row in rows for record in row.models}
    return {
        "title": manifest.name,
        "question": manifest.question or _("Which U-Net should I use, and does it depend on the data?"),
        "answer": [line for curve in learned for line in curves.sentences(curve, models)]
        or answer(units, models, ranks, ranked),
        "missing": missing_trials(manifest, rows),
        "warnings": below_baselines(rows),
        "notes": _notes(rows, units, listed_ranks, ranked, earlier),
        "models": models,
        "rows": [_line(row, models) for row in rows],
        "ranks": {rank.model: rank_texts(rank) for rank in listed_ranks},
        "data_sets": [_data_set(row) for row in rows if row.tables],
        "variants": protocol.variants(records),
        "finished": sum(len(row.tables.done) for row in rows if row.tables),
        "trials": len(asked | found),
        "legend": _(LEGEND if any(row.best for row in rows) else UNRANKED),
        "margins": margins_text(rows),
        "min_seeds": MIN_SEEDS,
        "min_groups": MIN_GROUPS,
    }


def missing_trials(manifest: Manifest, rows: Sequence[Row]) -> list[str]:
    """List the planned trials without a readable record, one line per data set."""
    sentences = []
    for row in rows:
        asked = manifest.data[row.label]
        done = {record.id for record in row.tables.records} if row.tables else set()
        lacking = [trial for trial in asked if trial.id not in done]
        if not row.tables:
            none = _("{data}: no trial has run yet; {n} are planned.") if asked else _("{data}: no trial has run yet.")
            sentences.append(none.format(data=row.label, n=len(asked)))
        elif lacking:
            seeds: dict[str, list[str]] = {}
            for trial in lacking:
                seeds.setdefault(trial.model, []).extend([] if trial.baseline else [str(trial.seed)])
            names = [with_seeds(m, s) if s else m for m, s in seeds.items()]
            without = _(
                "{data}: {n} of {all} trials have no record: {trials}.",
                data=row.label,
                n=len(lacking),
                all=len(asked),
                trials=listed(names),
            )
            sentences.append(without)
    return sentences


def below_baselines(rows: Sequence[Row]) -> list[str]:
    """List the variants that did not learn or do not beat the best trivial predictor, line by line."""
    sentences = []
    for row in rows:
        if lost := [
            _n("{label} ({n} trial)", "{label} ({n} trials)", cell.unlearnt, label=m)
            for m, cell in row.cells.items()
            if cell.unlearnt
        ]:
            lost = listed(lost)
            sentences.append(
                _("{data}: did not learn, so in no verdict and no rank: {labels}.", data=row.label, labels=lost)
            )
        name, least = row.baseline or ("", -1.0)
        scores = [(m, row.cell(m).dice) for m in row.cells]
        if beaten := [f"{m} ({dice:.3f})" for m, dice in scores if dice is not None and dice <= least]:
            below = _(
                "{data}: not better than {baseline} (Dice {dice:.3f}): {labels}.",
                data=row.label,
                baseline=name,
                dice=least,
                labels=listed(beaten),
            )
            sentences.append(below)
    return sentences


def _notes(
    rows: Sequence[Row], units: Sequence[Row], ranks: Sequence[Rank], ranked: Sequence[str], earlier: int
) -> list[str]:
    sentences = []
    if ranks and len(ranked) < len(units):
        out = [row.label for row in units if row.label not in ranked]
        sentences.append(
            _("Not in the mean ranks, because a variant cannot be ranked there: {data}.", data=listed(out))
        )
    rising = {row.label: sorted(standing(row.tables).rising) for row in rows if row.tables}
    named = [_("{data} ({labels})", data=data, labels=listed(models)) for data, models in rising.items() if models]
    if named:
        still = _(
            "Still rising in some seed, as the best checkpoint was the last: {which}. What the page says of these holds"
            " at this budget; longer training may change it.",
            which=listed(named, len(named)),
        )
        sentences.append(still)
    if earlier:
        left_out = _n(
            "Left out here: {n} record with earlier settings of a variant; see the data sets' pages and results.csv.",
            "Left out here: {n} records with earlier settings of a variant; see the data sets' pages and results.csv.",
            earlier,
        )
        sentences.append(left_out)
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
        "failed": _(", ").join(setbacks_of(cell)),
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
        "budget": protocol.budgets(records) or DASH,
        "crops": DASH if batch is None or crop is None else _("{n} of {size} px", n=words(batch), size=words(crop)),
    }
