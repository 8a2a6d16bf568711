"""Splits that no list fixes: seeded, hashed and by group, the same on every machine and for any order of keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from unetzoo.errors import UnetzooError

SHARE = 0.15  # share of the images for validation, and for test
NONE: Mapping[str, str] = {}


def split(
    keys: Iterable[str], *, groups: Mapping[str, str] = NONE, seed: int = 0, val: float = SHARE, test: float = SHARE
) -> dict[str, tuple[str, ...]]:
    """Split keys into train, val and test, each sorted. Groups (a patient, a page, a scene) stay whole.

    Args:
        keys: Keys to split.
        groups: Group of a key; a key without one is a group of its own.
        seed: Seed of the split.
        val: Share of the keys for validation.
        test: Share of the keys for test.

    Returns:
        The keys of each split.

    Raises:
        UnetzooError: If there are fewer than 3 groups.
    """
    units = _units(keys, groups, seed)
    if len(units) < 3:
        raise UnetzooError(f"{_count(units, groups)} cannot be split into train, val and test; at least 3 are needed")
    total = sum(map(len, units))
    held, rest = _take(units, max(1, round(val * total)), leave=2)
    tested, rest = _take(rest, max(1, round(test * total)), leave=1)
    return {"train": _flat(rest), "val": _flat(held), "test": _flat(tested)}


def take_val(
    train: Iterable[str], *, groups: Mapping[str, str] = NONE, seed: int = 0, share: float = SHARE
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take a validation set from training keys, where there is none.

    Args:
        train: Training keys.
        groups: Group of a key; a key without one is a group of its own.
        seed: Seed of the split.
        share: Share of the keys for validation.

    Returns:
        The keys of train and of val, each sorted.

    Raises:
        UnetzooError: If there are fewer than 2 groups.
    """
    units = _units(train, groups, seed)
    if len(units) < 2:
        raise UnetzooError(f"{_count(units, groups)} to train on: at least 2 are needed to take a validation set from")
    held, rest = _take(units, max(1, round(share * sum(map(len, units)))), leave=1)
    return _flat(rest), _flat(held)


def folds(
    keys: Iterable[str], count: int, fold: int, *, groups: Mapping[str, str] = NONE, seed: int = 0
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split keys by k-fold: every key is held out in exactly one fold.

    Groups are dealt whole, largest first, each to the fold with the fewest images.

    Args:
        keys: Keys to split.
        count: Number of folds.
        fold: Index of the fold, from 0.
        groups: Group of a key; a key without one is a group of its own.
        seed: Seed of the folds.

    Returns:
        The other keys and those held out, each sorted.

    Raises:
        UnetzooError: If ``fold`` is out of range, or there are fewer groups than folds.
    """
    units = _units(keys, groups, seed)
    _check_fold(len(units), count, fold)
    parts: list[list[tuple[str, ...]]] = [[] for _ in range(count)]
    for unit in sorted(
        units, key=len, reverse=True
    ):  # a stable sort, so the hashed order decides between groups of equal size
        min(parts, key=lambda part: sum(map(len, part))).append(unit)
    rest = [unit for i, part in enumerate(parts) if i != fold for unit in part]
    return _flat(rest), _flat(parts[fold])


def runs(keys: Iterable[str], count: int, fold: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split keys by k-fold like `folds`, with runs of neighbours as folds, for keys such as the slices of one stack.

    Args:
        keys: Keys, in order.
        count: Number of folds.
        fold: Index of the fold, from 0.

    Returns:
        The other keys and those held out. The former begin after the fold and end with the keys before it.

    Raises:
        UnetzooError: If ``fold`` is out of range, or there are fewer keys than folds.
    """
    ordered = tuple(keys)
    _check_fold(len(ordered), count, fold)
    begin, end = (len(ordered) * i // count for i in (fold, fold + 1))
    return ordered[end:] + ordered[:begin], ordered[begin:end]


def subset(train: Iterable[str], n: int, *, seed: int = 0) -> tuple[str, ...]:
    """Return a subset of the training keys, the first in a hashed order: smaller subsets are contained in larger ones.

    Args:
        train: Training keys.
        n: Number of keys to keep.
        seed: Seed of the order.

    Returns:
        The keys, sorted.

    Raises:
        UnetzooError: If ``n`` is below 1 or above the number of keys.
    """
    keys = set(train)
    if not 1 <= n <= len(keys):
        raise UnetzooError(f"n_train = {n!r} must be 1 to {len(keys)}, the size of the train split")
    return tuple(sorted(sorted(keys, key=lambda key: _rank(key, seed))[:n]))


def _rank(name: str, seed: int) -> str:
    return hashlib.sha256((f"{seed}:{name}" if seed else name).encode(errors="surrogatepass")).hexdigest()


def _units(keys: Iterable[str], groups: Mapping[str, str], seed: int) -> list[tuple[str, ...]]:
    """Return the keys of each group, with groups in the order of their hashes."""
    members: dict[str, list[str]] = {}
    for key in sorted(set(keys)):
        members.setdefault(groups.get(key, key), []).append(key)
    return [tuple(members[name]) for name in sorted(members, key=lambda name: _rank(name, seed))]


def _take(units: list[tuple[str, ...]], wanted: int, leave: int) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Take, in order, each unit that brings the number of keys nearer to ``wanted``; if none does, the smallest."""
    taken: list[tuple[str, ...]] = []
    have = 0
    for unit in units:
        if len(taken) < len(units) - leave and abs(have + len(unit) - wanted) < wanted - have:
            taken.append(unit)
            have += len(unit)
    taken = taken or [min(units, key=len)]
    gone = set(taken)
    return taken, [unit for unit in units if unit not in gone]


def _flat(units: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted(key for unit in units for key in unit))


def _count(units: list[tuple[str, ...]], groups: Mapping[str, str]) -> str:
    what = "groups" if any(len(unit) > 1 for unit in units) or groups else "images"
    return f"{len(units)} {what}"


def _check_fold(available: int, count: int, fold: int) -> None:
    if not 2 <= count <= available:
        raise UnetzooError(f"folds = {count!r} must be 2 to {available}, the number of images or groups to deal out")
    if not 0 <= fold < count:
        raise UnetzooError(f"fold = {fold!r} must be 0 to {count - 1}")
