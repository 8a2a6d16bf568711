"""Variables of the page's templates: the rows, the scores and the failures."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import pandas as pd

from unetzoo._util.language import N_, _, _p
from unetzoo.records.columns import COUNTS, METRICS
from unetzoo.records.frame import Tables
from unetzoo.records.record import Record
from unetzoo.report import costs, protocol
from unetzoo.report.advice import advise
from unetzoo.report.alarms import red_lines
from unetzoo.report.answer import answer
from unetzoo.report.comparisons import LEGEND, against, other_verdicts, pairs, remarks
from unetzoo.report.isbi import isbi
from unetzoo.report.judgement import Judgement
from unetzoo.report.naming import distinct
from unetzoo.report.statistics import summarise
from unetzoo.report.verdicts.family import LOWER_IS_BETTER, MIN_GROUPS, MIN_SEEDS
from unetzoo.report.words import DASH, MIB, missing, number, status_text

TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "nsd": "NSD",
    "hd95": "HD95",
    "assd": "ASSD",
    "boundary_iou": N_("boundary IoU"),
    "recall": N_("recall"),
    "specificity": N_("specificity"),
    "brier": "Brier",
    "ece": "ECE",
}
COUNT_TITLES = {
    "undefined": N_("undefined"),
    "missed": N_("missed"),
    "false_alarms": N_("false alarms"),
    "penalised": N_("penalised"),
}
DISTANCES = {"hd95", "assd"}


def metric_title(metric: str) -> str:
    """Return the title of a score."""
    if metric == "precision":  # elsewhere that of numbers
        return _p("score", "precision")
    return _(TITLES[metric]) if metric in TITLES else metric


def context(t: Tables, summary: pd.DataFrame, j: Judgement) -> dict[str, Any]:
    """Return everything the templates print.

    Args:
        t: Tables of the report.
        summary: One row per variant.
        j: The verdicts.
    """
    rows = [
        {**row, "against": against(j, row["model"]), "setback": j.standing.setbacks.get(row["model"], "")}
        for row in summary.to_dict("records")
    ]
    baselines = [row for row in summarise(t, baselines=True).to_dict("records") if row["seeds"]]
    models = t.models
    return {
        "title": ", ".join(distinct(t.records, lambda r: r.suite)) or _("report"),
        "questions": distinct(t.records, lambda r: r.question),
        "recommendation": advise(rows, j).sentences,
        "answer": answer(rows, j),
        "warnings": red_lines(t),
        "reference": j.reference,
        "rows": rows,
        "tuned": any(not missing(row["tuning_seconds"]) for row in rows),
        "judged": any(j.judged(c) for c in j.against.values()),
        "single": max(j.learnt.values(), default=0) == 1,
        "ranked": j.ranked,
        "remarks": remarks(t, j),
        "pairs": pairs(j, [row["model"] for row in rows]),
        "other_verdicts": other_verdicts(j, rows),
        "legend": _(LEGEND),
        "margin": f"{j.margin:g}",
        "baselines": baselines,
        "notes": [
            *filter(None, [costs.noise(rows)]),
            *protocol.recipes(models),
            *protocol.matched(models),
            *protocol.spread_of_steps(models),
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
        "counts": {what: _(COUNT_TITLES[what]) for what in COUNTS if t.per_class[what].notna().any()},
        "order": protocol.order_of_reading(models),
        "policies": protocol.policies(models),
        "protocol": protocol.protocol(models),
        "min_images": MIN_GROUPS,
        "min_seeds": MIN_SEEDS,
        "mib": MIB,
    }


def failures(t: Tables) -> list[dict[str, Any]]:
    """Return every trial without a result, with the reason."""
    tails = {r.id: r.log_tail for r in t.records}
    bad = t.trials[~t.trials.index.isin([*t.done.index, *t.baselines.index])]
    return [
        {
            "who": row["id"]
            if pd.isna(row["model"])
            else row["model"]
            if row["baseline"]
            else _("{label}, seed {seed}", label=row["model"], seed=row["seed"]),
            "status": status_text(row["status"]) if row["status"] != "ok" else _("no score"),
            "reason": _("no reason recorded") if pd.isna(row["reason"]) else row["reason"],
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
            "title": f"{metric_title(metric)}\u00a0{way}",
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
