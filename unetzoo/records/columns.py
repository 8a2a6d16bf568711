"""Rows and columns of the tables that are made of records, and their types."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from unetzoo._util.language import ENGLISH, language
from unetzoo.metrics.policy import ISBI, ISBI_BEST, SURFACE
from unetzoo.records.fields import chosen_rate, data_of, foreground, headline, label_of, name_of, seed_of
from unetzoo.records.image_scores import ImageScores
from unetzoo.records.learnt import still_rising, unlearnt
from unetzoo.records.parts import Cost, Result
from unetzoo.records.record import Record

METRICS = ["dice", "iou", "precision", "recall", "specificity", "nsd", "hd95", "assd", "boundary_iou", "brier", "ece"]
COUNTS = ["undefined", "missed", "false_alarms", "penalised"]
STORED = ["params", "macs", "peak_train_bytes", "peak_infer_bytes"]  # named as in a record's cost
TENSORS = ["tensor_train_bytes", "tensor_infer_bytes", "predicted_train_bytes", "predicted_infer_bytes"]
LATENCY = ["latency_p50_ms", "latency_p90_ms"]
TIMING = ["latency_spread", "images_per_second_infer", "utilisation", "latency_float32_ms"]
TRAINING = [
    "train_seconds",
    "predicted_train_seconds",
    "images_per_second",
    "wall_seconds",
    "train_flops",
    "tuning_seconds",
    "data_share",
]
COSTS = [*STORED, *TENSORS, *LATENCY, *TIMING, *TRAINING]  # summarised by the median over seeds
TAIL = [
    "resumed",
    "device",
    "compute_precision",
    "threads",
    "flags",
    "unlearnt",
    "still_rising",
    "predictions",
    "id",
    "reason",
]
PER_IMAGE = ["id", "model", "seed", "data", "image", "dice", "iou", *SURFACE]
PER_CLASS = ["model", "seed", "class", "dice", "iou", "pooled_dice", "pooled_iou", *COUNTS]
CURVES = ["model", "seed", "step", "loss", "val_dice"]

Columns = dict[str, Sequence[Any]]

INTEGERS = {"seed", "best_step", "steps", "step", "threads", "resumed", "train_flops", *COUNTS, *STORED, *TENSORS}
BOOLEANS = {"baseline", "still_rising", "noisy", "noisy_float32"}
TEXTS = {"model", "name", "status", "data", "image", "class", *TAIL} - {"resumed", "threads", "still_rising"}


def safe_columns(names: Iterable[str]) -> dict[str, str]:
    """Map names to unique ones of letters, digits and underscores only: 'cell wall' -> 'cell_wall'."""
    columns: dict[str, str] = {}
    for name in dict.fromkeys(names):
        base = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") or "class"
        column, n = base, 2
        while column in columns.values():
            column, n = f"{base}_{n}", n + 1
        columns[name] = column
    return columns


def frame_of_rows(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Return rows as a table with these columns, each of its type."""
    return _typed(pd.DataFrame(rows, columns=pd.Index(columns)))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    for column in frame.columns:
        if column in INTEGERS:
            frame[column] = pd.array(frame[column].tolist(), dtype="Int64")
        elif column in BOOLEANS:
            frame[column] = pd.array(frame[column].tolist(), dtype="boolean")
        elif column not in TEXTS:
            frame[column] = pd.to_numeric(frame[column]).astype(float)
        elif frame.empty:
            frame[column] = frame[column].astype(object)  # not the numbers that pandas takes it for
    return frame


def trial_frame(
    records: list[Record], unreadable: list[tuple[str, str]], classes: dict[str, str], phases: dict[str, str]
) -> pd.DataFrame:
    """Return the table of trials, with a row for each record and for each file that is none.

    Args:
        records: The readable records.
        unreadable: (file name, reason) of the others.
        classes: Class name -> its form in column names.
        phases: Phase -> its column.
    """
    baselines = [r for r in records if r.baseline]
    rows = [_trial_row(r, classes, phases) | _learning(r, baselines) for r in records]
    rows += [{"id": Path(n).stem, "baseline": False, "status": "unreadable", "reason": w} for n, w in unreadable]
    found = {key for row in rows for key in row}
    every = [f"{metric}_{column}" for metric in METRICS for column in classes.values()]
    by_class = [column for column in every if column in found or column.startswith(("dice_", "iou_"))]
    by_class += [name for name in (*ISBI, *ISBI_BEST) if name in found]
    return frame_of_rows(rows, trial_columns(by_class, phases.values()))


def trial_columns(by_class: Iterable[str], phases: Iterable[str]) -> list[str]:
    """Return the columns of a table of trials, of which ``by_class`` and ``phases`` depend on the records."""
    columns = ["model", "name", "baseline", "seed", "status", *METRICS, *by_class, *COUNTS]
    columns += ["train_dice", "val_dice", "best_step", "steps", "lr", *STORED, *TENSORS]
    columns += [*LATENCY, "noisy", *TIMING, "noisy_float32", *TRAINING]
    return [*columns, *phases, *TAIL]


def _learning(record: Record, baselines: list[Record]) -> dict[str, Any]:
    if record.baseline or record.status != "ok":
        return {}
    with language(ENGLISH):
        found = unlearnt(record, baselines)
    return {"unlearnt": found.reason if found else None, "still_rising": still_rising(record)}


def _trial_row(record: Record, classes: dict[str, str], phases: dict[str, str]) -> dict[str, Any]:
    threads = record.environment.get("threads")
    row: dict[str, Any] = {
        "model": label_of(record),
        "name": name_of(record),
        "baseline": record.baseline,
        "seed": seed_of(record),
        "status": record.status,
        "resumed": len(record.resumed),
        "device": record.environment.get("device"),
        "compute_precision": record.environment.get("precision"),
        "threads": threads if isinstance(threads, int) else None,
        "flags": "; ".join(" ".join(f"{f.kind}: {f.text}".split()) for f in record.flags) or None,
        "id": record.id,
        "reason": " ".join(record.reason.split()) if record.reason else None,
    }
    if record.status != "ok":
        return row  # a failed trial keeps its row, but partial measurements must not enter a mean
    if not record.baseline:
        row["lr"] = chosen_rate(record)
    if record.cost:
        row |= _cost_columns(record, record.cost, phases)
    if record.result:
        row |= _score_columns(record, record.result, classes)
    return row


def _score_columns(record: Record, result: Result, classes: dict[str, str]) -> dict[str, Any]:
    scores = {**result.foreground, **result.calibration, "dice": result.dice, "iou": result.iou}
    row = {metric: scores.get(metric) for metric in METRICS}
    for name, by_metric in result.per_class.items():
        row |= {f"{metric}_{classes[name]}": score for metric, score in by_metric.items() if metric in METRICS}
    row |= {name: result.isbi[name] for name in (*ISBI, *ISBI_BEST) if name in result.isbi}
    counted = foreground(record)
    for what in COUNTS:
        counts = {k: n for k, n in getattr(result, what).items() if counted is None or k in counted}
        row[what] = sum(counts.values()) if counts else None
    row |= {"train_dice": result.train_dice, "val_dice": result.best_val_dice, "steps": result.steps}
    return row | {"best_step": None if record.baseline else result.best_step, "predictions": result.predictions}


def _cost_columns(record: Record, cost: Cost, phases: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(cost, name) for name in [*STORED, *LATENCY, *TRAINING]}
    for kind, memory in (("tensor", cost.tensors), ("predicted", cost.predicted)):
        if memory:
            row |= {f"{kind}_train_bytes": memory.train.total, f"{kind}_infer_bytes": memory.infer.total}
    if timing := headline(record):
        full = next((t for t in cost.timings if t.precision == "float32"), None)
        row |= {
            "noisy": timing.noisy,
            "latency_spread": timing.spread,
            "images_per_second_infer": timing.images_per_second,
            "utilisation": timing.utilisation,
            "latency_float32_ms": full.p50_ms if full else None,
            "noisy_float32": full.noisy if full else None,
        }
    return row | {phases[phase]: seconds for phase, seconds in cost.phases.items()}


def frame_of_columns(parts: list[Columns], names: list[str]) -> pd.DataFrame:
    """Return columns of several records as one table; much smaller on its way there than rows would be."""
    return _typed(pd.DataFrame({name: [v for part in parts for v in part[name]] for name in names}))


def image_columns(record: Record) -> Columns:
    """Return the columns of `PER_IMAGE` for the test images of a record."""
    scores = record.result.per_image if record.result else ImageScores({})
    keys = list(scores)
    who = {"id": record.id, "model": label_of(record), "seed": seed_of(record), "data": data_of(record)}
    found: Columns = {name: [value] * len(keys) for name, value in who.items()}
    counted = foreground(record)
    return found | {"image": keys} | {m: scores.means(m, counted).tolist() for m in ("dice", "iou", *SURFACE)}


def class_rows(record: Record) -> list[dict[str, Any]]:
    """Return a row of `PER_CLASS` for each class of a record; none if it has no result."""
    result = record.result
    if result is None:
        return []
    return [
        {
            "model": label_of(record),
            "seed": seed_of(record),
            "class": name,
            **{metric: scores.get(metric) for metric in ("dice", "iou")},
            **{f"pooled_{metric}": result.pooled.get(name, {}).get(metric) for metric in ("dice", "iou")},
            **{what: getattr(result, what).get(name) for what in COUNTS},
        }
        for name, scores in result.per_class.items()
    ]


def curve_columns(record: Record) -> Columns:
    """Return the columns of `CURVES` for the points of a record's curves."""
    train = record.curves.train if record.curves else []
    val = [(step, dice) for step, _, dice in record.curves.val if dice is not None] if record.curves else []
    rows = len(train) + len(val)
    return {
        "model": [label_of(record)] * rows,
        "seed": [seed_of(record)] * rows,
        "step": [step for step, _ in train] + [step for step, _ in val],
        "loss": [loss for _, loss in train] + [math.nan] * len(val),
        "val_dice": [math.nan] * len(train) + [dice for _, dice in val],
    }
