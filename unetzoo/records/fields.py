"""Values read from a record: its label, seed, data, classes, scores and learning rate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from unetzoo.metrics.policy import MARGIN
from unetzoo.records.measured import Timing
from unetzoo.records.record import Record


def dig(tree: Any, *keys: str) -> Any:
    """Return ``tree[a][b]...``, or None if a level is missing or not a dict."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def label_of(record: Record) -> str:
    """Return the model's label in the suite; else its registered name, else the record's id."""
    return str(dig(record.trial, "model", "label") or dig(record.trial, "model", "name") or record.id)


def name_of(record: Record) -> str:
    """Return the registered name of the model; else its label."""
    return str(dig(record.trial, "model", "name") or label_of(record))


def of_grid(record: Record) -> bool:
    """Return True if the model is a spec of the grid, whose options differ from those of ``unet`` as ``diff`` says."""
    source = dig(record.trial, "model", "source")  # a factory's identity; of a spec empty, or its version
    return bool(record.model.diff) or not source or str(source).startswith("grid v")


def seed_of(record: Record) -> int:
    """Return the trial's seed, or 0 if it has none."""
    seed = dig(record.trial, "seed")
    return seed if isinstance(seed, int) else 0


def data_of(record: Record) -> str:
    """Return the identity of the data set: its digest, else its name and options."""
    data = record.trial.get("data")
    return str(dig(data, "digest") or (dig(data, "name"), dig(data, "options")))


def tell_apart(records: list[Record]) -> list[Record]:
    """Append a short hash to labels that stand for several configurations.

    A folder in which a suite was run again with another width or more steps holds records of both; averaging them
    would be meaningless.
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


def current(records: list[Record], asked: Iterable[tuple[str, str]]) -> list[Record]:
    """Return the records without outdated configurations of the planned labels.

    Args:
        records: Records of one data set.
        asked: (label, trial id) of the planned trials. If one of these trials has a record, records of its label
            with another configuration are dropped.
    """
    ids = set(asked)
    now: dict[str, set[str]] = {label: set() for label, _ in ids}
    for record in records:
        if (label_of(record), record.id) in ids:
            now[label_of(record)].add(_configuration(record))
    return [r for r in records if label_of(r) not in now or _configuration(r) in now[label_of(r)]]


def _configuration(record: Record) -> str:
    """Return a short hash of the trial without its seed, the folder of its data and the report's margin."""
    rest = {key: value for key, value in record.trial.items() if key != "seed"}
    if isinstance(data := rest.get("data"), dict):
        rest["data"] = {key: value for key, value in data.items() if key != "root"}
    if isinstance(score := rest.get("score"), dict):
        rest["score"] = {key: value for key, value in score.items() if key != "margin"}
    text = json.dumps([record.baseline, rest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:4]


def _relabelled(record: Record, label: str) -> Record:
    model = record.trial.get("model")
    model = {**model, "label": label} if isinstance(model, dict) else {"label": label}
    return record.model_copy(update={"trial": {**record.trial, "model": model}})


def class_names(record: Record) -> list[str]:
    """Return the names of all classes, by index; empty if the record does not give them."""
    names = record.data.get("class_names") or record.data.get("classes")
    return [str(n) for n in names] if isinstance(names, (list, tuple)) else []


def foreground(record: Record) -> set[str] | None:
    """Return the names of the foreground classes; None if the record does not say, so that all classes count."""
    names, indices = class_names(record), record.data.get("foreground")
    if not isinstance(indices, (list, tuple)):
        return None
    return {names[i] for i in indices if isinstance(i, int) and 0 <= i < len(names)} or None


def image_score(record: Record, key: str, metric: str = "dice") -> float | None:
    """Return the mean score of image ``key`` over the foreground classes that have one; None if none has."""
    scores = record.result.per_image.get(key, {}).get(metric, {}) if record.result else {}
    counted = foreground(record)
    values = [s for name, s in scores.items() if s is not None and (counted is None or name in counted)]
    return sum(values) / len(values) if values else None


def headline(record: Record) -> Timing | None:
    """Return the timing in the trial's own precision, the source of latency and throughput; None without timings."""
    return record.cost.timings[0] if record.cost and record.cost.timings else None


def chosen_rate(record: Record) -> float | None:
    """Return the learning rate used in training: the sweep's choice, else the recipe's."""
    rates = [t.lr for t in record.tuning if t.chosen] or [dig(record.trial, "train", "lr")]
    return rates[0] if isinstance(rates[0], (int, float)) else None


def margin_of(records: Iterable[Record]) -> float:
    """Return the margin that the records' suite asked for; the smallest if they disagree, 0.01 if none says."""
    stated = [dig(r.trial, "score", "margin") for r in records if not r.baseline]
    return min((float(m) for m in stated if isinstance(m, (int, float)) and m >= 0), default=MARGIN)
