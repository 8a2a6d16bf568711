"""Where tiles lie along one side of an image, and with which weight each of their pixels counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from unetzoo.errors import UnetzooError
from unetzoo.nn.sizes import ValidSizes


@dataclass(frozen=True)
class Tile:
    """One side of a tile: the network gives the pixels ``start`` to ``start + size`` of the image.

    For that it reads ``context`` pixels more before and after. ``weights`` (stop - first,) are for the pixels
    ``first`` to ``stop``, which lie inside the image; over all tiles they sum to 1 at each pixel.
    """

    start: int
    size: int
    context: int
    first: int
    weights: Tensor

    @property
    def stop(self) -> int:
        return self.first + len(self.weights)


def padded_tiles(side: int, tile: int, overlap: int) -> list[Tile]:
    """Tiles of a network that keeps the size, blended by a Gaussian with sigma = tile / 8 (Isensee et al. 2021,
    doi 10.1038/s41592-020-01008-z): what lies near a tile's border, where context is missing, counts little.

    Neighbours share ``overlap`` pixels, the last two more where the side asks for it. An image smaller than the
    tile is one tile of its own size.
    """
    tile = min(tile, side)
    starts = [*range(0, side - tile, max(1, tile - overlap)), side - tile]
    offset = np.arange(tile) - (tile - 1) / 2
    gaussian = np.exp(-0.5 * (offset / (tile / 8)) ** 2)
    return _normalised([(start, gaussian) for start in starts], side, tile, 0)


def valid_tiles(sizes: ValidSizes, side: int, tile: int, overlap: int, discard: int) -> list[Tile]:
    """Tiles of a network of valid convolutions, each pixel from one tile alone (arXiv 1505.04597, figure 2).

    Tiles start at multiples of ``2**(depth - 1)`` from where the whole image's output would start: pooling then
    pairs the same pixels, and the values are those of the whole image. ``tile`` is rounded up to an output that
    the network can give. ``overlap`` pixels at least are computed twice; ``discard`` pixels at each border of a
    tile's output are thrown away.
    """
    step = 2 ** (sizes.depth - 1)
    whole = sizes.output(sizes.input(side)) or 0
    origin = -((whole - side) // 2)  # SameSize cuts the output's centre: the phase of pooling depends on it
    reach = min(tile, side - origin) + 2 * discard
    source = sizes.input(reach)
    size = sizes.output(source) or 0
    stride = (size - 2 * discard - overlap) // step * step
    if stride < 1:
        if size - 2 * discard < side - origin:
            least = step + overlap
            raise UnetzooError(f"tile = {tile} with overlap = {overlap} is too small: this network needs {least} px")
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
        weights[: reached - start] = 0  # what the tile before gave already
        placed.append((start, weights))
        reached = start + size - discard
    return _normalised(placed, side, size, (source - size) // 2)


def border_effect(network: nn.Module, sizes: ValidSizes) -> int:
    """Pixels at the border of a valid network's output that depend on where its input was cut.

    None with 2x2 transposed convolutions or nearest neighbours. Bilinear interpolation repeats its border pixel
    and a padded 3x3 convolution (pixel shuffle) sees zeros: what is wrong grows from c to 2c + 2 pixels a level
    at most, 2**depth - 2 in all. Rounded to a multiple of 2**(depth - 1).
    """
    for module in network.modules():
        padding = module.padding if isinstance(module, nn.Conv2d) else 0
        padded = any(padding) if isinstance(padding, tuple) else bool(padding)
        if padded or getattr(module, "mode", None) == "bilinear":
            return 2**sizes.depth
    return 0


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
