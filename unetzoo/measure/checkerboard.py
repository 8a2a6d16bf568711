"""Checkerboard energy: how much of a map's spectrum lies at the frequencies of an upsampling's stride."""

from __future__ import annotations

import torch
from torch import Tensor

from unetzoo.errors import UnetzooError


def checkerboard_energy(maps: Tensor, stride: int = 2) -> Tensor:
    """Return the share of a map's variance at the frequencies that repeat with the stride.

    An upsampling by ``stride`` whose kernel treats the positions of a block differently adds a pattern with that
    period. In the spectrum it is energy at the multiples of ``1 / stride`` cycles per pixel in either direction, except
    the constant. Equivalently: the map is averaged over all blocks of stride x stride pixels, and the variance of that
    mean block is divided by the variance of the map.

    Args:
        maps: Maps (..., H, W); rows and columns at the end that do not fill a block are left out.
        stride: Period of the pattern in px, 2 or more.

    Returns:
        Shares (...) from 0 to 1 in float64; 0 for a constant map. For white noise its expectation is
        ``(stride**2 - 1) / (H * W - 1)``.

    Raises:
        UnetzooError: If the stride is below 2, or a map is smaller than two blocks.

    References:
        Odena et al. 2016, doi 10.23915/distill.00003.

    Examples:
        >>> board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).tile(4, 4)
        >>> checkerboard_energy(board).item()
        1.0
    """
    h, w = (side // stride * stride if stride > 1 else 0 for side in maps.shape[-2:])
    if stride < 2 or h < 2 * stride or w < 2 * stride:
        raise UnetzooError(
            f"a map of {tuple(maps.shape[-2:])} px with stride {stride}: needs a stride of 2 or more, two blocks a side"
        )
    maps = maps[..., :h, :w].detach().double()
    blocks = maps.unflatten(-1, (w // stride, stride)).unflatten(-3, (h // stride, stride))
    pattern = blocks.mean(dim=(-4, -2)).var(dim=(-2, -1), correction=0)
    total = maps.var(dim=(-2, -1), correction=0)
    scale = maps.abs().amax(dim=(-2, -1)) ** 2
    return torch.where(total > 1e-12 * scale, pattern / total.clamp(min=1e-300), torch.zeros_like(total))
