"""A writer of odd TIFF files that follows the specification, TIFF 6.0, and is independent of any reader."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

COMPRESSIONS = {"none": 1, "ccitt_rle": 2, "ccitt_g3": 3, "ccitt_g4": 4, "lzw": 5, "deflate": 8, "packbits": 32773}
COMPRESSIONS |= {"zstd": 50000}
FAX = {"ccitt_rle": "tiff_ccitt", "ccitt_g3": "group3", "ccitt_g4": "group4"}  # Pillow's names
PHOTOMETRICS = {"white": 0, "black": 1, "rgb": 2, "palette": 3, "cmyk": 5}
FORMATS = {"u": 1, "i": 2, "f": 3}
ROWS, TILE = 7, 16


@dataclass(frozen=True)
class Odd:
    """A way to store an image in a TIFF.

    Attributes:
        photometric: "white" (0 is white), "black", "rgb", "palette" or "cmyk".
        compression: A key of ``COMPRESSIONS``.
        kind: "u", "i" or "f".
        bits: Bits of a number.
        planar: Store the channels one after the other.
        tiled: Store tiles of 16x16, not strips of 7 rows.
        predictor: 1 for none, 2 for differences of neighbours, 3 for floats.
        order: Byte order, "<" or ">".
        fill: 1 if a byte's first pixel is its highest bit, 2 if it is its lowest.
        extra: Extra samples: 0 for unspecified, 1 and 2 for alpha.
    """

    photometric: str
    compression: str
    kind: str
    bits: int
    planar: bool = False
    tiled: bool = False
    predictor: int = 1
    order: str = "<"
    fill: int = 1
    extra: tuple[int, ...] = field(default=())

    @property
    def samples(self) -> int:
        """Numbers of a pixel."""
        return {"rgb": 3, "cmyk": 4}.get(self.photometric, 1) + len(self.extra)

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers in memory."""
        return np.dtype(f"{self.kind}{next(n for n in (8, 16, 32, 64) if n >= self.bits) // 8}")

    def __str__(self) -> str:
        words = [self.photometric, f"{self.bits}{self.kind}", self.compression, *("planar",) * self.planar]
        words += ["tiled"] * self.tiled + [f"predictor{self.predictor}"] * (self.predictor > 1)
        words += ["big"] * (self.order == ">") + ["fill2"] * (self.fill == 2) + [f"extra{e}" for e in self.extra]
        return "-".join(words)


def odd_tiffs() -> Iterator[Odd]:
    """Yield every combination that the format allows."""
    depths = {
        "black": [("u", b) for b in (1, 2, 4, 8, 12, 16, 32)] + [("i", b) for b in (8, 16, 32)],
        "white": [("u", b) for b in (1, 2, 4, 8, 12, 16, 32)] + [("i", 16), ("f", 32)],
        "rgb": [("u", 8), ("u", 16), ("f", 32)],
        "palette": [("u", b) for b in (1, 2, 4, 8)],
        "cmyk": [("u", 8), ("u", 16)],
    }
    depths["black"] += [("f", 16), ("f", 32), ("f", 64)]
    flags = (False, True)
    for photometric, kinds in depths.items():
        for (kind, bits), compression, tiled, order in itertools.product(kinds, COMPRESSIONS, flags, "<>"):
            if compression.startswith("ccitt") and (bits != 1 or photometric == "palette"):
                continue
            for planar in flags if photometric in ("rgb", "cmyk") else (False,):
                for predictor in (1, 2, 3):
                    if predictor > 1 and compression not in ("lzw", "deflate", "zstd"):
                        continue
                    if predictor == 2 and not (kind in "ui" and bits in (8, 16, 32) and photometric != "palette"):
                        continue
                    if predictor == 3 and (kind != "f" or bits == 16):
                        continue
                    for fill in (1, 2) if bits == 1 and not tiled else (1,):
                        yield Odd(photometric, compression, kind, bits, planar, tiled, predictor, order, fill)
    for photometric, extra, compression, planar in itertools.product(
        ("black", "white", "rgb"), ((0,), (1,), (2,), (2, 0)), ("none", "lzw", "deflate"), flags
    ):
        yield Odd(photometric, compression, "u", 8, planar, extra=extra)


def write_odd(path: Path, stored: np.ndarray, odd: Odd, colours: np.ndarray | None = None) -> None:
    """Write numbers (H, W, S) as they are to be stored, and the colours (N, 3), uint8, of a palette."""
    height, width, samples = stored.shape
    planes = [stored[..., i : i + 1] for i in range(samples)] if odd.planar else [stored]
    blocks = [block for plane in planes for block in (_tiles(plane) if odd.tiled else _strips(plane))]
    data = [_packed(block, odd) for block in blocks]
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [odd.bits] * samples),
        259: ("H", [COMPRESSIONS[odd.compression]]),
        262: ("H", [PHOTOMETRICS[odd.photometric]]),
        266: ("H", [odd.fill]),
        277: ("H", [samples]),
        284: ("H", [2 if odd.planar else 1]),
        317: ("H", [odd.predictor]),
        339: ("H", [FORMATS[odd.kind]] * samples),
    }
    if odd.extra:
        tags[338] = "H", list(odd.extra)
    if colours is not None:
        table = np.zeros((2**odd.bits, 3), np.uint16)
        table[: len(colours)] = colours.astype(np.uint16) * 257
        tags[320] = "H", table.T.ravel().tolist()
    if odd.tiled:
        tags |= {322: ("I", [TILE]), 323: ("I", [TILE])}
    else:
        tags[278] = "I", [ROWS]
    _write(path, tags, data, (324, 325) if odd.tiled else (273, 279), odd.order)


def _write(path: Path, tags: dict[int, tuple[str, list[int]]], data: list[bytes], at: tuple[int, int], o: str) -> None:
    offsets = [8 + sum(map(len, data[:i])) for i in range(len(data))]
    tags |= {at[0]: ("I", offsets), at[1]: ("I", [len(d) for d in data])}
    start = 8 + sum(map(len, data))
    start += start % 2
    body, late = b"", b""
    free = start + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        content = struct.pack(f"{o}{len(values)}{kind}", *values)
        if len(content) > 4:
            content, late = struct.pack(f"{o}I", free + len(late)), late + content + b"\0" * (len(content) % 2)
        body += struct.pack(f"{o}HHI", tag, {"H": 3, "I": 4}[kind], len(values)) + content.ljust(4, b"\0")
    head = (b"II" if o == "<" else b"MM") + struct.pack(f"{o}HI", 42, start)
    whole = (head + b"".join(data)).ljust(start, b"\0")
    path.write_bytes(whole + struct.pack(f"{o}H", len(tags)) + body + b"\0" * 4 + late)


def _strips(plane: np.ndarray) -> list[np.ndarray]:
    return [plane[top : top + ROWS] for top in range(0, len(plane), ROWS)]


def _tiles(plane: np.ndarray) -> list[np.ndarray]:
    height, width, _ = plane.shape
    full = np.pad(plane, ((0, -height % TILE), (0, -width % TILE), (0, 0)), mode="edge")
    return [full[y : y + TILE, x : x + TILE] for y in range(0, len(full), TILE) for x in range(0, full.shape[1], TILE)]


def _packed(block: np.ndarray, odd: Odd) -> bytes:
    """Return the bytes of a strip or a tile (h, w, S)."""
    import imagecodecs

    height, width, samples = block.shape
    if odd.predictor == 2:
        block = np.concatenate([block[:, :1], block[:, 1:] - block[:, :-1]], axis=1)  # wraps around
    if odd.predictor == 3:
        numbers = block.astype(f">f{odd.bits // 8}").reshape(height, -1)
        planes = numbers.view(np.uint8).reshape(height, width * samples, -1).transpose(0, 2, 1).reshape(height, -1)
        planes[:, samples:] = planes[:, samples:] - planes[:, :-samples].copy()
        rows = [row.tobytes() for row in planes]
    elif odd.bits % 8:
        numbers = block.astype(np.uint16).reshape(height, -1)
        digits = (numbers[..., None] >> np.arange(odd.bits - 1, -1, -1, dtype=np.uint16) & 1).astype(np.uint8)
        rows = [row.tobytes() for row in np.packbits(digits.reshape(height, -1), axis=1)]
    else:
        rows = [row.astype(odd.dtype.newbyteorder(odd.order)).tobytes() for row in block.reshape(height, -1)]
    data = b"".join(rows)
    if odd.compression.startswith("ccitt"):
        data = _fax(
            block[..., 0], {"ccitt_rle": "tiff_ccitt", "ccitt_g3": "group3", "ccitt_g4": "group4"}[odd.compression]
        )
    elif odd.compression == "packbits":
        data = b"".join(bytes(imagecodecs.packbits_encode(row)) for row in rows)
    elif odd.compression == "deflate":
        data = zlib.compress(data)
    elif odd.compression != "none":
        data = bytes({"lzw": imagecodecs.lzw_encode, "zstd": imagecodecs.zstd_encode}[odd.compression](data))
    if odd.fill == 2:
        data = np.packbits(np.unpackbits(np.frombuffer(data, np.uint8)), bitorder="little").tobytes()
    return data


def _fax(bits: np.ndarray, compression: str) -> bytes:
    """Return bits (h, w), of which 0 is a white run, as libtiff codes them, by way of a file of Pillow's in memory."""
    buffer = io.BytesIO()
    Image.fromarray(bits == 1).save(buffer, format="TIFF", compression=compression, tiffinfo={278: len(bits)})
    with Image.open(buffer) as file:
        tags = dict(file.tag_v2)
    assert tags[262] == 1, "Pillow stores True as 1"
    assert len(tags[273]) == 1
    return buffer.getvalue()[tags[273][0] :][: tags[279][0]]
