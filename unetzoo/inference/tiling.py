"""The tiles of an image, along its rows and columns, for one network."""

from __future__ import annotations

from torch import nn

from unetzoo.inference.tiles import Tile, padded_tiles, valid_tiles
from unetzoo.inference.tta import Window
from unetzoo.nn.sizes import SameSize, ValidSizes, border_effect

PROBE = 128  # side in px of the window that a precision is measured with


class Tiling:
    """The tiles of an image.

    Args:
        model: The network.
        sides: Height and width of the image.
        tile: As for `predict`.
        overlap: As for `predict`.

    Attributes:
        sizes: Sizes of a network of valid convolutions; None for one that keeps the size.
        rows: Tiles along the rows.
        columns: Tiles along the columns.

    Raises:
        UnetzooError: If the tile is too small for the network.
    """

    def __init__(
        self, model: nn.Module, sides: tuple[int, int], tile: int | tuple[int, int] | None, overlap: int | None
    ) -> None:
        self.network = model.network if isinstance(model, SameSize) else model
        sizes = getattr(self.network, "sizes", None)
        self.sizes = sizes if isinstance(sizes, ValidSizes) else None
        self.sides = sides
        self.tile = sides if tile is None else (tile, tile) if isinstance(tile, int) else tile
        self.rows, self.columns = self._tiles(self.tile, overlap)

    def probes(self) -> list[Window]:
        """Return windows to measure a precision with: a small one in the middle of the image, and the first tile."""
        small = (min(self.tile[0], PROBE), min(self.tile[1], PROBE))
        rows, columns = self._tiles(small, 0)
        middle = window_of(rows[len(rows) // 2], columns[len(columns) // 2])
        return [middle, window_of(self.rows[0], self.columns[0])]

    def _tiles(self, tile: tuple[int, int], overlap: int | None) -> tuple[list[Tile], list[Tile]]:
        """Return the tiles along the rows and along the columns."""
        sides = zip(self.sides, tile, strict=True)
        if self.sizes is None:
            both = [padded_tiles(n, t, t // 4 if overlap is None else overlap) for n, t in sides]
        else:
            discard = border_effect(self.network, self.sizes)
            both = [valid_tiles(self.sizes, n, t, overlap or 0, discard) for n, t in sides]
        return both[0], both[1]


def window_of(row: Tile, column: Tile) -> Window:
    """Return the window where a row and a column of tiles cross."""
    return Window(row.start, column.start, row.size, column.size, row.context, column.context)
