"""What the networks of this folder share: any image size, checked options, resizing and unpooling."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError, nearest
from unetzoo.nn.blocks import spatial
from unetzoo.nn.sizes import mirror_pad


class AnySize(nn.Module):
    """A network whose authors' code takes only sides that are a multiple of ``multiple``, from ``least`` up.

    Other images (N, C, H, W) are mirrored at the bottom and the right to the next such size and the logits cut
    back to H, W; where the size fits, nothing is done. A subclass says what `logits` are.
    """

    multiple = 1
    least = 1

    def logits(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K, H', W') with H' >= H and W' >= W, for sides that fit."""
        raise NotImplementedError

    def scales(self, x: Tensor) -> list[Tensor]:
        """All supervised scales for sides that fit, finest first: those are the `logits`."""
        return [self.logits(x)]

    def fit(self, x: Tensor) -> Tensor:
        """The image as it is, or mirrored to the next size that fits."""
        below, right = (max(-(-side // self.multiple) * self.multiple, self.least) - side for side in spatial(x))
        return mirror_pad(x, 0, below, 0, right) if below or right else x

    def forward(self, x: Tensor) -> Tensor:
        h, w = spatial(x)
        return self.logits(self.fit(x))[..., :h, :w]

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Coarse scales as they are, or interpolated to the image where that was mirrored and they are cut as it is."""
        (h, w), fitted = spatial(x), self.fit(x)
        finest, *coarse = self.scales(fitted)
        if spatial(fitted) != (h, w):
            coarse = [resize(scale, fitted) for scale in coarse]
        return [scale[..., :h, :w] for scale in (finest, *coarse)]


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear interpolation of (N, C, h, w) to the H, W of ``like``; pixels are areas (align_corners=False)."""
    return F.interpolate(x, size=spatial(like), mode="bilinear", align_corners=False)


def max_pool_indices(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 max pooling of (N, C, H, W) and, for each value, its index into H * W; a side of 1 stays 1."""
    h, w = spatial(x)
    return F.max_pool2d(x, (min(2, h), min(2, w)), return_indices=True)


def max_unpool(x: Tensor, indices: Tensor, like: Tensor) -> Tensor:
    """Each value of (N, C, h, w) at the place of the maximum it goes with, zeros elsewhere; H, W as ``like``.

    As torch's max_unpool2d, which has no bfloat16 on the CPU and is not deterministic on CUDA. Windows do not
    overlap, so no place is written twice.
    """
    n, c = x.shape[:2]
    h, w = spatial(like)
    flat = torch.zeros(n, c, h * w, dtype=x.dtype, device=x.device)
    return flat.scatter(2, indices.flatten(2), x.flatten(2)).reshape(n, c, h, w)


def init_by_fan_out(module: nn.Module) -> None:
    """Initial weights of UNeXt's code, and of what was made from it: convolutions by their fan-out, linear N(0, 0.02).

    Biases 0, but torch's own in 1-D convolutions, whose groups do not count. The truncation at 2 of the linear
    layers, a hundred standard deviations, cuts nothing. Use with ``model.apply``.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv1d | nn.Conv2d):
        groups = module.groups if isinstance(module, nn.Conv2d) else 1
        fan_out = math.prod(module.kernel_size) * module.out_channels // groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
        nn.init.zeros_(module.bias)


def at_least(least: float, **options: float) -> None:
    """Raise `UnetzooError` unless every option is a number from ``least`` up."""
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
            raise UnetzooError(f"option {option} = {value!r}: must be a number of at least {least}")


def whole(least: int = 1, **options: int) -> None:
    """Raise `UnetzooError` unless every option is a whole number from ``least`` up."""
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UnetzooError(f"option {option} = {value!r}: must be a whole number of at least {least}")


def wholes(count: int | None = None, **options: Iterable[int]) -> None:
    """Raise `UnetzooError` unless every option is a list of positive whole numbers, ``count`` of them if given."""
    for option, values in options.items():
        good = isinstance(values, list | tuple) and all(type(v) is int and v >= 1 for v in values)
        if not good or not values or (count is not None and len(values) != count):  # type: ignore[arg-type]
            many = f"{count} " if count is not None else ""
            raise UnetzooError(f"option {option} = {values!r}: must be a list of {many}whole numbers of at least 1")


def odd(**options: int) -> None:
    """Raise `UnetzooError` unless every option is an odd number from 1 up."""
    for option, value in options.items():
        if type(value) is not int or value < 1 or value % 2 == 0:
            raise UnetzooError(f"option {option} = {value!r}: must be an odd number of at least 1")


def fraction(**options: float) -> None:
    """Raise `UnetzooError` unless every option is a probability from 0 up, below 1."""
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise UnetzooError(f"option {option} = {value!r}: must be at least 0 and below 1")


def one_of(known: Iterable[object], **options: object) -> None:
    """Raise `UnetzooError` unless every option is one of the known words or numbers."""
    words = list(known)
    for option, value in options.items():
        if value not in words:
            raise UnetzooError(f"option {option} = {value!r}: {nearest(value, words)}")
