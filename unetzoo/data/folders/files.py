"""Reading the pixels of a file as they are stored. Its first bytes decide how it is decoded, not its name."""

from __future__ import annotations

import hashlib
import logging
import math
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from unetzoo.errors import UnetzooError, one_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy", ".npz", ".gif", ".ppm", ".pgm", ".pbm")
MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"GIF8": "GIF",
    **dict.fromkeys((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"), "PPM"),
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
    b"\x93NUMPY": "NumPy",
    b"PK\x03\x04": "NumPy zip",
}
READ = "supported formats: PNG, JPEG, BMP, TIFF, GIF, PPM and NumPy"
MOST_PIXELS = 89_478_485  # per image; Pillow's own limit against decompression bombs
MOST_NUMBERS = 2**31  # per array that is decoded at once
MOST_CHANNELS = 64  # the last axis of an array holds channels up to this size, the first one up to 4
PLAIN_MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "I", "F", "I;16", "I;16B", "I;16L")
TRUE_COLOUR_16 = ((16, 2), (16, 4), (16, 6))  # bit depths and colour types of PNG that Pillow reduces to 8 bits

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # we report what is wrong with a file, once


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
    """

    pixels: np.ndarray
    format: str
    bits: int
    palette: np.ndarray | None = None
    alpha: np.ndarray | None = None
    orientation: int = 1

    @property
    def lossy(self) -> bool:
        """True if the format is lossy."""
        return self.format == "JPEG"

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


def read_stored(path: Path, page: int | None = None) -> Stored:
    """Read the image in a file.

    Args:
        path: File of any supported format.
        page: Page of a multi-page stack, from 0; None for a file with a single image.

    Returns:
        The image as stored.

    Raises:
        UnetzooError: If the file cannot be read as one image; it names the file and what is wrong.
    """
    with _complaints(path):
        stored = _DECODERS.get(kind := file_kind(path), _pillow)(path, page, kind)
    channels, height, width = stored.pixels.shape
    if 0 in stored.pixels.shape:
        raise UnetzooError(f"{path}: has no pixels: {height}x{width}, {channels} channels")
    if stored.pixels.dtype.kind not in "buif":
        raise UnetzooError(f"{path}: pixels of type {stored.pixels.dtype} are not supported; integers and floats are")
    native = stored.pixels.astype(stored.pixels.dtype.newbyteorder("="), copy=False)
    return replace(
        stored, pixels=_upright(native, stored.orientation), alpha=_upright(stored.alpha, stored.orientation)
    )


def count_pages(path: Path) -> int:
    """Return the number of images in a file.

    Raises:
        UnetzooError: If the file cannot be read.
    """
    with _complaints(path):
        kind = file_kind(path)
        if kind == "TIFF":
            with tifffile.TiffFile(path) as file:
                return _tiff_layout(path, file)[1]
        if kind.startswith("NumPy"):
            return len(_stack(_numpy_array(path, kind), path))
        return 1


def file_kind(path: Path) -> str:
    """Return the format of a file, recognised by its first bytes.

    Raises:
        UnetzooError: If the file cannot be read or its format is not supported.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise UnetzooError(f"{path}: no such file") from None
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
    if not head:
        raise UnetzooError(f"{path}: the file is empty (0 bytes)")
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    raise UnetzooError(f"{path}: not an image that can be read (it begins with {head[:8]!r}); {READ}")


class _complaints:
    """A context that turns whatever a decoder raises on a damaged file into a `UnetzooError` of one line.

    Pillow's warning of a decompression bomb counts as an error; other warnings are ignored.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._warnings = path, warnings.catch_warnings()

    def __enter__(self) -> None:
        self._warnings.__enter__()
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._warnings.__exit__(kind, error, trace)
        if error is None or isinstance(error, UnetzooError) or not isinstance(error, Exception):
            return
        if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
            raise UnetzooError(f"{self._path}: more than {MOST_PIXELS:,} pixels; cut it into tiles") from None
        raise UnetzooError(f"{self._path}: cannot be read as an image: {one_line(error)}") from None


def _pillow(path: Path, page: int | None, kind: str) -> Stored:
    if page not in (None, 0):
        raise UnetzooError(f"{path}: there is no page {page}; a {kind} file holds one image")
    with Image.open(path, formats=[kind]) as file:
        if kind == "GIF" and getattr(file, "n_frames", 1) > 1:
            raise UnetzooError(
                f"{path}: an animation of {getattr(file, 'n_frames', 1)} frames; a GIF must hold one image"
            )
        orientation = file.getexif().get(0x0112, 1)
        depth, colour = _png_header(path) if kind == "PNG" else (0, 0)
        if (depth, colour) in TRUE_COLOUR_16:
            pixels, palette, mode = _png16(path), None, "LA" if colour == 4 else "RGBA" if colour == 6 else "RGB"
        else:
            image = file if file.mode in PLAIN_MODES else file.convert("RGB")
            mode = image.mode
            pixels = np.asarray(image)
            palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3) if mode == "P" else None
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if mode == "L" and depth in (2, 4):
        pixels = pixels // (255 // (2**depth - 1))  # undo how Pillow spreads them over 0 to 255
    alpha = pixels[-1] if mode in ("LA", "RGBA") else None
    bits = depth or (1 if pixels.dtype == bool else 8 * pixels.dtype.itemsize)
    return Stored(pixels if alpha is None else pixels[:-1], kind, bits, _whole(palette, pixels), alpha, orientation)


def _whole(palette: np.ndarray | None, indices: np.ndarray) -> np.ndarray | None:
    """Return a palette with an entry for every index, black where the file has none."""
    if palette is None or indices.max(initial=0) < len(palette):
        return palette
    return np.concatenate([palette, np.zeros((int(indices.max()) + 1 - len(palette), 3), np.uint8)])


def _png_header(path: Path) -> tuple[int, int]:
    """Return bit depth and colour type."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[24], head[25]


def _png16(path: Path) -> np.ndarray:
    """Return the pixels (H, W, C), uint16, decoded by torchvision because Pillow reduces them to 8 bits."""
    import torch
    from torchvision.io import ImageReadMode, decode_image

    data = torch.from_numpy(np.fromfile(path, dtype=np.uint8))
    return decode_image(data, mode=ImageReadMode.UNCHANGED).numpy().transpose(1, 2, 0)


def _tiff_layout(path: Path, file: tifffile.TiffFile) -> tuple[tifffile.TiffPageSeries, int]:
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


def _tiff(path: Path, page: int | None, kind: str) -> Stored:
    with tifffile.TiffFile(path) as file:
        series, count = _tiff_layout(path, file)
        at = _page(path, page, count)
        key = series.keyframe
        by_page = count > 1 and len(series.pages) == count
        source: Any = series.pages[at] if by_page else series
        if math.prod(source.shape) > MOST_NUMBERS:
            raise UnetzooError(f"{path}: an array of shape {source.shape} is too large to be read at once")
        try:
            array, axes = source.asarray(), key.axes if by_page else source.axes
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            array, axes = _pillow_tiff(path, at, key), key.axes.replace("S", "") + "S" * ("S" in key.axes)
            by_page = True
        pixels = _channels_first(array, axes)[0 if by_page else at]
        alpha = None
        if any(int(extra) in (1, 2) for extra in key.extrasamples or ()):
            pixels, alpha = pixels[:-1], pixels[-1]
        palette = None
        if key.photometric == tifffile.PHOTOMETRIC.PALETTE and key.colormap is not None:
            palette = _whole((key.colormap >> 8).astype(np.uint8).T, pixels)
        if key.photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind in "bu":
            pixels = ~pixels if pixels.dtype == bool else np.array(2**key.bitspersample - 1, pixels.dtype) - pixels
        orientation = key.tags.valueof("Orientation") or 1
        return Stored(pixels, kind, key.bitspersample, palette, alpha, int(orientation))


def _pillow_tiff(path: Path, page: int, key: Any) -> np.ndarray:
    """Decode a compression for which tifffile needs a package by Pillow, if it can, to (H, W) or (H, W, C).

    Raises:
        UnetzooError: If Pillow cannot decode it either.
    """
    try:
        with Image.open(path, formats=["TIFF"]) as image:
            image.seek(page)
            array = np.asarray(image)
    except Exception:
        array = np.zeros(0)
    if array.dtype != key.dtype or array.size != math.prod(key.shape):
        raise UnetzooError(
            f"{path}: TIFF compression {key.compression.name} of {key.dtype} needs a package: pip install imagecodecs"
        )
    return array


def _channels_first(array: np.ndarray, axes: str) -> np.ndarray:
    """Return the array as (images, C, H, W)."""
    order = [*(i for i, a in enumerate(axes) if a not in "YXSC"), *(i for i, a in enumerate(axes) if a in "SC")]
    array = array.transpose(*order, axes.index("Y"), axes.index("X"))
    channels = math.prod(
        size for size, axis in zip(array.shape, [axes[i] for i in order], strict=False) if axis in "SC"
    )
    return array.reshape(-1, channels, *array.shape[-2:])


def _numpy(path: Path, page: int | None, kind: str) -> Stored:
    stack = _stack(_numpy_array(path, kind), path)
    pixels = np.array(stack[_page(path, page, len(stack))])
    return Stored(pixels, kind, 1 if pixels.dtype == bool else 8 * pixels.dtype.itemsize)


def _numpy_array(path: Path, kind: str) -> np.ndarray:
    if kind == "NumPy zip":
        with zipfile.ZipFile(path) as file:
            inside = file.infolist()
        if len(inside) != 1:
            names = ", ".join(entry.filename for entry in inside[:4])
            raise UnetzooError(f"{path}: holds {len(inside)} arrays ({names}); a .npz must hold one array")
        if inside[0].file_size > MOST_NUMBERS:
            raise UnetzooError(
                f"{path}: {inside[0].file_size:,} bytes when unpacked, which is too large to be read at once"
            )
        with np.load(path, allow_pickle=False) as arrays:
            return next(iter(arrays.values()))
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "object" not in str(error).lower():
            raise
        raise UnetzooError(f"{path}: holds pickled Python objects, which are not read for safety") from None


def _stack(array: np.ndarray, path: Path) -> np.ndarray:
    """Return an array (H, W), (H, W, C), (C, H, W), (N, H, W), (N, H, W, C) or (N, C, H, W) as (images, C, H, W).

    The last axis holds channels if its size is at most 64 and less than those of the two before it; otherwise the third
    last does if its size is at most 4 (for four axes, at most 64).

    Raises:
        UnetzooError: If the array is not an image or a stack, or too large.
    """
    shape = array.shape
    if array.ndim in (3, 4) and shape[-1] <= MOST_CHANNELS and shape[-1] < min(shape[-3:-1]):
        array = np.moveaxis(array, -1, -3)
    elif array.ndim == 3 and shape[0] > 4:
        array = array[:, None]
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or 0 in shape or array.shape[1] > MOST_CHANNELS:
        raise UnetzooError(
            f"{path}: an array of shape {shape}; expected an image (H, W) or (H, W, C), or a stack (N, H, W)"
        )
    if array.shape[-1] * array.shape[-2] > MOST_PIXELS:
        raise UnetzooError(f"{path}: {shape} is more than {MOST_PIXELS:,} pixels; cut it into tiles")
    return array


def _page(path: Path, page: int | None, count: int) -> int:
    if page is None and count > 1:
        raise UnetzooError(f"{path}: a stack of {count} pages where one image is expected; split it into single images")
    if page is not None and page >= count:
        raise UnetzooError(f"{path}: there is no page {page}; it has {count} pages, counted from 0")
    return page or 0


def _upright(pixels: Any, orientation: int) -> Any:
    """Return (..., H, W) turned according to its EXIF orientation, 1 to 8 (CIPA DC-008, tag 0x0112)."""
    if pixels is None or orientation not in range(2, 9):
        return pixels
    if orientation >= 5:  # stored with rows and columns exchanged
        pixels = pixels.swapaxes(-1, -2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[..., ::-1, :]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[..., ::-1]
    return pixels


_DECODERS = {"TIFF": _tiff, "NumPy": _numpy, "NumPy zip": _numpy}


def check_same_size(image: Stored, mask: Stored, image_path: Path, mask_path: Path) -> None:
    """Check that an image and its mask have the same size.

    Args:
        image: The image.
        mask: The mask.
        image_path: File of the image, to name in an error.
        mask_path: File of the mask.

    Raises:
        UnetzooError: If they differ; it mentions an EXIF orientation that turned one of them.
    """
    if image.pixels.shape[1:] != mask.pixels.shape[1:]:
        (h, w), (mh, mw) = image.pixels.shape[1:], mask.pixels.shape[1:]
        why = ""
        if (h, w) == (mw, mh):
            why = "; rows and columns are exchanged"
            for name, stored in ((image_path.name, image), (mask_path.name, mask)):
                if stored.orientation >= 5:
                    why = f"; {name} is turned by its EXIF orientation {stored.orientation}, as viewers do: remove it"
        raise UnetzooError(f"{mask_path}: mask is {mh}x{mw} but its image {image_path.name} is {h}x{w}{why}")


def read_list(path: Path, known: Sequence[str]) -> tuple[str, ...]:
    """Read a list of stems, one per line.

    Args:
        path: File of the list.
        known: Stems that may be listed.

    Returns:
        The stems in the order of the file.

    Raises:
        UnetzooError: If the file cannot be read, or a stem is unknown or listed twice.
    """
    try:
        stems = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UnetzooError(f"{path}: cannot be read: {error}") from None
    for stem in stems:
        if stem not in known:
            raise UnetzooError(f"{path}: {stem!r} has no image")
    if len(set(stems)) < len(stems):
        raise UnetzooError(f"{path}: {next(s for s in stems if stems.count(s) > 1)!r} is listed twice")
    return stems


def array_digest(*arrays: np.ndarray) -> str:
    """Return a hash of the shapes, types and values of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
