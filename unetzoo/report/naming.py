"""Names of trials and values as a sentence lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from unetzoo._util.language import _n
from unetzoo.records.fields import label_of, seed_of
from unetzoo.records.record import Record
from unetzoo.report.words import listed, words


def by_label(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records of each label, labels and records in their order."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(label_of(record), []).append(record)
    return found


def distinct(records: Iterable[Record], get: Callable[[Record], Any]) -> list[str]:
    """Return the different values over all records as text, in order of appearance; empty values are skipped."""
    return list(dict.fromkeys(words(v) for r in records if (v := get(r)) not in (None, "", [], {})))


def named(records: Iterable[Record], detail: Callable[[Record], str] = lambda r: str(seed_of(r))) -> str:
    """Name trials in a sentence: 'unet (seeds 0 and 1) and unet_b (seed 0)', at most six of them.

    Args:
        records: Trials to name; baselines are named without seeds.
        detail: Text for one trial in the brackets; by default its seed.
    """
    seeds: dict[str, list[str]] = {}
    baselines = []
    for record in records:
        if record.baseline:
            baselines.append(label_of(record))
        else:
            seeds.setdefault(label_of(record), []).append(detail(record))
    names = [with_seeds(label, some) for label, some in seeds.items()]
    return listed([*names, *dict.fromkeys(baselines)])


def with_seeds(label: str, seeds: list[str]) -> str:
    """Name a variant with some of its seeds: 'unet (seeds 0 and 1)'."""
    return _n("{label} (seed {seeds})", "{label} (seeds {seeds})", len(seeds), label=label, seeds=listed(seeds))
