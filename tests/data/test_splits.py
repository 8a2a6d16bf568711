"""Drawn splits: a partition with whole groups, independent of order; nested subsets; folds that cover all."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo.data.splits import folds, runs, split, subset, take_val
from unetzoo.errors import UnetzooError

seeds = st.integers(0, 2**31)


@st.composite
def grouped(draw: st.DrawFn, least: int = 3) -> tuple[list[str], dict[str, str]]:
    """Draw keys in any order and the groups of some of them; at least ``least`` groups."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=least, max_size=12))
    keys, groups = [], {}
    for number, size in enumerate(sizes):
        members = [f"g{number}-{i}" for i in range(size)]
        keys += members
        if size > 1 or draw(st.booleans()):
            groups |= dict.fromkeys(members, f"patient {number}")
    return draw(st.permutations(keys)), groups


def owners(parts: list[tuple[str, ...]], groups: dict[str, str]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for number, part in enumerate(parts):
        for key in part:
            found.setdefault(groups.get(key, key), set()).add(number)
    return found


@settings(deadline=None, max_examples=60)
@given(grouped(), seeds)
def test_a_split_is_a_partition_with_groups_whole(data: tuple[list[str], dict[str, str]], seed: int) -> None:
    keys, groups = data
    parts = split(keys, groups=groups, seed=seed)
    assert sorted(key for part in parts.values() for key in part) == sorted(keys)
    assert all(parts.values())
    assert all(len(where) == 1 for where in owners(list(parts.values()), groups).values())


@settings(deadline=None, max_examples=60)
@given(grouped(), seeds, st.randoms())
def test_the_order_of_the_keys_does_not_matter(
    data: tuple[list[str], dict[str, str]], seed: int, order: random.Random
) -> None:
    keys, groups = data
    other = order.sample(keys, len(keys))
    assert split(keys, groups=groups, seed=seed) == split(other, groups=groups, seed=seed)
    assert take_val(keys, groups=groups, seed=seed) == take_val(other, groups=groups, seed=seed)
    assert subset(keys, 2, seed=seed) == subset(other, 2, seed=seed)
    assert folds(keys, 3, 1, groups=groups, seed=seed) == folds(other, 3, 1, groups=groups, seed=seed)


@settings(deadline=None, max_examples=60)
@given(grouped(least=2), seeds)
def test_validation_taken_from_train_is_whole_groups(data: tuple[list[str], dict[str, str]], seed: int) -> None:
    keys, groups = data
    train, val = take_val(keys, groups=groups, seed=seed)
    assert train
    assert val
    assert sorted(train + val) == sorted(keys)
    assert all(len(where) == 1 for where in owners([train, val], groups).values())


@settings(deadline=None, max_examples=60)
@given(st.sets(st.text(max_size=8), min_size=1, max_size=40), seeds, st.data())
def test_subsets_are_nested(keys: set[str], seed: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(keys)))
    smaller = data.draw(st.integers(1, n))
    large, small = subset(keys, n, seed=seed), subset(keys, smaller, seed=seed)
    assert len(large) == n
    assert len(small) == smaller
    assert set(small) <= set(large) <= keys


@settings(deadline=None, max_examples=60)
@given(grouped(least=5), st.integers(2, 5), seeds)
def test_folds_are_disjoint_cover_all_and_are_even(
    data: tuple[list[str], dict[str, str]], count: int, seed: int
) -> None:
    keys, groups = data
    parts = [folds(keys, count, fold, groups=groups, seed=seed) for fold in range(count)]
    held = [part for _, part in parts]
    assert sorted(key for part in held for key in part) == sorted(keys)
    assert all(len(where) == 1 for where in owners(held, groups).values())
    assert all(sorted(rest + part) == sorted(keys) for rest, part in parts)
    assert max(map(len, held)) - min(map(len, held)) <= 6  # the largest group


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 40), st.data())
def test_runs_are_neighbours_and_end_before_what_is_held_out(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(2, n))
    keys = [f"{i:02d}" for i in range(n)]
    held = [runs(keys, count, fold)[1] for fold in range(count)]
    assert [key for part in held for key in part] == keys
    for fold in range(count):
        rest, part = runs(keys, count, fold)
        turned = list(rest + part)
        begin = turned.index(keys[0])
        assert turned[begin:] + turned[:begin] == keys


def test_seed_0_is_the_split_that_folders_always_had() -> None:
    keys = [f"image_{i}" for i in range(20)]
    order = sorted(keys, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    parts = split(keys)
    assert parts == {
        "val": tuple(sorted(order[:3])),
        "test": tuple(sorted(order[3:6])),
        "train": tuple(sorted(order[6:])),
    }
    assert take_val(keys) == (tuple(sorted(order[3:])), tuple(sorted(order[:3])))


def test_the_split_of_a_seed_never_changes() -> None:
    keys = [f"{i:02d}" for i in range(12)]
    groups = {key: f"pair {int(key) // 2}" for key in keys}
    assert split(keys, groups=groups, seed=1) == {
        "train": ("00", "01", "02", "03", "06", "07", "08", "09"),
        "val": ("04", "05"),
        "test": ("10", "11"),
    }


def test_a_large_group_does_not_swallow_a_small_split() -> None:
    keys = [f"a{i}" for i in range(10)] + ["b", "c"]
    groups = dict.fromkeys(keys[:10], "a")
    for seed in range(20):
        assert len(split(keys, groups=groups, seed=seed)["train"]) == 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split(["a", "b"]), "2 images cannot be split"),
        (lambda: split(["a", "b", "c"], groups={"a": "p", "b": "p"}), "2 groups cannot be split"),
        (lambda: take_val(["a"]), "1 images to train on"),
        (lambda: subset(["a", "b"], 3), "n_train = 3 must be 1 to 2"),
        (lambda: subset(["a", "b"], 0), "n_train = 0 must be 1 to 2"),
        (lambda: folds(["a", "b"], 3, 0), "folds = 3 must be 2 to 2"),
        (lambda: folds(["a", "b"], 1, 0), "folds = 1 must be 2 to 2"),
        (lambda: folds(["a", "b"], 2, 2), "fold = 2 must be 0 to 1"),
        (lambda: runs(["a", "b"], 2, -1), "fold = -1 must be 0 to 1"),
    ],
)
def test_what_cannot_be_split_is_said(call, message: str) -> None:
    with pytest.raises(UnetzooError, match=message):
        call()
