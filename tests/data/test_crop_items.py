"""Item i of the training stream stays what it was: committed hashes and values of some items."""

from __future__ import annotations

import hashlib
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors

from unetzoo.data.augmentation import augmentation
from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.stream import Normalization, TrainingCrops
from unetzoo.nn.sizes import ValidSizes


class Drawn(SegmentationDataset):
    """Images of several sizes with one bright square each, which is the foreground; one is not exact as bytes."""

    def __init__(self) -> None:
        names = ("a", "b", "c", "d", "e")
        self.info = DatasetInfo(name="drawn", channels=3, class_names=("ground", "square"), foreground=(1,))
        self.splits = {"train": names[:3], "val": names[3:4], "test": names[4:]}

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        number = "abcde".index(key)
        height, width = ((60, 50), (40, 70), (20, 90))[number % 3]
        image = np.arange(3 * height * width).reshape(3, height, width) * (7 + number) % 200
        mask = np.zeros((height, width), np.int64)
        mask[5 : 12 + number, 8:17] = 1
        exact = ((image + 50 * mask) / 255).astype(np.float32)
        return (exact if number else exact * np.float32(0.777)), mask

    def content_digest(self, key: str) -> str:
        return key


STATISTICS = Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
INDICES = (0, 1, 2, 7, 1000003)
FLIPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "foreground": {"foreground": 0.5},
    "weights": {"border": (10.0, 5.0)},
    "context": {"sizes": ValidSizes(2)},
    "other seed": {"seed": 2**40 + 1},
}


@cache
def drawn() -> Drawn:
    return Drawn()


def stream(augment: str = "flips", *, sizes: ValidSizes | None = None, seed: int = 5, **options: Any) -> TrainingCrops:
    crops = TrainingCrops(drawn(), STATISTICS, crop=36, seed=seed, length=10**9, augment=augment, **options)  # type: ignore[arg-type]
    return crops if sizes is None else crops.with_context(sizes)


def digest(crops: TrainingCrops, parts: slice = slice(2)) -> str:
    """Hash images and masks of some items; weights come from another module and are compared by value."""
    found = hashlib.sha256()
    for index in INDICES:
        for tensor in crops[index][parts]:
            found.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + tensor.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


HASHES = {
    "plain": "af8b10c51062f782",
    "foreground": "e6ed15e32f4b404a",
    "weights": "af8b10c51062f782",
    "context": "0212bcdfc4c0ee84",
    "other seed": "794d3dc5b156e6c4",
}
VALUES: dict[str, list[float]] = {
    "strong": [
        -0.4319,
        1.0315,
        -2.1313,
        -0.5346,
        1.0822,
        -5.9265,
        -0.6969,
        0.7182,
        -5.0312,
        -0.2799,
        0.6857,
        1.7286,
        -1.0623,
        0.7376,
        -2.9176,
    ],
    "nnunet": [
        -0.4129,
        0.982,
        -0.9216,
        -0.4623,
        0.9765,
        -6.0,
        -0.7252,
        0.7829,
        0.1193,
        -0.4634,
        0.7844,
        0.5381,
        -0.7142,
        0.8211,
        -4.5618,
    ],
    "paper2015": [
        -0.4014,
        0.7344,
        -0.3393,
        -0.5167,
        0.7434,
        -1.3565,
        -0.7311,
        0.5496,
        -3.9644,
        -0.3727,
        0.7274,
        -3.2248,
        -0.8192,
        0.6634,
        -3.2806,
    ],
    "weights": [1.5649, 4.3381, 0.5132],
}


@pytest.mark.parametrize("name", FLIPS)
def test_items_without_deformation_are_bit_for_bit_what_they_were(name: str) -> None:
    assert digest(stream(**FLIPS[name])) == HASHES[name]


def summary(tensor: Tensor) -> list[float]:
    return [round(float(value), 4) for value in (tensor.float().mean(), tensor.float().std(), tensor[..., 7, 21].sum())]


@pytest.mark.parametrize("augment", ["strong", "nnunet", "paper2015"])
def test_deformed_items_are_what_they_were(augment: str) -> None:
    """Up to rounding, which differs between machines where pixels are interpolated."""
    crops = stream(augment, foreground=0.33)
    found = [value for index in INDICES for value in summary(crops[index][0])]
    assert found == pytest.approx(VALUES[augment], abs=2e-3)


MEANS = {  # weighted sums of the means of 64 images and masks, measured before numbers were drawn apart from applying
    "flips": (2.0317, -0.1256),
    "strong": (-0.7481, 0.0360),
    "nnunet": (0.5418, -0.0906),
    "paper2015": (1.5376, 0.3435),
}


@pytest.mark.parametrize("augment", MEANS)
def test_many_items_are_what_they_were(augment: str) -> None:
    """With every transform among them; one draw more or less changes all numbers after it."""
    items = [stream(augment, foreground=0.33)[index] for index in range(64)]
    for part, expected in enumerate(MEANS[augment]):
        found = sum(float(item[part].float().abs().mean()) * math.cos(index) for index, item in enumerate(items))
        assert found == pytest.approx(expected, abs=1e-3)


def test_weights_are_what_they_were() -> None:
    weights = stream("flips", border=(10.0, 5.0), foreground=1.0)[1][2]
    assert summary(weights) == pytest.approx(VALUES["weights"], abs=2e-3)


def test_reading_an_item_leaves_the_random_state_alone() -> None:
    crops = stream("strong")
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = crops[4]
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    again = crops[4]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("augment", ["flips", "strong", "nnunet", "paper2015"])
def test_the_short_way_is_torchvisions(augment: str) -> None:
    """The pixel transforms on plain tensors do what they do on wrapped ones, with the same random numbers."""
    pixels = augmentation(augment)  # type: ignore[arg-type]
    image, mask = torch.rand(2, 24, 24), torch.arange(24 * 24).reshape(24, 24)
    for seed in range(30):
        torch.manual_seed(seed)
        expected = pixels.pixels(tv_tensors.Image(image), tv_tensors.Mask(mask))
        state = torch.get_rng_state()
        torch.manual_seed(seed)
        found = pixels.change(image, mask)
        assert all(torch.equal(a, b.as_subclass(Tensor)) for a, b in zip(found, expected, strict=True))
        assert torch.equal(state, torch.get_rng_state())
