"""A page for each variant: its paper and options, scores and verdicts, costs, curves, trials, and test images."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from unetzoo._util.language import N_, _
from unetzoo.records.columns import METRICS
from unetzoo.records.fields import chosen_rate, dig, image_score, seed_of
from unetzoo.records.frame import Tables
from unetzoo.records.learnt import still_rising
from unetzoo.records.record import Record
from unetzoo.report.again import TrialFolders, commands
from unetzoo.report.architecture import Describe
from unetzoo.report.comparisons import against, details
from unetzoo.report.judgement import Judgement
from unetzoo.report.limits import KINDS
from unetzoo.report.line_chart import line_chart
from unetzoo.report.naming import by_label
from unetzoo.report.options import Options
from unetzoo.report.pictures import painted, png_uri, read_kept
from unetzoo.report.predictions import legend
from unetzoo.report.protocol import variants
from unetzoo.report.sections import DISTANCES, metric_title
from unetzoo.report.words import fields, missing, number, span, words

FOLDER = "variants"
SETTINGS = {"data": N_("data"), "train": N_("train"), "measure": N_("measure"), "score": N_("score")}
LONGEST = 60  # characters of a file's name
INPUT_SIDE = 128  # px; the browser of images has the whole input
MOST_OTHERS = 60  # variants that a page compares its own with
MOST_DESCRIBED = 40  # variants whose networks are built; each takes up to a second


def addresses(labels: Iterable[str]) -> dict[str, str]:
    """Return the address of each variant's page, below that of the report.

    A label that is not a file's name on every system, or equals another one but for case, gets a hash.
    """
    taken: set[str] = set()
    found = {}
    for label in sorted(labels):
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", label)[:LONGEST].strip("-")
        if not name or name != label or name.lower() in taken:
            name = f"{name or 'variant'}-{hashlib.sha256(label.encode(errors='replace')).hexdigest()[:8]}"
        taken.add(name.lower())
        found[label] = f"{FOLDER}/{name}.html"
    return found


def variant_contexts(
    t: Tables, j: Judgement, rows: Sequence[Mapping[str, Any]], folder: Path, options: Options | None = None
) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield (label, variables of the template) of each variant.

    Args:
        t: Tables of the report.
        j: The verdicts.
        rows: Summary rows of the variants.
        folder: Output folder of the run, which has the pictures.
        options: What else the report has.
    """
    records, unlearnt, folders = by_label(t.models), t.unlearnt, TrialFolders(folder)
    described = {v["model"]: v for v in variants(t.models)}
    describe = options.describe if options else None
    for place, row in enumerate(rows):
        label = str(row["model"])
        own = records.get(label, [])
        yield (
            label,
            {
                "label": label,
                "row": row,
                "described": described.get(label),
                "name": words(dig(own[0].trial, "model", "name")) if own else "",
                "options": _options(own),
                "reference": j.reference,
                "against": against(j, label),
                "setback": j.standing.setbacks.get(label, ""),
                "rising": label in j.standing.rising,
                "others": _others(j, label, [str(r["model"]) for r in rows]),
                "scores": _scores(row),
                "costs": _costs(row),
                "charts": _charts(own),
                "seeds": [_("seed {seed}", seed=seed_of(r)) for r in own if r.curves],
                "trials": [_trial(r, unlearnt, folders.log(r)) for r in own],
                "architecture": _architecture(own, describe, place),
                "commands": commands(own, folders),
                **_images(own, folder),
            },
        )


def _architecture(records: Sequence[Record], describe: Describe | None, place: int) -> dict[str, Any] | None:
    """Return the variables of the table and the drawing, or why there is none; None if none is asked for."""
    if describe is None or not records:
        return None
    if place >= MOST_DESCRIBED:
        return {"reason": _("not shown: a report describes its first {n} variants", n=MOST_DESCRIBED)}
    found = describe(next((r for r in records if r.cost), records[0]))
    if isinstance(found, str):
        return {"reason": found}
    drawing = Markup(found.drawing)  # noqa: S704 (made by `unetzoo.gallery.drawing`, which escapes names)
    total = {"params": sum(s.params for s in found.stages), "macs": sum(s.macs for s in found.stages)}
    return {"reason": "", "side": found.side, "stages": found.stages, "total": total, "drawing": drawing}


def _options(records: Sequence[Record]) -> list[tuple[str, str]]:
    model = dig(records[0].trial, "model") if records else None
    options = dig(model, "options")
    sizes = {k: dig(model, k) for k in ("in_channels", "num_classes")}
    every = {**{k: v for k, v in sizes.items() if v is not None}, **(options if isinstance(options, dict) else {})}
    return [(str(k), words(v)) for k, v in every.items()]


def _others(j: Judgement, label: str, labels: Sequence[str]) -> list[dict[str, str]]:
    """Return the verdicts against each other variant, in the order of the rows."""
    found = [(other, c) for other in labels if (c := j.by_pair.get((label, other))) is not None]
    if not any(j.judged(c) for _other, c in found):
        return []
    return [{"other": other, **details(j, c)} for other, c in found[:MOST_OTHERS]]


def _scores(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for m in METRICS:
        if not missing(row[m]):
            digits = 2 if m in DISTANCES else 3
            spread = "" if missing(row[f"{m}_sd"]) else f" ± {number(row[f'{m}_sd'], digits)}"
            found.append((metric_title(m), number(row[m], digits) + spread))
    return found


def _costs(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, median, range over seeds) of what was measured."""
    found = []
    for kind in KINDS.values():
        value, low, high = (row[kind.cost + end] for end in ("", "_low", "_high"))
        if not missing(value):
            ends = [kind.amount(float(end)) for end in (low, high)]
            between = "" if low == high else _("{low} to {high}", low=ends[0], high=ends[1])
            found.append((_(kind.noun), kind.amount(float(value)), between))
    return found


def _charts(records: Sequence[Record]) -> list[Any]:
    """Return curves of loss and validation Dice, against the step and against the seconds of training."""
    curved = [r for r in records if r.curves]
    charts = []
    for title, at in ((_("optimizer step"), lambda r: 1.0), (_("seconds of training"), _seconds_per_step)):
        rates = [(_("seed {seed}", seed=seed_of(r)), r, rate) for r in curved if (rate := at(r)) is not None]
        loss = [(n, [(rate * s, v) for s, v in r.curves.train if _finite(v)]) for n, r, rate in rates if r.curves]
        dice = [
            (n, [(rate * s, v) for s, _loss, v in r.curves.val if v is not None and _finite(v)])
            for n, r, rate in rates
            if r.curves
        ]
        charts += [line_chart(loss, title, _("training loss")), line_chart(dice, title, _("validation Dice"))]
    return [chart for chart in charts if chart]


def _finite(value: float) -> bool:
    return value - value == 0


def _seconds_per_step(record: Record) -> float | None:
    """Return the mean time of a training step; validation is not included."""
    seconds, steps = record.cost and record.cost.train_seconds, record.result and record.result.steps
    if seconds is None or not steps:
        return None
    return seconds / steps


def _trial(r: Record, unlearnt: Mapping[str, str], log: str) -> dict[str, Any]:
    rate = chosen_rate(r)
    marks = [_("{label}: {what}", label=flag.kind, what=flag.text) for flag in r.flags]
    if r.id in unlearnt:
        marks.append(_("did not learn: {why}", why=unlearnt[r.id]))
    if still_rising(r):
        marks.append(_("still rising: the best checkpoint was the last"))
    if r.resumed:
        marks.append(_("resumed at step {steps}", steps=_(", ").join(map(str, r.resumed))))
    result, cost = r.result, r.cost
    return {
        "seed": seed_of(r),
        "id": r.id,
        "status": r.status,
        "reason": r.reason or "",
        "log": log,
        "dice": number(result and result.dice),
        "val_dice": number(result and result.best_val_dice),
        "steps": _("{n} of {all}", n=result.best_step, all=result.steps) if result and result.steps else "",
        "lr": "" if rate is None else f"{rate:g}",
        "train": span(cost and cost.train_seconds),
        "wall": span(cost and cost.wall_seconds),
        "marks": marks,
        "settings": [
            (title, text)
            for title, text in (
                *((_(title), fields(r.trial.get(k))) for k, title in SETTINGS.items()),
                (_("machine and software"), fields(r.environment)),
            )
            if text
        ],
    }


def _images(records: Sequence[Record], folder: Path) -> dict[str, Any]:
    """Return the best, the median and the worst of the kept test images, of the lowest seed that kept any."""
    record = next((r for r in sorted(records, key=seed_of) if r.status == "ok" and r.samples), None)
    if record is None:
        return {"images": [], "legend": [], "images_seed": None}
    scored = [(score, s) for s in record.samples if (score := image_score(record, s.key)) is not None]
    scored.sort(key=lambda pair: -pair[0])
    keys = record.result.per_image if record.result else {}
    every = sorted((x for key in keys if (x := image_score(record, key)) is not None), reverse=True)
    places = dict.fromkeys([0, len(scored) // 2, len(scored) - 1]) if scored else {}
    names = {0: _("best"), len(scored) - 1: _("worst")} if len(scored) > 1 else {}
    shown = []
    for place in places:
        score, sample = scored[place]
        kept = read_kept(folder, sample, INPUT_SIDE)
        shown.append(
            {
                "name": names.get(place, _("median") if len(scored) > 2 else ""),
                "key": sample.key,
                "dice": number(score),
                "rank": every.index(score) + 1,
                "image": None if kept.image is None else png_uri(kept.image),
                "truth": painted(kept, record, truth=True),
                "prediction": painted(kept, record),
            }
        )
    return {
        "images": shown,
        "legend": legend(record),
        "images_seed": seed_of(record),
        "kept": len(scored),
        "scored": len(every),
    }
