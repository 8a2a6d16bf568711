"""Leaks between splits: near-duplicates, and dropping from training whatever is in another split too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from unetzoo._util.atomic import write_atomic
from unetzoo._util.cache import cache_folder
from unetzoo._util.progress import tell
from unetzoo.data.base import SPLITS, SegmentationDataset
from unetzoo.data.folders.thumbnails import SIMILAR, THUMBNAIL, Similar, Thumbnails, views
from unetzoo.errors import UnetzooError

MANY = 2000  # images from which near-duplicates are kept in the user's cache
VERSION = 1  # to be raised when the search would find others
TOLERATED = 0.05  # share of the test images with a near-duplicate above which no verdict is given


def near_duplicates(dataset: SegmentationDataset) -> list[Similar]:
    """Return pairs of similar images in two splits, most similar first: (split, key, split, key, correlation)."""
    count = sum(len(dataset.splits[split]) for split in SPLITS)
    kept = _cache(dataset) if count >= MANY else None
    if kept is not None and (known := _read(kept)) is not None:
        return known
    found = None if dataset.compared is None else dataset.compared.within(dataset.splits)
    if found is None:
        found = _search(dataset, count)
    if kept is not None:
        with suppress(OSError):  # a cache that cannot be written only costs time
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(kept, json.dumps(found))
    return found


def _search(dataset: SegmentationDataset, count: int) -> list[Similar]:
    thumbnails, done = Thumbnails(), 0
    for split in SPLITS:
        keys = dataset.splits[split]
        work = partial(views, most=1 if done else 0)  # images of the first split are compared with none
        for key, of_image in zip(keys, dataset.each_image(work, keys), strict=True):
            thumbnails.add(split, key, of_image)
            done += 1
            tell("searching near-duplicates", done, count)
    return thumbnails.similar()


def _cache(dataset: SegmentationDataset) -> Path:
    """Return the file in the user's cache for the near-duplicates of what the data set holds, by its digest."""
    method = f"{SIMILAR}-{THUMBNAIL}-{VERSION}"
    name = hashlib.sha256(f"{method}:{dataset.digest()}".encode()).hexdigest()[:24]
    return cache_folder() / f"near-duplicates-{name}.json"


def _read(path: Path) -> list[Similar] | None:
    """Return the near-duplicates in a file of the cache; None if there is none, or it is damaged."""
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))
        return [(str(a), str(b), str(c), str(d), float(e)) for a, b, c, d, e in pairs]
    except (OSError, ValueError, TypeError):
        return None


def leaking_share(dataset: SegmentationDataset, pairs: Sequence[Similar]) -> dict[str, int] | None:
    """Return how many test images resemble one of another split, and of how many, if they are over 5 %; else None.

    Args:
        dataset: The data set.
        pairs: Its near-duplicates.
    """
    ends = ((pair[:2], pair[2:4]) for pair in pairs)
    found = {key for both in ends for split, key in both if split == "test"}
    count = len(dataset.splits["test"])
    return {"test": len(found), "of": count} if len(found) > TOLERATED * count else None


def drop_from_training(dataset: SegmentationDataset) -> None:
    """Drop from train what is in val or test too, and from val what is in test, in place; ``dropped`` records it.

    An item is dropped that has the key, the content or the group of an item of the other split, or is a near-duplicate.

    Args:
        dataset: The data set.

    Raises:
        UnetzooError: If nothing would be left to train on or to validate with.
    """
    similar: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for split, key, other, other_key, _ in near_duplicates(dataset):
        similar.setdefault((split, key), set()).add((other, other_key))
        similar.setdefault((other, other_key), set()).add((split, key))
    splits, dropped = dict(dataset.splits), {}
    kept = {("test", key) for key in splits["test"]}
    marks = {mark for key in splits["test"] for mark in _marks(dataset, key)}
    for split in ("val", "train"):
        stays = tuple(
            key
            for key in splits[split]
            if not marks & _marks(dataset, key) and not kept & similar.get((split, key), set())
        )
        if not stays and splits[split]:
            raise UnetzooError(
                f"data set {dataset.info.name!r}: on_leak leaves no image in {split}: all are in another split too; "
                "set group, or split anew"
            )
        remaining = set(stays)
        if gone := [key for key in splits[split] if key not in remaining]:
            dropped[split] = gone
        splits[split] = stays
        kept |= {(split, key) for key in stays}
        marks |= {mark for key in stays for mark in _marks(dataset, key)}
    if dropped:
        dataset.splits = {split: splits[split] for split in SPLITS}
        dataset.dropped = {split: tuple(dropped[split]) for split in SPLITS if split in dropped}


def _marks(dataset: SegmentationDataset, key: str) -> set[tuple[str, str]]:
    marks = {("key", key), ("content", dataset.content_digest(key))}
    return marks | ({("group", dataset.groups[key])} if key in dataset.groups else set())
