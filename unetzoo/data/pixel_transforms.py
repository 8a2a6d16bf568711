"""Augmentation of the pixels of normalised images: noise, resolution, contrast and gamma. Masks stay as they are.

Each transform draws new numbers on every call, from torch's global generator, and takes any number of channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision import tv_tensors
from torchvision.transforms import v2


class PixelTransform(v2.Transform):
    """Base of transforms that change an image and leave its masks alone."""

    def change(self, image: Tensor) -> Tensor:
        """Return a changed copy of an image (C, H, W)."""
        raise NotImplementedError

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        return tv_tensors.wrap(self.change(inpt.as_subclass(Tensor)), like=inpt)  # pyright: ignore[reportCallIssue]


class RandomIntensity(PixelTransform):
    """Random contrast and brightness of a normalised image, x -> gain * x + offset.

    In units of the data's own standard deviation, so that dim images are changed as much as bright ones.

    Args:
        gain: The gain is drawn from 1 +- ``gain``.
        offset: The offset is drawn from +- ``offset``.
    """

    def __init__(self, gain: float = 0.25, offset: float = 0.25) -> None:
        super().__init__()
        self.gain, self.offset = gain, offset

    def change(self, image: Tensor) -> Tensor:
        u, v = (2 * torch.rand(2) - 1).tolist()
        return ((1 + self.gain * u) * image).add_(self.offset * v)


class RandomNoise(PixelTransform):
    """Gaussian noise of a random variance.

    Args:
        variance: Largest variance, in units of the data's own.
    """

    def __init__(self, variance: float = 0.1) -> None:
        super().__init__()
        self.variance = variance

    def change(self, image: Tensor) -> Tensor:
        return image + (self.variance * torch.rand(())).sqrt() * torch.randn_like(image)


class RandomGain(PixelTransform):
    """Random brightness, or contrast: values times a factor, around 0 or around each channel's mean.

    Args:
        low: Smallest factor.
        high: Largest factor.
        around_mean: Keep the mean of each channel, and its range by clipping.
    """

    def __init__(self, low: float, high: float, *, around_mean: bool = False) -> None:
        super().__init__()
        self.low, self.high, self.around_mean = low, high, around_mean

    def change(self, image: Tensor) -> Tensor:
        factor = _uniform(self.low, self.high)
        if not self.around_mean:
            return factor * image
        mean = image.mean(dim=(-2, -1), keepdim=True)
        return (mean + factor * (image - mean)).clamp(*_range(image))


class RandomGamma(PixelTransform):
    """Gamma correction of each channel's range, x -> x^gamma on values scaled to [0, 1], and scaled back.

    Args:
        low: Smallest exponent.
        high: Largest exponent.
        inverted: Share of the calls in which the values are inverted before, and back after.
    """

    def __init__(self, low: float = 0.7, high: float = 1.5, *, inverted: float = 0.0) -> None:
        super().__init__()
        self.low, self.high, self.inverted = low, high, inverted

    def change(self, image: Tensor) -> Tensor:
        gamma, invert = _uniform(self.low, self.high), float(torch.rand(())) < self.inverted
        low, high = _range(image)
        span = (high - low).clamp_min(1e-6)
        scaled = (image - low) / span
        scaled = 1 - (1 - scaled) ** gamma if invert else scaled**gamma
        return low + span * scaled


class RandomLowResolution(PixelTransform):
    """A random loss of resolution: nearest pixels of a smaller image, enlarged again with bicubic interpolation.

    Args:
        factor: Largest factor by which the sides shrink.
        channels: Share of the channels that lose it.
    """

    def __init__(self, factor: float = 2.0, channels: float = 0.5) -> None:
        super().__init__()
        self.factor, self.channels = factor, channels

    def change(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        factor = _uniform(1.0, self.factor)
        small = max(1, round(height / factor)), max(1, round(width / factor))
        coarse = interpolate(interpolate(image[None], small, mode="nearest"), (height, width), mode="bicubic")[0]
        return torch.where((torch.rand(len(image)) < self.channels)[:, None, None], coarse, image)


class RandomBlur(PixelTransform):
    """A Gaussian blur of random width.

    Args:
        low: Smallest standard deviation in px.
        high: Largest standard deviation in px.
        channels: Share of the channels that are blurred.
    """

    def __init__(self, low: float = 0.5, high: float = 1.5, channels: float = 0.5) -> None:
        super().__init__()
        self.low, self.high, self.channels = low, high, channels

    def change(self, image: Tensor) -> Tensor:
        sigma = _uniform(self.low, self.high)
        side = min(2 * round(3 * sigma) + 1, *(2 * n - 1 for n in image.shape[-2:]))
        blurred = v2.functional.gaussian_blur(image, [side, side], [sigma, sigma])
        return torch.where((torch.rand(len(image)) < self.channels)[:, None, None], blurred, image)


def sometimes(share: float, transform: v2.Transform) -> v2.Transform:
    """Return a transform that is applied in a share of the calls.

    Args:
        share: The share, from 0 to 1.
        transform: The transform.
    """
    return v2.RandomApply([transform], p=share)


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _range(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest value of each channel, (C, 1, 1)."""
    return image.amin(dim=(-2, -1), keepdim=True), image.amax(dim=(-2, -1), keepdim=True)
