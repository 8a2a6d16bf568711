"""Crops on foreground, and weights of rare classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo.data.balance import ForegroundPlaces, median_frequency_weights
from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.foreground import check_foreground
from unetzoo.data.stream import Normalization, TrainingCrops
from unetzoo.errors import UnetzooError


class Dots(SegmentationDataset):
    """Images of 64 x 48 px with a single foreground pixel each, in the first ``shown`` of them."""

    def __init__(self, shown: int, images: int = 4) -> None:
        self.info = DatasetInfo(name="dots", channels=1, class_names=("background", "dot"), foreground=(1,))
        keys = tuple(f"image {n}" for n in range(images))
        self.splits = {"train": keys, "val": ("v",), "test": ("t",)}
        self.shown = {*keys[:shown]}

    def content_digest(self, key: str) -> str:
        return key

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([*key.encode()])
        mask = np.zeros((64, 48), np.int64)
        if key in self.shown:
            mask[rng.integers(64), rng.integers(48)] = 1
        return rng.random((1, 64, 48), np.float32), mask


def crops(shown: int, share: float, crop: int = 16) -> TrainingCrops:
    normalization = Normalization((0.5,), (0.3,))
    return TrainingCrops(Dots(shown), normalization, crop=crop, seed=1, length=200, foreground=share)


@pytest.mark.parametrize("shown", [4, 1])
@pytest.mark.parametrize("share", [0.33, 0.5, 1.0])
def test_the_share_of_crops_with_foreground_is_kept(shown: int, share: float) -> None:
    stream = crops(shown, share)
    held = [bool(stream[i][1].any()) for i in range(100)]
    assert all(held[i] for i in range(100) if math.floor((i + 1) * share) > math.floor(i * share))
    assert sum(held) >= math.floor(100 * share)
    if share < 0.4:  # one pixel in 64 x 48 is rarely met by chance
        assert sum(held) < 60


def test_without_a_share_crops_are_what_they_were() -> None:
    plain, asked = crops(4, 0.0), crops(4, 0.33)
    for i in range(20):
        if not asked.places.wanted(i):  # type: ignore[union-attr]
            assert all(torch.equal(a, b) for a, b in zip(plain[i], asked[i], strict=True))


def test_crops_larger_than_the_image_hold_its_foreground() -> None:
    assert all(bool(crops(1, 1.0, crop=80)[i][1].any()) for i in range(10))


def test_an_image_without_foreground_gives_way_to_one_with_it() -> None:
    masks = [torch.zeros(8, 8), torch.zeros(8, 8)]
    masks[1][2, 3] = 2
    places = ForegroundPlaces(masks, (1, 2), 1.0, "x")
    assert {places.draw(0) for _ in range(5)} == {(1, 2, 3)}


def test_training_images_without_any_foreground_are_refused() -> None:
    with pytest.raises(UnetzooError, match=r"^train: no training image of 'dots' has any foreground .*foreground = 0"):
        crops(0, 0.33)
    with pytest.raises(UnetzooError, match="no training image of 'dots'"):
        check_foreground(Dots(0))
    check_foreground(Dots(1))


def test_rare_classes_are_as_likely_as_frequent_ones() -> None:
    mask = torch.ones(100, 100)
    mask[5, 5] = 2
    places = ForegroundPlaces([mask], (1, 2), 1.0, "x")
    rare = sum(places.draw(0)[1:] == (5, 5) for _ in range(400))
    assert 140 < rare < 260


def test_median_frequency_weights_of_an_example() -> None:
    """Frequencies 0.75, 0.25 and, of the one image that has it, 0.5; so the median is 0.5."""
    first, second = torch.zeros(4, 4, dtype=torch.uint8), torch.zeros(4, 4, dtype=torch.uint8)
    first[0] = 1
    second[0], second[1:3] = 1, 2
    second[3] = 0
    weights = median_frequency_weights([first, second], 4)
    frequencies = [16 / 32, 8 / 32, 8 / 16]
    assert weights.tolist() == pytest.approx([0.5 / f for f in frequencies] + [1.0])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=5), st.floats(1.5, 20))
def test_rarer_classes_weigh_more_and_within_limits(counts: list[int], most: float) -> None:
    mask = torch.cat([torch.full((n,), c) for c, n in enumerate(counts)])[None]
    weights = median_frequency_weights([mask, torch.full((1, 3), 255)], len(counts), most).tolist()
    assert all(1 / most * 0.999 <= w <= most * 1.001 for w in weights)
    order = sorted(range(len(counts)), key=lambda c: counts[c])
    assert [weights[c] for c in order] == sorted((weights[c] for c in order), reverse=True)
