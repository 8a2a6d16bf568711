"""Decoding PNG, JPEG, WebP, BMP, GIF and PPM files, most of it by Pillow."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unetzoo.data.folders.stored import Stored, check_claim, with_every_entry
from unetzoo.errors import UnetzooError

PLAIN_MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "I", "F", "I;16", "I;16B", "I;16L")
TRUE_COLOUR_16 = {(16, 2): "RGB", (16, 4): "LA", (16, 6): "RGBA"}  # depth and colour type of PNG: Pillow keeps 8 bits


def decode_pillow(path: Path, page: int | None, kind: str) -> Stored:
    """Decode a file that holds one image.

    Args:
        path: The file.
        page: Page to read; there is only page 0.
        kind: Format of the file, as Pillow calls it.

    Raises:
        UnetzooError: If the file holds several frames, or claims more pixels than it can hold.
    """
    if page not in (None, 0):
        raise UnetzooError(f"{path}: there is no page {page}; a {kind} file holds one image")
    with Image.open(path, formats=[kind.upper()]) as file:
        if kind != "JPEG" and (frames := getattr(file, "n_frames", 1)) > 1:  # a phone's JPEG may have a small copy
            raise UnetzooError(f"{path}: an animation of {frames} frames; a {kind} must hold one image")
        check_claim(path, file.width * file.height, path.stat().st_size)
        orientation = file.getexif().get(0x0112, 1)
        depth, colour = _png_header(path) if kind == "PNG" else (0, 0)
        palette = None
        if (depth, colour) in TRUE_COLOUR_16:
            mode = TRUE_COLOUR_16[depth, colour]
            pixels = _png16(path)[..., : len(mode)]  # a transparent colour is no alpha channel
        else:
            image = file if file.mode in PLAIN_MODES else file.convert("RGB")
            mode = image.mode
            pixels = np.asarray(image)
            palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3) if mode == "P" else None
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if mode == "L" and depth in (2, 4):
        pixels = pixels // (255 // (2**depth - 1))  # undo how Pillow spreads them over 0 to 255
    if mode == "I" and kind in ("PNG", "PPM"):
        pixels = pixels.astype(np.uint16)  # 16 bits, which Pillow hands out as 32
    alpha = pixels[-1] if mode in ("LA", "RGBA") else None
    bits = depth or (1 if pixels.dtype == bool else 8 * pixels.dtype.itemsize)
    lossy = kind == "JPEG" or (kind == "WebP" and _webp_is_lossy(path))
    colours = pixels if alpha is None else pixels[:-1]
    return Stored(colours, kind, bits, with_every_entry(palette, pixels), alpha, orientation, lossy)


def _png_header(path: Path) -> tuple[int, int]:
    """Return bit depth and colour type."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[24], head[25]


def _png16(path: Path) -> np.ndarray:
    """Return the pixels (H, W, C), uint16, decoded by torchvision because Pillow reduces them to 8 bits."""
    import torch
    from torchvision.io import ImageReadMode, decode_image

    data: Any = torch.from_numpy(np.fromfile(path, dtype=np.uint8))
    return decode_image(data, mode=ImageReadMode.UNCHANGED).numpy().transpose(1, 2, 0)


def _webp_is_lossy(path: Path) -> bool:
    """Return True if the image of a WebP is in a chunk "VP8 ", not "VP8L"."""
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name in (b"VP8 ", b"VP8L"):
                return name == b"VP8 "
            file.seek(length + length % 2, 1)
    return False
