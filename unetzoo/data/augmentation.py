"""The augmentations that a recipe can name: where the pixels of a crop come from, and how they are changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torchvision.transforms import v2

from unetzoo.data.pixel_transforms import (
    Numbers,
    PixelTransform,
    RandomBlur,
    RandomGain,
    RandomGamma,
    RandomIntensity,
    RandomLowResolution,
    RandomNoise,
    columns,
    sent,
    sometimes,
)
from unetzoo.data.transforms import ElasticDeformation, RandomRightAngle

AugmentationName = Literal["flips", "strong", "nnunet", "paper2015"]
FLIPS: dict[type[v2.Transform], int] = {v2.RandomHorizontalFlip: -1, v2.RandomVerticalFlip: -2}
Drawn = list["Drawn | Numbers | None"]
"""Numbers of each part of a transform for one image, in order; None for a part that is left out."""
PAPER_DEFORMATION: dict[str, Any] = {"displacement": 10.0, "grid": 3, "degrees": 180.0, "shift": 0.1}


@dataclass(frozen=True)
class Augmentation:
    """An augmentation of training crops.

    Attributes:
        warps: Share of the crops and the deformation that they get, which decides from where their pixels are taken.
            All have the same grid and interpolate linearly.
        pixels: Transform of all crops, after it.
    """

    warps: tuple[tuple[float, ElasticDeformation], ...]
    pixels: v2.Transform

    def draw_warp(self) -> ElasticDeformation | None:
        """Draw the deformation of one crop; None for a crop that is not deformed."""
        if not self.warps or self.warps[0][0] == 1:
            return self.warps[0][1] if self.warps else None
        left = float(torch.rand(()))
        for share, warp in self.warps:
            if left < share:
                return warp
            left -= share
        return None

    def change(self, image: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
        """Apply ``pixels`` to an image (C, H, W) and its maps (H, W), as it would change them wrapped for torchvision.

        The random numbers are the same, but there are no types of inputs to look up, which takes longer than the work.

        Args:
            image: The image.
            maps: Mask and weights.
        """
        return _change(self.pixels, image, maps)

    def draw(self, channels: int, side: int) -> Drawn:
        """Draw the numbers of ``pixels`` for one crop: those that `change` would draw, except for the noise itself.

        Args:
            channels: Channels of the crop.
            side: Side of the crop in px.
        """
        return [_draw(self.pixels, (channels, side, side))]

    def apply(self, drawn: Sequence[Drawn], crops: Sequence[Tensor], generator: torch.Generator) -> tuple[Tensor, ...]:
        """Apply ``pixels`` to a batch of square crops.

        Args:
            drawn: What `draw` returned for each crop.
            crops: Images (N, C, S, S), and their masks and weights (N, S, S).
            generator: Generator of the noise, on the device of the crops.
        """
        return _apply(self.pixels, [only for (only,) in drawn], tuple(crops), generator)


def _change(transform: Any, image: Tensor, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if isinstance(transform, PixelTransform):
        return (transform.change(image), *maps)
    if isinstance(transform, v2.Compose | v2.RandomApply):
        if isinstance(transform, v2.RandomApply) and torch.rand(1) >= transform.p:
            return (image, *maps)
        for part in transform.transforms:
            image, *rest = _change(part, image, maps)
            maps = tuple(rest)
        return (image, *maps)
    if isinstance(transform, RandomRightAngle):
        quarters = transform.make_params([])["quarters"]
        return tuple(torch.rot90(x, quarters, dims=(-2, -1)) for x in (image, *maps))
    axis = FLIPS[type(transform)]
    return (image, *maps) if torch.rand(1) >= transform.p else tuple(x.flip(axis) for x in (image, *maps))


def _draw(transform: Any, shape: tuple[int, int, int]) -> Drawn | Numbers | None:
    if isinstance(transform, PixelTransform):
        numbers = transform.draw(shape[0])
        if isinstance(transform, RandomNoise):
            torch.randn(shape)  # in place of the noise, so that the numbers after it are the same
        return numbers
    if isinstance(transform, v2.Compose | v2.RandomApply):
        if isinstance(transform, v2.RandomApply) and torch.rand(1) >= transform.p:
            return None
        return [_draw(part, shape) for part in transform.transforms]
    if isinstance(transform, RandomRightAngle):
        return (transform.make_params([])["quarters"],)
    return (float(torch.rand(1) < transform.p),)


def _apply(
    transform: Any, drawn: Sequence[Any], crops: tuple[Tensor, ...], generator: torch.Generator
) -> tuple[Tensor, ...]:
    if isinstance(transform, PixelTransform):
        return (transform.change_all(crops[0], drawn, generator), *crops[1:])
    if isinstance(transform, v2.RandomApply):
        chosen = [number for number, numbers in enumerate(drawn) if numbers is not None]
        if not chosen:
            return crops
        where = sent(chosen, crops[0].device, torch.long)
        changed = tuple(x.index_select(0, where) for x in crops)
        for position, part in enumerate(transform.transforms):
            changed = _apply(part, [drawn[number][position] for number in chosen], changed, generator)
        return tuple(x.index_copy(0, where, new) for x, new in zip(crops, changed, strict=True))
    if isinstance(transform, v2.Compose):
        for position, part in enumerate(transform.transforms):
            crops = _apply(part, [numbers[position] for numbers in drawn], crops, generator)
        return crops
    if isinstance(transform, RandomRightAngle):
        return tuple(_turned(x, drawn) for x in crops)
    return tuple(_where(drawn, x.flip(FLIPS[type(transform)]), x) for x in crops)


def _turned(x: Tensor, quarters: Sequence[Numbers]) -> Tensor:
    """Turn each square of a batch (N, ..., S, S) by its number of right angles."""
    x = _where([(n % 2,) for (n,) in quarters], x.transpose(-2, -1), x)
    x = _where([(n in (1, 2),) for (n,) in quarters], x.flip(-2), x)
    return _where([(n in (2, 3),) for (n,) in quarters], x.flip(-1), x)


def _where(conditions: Sequence[Numbers], x: Tensor, other: Tensor) -> Tensor:
    (condition,) = columns(conditions, x)
    return torch.where(condition.bool(), x, other)


def augmentation(name: AugmentationName) -> Augmentation:
    """Return an augmentation by the name that it has in a recipe.

    - "flips": flips, right angles and random intensity.
    - "strong": the same, and half of the crops rotated by any angle, scaled by 0.7 to 1.4 and deformed; gamma, blur and
      noise in a fifth to a third. The probabilities are ours.
    - "nnunet": that of nnU-Net for two-dimensional images, in its order and with its numbers.
    - "paper2015": see `paper_augmentation`.

    Args:
        name: One of these.

    References:
        Isensee et al. 2021, doi 10.1038/s41592-020-01008-z, supplementary information.
    """
    if name == "paper2015":
        return Augmentation(((1.0, ElasticDeformation(**PAPER_DEFORMATION)),), RandomIntensity())
    flips = (v2.RandomHorizontalFlip(), v2.RandomVerticalFlip())
    if name == "nnunet":
        return Augmentation(_nnunet_warps(), v2.Compose([*_nnunet_pixels(), *flips]))
    every = (*flips, RandomRightAngle(), RandomIntensity())
    if name == "flips":
        return Augmentation((), v2.Compose(every))
    pixels = (sometimes(0.3, RandomGamma()), sometimes(0.2, RandomBlur()), sometimes(0.2, RandomNoise()))
    warp = ElasticDeformation(displacement=6.0, degrees=180.0, zoom=(0.7, 1.4))
    return Augmentation(((0.5, warp),), v2.Compose([*every, *pixels]))


def _nnunet_warps() -> tuple[tuple[float, ElasticDeformation], ...]:
    """Return rotation and scaling, each with probability 0.2 and independent of each other."""
    turn: dict[str, Any] = {"degrees": 180.0}
    scale: dict[str, Any] = {"zoom": (0.7, 1.4)}
    both = ((0.16, turn), (0.16, scale), (0.04, turn | scale))
    return tuple((share, ElasticDeformation(displacement=0.0, **options)) for share, options in both)


def _nnunet_pixels() -> tuple[v2.Transform, ...]:
    return (
        sometimes(0.15, RandomNoise(0.1)),
        sometimes(0.2, RandomBlur(0.5, 1.5)),
        sometimes(0.15, RandomGain(0.7, 1.3)),
        sometimes(0.15, RandomGain(0.65, 1.5, around_mean=True)),
        sometimes(0.25, RandomLowResolution(2.0)),
        sometimes(0.15, RandomGamma(0.7, 1.5, inverted=0.15)),
    )


def paper_augmentation() -> v2.Transform:
    """Return the augmentation of the 2015 paper: elastic deformation, shift, rotation and grey values.

    For a normalised image (C, H, W) with its mask (H, W). The paper gives numbers for the elastic deformation alone;
    free rotation, shifts up to a tenth of the side and the ranges of `RandomIntensity` are ours.

    References:
        Ronneberger, Fischer, Brox 2015, arXiv 1505.04597, section 3.1.
    """
    return v2.Compose([ElasticDeformation(**PAPER_DEFORMATION), RandomIntensity()])
