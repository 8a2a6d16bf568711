"""Decoding NumPy arrays. The shape in the header is looked at before any memory is taken for the numbers."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from unetzoo.data.folders.stored import MOST_BYTES, MOST_CHANNELS, MOST_PIXELS, Stored, page_index
from unetzoo.errors import UnetzooError

CHUNK = 2**24  # bytes that are skipped at once


@dataclass(frozen=True)
class Header:
    """The header of an array in a file.

    Attributes:
        shape: Shape of the array.
        dtype: Type of its numbers.
        fortran: True if the first axis varies fastest.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool


def decode_numpy(path: Path, page: int | None, kind: str) -> Stored:
    """Decode an image in a ``.npy``, or in a ``.npz`` of one array.

    Args:
        path: The file.
        page: Page to read, if the array is a stack.
        kind: "NumPy", or "NumPy zip".

    Raises:
        UnetzooError: If the array is not an image or a stack, or is too large.
    """
    header = read_header(path, kind)
    count = len(_pages(header.shape, path))
    at = page_index(path, page, count, f", as its array is {header.shape}")
    if kind == "NumPy":
        pixels = np.array(_stack(np.load(path, mmap_mode="r", allow_pickle=False), path)[at])
    elif count == 1 or header.fortran:
        pixels = np.array(_stack(_unpacked(path, header, None), path)[at])
    else:
        pixels = _stack(_unpacked(path, header, at), path, count)[0]
    return Stored(pixels, kind, 1 if pixels.dtype == bool else 8 * pixels.dtype.itemsize)


def count_numpy(path: Path, kind: str) -> int:
    """Return the number of images in an array, from its header."""
    return len(_pages(read_header(path, kind).shape, path))


def read_header(path: Path, kind: str) -> Header:
    """Return the shape and the type of the array in a file.

    Raises:
        UnetzooError: If the file holds Python objects, or not one array.
    """
    with _open(path, kind) as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read.get(version, read[2, 0])(file)
    if dtype.hasobject:
        raise UnetzooError(f"{path}: holds pickled Python objects, which are not read for safety")
    return Header(shape, dtype, fortran)


@contextmanager
def _open(path: Path, kind: str) -> Iterator[IO[bytes]]:
    """Open the bytes of the only array in a file.

    Raises:
        UnetzooError: If a ``.npz`` holds none or several.
    """
    if kind == "NumPy":
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        inside = archive.infolist()
        if len(inside) != 1:
            names = ", ".join(entry.filename for entry in inside[:4])
            raise UnetzooError(f"{path}: holds {len(inside)} arrays ({names}); a .npz must hold one array")
        with archive.open(inside[0]) as file:
            yield file


def _unpacked(path: Path, header: Header, page: int | None) -> np.ndarray:
    """Return the array of a ``.npz``, or one page of it (1, ...), without unpacking the others at once.

    Raises:
        UnetzooError: If that is too large, or the file holds fewer numbers than its header says.
    """
    shape = header.shape if page is None else (1, *header.shape[1:])
    length = math.prod(shape) * header.dtype.itemsize
    if length > MOST_BYTES:
        raise UnetzooError(
            f"{path}: an array of {header.shape} {header.dtype} has {length:,} bytes when unpacked, and the limit is "
            f"{MOST_BYTES:,}; cut it into tiles or save it as .npy"
        )
    with _open(path, "NumPy zip") as file:
        _skip(file, _after_header(file) + (page or 0) * length)
        data = file.read(length)
        if len(data) < length:
            raise UnetzooError(f"{path}: holds fewer numbers than its header says, {header.shape} {header.dtype}")
        while page is None and file.read(CHUNK):  # to the end, where the checksum is compared
            pass
    return np.frombuffer(data, header.dtype).reshape(shape, order="F" if header.fortran else "C")


def _after_header(file: IO[bytes]) -> int:
    """Read the fixed beginning of an array and return the bytes that are left of its header."""
    major, _ = np.lib.format.read_magic(file)
    return int.from_bytes(file.read(2 if major == 1 else 4), "little")


def _skip(file: IO[bytes], length: int) -> None:
    while length > 0 and (read := len(file.read(min(length, CHUNK)))):
        length -= read


def _pages(shape: tuple[int, ...], path: Path) -> np.ndarray:
    """Return an array without memory (images, C, H, W) of the shape that `_stack` makes."""
    return _stack(np.broadcast_to(np.zeros((), bool), shape), path)


def _stack(array: np.ndarray, path: Path, whole: int = 0) -> np.ndarray:
    """Return an array (H, W), (H, W, C), (C, H, W), (N, H, W), (N, H, W, C) or (N, C, H, W) as (images, C, H, W).

    The last axis holds channels if its size is at most 64 and less than those of the two before it; otherwise the third
    last does if its size is at most 4 (for four axes, at most 64).

    Args:
        array: The array, or one page of it.
        path: File to name in an error.
        whole: Pages of the whole stack, if the array is one page of it.

    Raises:
        UnetzooError: If the array is not an image or a stack, or too large.
    """
    shape = array.shape
    if array.ndim in (3, 4) and shape[-1] <= MOST_CHANNELS and shape[-1] < min(shape[-3:-1]):
        array = np.moveaxis(array, -1, -3)
    elif array.ndim == 3 and (whole or shape[0]) > 4:
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
