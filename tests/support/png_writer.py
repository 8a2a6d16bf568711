"""Writers of odd PNG and BMP files that follow the specifications, independent of any reader."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def write_png(
    path: Path,
    pixels: np.ndarray,
    depth: int,
    colour: int,
    *,
    interlaced: bool = False,
    palette: np.ndarray | None = None,
    transparent: bytes = b"",
) -> None:
    """Write numbers (H, W, C) with a bit depth and a colour type."""
    height, width, _ = pixels.shape
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    data = b""
    for top, left, down, right in passes:
        part = pixels[top::down, left::right]
        if part.size:
            data += b"".join(b"\0" + row for row in _rows(part, depth))  # each without a filter
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced)))]
    if palette is not None:
        chunks.append((b"PLTE", palette.astype(np.uint8).tobytes()))
    if transparent:
        chunks.append((b"tRNS", transparent))
    chunks += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def write_bmp(path: Path, pixels: np.ndarray, bits: int, palette: np.ndarray | None, *, top_down: bool) -> None:
    """Write indices (H, W, 1) of 1, 4 or 8 bits, or colours (H, W, 3) of 24 or 32 bits."""
    height, width, _ = pixels.shape
    rows = pixels if top_down else pixels[::-1]
    if bits <= 8:
        lines = _rows(rows, bits)
    else:
        bgr = rows[..., ::-1]
        full = bgr if bits == 24 else np.concatenate([bgr, np.zeros((height, width, 1), np.uint8)], axis=2)
        lines = [row.tobytes() for row in full.astype(np.uint8)]
    data = b"".join(line + b"\0" * (-len(line) % 4) for line in lines)
    table = b"".join(bytes([blue, green, red, 0]) for red, green, blue in (palette if palette is not None else ()))
    start = 14 + 40 + len(table)
    head = struct.pack("<IiiHHIIiiII", 40, width, -height if top_down else height, 1, bits, 0, len(data), 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + table + data)


def _rows(pixels: np.ndarray, depth: int) -> list[bytes]:
    height = len(pixels)
    if depth >= 8:
        return [row.astype(f">u{depth // 8}").tobytes() for row in pixels]
    digits = (pixels.reshape(height, -1)[..., None] >> np.arange(depth - 1, -1, -1) & 1).astype(np.uint8)
    return [row.tobytes() for row in np.packbits(digits.reshape(height, -1), axis=1)]
