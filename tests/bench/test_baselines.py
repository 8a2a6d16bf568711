"""Trivial predictors: each does what its name says, from the training split alone, and gives the same every time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo import UnetzooError, create_dataset
from unetzoo.bench import baselines
from unetzoo.bench.baselines import BASELINES, fit
from unetzoo.data.base import DatasetInfo, SegmentationDataset

Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


class Drawn(SegmentationDataset):
    """Four training images drawn by a function; reading another split is an error."""

    def __init__(self, draw: Draw, *, channels: int = 1, classes: int = 2, foreground=(1,), ignore=None) -> None:
        names = tuple(f"class{c}" for c in range(classes))
        self.info = DatasetInfo(
            name="drawn", channels=channels, class_names=names, foreground=tuple(foreground), ignore_index=ignore
        )
        self.splits = {"train": ("0", "1", "2", "3"), "val": ("never",), "test": ("never",)}
        self._draw = draw

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self._draw(np.random.default_rng(int(key)))  # "never" is not a number
        return image.astype(np.float32), mask.astype(np.int64)

    def content_digest(self, key: str) -> str:
        return key


def bright_squares(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((20, 24))
    top, left = rng.integers(0, 12, 2)
    mask[top : top + 7, left : left + 7] = 1
    return np.clip(0.3 + 0.4 * mask + rng.normal(0, 0.03, mask.shape), 0, 1)[None], mask


def dark_squares(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    image, mask = bright_squares(rng)
    return 1 - image, mask


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 4), (5, 3)])
def test_every_baseline_gives_class_maps_of_any_size_and_repeats_itself(name: str, channels: int, classes: int) -> None:
    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        mask = rng.integers(0, classes + 1, (9, 14))
        mask[mask == classes] = 255
        return rng.random((channels, 9, 14)), mask

    dataset = Drawn(draw, channels=channels, classes=classes, foreground=range(1, classes), ignore=255)
    image = np.random.default_rng(9).random((channels, 13, 6)).astype(np.float32)
    first, second = (fit(name, dataset, seed=3)(image) for _ in range(2))
    assert first.shape == (13, 6)
    assert first.dtype == np.int64
    assert set(np.unique(first)) <= set(range(classes))
    assert (first == second).all()


def counts(*numbers: int) -> Draw:
    """Return a mask with these numbers of pixels of class 0, 1, 2, ..., and 255."""
    values = [*range(len(numbers) - 1), 255]
    mask = np.repeat(values, numbers)[None]
    return lambda rng: (np.full((1, *mask.shape), 0.5), mask)


@pytest.mark.parametrize(
    ("foreground", "numbers", "background_is", "foreground_is"),
    [
        ((1,), (1, 5, 9), 0, 1),
        ((1, 2), (9, 2, 3, 0), 0, 2),  # the foreground class with most pixels
        ((2,), (2, 3, 1, 0), 1, 2),  # several backgrounds: the most frequent
        ((0, 1), (3, 2, 9), 0, 0),  # no background: the most frequent class; 255 does not count
        ((0,), (3, 2, 0), 1, 0),
    ],
)
def test_constant_predictors_take_the_most_frequent_class(
    foreground: tuple[int, ...], numbers: tuple[int, ...], background_is: int, foreground_is: int
) -> None:
    dataset = Drawn(counts(*numbers), classes=len(numbers) - 1, foreground=foreground, ignore=255)
    image = np.zeros((1, 2, 3), np.float32)
    assert fit("baseline_background", dataset)(image).tolist() == [[background_is] * 3] * 2
    assert fit("baseline_foreground", dataset)(image).tolist() == [[foreground_is] * 3] * 2


@pytest.mark.parametrize("name", ["baseline_otsu", "baseline_logistic"])
@pytest.mark.parametrize("draw", [bright_squares, dark_squares])
def test_which_side_is_foreground_is_learnt(name: str, draw: Draw) -> None:
    image, mask = draw(np.random.default_rng(77))
    assert (fit(name, Drawn(draw))(image.astype(np.float32)) == mask).mean() > 0.98


def test_otsu_follows_each_image_and_calls_a_constant_one_background() -> None:
    predict = fit("baseline_otsu", Drawn(dark_squares, foreground=(1,)))
    image, mask = dark_squares(np.random.default_rng(5))
    assert (predict((0.2 * image).astype(np.float32)) == mask).mean() > 0.98  # a fixed threshold would call all dark
    assert not predict(np.full((1, 4, 4), 0.1, np.float32)).any()
    constant = Drawn(lambda rng: (np.full((1, 4, 4), 0.5), np.eye(4)))
    assert not fit("baseline_otsu", constant)(np.full((1, 4, 4), 0.1, np.float32)).any()


def test_logistic_regression_tells_what_only_all_channels_together_tell() -> None:
    """The class depends on the difference of two equally distributed channels; a third channel is constant."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        image = rng.random((3, 30, 30))
        image[2] = 0.5
        return image, np.digitize(image[0] - image[1], [-0.3, 0.3])

    image, mask = draw(np.random.default_rng(8))
    predicted = fit("baseline_logistic", Drawn(draw, channels=3, classes=3, foreground=(1, 2)))(
        image.astype(np.float32)
    )
    assert (predicted == mask).mean() > 0.95


def test_logistic_regression_finds_a_rare_class_that_overlaps_the_frequent_one() -> None:
    """Class 1 is 4 % of the pixels, two deviations away; without balancing, hardly any pixel would be called 1."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        mask = rng.random((60, 60)) < 0.04
        return np.clip(0.4 + 0.2 * mask + rng.normal(0, 0.1, mask.shape), 0, 1)[None], mask

    image, mask = draw(np.random.default_rng(6))
    predicted = fit("baseline_logistic", Drawn(draw))(image.astype(np.float32))
    recall, fallout = predicted[mask].mean(), predicted[~mask].mean()
    assert recall == pytest.approx(0.84, abs=0.08)  # the cut lies midway: Phi(1)
    assert fallout == pytest.approx(0.16, abs=0.04)


def test_ignored_pixels_teach_the_regression_nothing() -> None:
    def with_void(value: float) -> Draw:
        def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
            image, mask = bright_squares(rng)
            image[..., 20:], mask[..., 20:] = value, 255
            return image, mask

        return draw

    image = bright_squares(np.random.default_rng(1))[0].astype(np.float32)
    first, second = (fit("baseline_logistic", Drawn(with_void(v), ignore=255))(image) for v in (0.0, 1.0))
    assert (first == second).all()
    assert first.any()


def test_ignored_pixels_do_not_choose_otsus_side() -> None:
    """Dark is the right side by Dice (0.75 against 0.33); counting the dark void as background would make it 0.26."""
    dark, bright = np.full(360, 0.2), np.full(140, 0.8)
    image = np.concatenate([dark, bright])[None, None]
    mask = np.repeat([1, 255, 1, 0], [60, 300, 40, 100])[None]
    predicted = fit("baseline_otsu", Drawn(lambda rng: (image, mask), ignore=255))(image.astype(np.float32))
    assert (predicted == (image[0] < 0.5)).all()


def test_the_regression_draws_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "PIXELS", 100)
    dataset = Drawn(bright_squares)
    samples = [baselines._sample(dataset, seed) for seed in (0, 0, 1)]
    assert [len(labels) for _, labels in samples] == [100, 100, 100]
    assert (samples[0][0] == samples[1][0]).all()
    assert (samples[0][0] != samples[2][0]).any()
    everything = np.concatenate([dataset.read(key)[0].ravel() for key in dataset.splits["train"]]).astype(np.float64)
    truths = np.concatenate([dataset.read(key)[1].ravel() for key in dataset.splits["train"]])
    label_of = dict(zip(everything.tolist(), truths.tolist(), strict=True))
    assert all(label_of[float(x)] == y for (x,), y in zip(*samples[0], strict=True))


def corner(classes: int, share: float) -> Draw:
    """Return masks whose pixels are of the last class with probability ``share`` in the upper left quarter alone."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        mask = rng.integers(0, classes - 1, (32, 48))
        mask[:16, :24][rng.random((16, 24)) < share] = classes - 1
        return rng.random((1, 32, 48)), mask

    return draw


def test_the_position_prior_finds_a_place_in_images_of_any_size() -> None:
    """Class 1 is never the majority of a cell, and no other baseline knows where it is."""
    predict = fit("baseline_position", Drawn(corner(2, 0.3)))
    for height, width in ((32, 48), (64, 64), (7, 90)):
        places = predict(np.zeros((1, height, width), np.float32)).astype(bool)
        inside = np.zeros((height, width), bool)
        inside[: height // 2, : width // 2] = True
        assert (places == inside).mean() > 0.9


def test_the_position_prior_without_background_takes_the_class_farthest_above_its_threshold() -> None:
    dataset = Drawn(corner(3, 0.7), classes=3, foreground=(0, 1, 2))
    places = fit("baseline_position", dataset)(np.zeros((1, 32, 48), np.float32))
    assert (places[:16, :24] == 2).mean() > 0.9
    assert set(np.unique(places[16:])) == {0, 1}


def test_the_position_prior_never_predicts_a_class_without_training_pixels() -> None:
    dataset = Drawn(corner(2, 0.3), classes=4, foreground=(1, 2, 3))
    assert set(np.unique(fit("baseline_position", dataset)(np.zeros((1, 32, 48), np.float32)))) == {0, 1}


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.01, 1), size=st.tuples(st.integers(1, 40), st.integers(1, 40)))
@settings(max_examples=30, deadline=None)
def test_the_position_prior_is_no_worse_in_training_than_all_foreground(
    seed: int, share: float, size: tuple[int, int]
) -> None:
    """By Dice over all training pixels, since calling every cell foreground is one of its choices."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((1, *size)), np.random.default_rng([seed, int(rng.integers(99))]).random(size) < share

    dataset = Drawn(draw)
    truths = np.stack([dataset.read(key)[1] for key in dataset.splits["train"]]).astype(bool)
    found = fit("baseline_position", dataset)(np.zeros((1, *size), np.float32)).astype(bool)
    scores = [baselines._dice(np.stack([p] * 4), truths) for p in (found, np.ones(size, bool))]
    assert scores[0] >= scores[1]


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_places_without_a_labelled_pixel_have_the_overall_shares(share: float) -> None:
    """Nothing is known of the lower half; it is foreground if the upper half is mostly so."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        mask = (rng.random((32, 32)) < share).astype(int)
        mask[:4] = rng.random((4, 32)) < 0.9
        mask[16:] = 255
        return np.zeros((1, 32, 32)), mask

    found = fit("baseline_position", Drawn(draw, ignore=255))(np.zeros((1, 32, 32), np.float32))
    assert (found[:4] == 1).all()
    assert (found[16:] == (share > 0.5)).all()


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_is_the_best_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 5, 12)
    hits = rng.integers(0, sizes + 1)
    hits[0] = sizes[0] = 3
    shares = hits / np.maximum(sizes, 1)

    def dice(threshold: float) -> float:
        inside = shares >= threshold
        return 2 * hits[inside].sum() / (sizes[inside].sum() + hits.sum())

    found = baselines._best_threshold(shares, hits, sizes)
    assert dice(found) == max(map(dice, shares))


def test_mistakes_are_named() -> None:
    with pytest.raises(UnetzooError, match=r"'baseline_otzu'.*did you mean baseline_otsu"):
        fit("baseline_otzu", Drawn(bright_squares))
    void = Drawn(lambda rng: (np.zeros((1, 2, 2)), np.full((2, 2), 255)), ignore=255)
    for name in BASELINES:
        with pytest.raises(UnetzooError, match="'drawn': every pixel of the train split is ignored"):
            fit(name, void)


def test_cells_cannot_be_thresholded() -> None:
    """No rule for single pixels works on the generated data: no baseline is clearly above "all foreground" there."""
    from torch import from_numpy, stack

    from unetzoo.metrics.overlap import confusion, dice

    dataset = create_dataset("cells", n_train=8, n_val=1, n_test=6)
    scores = {}
    for name in BASELINES:
        predict = fit(name, dataset)
        items = [dataset.read(key) for key in dataset.splits["test"]]
        scores[name] = float(
            dice(stack([confusion(from_numpy(predict(x)), from_numpy(y), 2) for x, y in items]))[:, 1].mean()
        )
    assert scores["baseline_background"] == 0
    assert max(scores.values()) < 0.65, scores


def test_importing_is_light() -> None:
    code = "import sys, unetzoo.bench.baselines; print([m for m in ('torch', 'skimage') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
