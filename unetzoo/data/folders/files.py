"""Reading the pixels of a file as they are stored. Its first bytes decide how it is decoded, not its name."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unetzoo.data.folders.decode_numpy import count_numpy, decode_numpy, read_header
from unetzoo.data.folders.decode_pillow import decode_pillow
from unetzoo.data.folders.decode_tiff import count_tiff, decode_tiff, describe_stack
from unetzoo.data.folders.stored import MOST_PIXELS, Stored
from unetzoo.errors import UnetzooError, one_line

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy", ".npz", ".gif", ".ppm", ".pgm", ".pbm"),
    *(".webp", ".pnm", ".jpe", ".jfif"),
)
UNREAD = (
    *(".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".tga", ".exr", ".hdr", ".psd", ".dng"),
    *(".dcm", ".nii", ".nrrd", ".mha", ".mhd", ".svs", ".ndpi", ".czi", ".lif", ".nd2"),
)  # suffixes of images that are not read, so that such a file is named and not passed over
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
READ = "supported formats: PNG, JPEG, BMP, TIFF, WebP, GIF, PPM and NumPy"


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
        stored = _DECODERS.get(kind := file_kind(path), decode_pillow)(path, page, kind)
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
    kind = file_kind(path)
    if kind != "TIFF" and not kind.startswith("NumPy"):
        return 1
    with _complaints(path):
        return count_tiff(path) if kind == "TIFF" else count_numpy(path, kind)


def describe_pages(path: Path) -> str:
    """Return words about the shape in a file whose pages may be meant as channels; "" if there is nothing to say.

    Raises:
        UnetzooError: If the file cannot be read.
    """
    with _complaints(path):
        kind = file_kind(path)
        if kind == "TIFF":
            return describe_stack(path)
        return f" (its array is {read_header(path, kind).shape})" if kind.startswith("NumPy") else ""


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
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
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


_DECODERS = {"TIFF": decode_tiff, "NumPy": decode_numpy, "NumPy zip": decode_numpy}


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
