"""Test-time augmentation: a window of an image passes through the network in several orientations."""

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
from unetzoo.inference.source import Region
from unetzoo.nn.sizes import ValidSizes


@dataclass(frozen=True)
class Window:
    """Pixels of the image that a network must output, and the context it reads beyond each of their borders."""

    top: int
    left: int
    height: int
    width: int
    context_rows: int
    context_columns: int


Restore: TypeAlias = Callable[[Tensor], Tensor]  # the network's output (1, K, H', W') to (K, height, width)
Turn: TypeAlias = Callable[[Tensor], tuple[Tensor, Restore]]  # pixels to the network's input (1, C, H, W), and back
Version: TypeAlias = Callable[[Window], tuple[Region, Turn]]  # the pixels that a window needs


def versions(count: int, sizes: ValidSizes | None) -> list[Version]:
    """Return functions that give a window in several orientations.

    For windows of one shape, each function gives inputs of one shape, so that they form batches.

    Args:
        count: 1, 8 (right angles and mirror images) or 7 (rotations by k * 360/7 degrees).
        sizes: Sizes of a network of valid convolutions; None for one that keeps the size.

    Returns:
        As many functions as ``count``.

    Raises:
        UnetzooError: If ``count`` is another number.
    """
    if count not in (1, 7, 8):
        raise UnetzooError(
            f"tta = {count!r} is not a choice; allowed: 1 (none), 7 (rotations), 8 (right angles and mirror images)"
        )
    if count == 7:
        angles = [2 * math.pi * k / 7 for k in range(1, 7)]
        return [partial(_right_angle, 0, False), *(partial(_rotated, angle, sizes) for angle in angles)]
    return [partial(_right_angle, quarters, flip) for flip in (False, True) for quarters in range(4)][:count]


def _right_angle(quarters: int, flip: bool, window: Window) -> tuple[Region, Turn]:
    rows, columns = window.context_rows, window.context_columns
    region = Region(window.top - rows, window.left - columns, window.height + 2 * rows, window.width + 2 * columns)

    def turn(pixels: Tensor) -> tuple[Tensor, Restore]:
        return torch.rot90(pixels.flip(-1) if flip else pixels, quarters, dims=(-2, -1)), restore

    def restore(answer: Tensor) -> Tensor:
        y = torch.rot90(answer, -quarters, dims=(-2, -1))
        y = (y.flip(-1) if flip else y)[0]
        if y.shape[-2:] != (window.height, window.width):
            got, wanted = f"{y.shape[-2]}x{y.shape[-1]}", f"{window.height}x{window.width}"
            raise UnetzooError(f"the network gave {got} px for this window, but must give {wanted}")
        return y

    return region, turn


def _rotated(angle: float, sizes: ValidSizes | None, window: Window) -> tuple[Region, Turn]:
    """Sample the image on a grid rotated about pixel (0, 0), and the output back; both bilinear, in float64.

    The whole image has one grid, and its windows start at multiples of the network's stride, so that tiles of valid
    networks agree here too.
    """
    cosine, sine = math.cos(angle), math.sin(angle)
    matrix = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
    step = 2 ** (sizes.depth - 1) if sizes else 1
    corners = _corners(window.top, window.left, window.height, window.width) @ matrix.T  # on the rotated grid
    top, left = (int(v) // step * step for v in corners.amin(0).floor().tolist())
    # Sides that hold the rotated window wherever it lies: it begins less than ``step`` px from (top, left).
    across, along = window.height - 1, window.width - 1
    height = math.ceil(abs(cosine) * across + abs(sine) * along) + step + 2
    width = math.ceil(abs(sine) * across + abs(cosine) * along) + step + 2
    context = (0, 0)
    if sizes:
        read = sizes.input(height), sizes.input(width)
        height, width = (sizes.output(n) or 0 for n in read)
        context = (read[0] - height) // 2, (read[1] - width) // 2
    place = top - context[0], left - context[1], height + 2 * context[0], width + 2 * context[1]
    corners = _corners(*place) @ matrix
    first_row, first_column = (int(v) for v in corners.amin(0).floor().tolist())
    last_row, last_column = (int(v) + 1 for v in corners.amax(0).ceil().tolist())

    def turn(pixels: Tensor) -> tuple[Tensor, Restore]:
        wanted = _grid(window.top, window.left, window.height, window.width) @ matrix.T
        return (
            _sample(pixels, _grid(*place) @ matrix, first_row, first_column),
            lambda answer: _sample(answer, wanted, top, left)[0],
        )

    return Region(first_row, first_column, last_row - first_row + 1, last_column - first_column + 1), turn


def _corners(top: int, left: int, height: int, width: int) -> Tensor:
    """Return the coordinates (4, 2) of the outermost pixels."""
    bottom, right = top + height - 1, left + width - 1
    return torch.tensor([[top, left], [top, right], [bottom, left], [bottom, right]], dtype=torch.float64)


def _grid(top: int, left: int, height: int, width: int) -> Tensor:
    """Return coordinates (height, width, 2), row before column."""
    rows, columns = torch.arange(top, top + height).double(), torch.arange(left, left + width).double()
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)


def _sample(pixels: Tensor, points: Tensor, top: int, left: int) -> Tensor:
    """Sample ``pixels`` (1, C, h, w), whose first lies at (top, left), at ``points`` (H, W, 2): (1, C, H, W)."""
    exact = torch.float32 if pixels.device.type == "mps" else torch.float64
    sides = torch.tensor(pixels.shape[-2:], dtype=torch.float64)
    relative = 2 * (points - torch.tensor([top, left])) / (sides - 1) - 1
    grid = relative.flip(-1)[None].to(pixels.device, exact)
    return F.grid_sample(pixels.to(exact), grid, align_corners=True, padding_mode="border").to(pixels.dtype)
