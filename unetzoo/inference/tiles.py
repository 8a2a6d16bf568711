"""Tiles along one side of an image: their positions, and the weight of each of their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unetzoo.errors import UnetzooError
from unetzoo.nn.sizes import ValidSizes


@dataclass(frozen=True)
class Tile:
    """One side of a tile.

    Attributes:
        start: First pixel of the image that the network outputs; may lie outside the image.
        size: Pixels that the network outputs.
        context: Pixels that it reads beyond those, on each side.
        first: First pixel inside the image that is used.
        weights: Weights (stop - first,) of the pixels ``first`` to ``stop``; over all tiles they sum to 1 at each
            pixel.
    """

    start: int
    size: int
    context: int
    first: int
    weights: Tensor

    @property
    def stop(self) -> int:
        """End of the pixels that are used, exclusive."""
        return self.first + len(self.weights)


def padded_tiles(side: int, tile: int, overlap: int) -> list[Tile]:
    """Return the tiles of a network that keeps the size.

    They are blended by a Gaussian with sigma = tile / 8, so that pixels near a tile's border, where context is missing,
    count little. An image smaller than a tile is one tile of its own size.

    Args:
        side: Side of the image in px.
        tile: Side of a tile in px.
        overlap: Pixels that neighbours share; the last two share more if the side requires it.

    Returns:
        The tiles from first to last.

    References:
        Isensee et al. 2021, doi 10.1038/s41592-020-01008-z
    """
    tile = min(tile, side)
    starts = [*range(0, side - tile, max(1, tile - overlap)), side - tile]
    offset = np.arange(tile) - (tile - 1) / 2
    gaussian = np.exp(-0.5 * (offset / (tile / 8)) ** 2)
    return _normalised([(start, gaussian) for start in starts], side, tile, 0)


def valid_tiles(sizes: ValidSizes, side: int, tile: int, overlap: int, discard: int) -> list[Tile]:
    """Return the tiles of a network of valid convolutions; each pixel comes from one tile alone.

    Tiles start at multiples of ``2**(depth - 1)`` from where the whole image's output would start. Pooling then pairs
    the same pixels, and the values are those of the whole image.

    Args:
        sizes: Sizes of the network's inputs and outputs.
        side: Side of the image in px.
        tile: Side of a tile in px, rounded up to an output that the network can give.
        overlap: Pixels that neighbours both compute, at least.
        discard: Pixels at each border of a tile's output that are not used.

    Returns:
        The tiles from first to last.

    Raises:
        UnetzooError: If the tile is too small for the network.

    References:
        Ronneberger et al. 2015, arXiv 1505.04597, figure 2
    """
    step = 2 ** (sizes.depth - 1)
    whole = sizes.output(sizes.input(side)) or 0
    origin = -((whole - side) // 2)  # SameSize takes the centre of the output, which decides the phase of pooling
    reach = min(tile, side - origin) + 2 * discard
    source = sizes.input(reach)
    size = sizes.output(source) or 0
    stride = (size - 2 * discard - overlap) // step * step
    if stride < 1:
        if size - 2 * discard < side - origin:
            least = step + overlap
            raise UnetzooError(
                f"tile = {tile} with overlap = {overlap} is too small; this network needs at least {least} px"
            )
        stride = size
    kept = np.zeros(size)
    kept[discard : size - discard] = 1
    starts = range(origin - discard, side, stride)
    placed: list[tuple[int, np.ndarray]] = []
    reached = origin
    for start in starts:
        if reached >= side:
            break
        weights = kept.copy()
        weights[: reached - start] = 0  # pixels that the previous tile provides
        placed.append((start, weights))
        reached = start + size - discard
    return _normalised(placed, side, size, (source - size) // 2)


def _normalised(placed: list[tuple[int, np.ndarray]], side: int, size: int, context: int) -> list[Tile]:
    total = np.zeros(side)
    inside = []
    for start, weights in placed:
        first, stop = max(0, start), min(side, start + size)
        inside.append((start, first, weights[first - start : stop - start]))
        total[first:stop] += inside[-1][2]
    return [
        Tile(start, size, context, first, torch.from_numpy(w / total[first : first + len(w)]).float())
        for start, first, w in inside
    ]
