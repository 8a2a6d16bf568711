"""An image as it is stored in a file, and the limits within which files are decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetzoo.errors import UnetzooError

MOST_PIXELS = 89_478_485  # per image; Pillow's own limit against decompression bombs
MOST_NUMBERS = 2**31  # per array that is decoded at once
MOST_BYTES = 2**30  # per image that is decompressed at once
MOST_PER_BYTE = 4000  # pixels that a byte of a file can stand for: deflate reaches 1,032, GIF's LZW about 2,700
MOST_CHANNELS = 64  # the last axis of an array holds channels up to this size, the first one up to 4


@dataclass(frozen=True)
class Stored:
    """An image as stored, turned upright according to its EXIF orientation.

    Attributes:
        pixels: Pixels (C, H, W) without alpha, bool if they are 1-bit; for a palette image C = 1, and they are indices.
        format: Format of the file, such as "PNG".
        bits: Bits of one stored number.
        palette: Colours (N, 3), uint8, of a palette image.
        alpha: Alpha channel (H, W), if there is one.
        orientation: EXIF orientation, 1 to 8.
        lossy: True if the compression is lossy.
    """

    pixels: np.ndarray
    format: str
    bits: int
    palette: np.ndarray | None = None
    alpha: np.ndarray | None = None
    orientation: int = 1
    lossy: bool = False

    @property
    def grey(self) -> bool:
        """True if all channels are equal."""
        return bool((self.pixels == self.pixels[:1]).all())

    def colours(self) -> np.ndarray:
        """Return the pixels (C, H, W), those of a palette image as RGB."""
        if self.palette is None:
            return self.pixels
        return self.palette[self.pixels[0]].transpose(2, 0, 1)

    def rgb(self, path: Path) -> np.ndarray:
        """Return the pixels as RGB (3, H, W), uint8.

        Args:
            path: File to name in an error.

        Raises:
            UnetzooError: If the pixels are not 8-bit colours.
        """
        pixels = self.colours()
        if pixels.dtype != np.uint8 or len(pixels) not in (1, 3):
            raise UnetzooError(
                f"{path}: has {len(pixels)} channels of {pixels.dtype}; a mask of colours must be 8-bit RGB or a "
                "palette image"
            )
        return np.broadcast_to(pixels, (3, *pixels.shape[1:]))


def check_claim(path: Path, pixels: int, held: int) -> None:
    """Check that the size in a header is possible, before memory is taken for it.

    Args:
        path: File to name in an error.
        pixels: Pixels that the header claims.
        held: Bytes of the file.

    Raises:
        UnetzooError: If there are many pixels, and more than a file of this length can hold.
    """
    if pixels > MOST_PIXELS // 8 and pixels > MOST_PER_BYTE * held:
        raise UnetzooError(f"{path}: its header claims {pixels:,} pixels, but the file has only {held:,} bytes")


def page_index(path: Path, page: int | None, count: int, shape: str = "") -> int:
    """Return the index of the page to read.

    Args:
        path: File to name in an error.
        page: Page that is asked for, from 0; None if the file is expected to hold one image.
        count: Pages in the file.
        shape: Words about the shape of the file, for an error.

    Raises:
        UnetzooError: If there is no such page, or none is given and there are several.
    """
    if page is None and count > 1:
        raise UnetzooError(
            f"{path}: a stack of {count} pages where one image is expected{shape}; split it into single images"
        )
    if page is not None and page >= count:
        raise UnetzooError(f"{path}: there is no page {page}; it has {count} pages, counted from 0")
    return page or 0


def with_every_entry(palette: np.ndarray | None, indices: np.ndarray) -> np.ndarray | None:
    """Return a palette with an entry for every index, black where the file has none."""
    if palette is None or indices.max(initial=0) < len(palette):
        return palette
    return np.concatenate([palette, np.zeros((int(indices.max()) + 1 - len(palette), 3), np.uint8)])
