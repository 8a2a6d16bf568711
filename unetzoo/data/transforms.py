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
    """Contrast and brightness of a normalised image, not of its mask: x -> gain * x + offset.

    For any channel count, and in units of the data's own standard deviation: dim images are changed as little
    as bright ones. ``gain`` is drawn from 1 +- ``gain``, the offset from +- ``offset``.
    """

    def __init__(self, gain: float = 0.25, offset: float = 0.25) -> None:
        super().__init__()
        self.gain, self.offset = gain, offset

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        u, v = (2 * torch.rand(2) - 1).tolist()
        return {"gain": 1 + self.gain * u, "offset": self.offset * v}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        changed = params["gain"] * inpt.as_subclass(Tensor) + params["offset"]
        return tv_tensors.wrap(changed, like=inpt)  # pyright: ignore[reportCallIssue]


def training_transform(crop: int) -> v2.Transform:
    """Random crop, flips, right angles and intensity jitter of a normalised (C, H, W) with its (H, W) mask."""
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
