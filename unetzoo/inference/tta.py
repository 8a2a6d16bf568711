"""Test-time augmentation: a window of an image through the network in several orientations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.inference.source import Source
from unetzoo.nn.sizes import ValidSizes


@dataclass(frozen=True)
class Window:
    """Pixels of the image that a network shall give, and how many more it reads at each of their borders."""

    top: int
    left: int
    height: int
    width: int
    context_rows: int
    context_columns: int


Values: TypeAlias = Callable[[Tensor], Tensor]  # the network: (1, C, H, W) to (1, K, H', W')
Version: TypeAlias = Callable[[Source, Values, Window], Tensor]  # to (K, height, width)


def versions(count: int, sizes: ValidSizes | None) -> list[Version]:
    """The ways to look at a window: 1, 8 (right angles and mirrors) or 7 (rotations by k * 360/7 degrees).

    Raises `UnetzooError` on another count.
    """
    if count not in (1, 7, 8):
        raise UnetzooError(f"tta = {count!r} is not a choice; allowed: 1 (none), 7 (rotations), 8 (and mirrors)")
    if count == 7:
        angles = [2 * math.pi * k / 7 for k in range(1, 7)]
        return [partial(_right_angle, 0, False), *(partial(_rotated, angle, sizes) for angle in angles)]
    return [partial(_right_angle, quarters, flip) for flip in (False, True) for quarters in range(4)][:count]


def _right_angle(quarters: int, flip: bool, source: Source, values: Values, window: Window) -> Tensor:
    rows, columns = window.context_rows, window.context_columns
    top, left = window.top - rows, window.left - columns
    x = source.window(top, left, window.height + 2 * rows, window.width + 2 * columns)
    x = torch.rot90(x.flip(-1) if flip else x, quarters, dims=(-2, -1))
    y = torch.rot90(values(x), -quarters, dims=(-2, -1))
    y = (y.flip(-1) if flip else y)[0]
    if y.shape[-2:] != (window.height, window.width):
        got, wanted = tuple(y.shape[-2:]), (window.height, window.width)
        raise UnetzooError(f"the network must give {wanted[0]}x{wanted[1]} px for this window, gave {got[0]}x{got[1]}")
    return y


def _rotated(angle: float, sizes: ValidSizes | None, source: Source, values: Values, window: Window) -> Tensor:
    """The image sampled on a grid turned about pixel (0, 0), the answer sampled back; both bilinear, in float64.

    The grid is one for the whole image and windows of it start at multiples of the network's stride, so that
    tiles of valid networks agree here too.
    """
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
    wanted = _grid(window.top, window.left, window.height, window.width) @ turn.T  # of the answer, on the turned grid
    step = 2 ** (sizes.depth - 1) if sizes else 1
    top, left = (int(v) // step * step for v in wanted.flatten(0, 1).amin(0).floor().tolist())
    bottom, right = (int(v) + 2 for v in wanted.flatten(0, 1).amax(0).ceil().tolist())
    height, width, context = bottom - top, right - left, (0, 0)
    if sizes:
        read = sizes.input(height), sizes.input(width)
        height, width = (sizes.output(n) or 0 for n in read)
        context = (read[0] - height) // 2, (read[1] - width) // 2
    grid = _grid(top - context[0], left - context[1], height + 2 * context[0], width + 2 * context[1]) @ turn
    first_row, first_column = (int(v) for v in grid.flatten(0, 1).amin(0).floor().tolist())
    last_row, last_column = (int(v) + 1 for v in grid.flatten(0, 1).amax(0).ceil().tolist())
    pixels = source.window(first_row, first_column, last_row - first_row + 1, last_column - first_column + 1)
    answer = values(_sample(pixels, grid, first_row, first_column))
    return _sample(answer, wanted, top, left)[0]


def _grid(top: int, left: int, height: int, width: int) -> Tensor:
    """Coordinates (height, width, 2), row before column."""
    rows, columns = torch.arange(top, top + height).double(), torch.arange(left, left + width).double()
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)


def _sample(pixels: Tensor, points: Tensor, top: int, left: int) -> Tensor:
    """``pixels`` (1, C, h, w), whose first is (top, left), at ``points`` (H, W, 2): (1, C, H, W)."""
    exact = torch.float32 if pixels.device.type == "mps" else torch.float64
    sides = torch.tensor(pixels.shape[-2:], dtype=torch.float64)
    relative = 2 * (points - torch.tensor([top, left])) / (sides - 1) - 1
    grid = relative.flip(-1)[None].to(pixels.device, exact)
    return F.grid_sample(pixels.to(exact), grid, align_corners=True, padding_mode="border").to(pixels.dtype)
