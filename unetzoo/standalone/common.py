"""What the networks of this folder share: any image size, checked options, resizing and unpooling."""

from __future__ import annotations

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

    def forward(self, x: Tensor) -> Tensor:
        h, w = spatial(x)
        below, right = (max(-(-side // self.multiple) * self.multiple, self.least) - side for side in (h, w))
        if below or right:
            x = mirror_pad(x, 0, below, 0, right)
        return self.logits(x)[..., :h, :w]

    def forward_all(self, x: Tensor) -> list[Tensor]:
        return [self.forward(x)]


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
