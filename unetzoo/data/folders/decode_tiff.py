"""Decoding TIFF: by tifffile, and by Pillow where that needs a package, to the same numbers."""

from __future__ import annotations

import logging
import math
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from unetzoo.data.folders.stored import (
    MOST_BYTES,
    MOST_NUMBERS,
    MOST_PIXELS,
    Stored,
    check_claim,
    page_index,
    with_every_entry,
)
from unetzoo.errors import UnetzooError

PHOTOMETRIC, COMPRESSION = tifffile.PHOTOMETRIC, tifffile.COMPRESSION
JPEGS = (COMPRESSION.OJPEG, COMPRESSION.JPEG)
FLAT = ("Q", "I")  # tifffile's names for an axis that nobody has named
ASSOCIATED, UNASSOCIATED = 1, 2  # kinds of an extra sample that are alpha
BOUNDED = (COMPRESSION.LZW, COMPRESSION.DEFLATE, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.PACKBITS, *JPEGS)
FAXES = (COMPRESSION.CCITTRLE, COMPRESSION.CCITTFAX3, COMPRESSION.CCITTFAX4)
FOLLOWING = (b"\xff" * 256, b"\x7d\xf7\xdf" * 256, np.random.default_rng(0).bytes(4096))  # codes of several kinds
COLOUR_SPACES = ("CIELAB", "ICCLAB", "ITULAB", "LOGL", "LOGLUV")  # refused, as they are neither grey nor RGB

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # we report what is wrong with a file, once


def decode_tiff(path: Path, page: int | None, kind: str) -> Stored:
    """Decode an image in a TIFF.

    Grey values are 0 for black: WhiteIsZero is inverted, once. YCbCr and 8-bit CMYK become RGB.

    Args:
        path: The file.
        page: Page to read, if the file is a stack.
        kind: Format of the file.

    Raises:
        UnetzooError: If the file is neither an image nor a stack, is too large, or stores pixels in a way that is not
            read.
    """
    with tifffile.TiffFile(path) as file:
        series, count = _only_series(path, file)
        at = page_index(path, page, count, _shape(series))
        key: Any = series.keyframe
        _check_photometric(path, key)
        by_page = count > 1 and len(series.pages) == count
        alone: Any = series.pages[at] if by_page or count == len(series.pages) else None  # a page that is an image
        source: Any = alone if by_page else series
        _check_segments(path, [alone] if by_page else series.pages)
        _check_claim(path, source, key)
        stored, axes = None, key.axes if by_page else source.axes
        if not _by_pillow_anyway(key, alone):
            try:
                stored = source.asarray()
                if key.compression in FAXES:
                    _check_faxes(path, [alone] if by_page else series.pages, key)
            except (ValueError, NotImplementedError, ImportError) as error:
                if not _lacks_a_package(error):
                    raise
        if stored is None:
            stored, axes, by_page = _by_pillow(path, alone, key), "YXS" if "S" in key.axes else "YX", True
        pixels = _channels_first(stored, axes)[0 if by_page else at]
        return _stored(pixels, key, kind)


def count_tiff(path: Path) -> int:
    """Return the number of images in a TIFF.

    Raises:
        UnetzooError: If it is neither an image nor a stack.
    """
    with tifffile.TiffFile(path) as file:
        return _only_series(path, file)[1]


def describe_stack(path: Path) -> str:
    """Return words about the axes of a stack whose pages may be meant as channels; "" if they are named in the file."""
    with tifffile.TiffFile(path) as file:
        return _shape(_only_series(path, file)[0])


def _shape(series: tifffile.TiffPageSeries) -> str:
    shape, axes = series.shape, series.axes
    if len(shape) != 3 or axes[0] not in FLAT:
        return ""
    channels = "YXC" if shape[-1] < min(shape[:2]) else "CYX"
    return f" (its shape is {shape}; if they are channels, write it by tifffile with metadata={{'axes': '{channels}'}})"


def _only_series(path: Path, file: tifffile.TiffFile) -> tuple[tifffile.TiffPageSeries, int]:
    """Return the only series of a file and the number of images in it.

    Raises:
        UnetzooError: If there are several series, or the series is not an image or a stack.
    """
    shapes = {series.shape for series in file.series}
    if len(file.series) != 1:
        raise UnetzooError(
            f"{path}: holds {len(file.series)} separate images of shapes {sorted(shapes)[:3]}; a TIFF must hold one "
            "image or a stack of equal pages"
        )
    series = file.series[0]
    sizes = dict(zip(series.axes, series.shape, strict=True))
    if not {"Y", "X"} <= set(sizes):
        raise UnetzooError(f"{path}: a TIFF with axes {series.axes}; an image needs the axes Y and X")
    if sizes["Y"] * sizes["X"] > MOST_PIXELS:
        raise UnetzooError(f"{path}: {sizes['Y']}x{sizes['X']} is more than {MOST_PIXELS:,} pixels; cut it into tiles")
    return series, math.prod(size for axis, size in sizes.items() if axis not in "YXSC")


def _check_photometric(path: Path, key: Any) -> None:
    """Check that black and white, or the colours, are known.

    Raises:
        UnetzooError: If they are not.
    """
    name, kind = key.photometric.name if key.photometric is not None else "", key.dtype.kind if key.dtype else ""
    if name == "MINISWHITE" and kind not in "bu":
        raise UnetzooError(
            f"{path}: WhiteIsZero with {key.dtype} pixels does not say which value is black; save it as BlackIsZero"
        )
    if name in COLOUR_SPACES:
        raise UnetzooError(f"{path}: pixels in the colour space {name} are not read; save it as RGB or grey")
    if name == "SEPARATED" and key.samplesperpixel == 4 and key.dtype != np.uint8 and key.tags.valueof("InkSet") != 2:
        raise UnetzooError(f"{path}: CMYK with {key.dtype} pixels is not read; save it as RGB")


def _check_claim(path: Path, source: Any, key: Any) -> None:
    """Check that the size in a header is possible, before memory is taken for it.

    Raises:
        UnetzooError: If the pixels are more than the file holds, or more than are decoded at once.
    """
    numbers = math.prod(source.shape)
    packed, held = numbers * key.bitspersample // 8, key.parent.filehandle.size
    plain = key.compression == COMPRESSION.NONE and key.photometric != PHOTOMETRIC.YCBCR
    if plain and packed > held:
        raise UnetzooError(
            f"{path}: an image of shape {source.shape} needs {packed:,} bytes, but the file has only {held:,}"
        )
    if key.compression in BOUNDED:
        check_claim(path, math.prod(source.shape), held)
    if numbers > MOST_NUMBERS or (not plain and numbers * key.dtype.itemsize > max(MOST_BYTES, 4 * held)):
        raise UnetzooError(f"{path}: an array of shape {source.shape} is too large to be read at once")


def _check_segments(path: Path, pages: Any) -> None:
    """Check that every strip or tile has data; missing ones would be read as zeros.

    Raises:
        UnetzooError: If one has none, or its data lie beyond the end of the file.
    """
    for page in pages:
        if page is None:
            raise UnetzooError(f"{path}: a page of the series is missing")
        held = page.parent.filehandle.size
        if len(page.dataoffsets) < math.prod(page.chunked):
            raise UnetzooError(
                f"{path}: {len(page.dataoffsets)} strips or tiles, but its {page.imagelength}x{page.imagewidth} pixels "
                f"need {math.prod(page.chunked)}"
            )
        ends = [*map(add, page.dataoffsets, page.databytecounts)]
        if 0 in page.databytecounts or max(ends, default=0) > held:
            empty = (length == 0 or end > held for length, end in zip(page.databytecounts, ends, strict=False))
            number = [*empty].index(True)
            raise UnetzooError(
                f"{path}: strip or tile {number} of {len(page.dataoffsets)} has no data; the file is cut, or sparse"
            )


def _check_faxes(path: Path, pages: Any, key: Any) -> None:
    """Check that no CCITT strip ends within its pixels: its decoder fills the rest with white, and does not tell.

    A whole strip decodes to the same pixels whatever bytes follow it, and in Group 3 it has a mark for each row. Cuts
    between two codes of the last rows may pass.

    Raises:
        UnetzooError: If a strip is cut.
    """
    for page in pages:
        handle = page.parent.filehandle
        for number, (offset, length) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            handle.seek(offset)
            data = handle.read(length)
            decoded, _, (*_, rows, _, _) = key.decode(data, number)
            cut = any(not np.array_equal(decoded, key.decode(data + more, number)[0]) for more in FOLLOWING)
            if key.compression == COMPRESSION.CCITTFAX3:
                cut |= 0 < _row_marks(data, key.fillorder) < rows
            if cut:
                raise UnetzooError(
                    f"{path}: strip or tile {number} of {len(page.dataoffsets)} ends within its pixels; the file is cut"
                )


def _row_marks(data: bytes, fill_order: int) -> int:
    """Return the number of end-of-line codes in a strip of Group 3; one stands before each row."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little" if fill_order == 2 else "big")
    return (bits + ord("0")).astype(np.uint8).tobytes().count(b"000000000001")


def _by_pillow_anyway(key: Any, alone: Any) -> bool:
    """Return True for pages that Pillow decodes even where tifffile can, as two JPEG libraries may round otherwise."""
    if key.compression in JPEGS:
        return alone is not None and key.bitspersample == 8
    return key.photometric == PHOTOMETRIC.YCBCR  # which tifffile does not convert


def _lacks_a_package(error: Exception) -> bool:
    return "imagecodecs" in str(error) or isinstance(error, NotImplementedError | ImportError)


def _by_pillow(path: Path, page: Any, key: Any) -> np.ndarray:
    """Decode a page, which may be None, by Pillow to (H, W) or (H, W, C), to the numbers that tifffile would give.

    Raises:
        UnetzooError: If Pillow cannot decode it, or changes the numbers.
    """
    try:
        with Image.open(path, formats=["TIFF"]) as image:
            image.seek(page.index)
            array = np.asarray(image.convert("RGB") if image.mode == "YCbCr" else image)
            mode = image.mode
    except Exception:
        array, mode = np.zeros(0), ""
    exact = array.size == math.prod(key.shape) and mode not in ("La", "PA", "LAB")
    exact &= key.parent.byteorder == "<" or key.dtype.itemsize == 1 or mode == "I;16B"  # else Pillow exchanges bytes
    if array.dtype.kind in "iu" and key.dtype.kind in "iu":
        exact &= array.dtype.itemsize >= key.dtype.itemsize
        array = array.astype(key.dtype)  # signed numbers come as int32 or as bytes, and unsigned 32 bits as signed
    exact &= array.dtype == key.dtype
    if exact and key.extrasamples and ASSOCIATED in map(int, key.extrasamples):
        exact = bool((array[..., -1] == 2**key.bitspersample - 1).all())  # elsewhere Pillow divides by alpha
    if not exact:
        raise UnetzooError(
            f"{path}: TIFF compression {key.compression.name} of {key.bitspersample}-bit {key.photometric.name} needs "
            "a package: pip install imagecodecs"
        )
    if mode == "L" and key.bitspersample in (2, 4):
        array = array // (255 // (2**key.bitspersample - 1))  # undo how Pillow spreads them over 0 to 255
    if mode in ("1", "L") and key.photometric == PHOTOMETRIC.MINISWHITE:
        array = _inverted(array, key.bitspersample)  # Pillow inverts up to 8 bits; `_stored` does it for all
    return array


def _channels_first(array: np.ndarray, axes: str) -> np.ndarray:
    """Return the array as (images, C, H, W)."""
    order = [*(i for i, a in enumerate(axes) if a not in "YXSC"), *(i for i, a in enumerate(axes) if a in "SC")]
    array = array.transpose(*order, axes.index("Y"), axes.index("X"))
    channels = math.prod(
        size for size, axis in zip(array.shape, [axes[i] for i in order], strict=False) if axis in "SC"
    )
    return array.reshape(-1, channels, *array.shape[-2:])


def _stored(pixels: np.ndarray, key: Any, kind: str) -> Stored:
    """Return the image of decoded pixels (C, H, W), as the tags of its page explain them."""
    alpha, palette = None, None
    extra = [int(meaning) for meaning in key.extrasamples or ()]
    if at := [i for i, meaning in enumerate(extra) if meaning in (ASSOCIATED, UNASSOCIATED)]:
        channel = len(pixels) - len(extra) + at[0]
        alpha, pixels = pixels[channel], np.delete(pixels, channel, axis=0)
    if key.photometric == PHOTOMETRIC.PALETTE and key.colormap is not None:
        pixels = pixels.view(np.uint8) if pixels.dtype == bool else pixels
        shift = 8 if key.colormap.max(initial=0) > 255 else 0  # some programs write 8-bit colours, against the rule
        palette = with_every_entry((key.colormap >> shift).astype(np.uint8).T, pixels)
    if key.photometric == PHOTOMETRIC.MINISWHITE:
        pixels = _inverted(pixels, key.bitspersample)
    if key.photometric == PHOTOMETRIC.SEPARATED and len(pixels) == 4 and key.tags.valueof("InkSet") != 2:
        cmyk = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)), "CMYK")
        pixels = np.asarray(cmyk.convert("RGB")).transpose(2, 0, 1)
    orientation = int(key.tags.valueof("Orientation") or 1)
    return Stored(pixels, kind, key.bitspersample, palette, alpha, orientation, key.compression in JPEGS)


def _inverted(pixels: np.ndarray, bits: int) -> np.ndarray:
    return ~pixels if pixels.dtype == bool else np.array(2**bits - 1, pixels.dtype) - pixels
