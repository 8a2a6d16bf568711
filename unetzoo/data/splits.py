"""Splits that no list fixes: seeded, hashed, by group. The same on every machine and in every order of the keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from unetzoo.errors import UnetzooError

SHARE = 0.15  # of the images, for validation and for test
NONE: Mapping[str, str] = {}


def split(
    keys: Iterable[str], *, groups: Mapping[str, str] = NONE, seed: int = 0, val: float = SHARE, test: float = SHARE
) -> dict[str, tuple[str, ...]]:
    """Train, val and test of keys, each sorted; a group (patient, page, scene) stays whole.

    ``groups`` names the group of a key; a key without one stands alone. Raises `UnetzooError` where there are
    fewer than 3 groups.
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
    """(train, val) of a training list, where no list of validation images exists.

    Raises `UnetzooError` where it is one image, or one group.
    """
    units = _units(train, groups, seed)
    if len(units) < 2:
        raise UnetzooError(f"{_count(units, groups)} to train on: at least 2 are needed to take a validation set from")
    held, rest = _take(units, max(1, round(share * sum(map(len, units)))), leave=1)
    return _flat(rest), _flat(held)


def folds(
    keys: Iterable[str], count: int, fold: int, *, groups: Mapping[str, str] = NONE, seed: int = 0
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(rest, held out) of fold ``fold`` (0 to count - 1): every key is held out in exactly one fold.

    Groups are dealt whole, largest first, each to the fold that has fewest images. Raises `UnetzooError` on a
    fold that is none of them, and on fewer groups than folds.
    """
    units = _units(keys, groups, seed)
    _check_fold(len(units), count, fold)
    parts: list[list[tuple[str, ...]]] = [[] for _ in range(count)]
    for unit in sorted(units, key=len, reverse=True):  # stable: the hashed order decides between equals
        min(parts, key=lambda part: sum(map(len, part))).append(unit)
    rest = [unit for i, part in enumerate(parts) if i != fold for unit in part]
    return _flat(rest), _flat(parts[fold])


def runs(keys: Iterable[str], count: int, fold: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(rest, held out) like `folds`, but of keys whose neighbours are nearly equal (slices of one stack).

    A fold is a run of neighbours. The rest begins with the keys behind it, so its last ones are those before it.
    """
    ordered = tuple(keys)
    _check_fold(len(ordered), count, fold)
    begin, end = (len(ordered) * i // count for i in (fold, fold + 1))
    return ordered[end:] + ordered[:begin], ordered[begin:end]


def subset(train: Iterable[str], n: int, *, seed: int = 0) -> tuple[str, ...]:
    """``n`` of the training images, sorted: the first of one hashed order, so that smaller subsets lie in larger ones.

    Raises `UnetzooError` where there are not as many.
    """
    keys = set(train)
    if not 1 <= n <= len(keys):
        raise UnetzooError(f"n_train = {n!r} must be 1 to {len(keys)}, the size of the train split")
    return tuple(sorted(sorted(keys, key=lambda key: _rank(key, seed))[:n]))


def _rank(name: str, seed: int) -> str:
    return hashlib.sha256((f"{seed}:{name}" if seed else name).encode()).hexdigest()


def _units(keys: Iterable[str], groups: Mapping[str, str], seed: int) -> list[tuple[str, ...]]:
    """The keys of each group, groups in the order of their hash."""
    members: dict[str, list[str]] = {}
    for key in sorted(set(keys)):
        members.setdefault(groups.get(key, key), []).append(key)
    return [tuple(members[name]) for name in sorted(members, key=lambda name: _rank(name, seed))]


def _take(units: list[tuple[str, ...]], wanted: int, leave: int) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """(taken, rest): in order, every unit that brings the number of keys nearer to ``wanted``; the smallest if none."""
    taken: list[tuple[str, ...]] = []
    have = 0
    for unit in units:
        if len(taken) < len(units) - leave and abs(have + len(unit) - wanted) < wanted - have:
            taken.append(unit)
            have += len(unit)
    taken = taken or [min(units, key=len)]
    return taken, [unit for unit in units if unit not in taken]


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
