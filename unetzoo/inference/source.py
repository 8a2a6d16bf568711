"""An image that is read window by window and continues beyond its borders by mirroring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unetzoo.errors import UnetzooError
from unetzoo.nn.sizes import mirrored

SCALES = {"bool": 1, "uint8": 255, "uint16": 65535}


def checked_shape(image: Any) -> tuple[int, ...]:
    """Return the shape of an image.

    Args:
        image: An array, a tensor, or anything that is sliced like one.

    Raises:
        UnetzooError: If it is not (H, W) or (C, H, W), or a side is 0.
    """
    shape: tuple[int, ...] = tuple(getattr(image, "shape", ()))
    if len(shape) not in (2, 3) or 0 in shape:
        raise UnetzooError(
            f"the image is {shape or type(image).__name__}, but must be (H, W) or (C, H, W) with no side 0"
        )
    return shape


class Source:
    """An image from which `window` reads parts.

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

    def window(self, top: int, left: int, height: int, width: int) -> Tensor:
        """Read a window as float32 (1, C, height, width), normalised; any part of it may lie outside the image."""
        rows, columns = mirrored(top, top + height, self.sides[0]), mirrored(left, left + width, self.sides[1])
        first_row, first_column = int(rows.min()), int(columns.min())
        part = self.image[..., first_row : int(rows.max()) + 1, first_column : int(columns.max()) + 1]
        if not isinstance(part, Tensor):
            part = torch.from_numpy(np.array(part, dtype=np.float32))
        part = part.to(self.device, torch.float32)
        rows, columns = (rows - first_row).to(self.device), (columns - first_column).to(self.device)
        pixels = part.index_select(-2, rows).index_select(-1, columns).reshape(self.channels, height, width)
        if self.scale != 1:
            pixels = pixels / self.scale
        return (self.normalize(pixels) if self.normalize else pixels)[None]
