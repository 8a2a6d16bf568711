"""Variables of the page's templates: the answer, the rows, the scores and the failures."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import pandas as pd

from unetzoo.records.frame import COUNTS, METRICS, Tables
from unetzoo.records.record import Record
from unetzoo.report import costs, protocol
from unetzoo.report.alarms import red_lines
from unetzoo.report.isbi import isbi
from unetzoo.report.naming import distinct
from unetzoo.report.statistics import MIN_IMAGES, RESAMPLES, Comparison, summarise
from unetzoo.report.words import DASH, MIB, listed, missing, number, signed

CHEAPEST = {
    "latency_p50_ms": "fastest",
    "peak_train_bytes": "least training memory",
    "params": "fewest parameters",
}
TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "nsd": "NSD",
    "hd95": "HD95",
    "assd": "ASSD",
    "boundary_iou": "boundary IoU",
    "brier": "Brier",
    "ece": "ECE",
}
LOWER_IS_BETTER = {"hd95", "assd", "brier", "ece"}
DISTANCES = {"hd95", "assd"}


def context(
    t: Tables,
    summary: pd.DataFrame,
    comparisons: list[Comparison],
    first: dict[str, float],
    reference: str | None,
) -> dict[str, Any]:
    """Return everything the templates print.

    Args:
        t: Tables of the report.
        summary: One row per variant.
        comparisons: Variants against the reference.
        first: Share of resamples in which each variant has the highest mean Dice.
        reference: Label of the reference; None if no trial finished.
    """
    versus = {c.model: c for c in comparisons}
    rows = [
        {**row, "first": first.get(row["model"]), "versus": versus.get(row["model"])}
        for row in summary.to_dict("records")
    ]
    baselines = [row for row in summarise(t, baselines=True).to_dict("records") if row["seeds"]]
    models = t.models
    return {
        "title": ", ".join(distinct(t.records, lambda r: r.suite)) or "report",
        "questions": distinct(t.records, lambda r: r.question),
        "answer": answer(rows, reference),
        "warnings": red_lines(t),
        "reference": reference,
        "rows": rows,
        "baselines": baselines,
        "notes": [
            *filter(None, [costs.noise(rows)]),
            *protocol.recipes(models),
            *protocol.matched(models),
            *protocol.data_wait(models),
        ],
        "trials": len(models) + len(t.unreadable),
        "finished": len(t.done),
        "failures": failures(t),
        "metrics": metrics(rows, baselines, models),
        "isbi": isbi(t, rows, baselines),
        "timings": costs.timings(rows, models),
        "memory": costs.memory(rows),
        "training": costs.training(rows, models),
        "sweep": costs.sweep(models),
        "variants": protocol.variants(models),
        "per_class": per_class(t),
        "counts": [what for what in COUNTS if t.per_class[what].notna().any()],
        "order": protocol.order_of_reading(models),
        "policies": protocol.policies(models),
        "protocol": protocol.protocol(models),
        "resamples": RESAMPLES,
        "min_images": MIN_IMAGES,
        "mib": MIB,
    }


def answer(rows: list[dict[str, Any]], reference: str | None) -> list[str]:
    """State the result in sentences: verdicts against the reference, the highest score, the cheapest variants.

    Args:
        rows: Summary rows, from the highest mean Dice down, each with its comparison under 'versus'.
        reference: Label of the reference; None if no trial finished.
    """
    scored = [r for r in rows if not pd.isna(r["dice"])]
    by_name = {r["model"]: r for r in scored}
    if reference is None or reference not in by_name:
        return ["No trial finished with a test score, so there is no result yet."]
    base = by_name[reference]
    if len(scored) == 1:
        spread = "" if pd.isna(base["dice_sd"]) else f" ± {base['dice_sd']:.3f}"
        return [
            f"{reference} reaches Dice {base['dice']:.3f}{spread} over {base['seeds']} seed"
            f"{'s' if base['seeds'] > 1 else ''}; there is no other variant to compare it with."
        ]
    sentences = []
    for verdict, way in (("better", "higher"), ("worse", "lower")):
        judged = [r for r in scored if r["versus"] and r["versus"].verdict == verdict]
        sentences += _versus(judged, base, way)
    for verdict, text in (
        ("indistinguishable", "on this evidence indistinguishable from"),
        ("not enough data", "not judged, for lack of seeds or test images, against"),
    ):
        names = [r["model"] for r in scored if r["versus"] and r["versus"].verdict == verdict]
        if names:
            score = "" if sentences else f" (Dice {base['dice']:.3f})"
            sentences.append(f"{listed(names)} {'is' if len(names) == 1 else 'are'} {text} {reference}{score}.")
    top = scored[0]
    judged = [r for r in scored if r["versus"] and r["versus"].verdict != "not enough data"]
    known = judged and top["first"] is not None
    chance = f"; it ranks first in {100 * (top['first'] or 0):.0f} % of resamples" if known else ""
    sentences.append(f"Highest mean Dice: {top['model']} ({top['dice']:.3f}){chance}.")
    fit = [base, *(r for r in scored if r["versus"] and r["versus"].verdict == "indistinguishable")]
    better = [r for r in scored if r["versus"] and r["versus"].verdict == "better"]
    sentences += _cheapest(better, "that score higher")
    if judged:  # otherwise the reference would only be compared with itself
        which = "not shown to score lower" if len(judged) == len(scored) - 1 else "judged and not shown to score lower"
        sentences += _cheapest(fit + better, which)
    return sentences


def _cheapest(rows: list[dict[str, Any]], which: str) -> list[str]:
    wins: dict[str, list[str]] = {}
    for cost, title in CHEAPEST.items():
        if known := [r for r in rows if not pd.isna(r[cost])]:
            wins.setdefault(min(known, key=lambda r: r[cost])["model"], []).append(title)
    cheapest = "; ".join(f"{model} ({', '.join(titles)})" for model, titles in wins.items())
    return [f"Cheapest of those {which}: {cheapest}."] if wins else []


def _versus(judged: list[dict[str, Any]], base: dict[str, Any], way: str) -> list[str]:
    """Return one sentence for each of up to three variants, else one for all of them."""
    than = f"{way} than {base['model']}"
    if len(judged) > 3:
        names = listed([f"{r['model']} ({signed(r['versus'].difference)})" for r in judged])
        return [f"{names} score {than} (Dice {base['dice']:.3f}; differences in brackets)."]
    return [
        f"{r['model']} scores {than} (Dice {r['dice']:.3f} against {base['dice']:.3f}, 95 % interval of the"
        f" difference {signed(r['versus'].low)} to {signed(r['versus'].high)})."
        for r in judged
    ]


def failures(t: Tables) -> list[dict[str, Any]]:
    """Return every trial without a result, with the reason."""
    tails = {r.id: r.log_tail for r in t.records}
    bad = t.trials[~t.trials.index.isin([*t.done.index, *t.baselines.index])]
    return [
        {
            "who": row["id"]
            if pd.isna(row["model"])
            else row["model"] + ("" if row["baseline"] else f", seed {row['seed']}"),
            "status": row["status"] if row["status"] != "ok" else "no score",
            "reason": "no reason recorded" if pd.isna(row["reason"]) else row["reason"],
            "log": tails.get(row["id"]) or "",
        }
        for row in bad.to_dict("records")
    ]


def metrics(rows: list[dict[str, Any]], baselines: list[dict[str, Any]], records: list[Record]) -> dict[str, Any]:
    """Return the table of metrics, means over seeds; empty if there are no metrics besides Dice and IoU.

    Args:
        rows: Summary rows of the variants.
        baselines: Summary rows of the trivial predictors, listed last.
        records: Records of the models, which name the unit of distances.
    """
    shown = [m for m in METRICS if not all(missing(r[m]) for r in [*rows, *baselines])]
    if not set(shown) - {"dice", "iou"}:
        return {}
    units = distinct(records, lambda r: r.result.policy.get("unit", r.result.policy.get("units")) if r.result else None)

    def head(metric: str) -> dict[str, str]:
        way = "↓" if metric in LOWER_IS_BETTER else "↑"
        return {
            "title": f"{TITLES.get(metric, metric)}\u00a0{way}",
            "unit": " / ".join(units) if metric in DISTANCES else "",
        }

    def line(row: dict[str, Any]) -> dict[str, Any]:
        cells = [
            {
                "mean": number(row[m], 2 if m in DISTANCES else 3),
                "sd": "" if missing(row[f"{m}_sd"]) else f"± {number(row[f'{m}_sd'], 2 if m in DISTANCES else 3)}",
            }
            for m in shown
        ]
        counts = DASH if all(missing(row[c]) for c in COUNTS) else " / ".join(number(row[c], 0) for c in COUNTS)
        return {"variant": row["model"], "cells": cells, "counts": counts}

    return {
        "heads": [head(m) for m in shown],
        "rows": [line(r) for r in rows if r["seeds"]],
        "baselines": [line(r) for r in baselines],
    }


def per_class(t: Tables) -> list[dict[str, Any]]:
    """Return scores by class and variant, means over seeds, with image counts over all seeds (NaN if not recorded)."""
    scores = ["dice", "iou", "pooled_dice", "pooled_iou"]
    grouped = t.per_class.groupby(["model", "class"])
    means = grouped[scores].mean()
    sums = grouped[COUNTS].sum(min_count=1)
    order = {name: k for k, name in enumerate(t.classes)}
    images = t.images.groupby("model")["image"].count()
    rows = means.join(sums).reset_index().to_dict("records")
    rows.sort(key=lambda r: (order.get(r["class"], 0), -(r["dice"] if r["dice"] == r["dice"] else -1), r["model"]))
    return [r | {"images": int(images.get(r["model"], 0))} for r in rows]
