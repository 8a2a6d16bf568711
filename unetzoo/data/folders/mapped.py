"""Pixels that stay in their file until a part of them is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from unetzoo.data.folders.files import file_kind

CHANNEL_AXES = "SC"  # tifffile's names for samples and channels


@dataclass(frozen=True)
class Mapped:
    """Pixels (pages, C, H, W) of an uncompressed TIFF; slicing reads that part, and nothing stays in memory.

    Attributes:
        path: The file.
        dtype: Number type of the pixels, with its byte order.
        offset: Position of the first pixel in the file.
        stored: Shape of the pixels in the file.
        order: Order in which the axes of the file are transposed.
        new: Axes of length 1 that are added to those.
        part: Index into the four axes that is applied first.
    """

    path: Path
    dtype: np.dtype
    offset: int
    stored: tuple[int, ...]
    order: tuple[int, ...]
    new: tuple[int, ...]
    part: tuple[slice | int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the part."""
        return self._open().shape

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.array(self._open()[index])

    def _open(self) -> np.ndarray:
        pixels = np.memmap(self.path, self.dtype, "r", self.offset, self.stored)
        return np.expand_dims(pixels.transpose(self.order), self.new)[self.part]


def map_tiff(path: Path) -> Mapped | None:
    """Return the pixels of an uncompressed TIFF; None if `read_stored` has to decode, rotate or look up colours."""
    if file_kind(path) != "TIFF":
        return None
    try:
        with tifffile.TiffFile(path) as file:
            (series,) = file.series
            key, axes = series.keyframe, series.axes
            if series.dataoffset is None or key.photometric.name not in ("MINISBLACK", "RGB"):
                return None
            if key.extrasamples and any(int(extra) in (1, 2) for extra in key.extrasamples):  # an alpha channel
                return None
            if (key.tags.valueof("Orientation") or 1) != 1:
                return None
            dtype = np.dtype(file.byteorder + series.dtype.char)
            offset, shape = series.dataoffset, series.shape
        if offset + math.prod(shape) * dtype.itemsize > path.stat().st_size:
            return None
    except Exception:  # `read_stored` will report it
        return None
    if dtype.kind not in "buif" or 0 in shape:
        return None
    channels = [i for i, a in enumerate(axes) if a in CHANNEL_AXES]
    pages = [i for i, a in enumerate(axes) if a not in "YX" + CHANNEL_AXES]
    if not {"Y", "X"} <= set(axes) or len(channels) > 1 or len(pages) > 1:
        return None
    order = (*pages, *channels, axes.index("Y"), axes.index("X"))
    new = (*(() if pages else (0,)), *(() if channels else (1,)))
    return Mapped(path, dtype, offset, shape, order, new)
