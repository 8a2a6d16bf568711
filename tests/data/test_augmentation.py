"""The augmentations by name: same seed same crop, masks keep their values, and the shares that are promised."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torchvision import tv_tensors

import unetzoo
from unetzoo.data.augmentation import augmentation
from unetzoo.data.pixel_transforms import (
    PixelTransform,
    RandomBlur,
    RandomGain,
    RandomGamma,
    RandomIntensity,
    RandomLowResolution,
    RandomNoise,
)
from unetzoo.data.stream import Normalization, TrainingCrops
from unetzoo.data.transforms import ElasticDeformation
from unetzoo.errors import UnetzooError

NAMES = ("flips", "strong", "nnunet", "paper2015")
PIXELS = (
    RandomIntensity(),
    RandomNoise(),
    RandomGain(0.7, 1.3),
    RandomGain(0.65, 1.5, around_mean=True),
    RandomGamma(inverted=0.5),
    RandomLowResolution(),
    RandomBlur(),
)
DATA = unetzoo.create_dataset("cells", n_train=3, n_val=1, n_test=1, size=64)


@pytest.mark.parametrize("name", NAMES)
def test_a_crop_is_a_function_of_seed_and_number(name: str) -> None:
    streams = [
        TrainingCrops(DATA, Normalization.of(DATA), crop=48, seed=s, length=30, augment=name)  # type: ignore[arg-type]
        for s in (0, 0, 1)
    ]
    for i in range(10):
        image, mask = streams[0][i]
        assert torch.equal(image, streams[1][i][0])
        assert torch.equal(mask, streams[1][i][1])
        assert not torch.equal(image, streams[2][i][0])
        assert image.shape == (1, 48, 48)
        assert bool(image.isfinite().all())
        assert set(mask.unique().tolist()) <= {0, 1}


@pytest.mark.parametrize("transform", PIXELS, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("channels", [1, 4])
def test_pixels_change_and_masks_do_not(transform: PixelTransform, channels: int) -> None:
    torch.manual_seed(0)
    image, mask = torch.randn(channels, 20, 17), torch.randint(3, (20, 17))
    changed = False
    for _ in range(10):
        new, same = transform(tv_tensors.Image(image), tv_tensors.Mask(mask))
        assert torch.equal(same, mask)
        assert new.shape == image.shape
        assert bool(new.isfinite().all())
        changed |= not torch.equal(new, image)
    assert changed


def test_gamma_and_contrast_keep_the_range() -> None:
    image = torch.randn(2, 16, 16)
    for transform in (RandomGamma(), RandomGain(0.65, 1.5, around_mean=True)):
        new = transform.change(image)
        assert bool((new.amax((1, 2)) <= image.amax((1, 2)) + 1e-5).all())
        assert bool((new.amin((1, 2)) >= image.amin((1, 2)) - 1e-5).all())


def test_pixel_transforms_take_constant_images() -> None:
    flat = torch.full((1, 8, 8), 2.0)
    for transform in PIXELS:
        assert bool(transform.change(flat).isfinite().all())
    assert torch.allclose(RandomGamma().change(flat), flat, atol=1e-5)


def test_nnunet_rotates_and_scales_a_fifth_each_independently() -> None:
    drawn = augmentation("nnunet")
    torch.manual_seed(0)
    kinds = Counter(
        warp and (warp.degrees > 0, warp.zoom is not None) for warp in (drawn.draw_warp() for _ in range(4000))
    )
    assert kinds[(True, False)] / 4000 == pytest.approx(0.16, abs=0.02)
    assert kinds[(False, True)] / 4000 == pytest.approx(0.16, abs=0.02)
    assert kinds[(True, True)] / 4000 == pytest.approx(0.04, abs=0.01)
    assert kinds[None] / 4000 == pytest.approx(0.64, abs=0.03)


def test_zoom_takes_pixels_from_a_smaller_part_of_the_image() -> None:
    positions = ElasticDeformation(displacement=0.0, zoom=(2.0, 2.0)).positions(9, 5)
    rows = 4 + (torch.arange(9.0) - 4) / 2
    assert torch.allclose(positions[0], rows[:, None].expand(9, 5))
    assert torch.allclose(positions[1], (2 + (torch.arange(5.0) - 2) / 2).expand(9, 5))


@pytest.mark.parametrize("zoom", [(0.0, 1.0), (1.4, 0.7), (-1.0, 1.0)])
def test_a_zoom_that_cannot_be_is_refused(zoom: tuple[float, float]) -> None:
    with pytest.raises(UnetzooError, match="must be two factors above 0, the smaller first"):
        ElasticDeformation(zoom=zoom)
