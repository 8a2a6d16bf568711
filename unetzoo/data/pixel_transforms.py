"""Augmentation of the pixels of normalised images: noise, resolution, contrast and gamma. Masks stay as they are.

Each transform draws new numbers on every call, from torch's global generator, and takes any number of channels. Drawing
is apart from applying, so that the numbers of a batch can be drawn on the CPU and applied at once on another device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad
from torchvision import tv_tensors
from torchvision.transforms import v2

Numbers = tuple[float, ...]
"""Random numbers of one image."""


class PixelTransform(v2.Transform):
    """Base of transforms that change an image and leave its masks alone."""

    def draw(self, channels: int) -> Numbers:
        """Draw the random numbers of an image.

        Args:
            channels: Channels of the image.
        """
        raise NotImplementedError

    def change_all(self, images: Tensor, drawn: Sequence[Numbers], generator: torch.Generator | None = None) -> Tensor:
        """Change a batch of images.

        Args:
            images: Images (N, C, H, W), which stay as they are.
            drawn: What `draw` returned for each image.
            generator: Generator of noise, on the images' device; None: torch's global generator.
        """
        raise NotImplementedError

    def change(self, image: Tensor) -> Tensor:
        """Return a changed copy of an image (C, H, W)."""
        return self.change_all(image[None], [self.draw(len(image))])[0]

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

    def draw(self, channels: int) -> Numbers:
        u, v = (2 * torch.rand(2) - 1).tolist()
        return 1 + self.gain * u, self.offset * v

    def change_all(self, images: Tensor, drawn: Sequence[Numbers], generator: torch.Generator | None = None) -> Tensor:
        gain, offset = columns(drawn, images)
        return (gain * images).add_(offset)


class RandomNoise(PixelTransform):
    """Gaussian noise of a random variance.

    Args:
        variance: Largest variance, in units of the data's own.
    """

    def __init__(self, variance: float = 0.1) -> None:
        super().__init__()
        self.variance = variance

    def draw(self, channels: int) -> Numbers:
        return (float((self.variance * torch.rand(())).sqrt()),)

    def change_all(self, images: Tensor, drawn: Sequence[Numbers], generator: torch.Generator | None = None) -> Tensor:
        (deviation,) = columns(drawn, images)
        noise = torch.empty_like(images).normal_(generator=generator)
        return images + deviation * noise


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

    def draw(self, channels: int) -> Numbers:
        return (_uniform(self.low, self.high),)

    def change_all(self, images: Tensor, drawn: Sequence[Numbers], generator: torch.Generator | None = None) -> Tensor:
        (factor,) = columns(drawn, images)
        if not self.around_mean:
            return factor * images
        mean = images.mean(dim=(-2, -1), keepdim=True)
        return (mean + factor * (images - mean)).clamp(*_range(images))


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

    def draw(self, channels: int) -> Numbers:
        return _uniform(self.low, self.high), float(torch.rand(())) < self.inverted

    def change_all(self, images: Tensor, drawn: Sequence[Numbers], generator: torch.Generator | None = None) -> Tensor:
        gamma, invert = columns(drawn, images)
        low, high = _range(images)
        span = (high - low).clamp_min(1e-6)
        scaled = (images - low) / span
        exponent = drawn[0][0] if len(drawn) == 1 else gamma  # a scalar is rounded otherwise than a tensor
        if not any(inverted for _, inverted in drawn):
            return low + span * scaled**exponent
        inverted = invert.bool()
        powers = torch.where(inverted, 1 - scaled, scaled) ** exponent
        return low + span * torch.where(inverted, 1 - powers, powers)


class RandomLowResolution(PixelTransform):
    """A random loss of resolution: nearest pixels of a smaller image, enlarged again with bicubic interpolation.

    Args:
        factor: Largest factor by which the sides shrink.
        channels: Share of the channels that lose it.
    """

    def __init__(self, factor: float = 2.0, channels: float = 0.5) -> None:
        super().__init__()
        self.factor, self.channels = factor, channels

    def draw(self, channels: int) -> Numbers:
        return _uniform(1.0, self.factor), *_some(channels, self.channels)

    def change_all(self, images: Tensor, drawn: Sequence[Numbers], generator: torch.Generator | None = None) -> Tensor:
        height, width = images.shape[-2:]
        coarse = []
        for image, (factor, *_) in zip(images.split(1), drawn, strict=True):  # each has a resolution of its own
            small = max(1, round(height / factor)), max(1, round(width / factor))
            coarse.append(interpolate(interpolate(image, small, mode="nearest"), (height, width), mode="bicubic"))
        return torch.where(_of_channels(drawn, 1, images), torch.cat(coarse), images)


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

    def draw(self, channels: int) -> Numbers:
        return _uniform(self.low, self.high), *_some(channels, self.channels)

    def change_all(self, images: Tensor, drawn: Sequence[Numbers], generator: torch.Generator | None = None) -> Tensor:
        channels, most = images.shape[1], min(images.shape[-2:]) - 1
        reaches = [min(round(3 * sigma), most) for sigma, *_ in drawn]  # pixels on either side
        reach = max(reaches)
        kernels = torch.zeros(len(drawn), 2 * reach + 1)
        for kernel, own, (sigma, *_) in zip(kernels, reaches, drawn, strict=True):
            positions = torch.linspace(-own / math.sqrt(2), own / math.sqrt(2), 2 * own + 1).div(sigma)
            kernel[reach - own : reach + own + 1] = torch.softmax(positions.pow(2).neg(), dim=0)
        kernels = sent(kernels, images.device)
        squares = (kernels[:, :, None] * kernels[:, None]).repeat_interleave(channels, dim=0)[:, None]
        padded = pad(images, [reach] * 4, mode="reflect").flatten(0, 1)[None]
        blurred = conv2d(padded, squares, groups=len(squares))[0].unflatten(0, images.shape[:2])
        return torch.where(_of_channels(drawn, 1, images), blurred, images)


def sometimes(share: float, transform: v2.Transform) -> v2.Transform:
    """Return a transform that is applied in a share of the calls.

    Args:
        share: The share, from 0 to 1.
        transform: The transform.
    """
    return v2.RandomApply([transform], p=share)


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _some(channels: int, share: float) -> list[float]:
    """Draw the channels that a transform changes, 1.0 for each of them and 0.0 for the others."""
    return (torch.rand(channels) < share).tolist()


def _of_channels(drawn: Sequence[Numbers], first: int, images: Tensor) -> Tensor:
    """Return the numbers from ``first`` on, one for each channel, as a condition (N, C, 1, 1)."""
    return sent([numbers[first:] for numbers in drawn], images.device).bool()[:, :, None, None]


def columns(drawn: Sequence[Numbers], images: Tensor) -> Iterator[Tensor]:
    """Return each number of a batch in the shape (N, 1, ..., 1) that goes with its images.

    Args:
        drawn: Numbers of each image.
        images: Images (N, ...).
    """
    return iter(sent(drawn, images.device).T.reshape(-1, len(drawn), *[1] * (images.ndim - 1)))


def sent(values: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return values as a tensor on a device; a GPU copies them while it computes.

    Args:
        values: Tensor or nested sequences on the CPU.
        device: The device.
        dtype: Type of the tensor.
    """
    values = torch.as_tensor(values, dtype=dtype)
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def _range(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest value of each channel, (C, 1, 1)."""
    return image.amin(dim=(-2, -1), keepdim=True), image.amax(dim=(-2, -1), keepdim=True)
