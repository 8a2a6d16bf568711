"""Training augmentation: torchvision v2 transforms that move an image and its mask together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F


class RandomRightAngle(v2.Transform):
    """Rotate by 0, 90, 180 or 270 degrees: exact, no interpolation."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"quarters": int(torch.randint(4, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        turned = torch.rot90(inpt.as_subclass(Tensor), params["quarters"], dims=(-2, -1))
        return tv_tensors.wrap(turned, like=inpt)  # pyright: ignore[reportCallIssue]


class RandomIntensity(v2.Transform):
    """Contrast and brightness of the image alone: x -> gain * (x - mean) + mean + offset, for any channel count."""

    def __init__(self, gain: float = 0.2, offset: float = 0.1) -> None:
        super().__init__()
        self.gain, self.offset = gain, offset

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        u, v = (2 * torch.rand(2) - 1).tolist()
        return {"gain": 1 + self.gain * u, "offset": self.offset * v}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        pixels = inpt.as_subclass(Tensor)
        mean = pixels.mean()
        return tv_tensors.wrap(params["gain"] * (pixels - mean) + mean + params["offset"], like=inpt)  # pyright: ignore[reportCallIssue]


def training_transform(crop: int) -> v2.Transform:
    """Random crop, flips, right angles and intensity jitter of (C, H, W) in [0, 1] with its (H, W) mask."""
    return v2.Compose(
        [
            v2.RandomCrop(crop),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            RandomRightAngle(),
            RandomIntensity(),
        ]
    )


def normalize(image: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Per channel (x - mean) / std of (..., C, H, W)."""
    return F.normalize(image, list(mean), list(std))
