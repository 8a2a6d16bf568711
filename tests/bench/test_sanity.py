"""Each detector fires on its own case, with its numbers, and stays silent on similar ones."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from unetzoo import create_dataset
from unetzoo.bench import sanity
from unetzoo.bench.sanity import duplicates_flag, flags
from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.leaks import near_duplicates
from unetzoo.metrics.overlap import confusion
from unetzoo.records.parts import Try

NAMES = ("background", "cell", "nucleus")


def matrices(*pairs: tuple[list[int], list[int]]) -> dict[str, torch.Tensor]:
    """Return a three-class confusion matrix for each (prediction, truth); 255 is ignored."""
    return {
        f"image{i}": confusion(torch.tensor([prediction]), torch.tensor([truth]), 3, 255)
        for i, (prediction, truth) in enumerate(pairs)
    }


def kinds(*pairs: tuple[list[int], list[int]], foreground: tuple[int, ...] = (1, 2)) -> list[str]:
    return [flag.kind for flag in flags(matrices(*pairs), foreground, NAMES)]


def test_a_sound_trial_has_no_flags() -> None:
    found = flags(
        matrices(([0, 1, 2, 0], [0, 1, 2, 1]), ([0, 0, 1, 2], [0, 0, 1, 1])),
        (1, 2),
        NAMES,
        predictions={"image0": "a", "image1": "b"},
        truths={"image0": "x", "image1": "y"},
        train_curve=[(10, 1.0), (20, 0.5)],
        val_curve=[(10, 1.0, 0.2), (20, 0.6, 0.7)],
        train_dice=[0.8, 0.9, 0.85],
        val_dice=[0.8, 0.7, 0.9],
    )
    assert found == []


def test_constant() -> None:
    flag = sanity.constant(matrices(([1, 1], [0, 1]), ([1, 1, 1], [1, 2, 255])), NAMES)
    assert flag is not None
    assert flag.text == "'cell' is predicted at every pixel of all 2 test images, and 50.00% of them are not"
    assert sanity.constant(matrices(([1, 1], [0, 1]), ([1, 0], [1, 2])), NAMES) is None
    assert sanity.constant(matrices(([0, 0], [0, 0]), ([0, 0], [0, 255])), NAMES) is None  # it is correct
    assert "the one test image" in sanity.constant(matrices(([0, 0], [0, 1])), NAMES).text
    assert sanity.constant({}, NAMES) is None


def test_same_prediction() -> None:
    test = matrices(([0, 1], [0, 1]), ([0, 1], [1, 1]), ([0, 0], [0, 1]), ([0, 0], [0, 0]))
    hashes = {"image0": "a", "image1": "a", "image2": "b", "image3": "b"}
    truths = {"image0": "1", "image1": "2", "image2": "3", "image3": "4"}
    flag = sanity.same_prediction(test, hashes, truths)
    assert flag is not None
    assert flag.text.startswith("2 of 4 test images share their predicted map")
    assert flag.text.endswith("'image0', 'image1'")
    assert sanity.same_prediction(test, hashes, {**truths, "image1": "1"}) is None  # the truth is the same as well
    assert sanity.same_prediction(test, {**hashes, "image1": "c"}, truths) is None  # only empty maps are alike


@pytest.mark.parametrize(
    ("label", "foreground", "words"),
    [
        (0, (1, 2), "all background (0.000000)"),
        (1, (1, 2), "all 'cell'"),
        (2, (2,), "all 'nucleus'"),
        (0, (0, 1, 2), "all 'background'"),
    ],
)
def test_trivial_score_is_that_of_the_real_constant_prediction(
    label: int, foreground: tuple[int, ...], words: str
) -> None:
    truths = ([0, 0, 1, 2], [1, 1, 0, 0], [0, 0, 0, 0])
    flag = sanity.trivial_score(matrices(*(([label] * 4, truth) for truth in truths)), foreground, NAMES)
    assert flag is not None
    assert words in flag.text
    better = matrices(*((truth, truth) for truth in truths))
    assert sanity.trivial_score(better, foreground, NAMES) is None


def test_trivial_score_needs_no_constant_prediction() -> None:
    """A map that hits nothing scores as all background does, though it is not constant."""
    assert kinds(([1, 0, 0, 0], [0, 1, 1, 0])) == ["trivial-score"]
    assert kinds(([0, 0, 0, 0], [0, 1, 1, 0])) == ["constant", "trivial-score"]
    nothing = flags(matrices(([0, 0], [0, 0])), (1, 2), NAMES)  # no foreground at all: no score to compare
    assert nothing == []


def test_trivial_score_by_hand() -> None:
    """All 'cell' on truths 0012 and 1100: (mean(2/5, 0) + 4/6) / 2."""
    flag = sanity.trivial_score(matrices(([1] * 4, [0, 0, 1, 2]), ([1] * 4, [1, 1, 0, 0])), (1, 2), NAMES)
    assert flag is not None
    assert f"{(0.2 + 4 / 6) / 2:.6f}" in flag.text


def test_trivial_score_follows_the_policy() -> None:
    """Predicting nothing scores 1 on an empty image and 0 on a full one if empty against empty is perfect."""
    test = matrices(([0, 0], [0, 0]), ([0, 0], [1, 1]))
    flag = sanity.trivial_score(test, (1,), NAMES, "perfect")
    assert flag is not None
    assert "0.500000" in flag.text


@pytest.mark.parametrize(
    ("losses", "fires"),
    [([1.0], False), ([1.0, 0.98], False), ([1.0, 0.995], True), ([1.0, 0.2, 1.3], True), ([0.0, 0.0], False)],
)
def test_training_loss_that_never_moved(losses: list[float], fires: bool) -> None:
    flag = sanity.training_never_moved([(10 * i + 10, loss) for i, loss in enumerate(losses)])
    assert (flag is not None) == fires
    if flag:
        assert f"{losses[-1]:.4g} at step {10 * len(losses)}" in flag.text


@pytest.mark.parametrize(
    ("points", "word"),
    [
        ([(0.7, 0.1), (0.7, 0.2)], "loss is 0.7"),
        ([(0.7, 0.0), (0.6, 0.0), (0.5, 0.0)], "Dice is 0 at all 3 points, steps 0 to 20"),
        ([(0.7, 1.0), (0.6, 1.0)], None),  # perfect from the start
        ([(0.7, None), (0.6, None)], None),
        ([(0.7, 0.2), (0.7001, 0.3)], None),
        ([(0.7, 0.2)], None),
    ],
)
def test_validation_that_never_moved(points: list[tuple[float, float | None]], word: str | None) -> None:
    flag = sanity.validation_never_moved([(10 * i, *point) for i, point in enumerate(points)])
    assert (flag is None) == (word is None)
    if flag and word:
        assert word in flag.text


@pytest.mark.parametrize(
    ("train", "validation", "fires"),
    [
        ([0.70, 0.72, 0.68], [0.90, 0.91, 0.92], True),
        ([0.70, 0.70, 0.70], [0.90, 0.90, 0.90], True),
        ([0.70, 0.72, 0.68], [0.74, 0.74, 0.74], False),  # within the margin
        ([0.10, 0.90, 0.50], [0.30, 0.99, 0.60], False),  # within the errors
        ([0.70, 0.72], [0.90, 0.91, 0.92], False),  # too few
        ([0.70, 0.72, None], [0.90, 0.91, 0.92], False),
        ([0.90, 0.91, 0.92], [0.70, 0.72, 0.68], False),  # as expected
    ],
)
def test_validation_above_training(train: list[float | None], validation: list[float | None], fires: bool) -> None:
    flag = sanity.validation_above_training(train, validation)
    assert (flag is not None) == fires
    if flag:
        assert "validation Dice 0.9" in flag.text
        assert not flag.text.endswith(",")


def shares(*right: float) -> dict[str, torch.Tensor]:
    """Return a two-class confusion matrix of 100 pixels for each share of the object that is found."""
    return {f"image{i}": torch.tensor([[50, 0], [50 - round(50 * r), round(50 * r)]]) for i, r in enumerate(right)}


def test_size_dependent() -> None:
    whole, part = shares(0.9, 0.8, 0.9, 0.95), shares(0.2, 0.4, 0.3, 0.2)
    flag = sanity.size_dependent(whole, part, 96, (1,), "exclude")
    assert flag is not None
    assert flag.text.startswith("96x96 px of 4 training images score a Dice of 0.941 alone and 0.425 within")
    assert sanity.size_dependent(part, whole, 96, (1,), "exclude") is None  # more of the image helps, as it should
    assert sanity.size_dependent(whole, shares(0.8, 0.7, 0.8, 0.85), 96, (1,), "exclude") is None  # by little
    assert sanity.size_dependent(shares(0.9, 0.1, 0.9), shares(0.1, 0.3, 0.6), 96, (1,), "exclude") is None  # by chance
    assert sanity.size_dependent(shares(0.9, 0.9), shares(0.1, 0.1), 96, (1,), "exclude") is None  # too few
    assert sanity.size_dependent({}, {}, 96, (1,), "exclude") is None


def test_all_flags_are_collected() -> None:
    found = flags(
        matrices(([0, 0, 1], [0, 1, 0]), ([0, 0, 1], [1, 1, 0])),
        (1, 2),
        NAMES,
        predictions={"image0": "a", "image1": "a"},
        truths={"image0": "x", "image1": "y"},
        train_curve=[(1, 1.0), (2, 1.0)],
        val_curve=[(1, 1.0, 0.0), (2, 1.0, 0.0)],
        train_dice=[0.1, 0.1, 0.1],
        val_dice=[0.9, 0.9, 0.9],
        alone=dict.fromkeys("abc", torch.eye(3)),
        within=dict.fromkeys("abc", torch.ones(3, 3)),
        crop=32,
    )
    assert [flag.kind for flag in found] == [
        "same-prediction",
        "trivial-score",
        "loss-never-moved",
        "validation-never-moved",
        "validation-above-training",
        "size-dependent",
    ]
    assert all("\n" not in flag.text for flag in found)


class Held(SegmentationDataset):
    """A data set of given images (H, W) by key, one split each."""

    def __init__(self, train: dict, val: dict, test: dict) -> None:
        self.info = DatasetInfo(name="held", channels=1, class_names=("a", "b"), foreground=(1,))
        self.splits = {"train": tuple(train), "val": tuple(val), "test": tuple(test)}
        self.images = {**train, **val, **test}

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        image = self.images[key]
        image = image if image.ndim == 3 else image[None]
        return image.astype(np.float32), np.zeros(image.shape[1:], np.int64)

    def content_digest(self, key: str) -> str:
        return key


CELLS = create_dataset("cells", n_train=6, n_val=2, n_test=6)


def cell_images(split: str) -> dict[str, np.ndarray]:
    return {key: CELLS.read(key)[0][0] for key in CELLS.splits[split]}


def jpeg(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray((255 * image).astype(np.uint8)).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer)) / 255


def moved(image: np.ndarray) -> np.ndarray:
    return np.pad(image, ((1, 0), (0, 1)), mode="edge")[:-1, 1:]


def noisy(image: np.ndarray) -> np.ndarray:
    return np.clip(image + np.random.default_rng(0).normal(0, 0.02, image.shape), 0, 1)


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identical": lambda x: x,
    "re-saved": jpeg,
    "brightened": lambda x: np.clip(1.2 * x + 0.05, 0, 1),
    "gamma": lambda x: x**0.8,
    "moved": moved,
    "cropped": lambda x: x[1:, 1:],
    "noisy": noisy,
    "turned": np.rot90,
    "flipped and moved": lambda x: moved(x[::-1]),
    "half size": lambda x: x.reshape(64, 2, 64, 2).mean((1, 3)),
    "in colour": lambda x: np.stack([x, 0.9 * x, 0.8 * x]),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_in_another_split_is_found_and_nothing_else(copy: str) -> None:
    train, val, test = (cell_images(split) for split in ("train", "val", "test"))
    pairs = near_duplicates(Held(train, val, {**test, "copy": COPIES[copy](train["train-002"])}))
    assert [pair[:4] for pair in pairs] == [("train", "train-002", "test", "copy")]
    assert 0.965 <= pairs[0][4] <= 1


def test_every_two_splits_are_compared_but_no_split_with_itself() -> None:
    first, other = cell_images("train")["train-000"], cell_images("test")
    pairs = near_duplicates(Held({"a": first, "a2": first}, {"b": first}, {"c": first, **other}))
    found = {(key, other_key) for _, key, _, other_key, _ in pairs}
    assert found == {("a", "b"), ("a2", "b"), ("a", "c"), ("a2", "c"), ("b", "c")}


def test_images_that_show_nothing_are_no_duplicates() -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(0.2, 0.8, 64)[None] * np.ones((64, 1))
    faint = [0.5 + 0.002 * rng.normal(size=(64, 64)) for _ in range(2)]
    for one, another in ((np.zeros((8, 8)), np.zeros((8, 8))), (np.full((64, 64), 0.5), np.ones((64, 64))), faint):
        assert near_duplicates(Held({"a": one}, {"b": ramp}, {"c": another})) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 3), (17, 200)])
def test_images_of_any_size_are_compared(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    one, another = rng.random(shape), rng.random(shape)
    pairs = near_duplicates(Held({"a": one}, {"b": another}, {"c": one}))
    assert [(key, other) for _, key, _, other, _ in pairs] == ([("a", "c")] if min(shape) > 1 or max(shape) > 1 else [])


def test_generated_cells_have_no_near_duplicates() -> None:
    assert near_duplicates(create_dataset("cells")) == []


@pytest.mark.skipif(not os.environ.get("UNETZOO_DATA"), reason="UNETZOO_DATA is not set")
def test_consecutive_em_slices_are_no_near_duplicates() -> None:
    assert near_duplicates(create_dataset("isbi2012")) == []


def test_duplicates_flag() -> None:
    assert duplicates_flag([]) is None
    pairs = [("train", "a", "test", "b", 0.991), ("val", "c", "test", "d", 0.98)]
    flag = duplicates_flag(pairs)
    assert flag is not None
    assert flag.kind == "near-duplicates"
    assert flag.text.startswith("2 pairs of images in two splits are nearly equal: 'a' in train and 'b' in test")
    assert duplicates_flag(pairs[:1]).text.startswith("one pair of images in two splits is")


@pytest.mark.parametrize(
    ("rates", "chosen", "words"),
    [
        ((1e-3, 2e-3, 4e-3), 2e-3, None),
        (
            (1e-3, 4e-3, 2e-3),
            4e-3,
            "the chosen learning rate 0.004 is the largest of 3 tried; a larger one may be better",
        ),
        ((2e-3, 1e-3), 1e-3, "the chosen learning rate 0.001 is the smallest of 2 tried; a smaller one may be better"),
        ((), None, None),
    ],
)
def test_a_learning_rate_at_the_edge(rates: tuple[float, ...], chosen: float | None, words: str | None) -> None:
    tries = [Try(lr=lr, val_dice=0.5, val_loss=1.0, steps=3, seconds=1.0, chosen=lr == chosen) for lr in rates]
    found = [flag.text for flag in flags({}, (1,), NAMES, tries=tries)]
    assert found == ([words] if words else [])
