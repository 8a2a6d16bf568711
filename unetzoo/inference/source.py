"""An image that is read window by window and continues beyond its borders by mirroring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unetzoo.errors import UnetzooError, one_line, shown
from unetzoo.nn.sizes import mirrored

SCALES = {"bool": 1, "uint8": 255, "uint16": 65535}


def checked_shape(image: Any) -> tuple[int, ...]:
    """Return the shape of an image.

    Args:
        image: An array, a tensor, or anything that is sliced like one.

    Raises:
        UnetzooError: If it is not (H, W) or (C, H, W), or a side is 0.
    """
    given = getattr(image, "shape", ())
    shape: tuple[int, ...] = tuple(given) if isinstance(given, tuple) and hasattr(image, "dtype") else ()
    if len(shape) not in (2, 3) or 0 in shape:
        raise UnetzooError(f"the image is {shape or shown(image)}, but must be (H, W) or (C, H, W) with no side 0")
    return shape


class Region(NamedTuple):
    """A part of an image; any of it may lie outside."""

    top: int
    left: int
    height: int
    width: int

    def sides(self, image: tuple[int, int]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Return (start, stop, size of the image) of the rows and of the columns."""
        return (self.top, self.top + self.height, image[0]), (self.left, self.left + self.width, image[1])


def _bounds(start: int, stop: int, size: int) -> slice:
    """Return the pixels of a side that ``start`` to ``stop`` need, mirrored at its ends."""
    if start >= 0 and stop <= size:
        return slice(start, stop)
    places = mirrored(start, stop, size)
    return slice(int(places.min()), int(places.max()) + 1)


class Source:
    """An image of which parts are read.

    Args:
        image: Image (H, W) or (C, H, W), or anything that is sliced like one.
        device: Device of the windows.
        normalize: Function applied to each window, float32 (C, h, w).
        channels: Channels that the model takes; None if not known.

    Raises:
        UnetzooError: If the image has another shape, pixel type or number of channels.
    """

    def __init__(
        self, image: Any, device: torch.device, normalize: Callable[[Tensor], Tensor] | None, channels: int | None
    ) -> None:
        shape = checked_shape(image)
        self.channels = shape[0] if len(shape) == 3 else 1
        if channels is not None and channels != self.channels:
            last = f"; it looks like (H, W, {channels})" if len(shape) == 3 and shape[-1] == channels else ""
            raise UnetzooError(f"the model takes {channels} channels, but the image {shape} has {self.channels}{last}")
        kind = getattr(image.dtype, "name", None) or str(image.dtype).removeprefix("torch.")
        if kind not in SCALES and not kind.startswith(("float", "bfloat")):
            raise UnetzooError(f"pixels of type {kind} are not supported; allowed: bool, 8- and 16-bit unsigned, float")
        self.scale = SCALES.get(kind, 1)
        self.image, self.device, self.normalize = image, device, normalize
        self.sides: tuple[int, int] = (image.shape[-2], image.shape[-1])

    def window(self, region: Region) -> Tensor:
        """Read a region as float32 (1, C, height, width), normalised."""
        return self.pixels(region, self.read(region))

    def read(self, region: Region) -> Any:
        """Read the pixels that a region needs; with NumPy alone, so that a thread which reads starts no others."""
        rows, columns = (_bounds(*side) for side in region.sides(self.sides))
        part = self.image[..., rows, columns]
        return part if isinstance(part, Tensor) else np.array(part, dtype=np.float32)

    def pixels(self, region: Region, part: Any) -> Tensor:
        """Return what `read` found as float32 (1, C, height, width), mirrored at the image's borders and normalised."""
        part = part if isinstance(part, Tensor) else torch.from_numpy(part)
        part = part.to(self.device, torch.float32).reshape(self.channels, *part.shape[-2:])
        for dim, (start, stop, size) in zip((-2, -1), region.sides(self.sides), strict=True):
            if start < 0 or stop > size:
                places = mirrored(start, stop, size)
                part = part.index_select(dim, (places - places.min()).to(self.device))
        if self.scale != 1:
            part = part / self.scale
        return (self._normalized(part) if self.normalize else part)[None]

    def _normalized(self, pixels: Tensor) -> Tensor:
        assert self.normalize is not None
        try:
            found = self.normalize(pixels)
        except UnetzooError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise UnetzooError(f"normalize: fails on a tile {tuple(pixels.shape)} ({one_line(error)})") from error
        if not isinstance(found, Tensor) or found.shape != pixels.shape:
            raise UnetzooError(f"normalize: gives {shown(found)} for a tile {tuple(pixels.shape)}; the shape must stay")
        return found
