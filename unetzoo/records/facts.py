"""What a record says of itself: its label, seed, data, classes and flags."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from unetzoo.records.measured import Timing
from unetzoo.records.record import Record


def dig(tree: Any, *keys: str) -> Any:
    """``tree[a][b]...``, or None where a level is missing or not a dict."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def label_of(record: Record) -> str:
    return str(dig(record.trial, "model", "label") or dig(record.trial, "model", "name") or record.id)


def name_of(record: Record) -> str:
    return str(dig(record.trial, "model", "name") or label_of(record))


def seed_of(record: Record) -> int:
    seed = dig(record.trial, "seed")
    return seed if isinstance(seed, int) else 0


def data_of(record: Record) -> str:
    """What tells one data set from another: its digest, else its name and options."""
    data = record.trial.get("data")
    return str(dig(data, "digest") or (dig(data, "name"), dig(data, "options")))


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


def current(records: list[Record], asked: Iterable[tuple[str, str]]) -> list[Record]:
    """Without the earlier configurations of labels that are ``asked`` for, as (label, id), with another one now."""
    ids = set(asked)
    now: dict[str, set[str]] = {label: set() for label, _ in ids}
    for record in records:
        if (label_of(record), record.id) in ids:
            now[label_of(record)].add(_configuration(record))
    return [r for r in records if label_of(r) not in now or _configuration(r) in now[label_of(r)]]


def _configuration(record: Record) -> str:
    """A hash of the trial but its seed and the folder its data lay in."""
    rest = {key: value for key, value in record.trial.items() if key != "seed"}
    if isinstance(data := rest.get("data"), dict):
        rest["data"] = {key: value for key, value in data.items() if key != "root"}
    facts = json.dumps([record.baseline, rest], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:4]


def _relabelled(record: Record, label: str) -> Record:
    model = record.trial.get("model")
    model = {**model, "label": label} if isinstance(model, dict) else {"label": label}
    return record.model_copy(update={"trial": {**record.trial, "model": model}})


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


def headline(record: Record) -> Timing | None:
    """The timing in the trial's own precision, which latency and throughput are read from."""
    return record.cost.timings[0] if record.cost and record.cost.timings else None


def chosen_rate(record: Record) -> float | None:
    """The learning rate that was trained with: the sweep's choice, else the recipe's."""
    rates = [t.lr for t in record.tuning if t.chosen] or [dig(record.trial, "train", "lr")]
    return rates[0] if isinstance(rates[0], (int, float)) else None
