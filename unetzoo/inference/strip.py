"""The rows of an image's output that are being computed: tiles are blended, and finished rows written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from unetzoo.errors import UnetzooError
from unetzoo.inference.tiles import Tile

Output: TypeAlias = Literal["probabilities", "logits", "classes"]
ON_DEVICE = 2**29  # bytes of a strip that may lie in the memory of a GPU


class Strip:
    """Weighted sums (K, rows of a tile, W) of the tiles' outputs, which move down the image.

    Args:
        width: Width W of the image.
        versions: Versions of each tile, which are averaged.
    """

    def __init__(self, width: int, versions: int) -> None:
        self.width, self.versions = width, versions
        self.top = 0  # row of the image where the strip begins
        self.sums = torch.empty(0)

    def add(self, row: Tile, column: Tile, given: Tensor) -> None:
        """Add the output (K, h, w) of a tile."""
        if not self.sums.numel():
            shape = given.shape[0], row.size, self.width
            fits = 4 * shape[0] * shape[1] * shape[2] <= ON_DEVICE
            self.sums = torch.zeros(shape, device=given.device if fits else "cpu")
        inside = given[:, _cut(row), _cut(column)].to(self.sums.device)
        weights = row.weights[:, None] * (column.weights / self.versions)
        place = self.sums[:, row.first - self.top : row.stop - self.top, column.first : column.stop]
        place.addcmul_(inside, weights.to(self.sums.device))

    def move(self, until: int) -> tuple[Tensor, int]:
        """Move the strip down to row ``until``; return the rows (K, h, W) above, which are done, and the first."""
        begin, rows = self.top, until - self.top
        done = self.sums[:, :rows].to("cpu", copy=True)
        kept = self.sums[:, rows:].clone()
        self.sums[:, : kept.shape[1]] = kept
        self.sums[:, kept.shape[1] :] = 0
        self.top = until
        return done, begin


class Rows:
    """The output of `predict`, to which finished rows are written.

    Args:
        out: Array of the output's shape, or None to create one.
        output: "probabilities", "logits" or "classes".
        sides: Height and width of what the network sees.
        full: Height and width of the image.
        factor: Pixels of the image to one of the network.
        later: Called with a function and its arguments to call, now or later.

    Attributes:
        out: The array.
    """

    def __init__(
        self,
        out: Any,
        output: Output,
        sides: tuple[int, int],
        full: tuple[int, ...],
        factor: int,
        later: Callable[..., None],
    ) -> None:
        self.out, self.output, self.sides, self.full, self.factor = out, output, sides, full, factor
        self.later = later

    def write(self, values: Tensor, top: int) -> None:
        """Write finished rows (K, h, W).

        Raises:
            UnetzooError: If ``out`` has another shape.
        """
        self._check(values.shape[0])
        values, top = self._enlarged(values, top)
        if self.output == "classes":
            values = most_probable(values).to(torch.uint8 if values.shape[0] <= 256 else torch.int32)
        rows: Any = values if isinstance(self.out, Tensor) else values.numpy()
        self.later(self.out.__setitem__, (..., slice(top, top + values.shape[-2]), slice(None)), rows)

    def _check(self, classes: int) -> None:
        shape = self.full if self.output == "classes" else (classes, *self.full)
        if self.out is None:
            dtype = np.float32 if self.output != "classes" else np.uint8 if classes <= 256 else np.int32
            self.out = np.empty(shape, dtype)
        elif tuple(self.out.shape) != tuple(shape):
            raise UnetzooError(
                f"out has shape {tuple(self.out.shape)}, but {self.output} of this image have {tuple(shape)}"
            )

    def _enlarged(self, values: Tensor, top: int) -> tuple[Tensor, int]:
        """Return finished rows (K, h, W) in the image's own size, and the first of them.

        Each pixel becomes a block; pixels beyond the last complete block take its values.
        """
        factor = self.factor
        if factor == 1:
            return values, top
        bottom = top + values.shape[-2]
        last = self.full[0] if bottom == self.sides[0] else bottom * factor
        rows = torch.arange(top * factor, last).div(factor, rounding_mode="floor").clamp(max=self.sides[0] - 1) - top
        columns = torch.arange(self.full[1]).div(factor, rounding_mode="floor").clamp(max=self.sides[1] - 1)
        return values.index_select(-2, rows).index_select(-1, columns), top * factor


def most_probable(probabilities: Tensor) -> Tensor:
    """Return the class indices (H, W) of probabilities (K, H, W); if K = 1, p > 0.5 as bool."""
    return probabilities.argmax(dim=0) if len(probabilities) > 1 else probabilities[0] > 0.5


def _cut(tile: Tile) -> slice:
    return slice(tile.first - tile.start, tile.stop - tile.start)
