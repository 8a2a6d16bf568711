"""Records -> pandas tables: one row per trial, per trial x image, per trial x class, per point of a curve."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unetzoo.bench.record import Record, read_record
from unetzoo.errors import UnetzooError

MEASURED = ["params", "macs", "peak_train_bytes", "peak_infer_bytes"]
TIMED = ["latency_p50_ms", "latency_p90_ms", "train_seconds", "images_per_second", "wall_seconds"]
INTEGERS = ["seed", "best_step", *MEASURED, "threads"]
TAIL = ["device", "precision", "threads", "id", "reason"]
PER_IMAGE = ["id", "model", "seed", "data", "image", "dice", "iou"]
PER_CLASS = ["model", "seed", "class", "dice", "iou", "pooled_dice", "pooled_iou", "undefined", "missed"]
CURVES = ["model", "seed", "step", "loss", "val_dice"]


@dataclass(frozen=True)
class Tables:
    """All the report knows. ``trials`` has every record; the other tables only trials with status ok."""

    records: list[Record]  # the readable ones, by file name
    unreadable: list[tuple[str, str]]  # (file name, why)
    classes: dict[str, str]  # class name -> its safe form in column names
    trials: pd.DataFrame
    images: pd.DataFrame  # scores of one image: the mean over the foreground classes, NaN where none counts
    per_class: pd.DataFrame
    curves: pd.DataFrame  # a training point has a loss, a validation point a val_dice

    @property
    def done(self) -> pd.DataFrame:
        """The trials that finished and have a test score."""
        trials = self.trials
        return trials.loc[(trials["status"] == "ok") & trials["dice"].notna(), :]


def dig(tree: Any, *keys: str) -> Any:
    """``tree[a][b]...``, or None where a level is missing or not a dict."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def label_of(record: Record) -> str:
    return str(dig(record.trial, "model", "label") or dig(record.trial, "model", "name") or record.id)


def tell_apart(records: list[Record]) -> list[Record]:
    """Records whose label stands for several configurations get a short hash of theirs behind it.

    A folder in which a suite was run again with another width or more steps holds both; their mean is of nothing.
    """
    configurations: dict[str, set[str]] = {}
    for record in records:
        configurations.setdefault(label_of(record), set()).add(_configuration(record))
    return [
        _relabelled(record, f"{label_of(record)} [{_configuration(record)}]")
        if len(configurations[label_of(record)]) > 1
        else record
        for record in records
    ]


def _configuration(record: Record) -> str:
    """A hash of the trial but its seed."""
    rest = {key: value for key, value in record.trial.items() if key != "seed"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:4]


def _relabelled(record: Record, label: str) -> Record:
    model = record.trial.get("model")
    model = {**model, "label": label} if isinstance(model, dict) else {"label": label}
    return record.model_copy(update={"trial": {**record.trial, "model": model}})


def name_of(record: Record) -> str:
    return str(dig(record.trial, "model", "name") or label_of(record))


def seed_of(record: Record) -> int:
    seed = dig(record.trial, "seed")
    return seed if isinstance(seed, int) else 0


def data_of(record: Record) -> str:
    """What tells one data set from another: its digest, else its name and options."""
    data = record.trial.get("data")
    return str(dig(data, "digest") or (dig(data, "name"), dig(data, "options")))


def class_names(record: Record) -> list[str]:
    names = record.data.get("class_names") or record.data.get("classes")
    return [str(n) for n in names] if isinstance(names, (list, tuple)) else []


def foreground(record: Record) -> set[str] | None:
    """Names of the classes that count; None where the record does not say, which means all of them."""
    names, indices = class_names(record), record.data.get("foreground")
    if not isinstance(indices, (list, tuple)):
        return None
    return {names[i] for i in indices if isinstance(i, int) and 0 <= i < len(names)} or None


def image_score(record: Record, key: str, metric: str = "dice") -> float | None:
    """Mean over the foreground classes that have a score in image ``key``; None where none has one."""
    scores = record.result.per_image.get(key, {}).get(metric, {}) if record.result else {}
    counted = foreground(record)
    values = [s for name, s in scores.items() if s is not None and (counted is None or name in counted)]
    return sum(values) / len(values) if values else None


def safe_columns(names: Iterable[str]) -> dict[str, str]:
    """Class name -> letters, digits and underscores only, unique: 'cell wall' -> 'cell_wall'."""
    columns: dict[str, str] = {}
    for name in names:
        base = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") or "class"
        column, n = base, 2
        while column in columns.values():
            column, n = f"{base}_{n}", n + 1
        columns[name] = column
    return columns


def load(folder: Path) -> Tables:
    """Read ``folder/records/*.json``, sorted by name. Raises `UnetzooError` where there are none."""
    if not folder.is_dir():
        raise UnetzooError(f"{folder}: no such folder")
    if not (folder / "records").is_dir():
        raise UnetzooError(f"{folder}: nothing to report, looked for a folder 'records' in it")
    paths = sorted(p for p in (folder / "records").glob("*.json") if not p.name.startswith("."))
    if not paths:
        raise UnetzooError(f"{folder / 'records'}: nothing to report, looked for *.json and found none")
    records: list[Record] = []
    unreadable: list[tuple[str, str]] = []
    for path in paths:
        try:
            records.append(read_record(path))
        except UnetzooError as error:  # the file's name, not its path: the report must not know where it lies
            unreadable.append((path.name, " ".join(str(error).replace(str(path), path.name).split())))
    return tables(records, unreadable)


def tables(records: list[Record], unreadable: list[tuple[str, str]]) -> Tables:
    """Build every table. Rows come sorted by (label, seed, id), so file names do not change the report."""
    records = sorted(tell_apart(records), key=lambda r: (label_of(r), seed_of(r), r.id))
    done = [r for r in records if r.status == "ok" and r.result]
    named = [name for r in records for name in class_names(r)]
    scored = [name for r in done if r.result for name in r.result.per_class]
    present = set(scored)
    classes = safe_columns(dict.fromkeys([*(n for n in named if n in present), *scored]))
    return Tables(
        records,
        unreadable,
        classes,
        _trials(records, unreadable, classes),
        _frame([row for r in done for row in _image_rows(r)], PER_IMAGE),
        _frame([row for r in done for row in _class_rows(r)], PER_CLASS),
        _frame([row for r in records if r.status == "ok" for row in _curve_rows(r)], CURVES),
    )


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=pd.Index(columns))
    texts = {"id", "model", "name", "status", "data", "image", "class", "device", "precision", "reason"}
    for column in columns:
        if column in INTEGERS:
            frame[column] = pd.array(frame[column].tolist(), dtype="Int64")
        elif column not in texts:
            frame[column] = pd.to_numeric(frame[column]).astype(float)
    return frame


def _trials(records: list[Record], unreadable: list[tuple[str, str]], classes: dict[str, str]) -> pd.DataFrame:
    scores = [f"{metric}_{column}" for metric in ("dice", "iou") for column in classes.values()]
    head = ["model", "name", "seed", "status", "dice", "iou", *scores, "val_dice", "best_step"]
    rows = [_trial_row(r, classes) for r in records]
    rows += [{"id": Path(n).stem, "status": "unreadable", "reason": why} for n, why in unreadable]
    return _frame(rows, [*head, *MEASURED, *TIMED, *TAIL])


def _trial_row(record: Record, classes: dict[str, str]) -> dict[str, Any]:
    threads = record.environment.get("threads")
    row: dict[str, Any] = {
        "model": label_of(record),
        "name": name_of(record),
        "seed": seed_of(record),
        "status": record.status,
        "device": record.environment.get("device"),
        "precision": record.environment.get("precision"),
        "threads": threads if isinstance(threads, int) else None,
        "id": record.id,
        "reason": " ".join(record.reason.split()) if record.reason else None,
    }
    if record.status != "ok":
        return row  # a failed trial keeps its row; half-measured numbers do not enter a mean
    if record.cost:
        row |= {name: getattr(record.cost, name) for name in MEASURED + TIMED}
    if result := record.result:
        row |= {"dice": result.dice, "iou": result.iou}
        row |= {"val_dice": result.best_val_dice, "best_step": result.best_step}
        for name, scores in result.per_class.items():
            row |= {f"{metric}_{classes[name]}": scores.get(metric) for metric in ("dice", "iou")}
    return row


def _image_rows(record: Record) -> list[dict[str, Any]]:
    who = {"id": record.id, "model": label_of(record), "seed": seed_of(record), "data": data_of(record)}
    keys = sorted(record.result.per_image) if record.result else []
    return [{**who, "image": k, "dice": image_score(record, k), "iou": image_score(record, k, "iou")} for k in keys]


def _class_rows(record: Record) -> list[dict[str, Any]]:
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
            "undefined": result.undefined.get(name),
            "missed": result.missed.get(name),
        }
        for name, scores in result.per_class.items()
    ]


def _curve_rows(record: Record) -> list[dict[str, Any]]:
    who = {"model": label_of(record), "seed": seed_of(record)}
    if record.curves is None:
        return []
    train = [{**who, "step": step, "loss": loss} for step, loss in record.curves.train]
    val = [{**who, "step": step, "val_dice": dice} for step, _, dice in record.curves.val if dice is not None]
    return train + val
