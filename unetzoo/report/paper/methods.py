"""A paragraph on the methods, made from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unetzoo.metrics.policy import ISBI
from unetzoo.records.fields import dig, seed_of
from unetzoo.records.frame import Tables
from unetzoo.records.record import Record
from unetzoo.report import protocol
from unetzoo.report.judgement import Judgement
from unetzoo.report.naming import distinct
from unetzoo.report.paper.bibtex import Cited, used_metrics
from unetzoo.report.paper.latex import tex
from unetzoo.report.verdicts.family import MIN_GROUPS, MIN_SEEDS
from unetzoo.report.words import escape_markdown, listed, words

NAMES = {
    "dice": "Dice",
    "iou": "intersection over union",
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "nsd": "normalised surface Dice",
    "hd95": "95th percentile of the Hausdorff distance",
    "assd": "average symmetric surface distance",
    "boundary_iou": "boundary IoU",
    "brier": "Brier score",
    "ece": "expected calibration error",
}
TRAINED = {
    "optimizer": "optimizer {}",
    "lr": "learning rate {}",
    "batch_size": "batches of {}",
    "crop": "crops of {} px",
}
BUDGETS = ("steps", "minutes", "flops", "until", "most_steps")  # said by `unetzoo.report.protocol.budget`
TECHNICAL = {*BUDGETS, "device", "devices", "threads", "workers", "channels_last", "deterministic", "precision"}
Sentence = tuple[str, list[str]]  # text without its full stop, keys of what it cites


def sentences(t: Tables, j: Judgement, cited: Cited) -> list[Sentence]:
    """Return the paragraph, sentence by sentence.

    Args:
        t: Tables of the report.
        j: The verdicts.
        cited: The bibliography.
    """
    models = t.models
    if not models:
        return [("No trial of a model is on record", [])]
    labels = list(protocol.first_of_each(models))
    versions = distinct(models, lambda r: r.environment.get("unetzoo"))
    found: list[Sentence] = [
        (
            f"We compared {len(labels)} network{'s' * (len(labels) > 1)} ({listed(labels, 30)}) with unetzoo"
            f"{f' {listed(versions)}' if versions else ''}",
            cited.keys("unetzoo", "model"),
        )
    ]
    found += [*_data(models, j, cited), *_training(models), *_scores(t, cited)]
    return [*found, *_statistics(j, cited), *_costs(models)]


def as_markdown(text: Sequence[Sentence]) -> str:
    """Return the paragraph in Markdown, with pandoc's citations."""
    parts = [str(escape_markdown(line)) + _pandoc(keys) + "." for line, keys in text]
    return " ".join(parts) + "\n"


def _pandoc(keys: Sequence[str]) -> str:
    return f" [{'; '.join(f'@{key}' for key in keys)}]" if keys else ""


def as_latex(text: Sequence[Sentence]) -> str:
    """Return the paragraph in LaTeX."""
    return "\n".join(tex(line) + (rf"~\cite{{{','.join(keys)}}}" if keys else "") + "." for line, keys in text) + "\n"


def _data(models: Sequence[Record], j: Judgement, cited: Cited) -> list[Sentence]:
    def described(record: Record) -> str:
        name = words(record.data.get("description") or dig(record.trial, "data", "name") or "data set not named")
        sizes = [f"{words(dig(record.data, 'splits', split, 'n'))} {what}" for split, what in SPLITS.items()]
        digest = dig(record.trial, "data", "digest")
        return f"{name.rstrip('.')} ({listed(sizes)} images{f'; digest {words(digest)}' if digest else ''})"

    groups = "" if j.groups is None else f"; the test images were sampled in {j.groups} groups"
    return [(f"Data: {listed(distinct(models, described))}{groups}", cited.keys("data"))]


SPLITS = {"train": "training", "val": "validation", "test": "test"}


def _training(models: Sequence[Record]) -> list[Sentence]:
    seeds = sorted({seed_of(r) for r in models})
    trained: list[dict[str, Any]] = [recipe for r in models if isinstance(recipe := r.trial.get("train"), dict)]
    known = {
        name: list(
            dict.fromkeys(words(value) for recipe in trained if (value := recipe.get(name)) not in (None, "", []))
        )
        for name in dict.fromkeys(name for recipe in trained for name in recipe if name not in TECHNICAL)
    }
    alike = {name: values[0] for name, values in known.items() if len(values) == 1}
    parts = [f"Every variant was trained with {len(seeds)} seed{'s' * (len(seeds) > 1)}"]
    parts += [budget] if (budget := protocol.budgets(list(models))) else []
    parts += [text.format(alike[name]) for name, text in TRAINED.items() if name in alike]
    found: list[Sentence] = [(", ".join(parts), [])]
    if others := [f"{name} {value}" for name, value in alike.items() if name not in TRAINED]:
        found.append((f"Other settings of training: {'; '.join(others)}", []))
    if varying := [f"{name} ({' or '.join(values)})" for name, values in known.items() if len(values) > 1]:
        found.append((f"The variants were not trained alike, they differ in {listed(varying, len(varying))}", []))
    return [*found, *((line.rstrip("."), []) for line in protocol.order_of_reading(list(models)))]


def _scores(t: Tables, cited: Cited) -> list[Sentence]:
    used = used_metrics(t)
    if not used:
        return []
    isbi = ["the scores of the ISBI 2012 challenge"] if set(ISBI) & set(t.trials.columns) else []
    names = [NAMES[metric] for metric in used]
    keys = cited.keys(*(f"metric {metric}" for metric in used), "metric isbi")
    found: list[Sentence] = [(f"Scores of the test images: {listed([*names, *isbi], 20)}", keys)]
    return [*found, *((line.rstrip("."), []) for line in protocol.policies(t.models))]


def _statistics(j: Judgement, cited: Cited) -> list[Sentence]:
    if not any(j.judged(c) for c in j.every):
        return [
            (
                f"No verdict is given: one needs {MIN_SEEDS} seeds, and {MIN_GROUPS} test images or groups of them",
                [],
            )
        ]
    compared = len(j.against)
    found: list[Sentence] = [
        (
            "Differences are paired over seeds and test images, and their variance has a part from either; p values are"
            f" two-sided and corrected over {compared} comparison{'s' * (compared > 1)} with {j.reference} by Holm's"
            " method, and intervals are simultaneous at 95 %",
            cited.keys("holm"),
        ),
        (f"Two variants are called equivalent if the interval lies within ±{j.margin:g} Dice", []),
    ]
    if j.standing.setbacks:
        out = [f"{label} ({why})" for label, why in j.standing.setbacks.items()]
        found.append((f"Some trials failed or did not learn: {listed(out, 12)}", []))
    if j.standing.rising:
        found.append((f"Still rising when the budget ended: {listed(sorted(j.standing.rising), 12)}", []))
    return found


def _costs(models: Sequence[Record]) -> list[Sentence]:
    measured = [r for r in models if r.cost]
    if not measured:
        return []
    methods = distinct(
        measured, lambda r: r.cost and f"latency: {r.cost.latency_method}; memory: {r.cost.memory_method}"
    )
    where = distinct(measured, lambda r: r.environment.get("device_name") or r.environment.get("device"))
    software = [
        f"{name} {listed(found)}"
        for name in ("torch", "python")
        if (found := distinct(models, lambda r, name=name: r.environment.get(name)))
    ]
    machine = f"Costs were measured on {listed(where or ['a machine that is not named'])}"
    return [(f"{machine} ({'; '.join(methods)}){f', with {listed(software)}' if software else ''}", [])]
