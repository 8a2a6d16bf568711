"""Crops made in batches on a device are those of the loader: the same numbers, up to rounding, and noise alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.device_crops import CropDraws, DeviceCrops, held_bytes
from unetzoo.data.pixel_transforms import RandomBlur, RandomGamma, RandomLowResolution, RandomNoise
from unetzoo.data.stream import Crop, Normalization, TrainingCrops
from unetzoo.nn.sizes import ValidSizes

CPU = torch.device("cpu")
NAMES = ("flips", "strong", "nnunet", "paper2015")


class Sizes(SegmentationDataset):
    """Random images of several sizes, some smaller than the crops; the first is not exact as bytes if ``mixed``."""

    def __init__(self, mixed: bool = True) -> None:
        names = ("a", "b", "c", "d")
        self.mixed = mixed
        self.info = DatasetInfo(name="sizes", channels=2, class_names=("ground", "square"), foreground=(1,))
        self.splits = {"train": names[:3], "val": names[3:], "test": names[3:]}

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        number = "abcd".index(key)
        height, width = ((61, 50), (40, 70), (21, 90), (30, 30))[number]
        image = np.random.default_rng(number).integers(0, 256, (2, height, width)).astype(np.float32) / 255
        mask = np.zeros((height, width), np.int64)
        mask[5 : 12 + number, 8:17] = 1
        return (image * np.float32(0.777) if self.mixed and not number else image), mask

    def content_digest(self, key: str) -> str:
        return key


def stream(augment: str = "flips", *, mixed: bool = True, **options: Any) -> TrainingCrops:
    statistics = Normalization((0.4, 0.5), (0.25, 0.3))
    return TrainingCrops(Sizes(mixed), statistics, crop=36, seed=7, length=10**9, augment=augment, **options)  # type: ignore[arg-type]


def both(crops: TrainingCrops, indices: range) -> tuple[Crop, list[Tensor]]:
    """Return a batch made on the device, and the same from the loader."""
    draws = CropDraws(crops)
    singles = zip(*(crops[index] for index in indices), strict=True)
    return DeviceCrops(crops, CPU).batch([draws[index] for index in indices]), [torch.stack(x) for x in singles]


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise of no strength, which still draws as many numbers."""
    draw = RandomNoise.draw
    monkeypatch.setattr(RandomNoise, "draw", lambda self, channels: (0.0 * draw(self, channels)[0],))


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("augment", NAMES)
@pytest.mark.parametrize(
    ("options", "sizes"),
    [({}, None), ({"foreground": 0.5, "border": (10.0, 5.0)}, None), ({"mixed": False}, ValidSizes(2))],
    ids=["plain", "weights", "context"],
)
def test_a_batch_is_the_loaders_up_to_rounding(augment: str, options: dict[str, Any], sizes: ValidSizes | None) -> None:
    crops = stream(augment, **options)
    crops = crops if sizes is None else crops.with_context(sizes)
    found, expected = both(crops, range(1000, 1048))
    assert [x.dtype for x in found] == [x.dtype for x in expected]
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-3)
    for map_, expected_map in zip(found[1:], expected[1:], strict=True):
        assert map_.shape == expected_map.shape
        # A pixel whose position is halfway between two may be rounded to either.
        assert float((map_ != expected_map).float().mean()) < (1e-4 if augment != "flips" else 1e-9)


@pytest.mark.parametrize("augment", ["strong", "nnunet"])
def test_noise_has_the_loaders_distribution(augment: str) -> None:
    """All items without noise are equal, and the others differ by two noises of one strength and nothing else."""
    found, expected = both(stream(augment), range(300))
    off = (found[0] - expected[0]).flatten(1)
    noisy = off.abs().amax(1) > 1e-3
    share = 0.2 if augment == "strong" else 0.15
    assert float(noisy.float().mean()) == pytest.approx(share, abs=0.06)
    whole = found[0].flatten(1)[noisy].std(), expected[0].flatten(1)[noisy].std()
    assert float(whole[0]) == pytest.approx(float(whole[1]), rel=0.01)
    assert float(off[noisy].mean()) == pytest.approx(0, abs=0.01)
    # The variance is uniform from 0 to 0.1; clipping, blur and gain come after it in "nnunet".
    assert float(off[noisy].square().mean()) == pytest.approx(2 * 0.05, rel=0.15 if augment == "strong" else 0.4)


def test_noise_is_a_function_of_the_crop_and_of_no_other_state() -> None:
    crops = stream("strong")
    device, draws = DeviceCrops(crops, CPU), [crops.numbers(index) for index in range(40)]
    before = torch.get_rng_state()
    first, again = device.batch(draws)[0], device.batch(draws)[0]
    assert torch.equal(first, again)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("transform", [RandomGamma(inverted=0.5), RandomBlur(), RandomLowResolution()])
def test_each_image_of_a_batch_has_its_own_numbers(transform: RandomGamma | RandomBlur | RandomLowResolution) -> None:
    torch.manual_seed(0)
    images = torch.randn(9, 2, 20, 17)
    drawn = [transform.draw(2) for _ in images]
    singles = torch.cat([transform.change_all(images[i : i + 1], drawn[i : i + 1]) for i in range(9)])
    assert len(set(drawn)) == 9
    torch.testing.assert_close(transform.change_all(images, drawn), singles, rtol=1e-5, atol=1e-5)


def test_bytes_that_the_device_holds() -> None:
    pixels = 61 * 50 + 40 * 70 + 21 * 90
    assert held_bytes(stream(mixed=False)) == pixels * (2 + 1)
    assert held_bytes(stream()) == pixels * (2 * 4 + 1)  # one image needs float32, so all have it
    assert held_bytes(stream(border=(10.0, 5.0))) == pixels * (2 * 4 + 1 + 4)
    crops = DeviceCrops(stream(), CPU)
    assert crops.pixels.nbytes + sum(x.nbytes for x in crops.maps) == held_bytes(stream())
