"""Image files to predict: finding them, and reading only the pixels that are needed."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from unetzoo.data.folders.files import SUFFIXES, UNREAD, count_pages, read_stored
from unetzoo.data.folders.mapped import Mapped, map_tiff
from unetzoo.errors import UnetzooError

STRIP = 2**24  # numbers that are checked at once
RANGES = {"bool": (0, 1), "uint8": (0, 255), "uint16": (0, 65535)}


class Item(NamedTuple):
    """One image: a file, or a page of a stack."""

    path: Path
    page: int | None

    @property
    def stem(self) -> str:
        """Beginning of the names of the image's output files."""
        return self.path.stem if self.page is None else f"{self.path.stem}.page{self.page:04d}"

    def __str__(self) -> str:
        return str(self.path) if self.page is None else f"{self.path} page {self.page}"


def find_images(arguments: Iterable[str | Path]) -> list[Item]:
    """Find the images that the arguments name.

    Args:
        arguments: Files, folders and glob patterns.

    Returns:
        Each image once, in the order of the arguments and sorted within folders and patterns; stacks page by page.

    Raises:
        UnetzooError: If an argument names no image.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            images = (*SUFFIXES, *UNREAD)  # the latter are reported when they are opened, not passed over
            paths = sorted(p for p in path.iterdir() if p.suffix.lower() in images and not p.name.startswith("."))
            if not paths:
                raise UnetzooError(f"{path}: no images ({', '.join(SUFFIXES)})")
        elif path.is_file():
            paths = [path]
        else:
            paths = _matching(path)
            if not paths:
                raise UnetzooError(f"{path}: no such file or folder, and no pattern that matches any file")
        for each in paths:
            found.setdefault(each.resolve(), each)
    return [item for path in found.values() for item in _pages(path)]


def _matching(pattern: Path) -> list[Path]:
    """Return the files that match a pattern; in it, folders that exist, such as "set [2024]", are no patterns."""
    literal = next(folder for folder in pattern.parents if folder.is_dir())  # at last "." or the root
    rest = str(pattern.relative_to(literal))
    names = sorted(glob.glob(rest, root_dir=literal, recursive=True))  # noqa: PTH207  # hidden files are left out
    return [literal / name for name in names if (literal / name).is_file()]


def _pages(path: Path) -> list[Item]:
    try:
        mapped = map_tiff(path)
        count = mapped.shape[0] if mapped else count_pages(path)
    except UnetzooError:  # raised again when the file is read, so that it does not stop the others
        count = 1
    return [Item(path, page) for page in range(count)] if count > 1 else [Item(path, None)]


Pixels: TypeAlias = "np.ndarray | Mapped"


class Scaled:
    """An image as float32 (C, H, W) in [0, 1], scaled when it is sliced.

    Args:
        pixels: The stored pixels (C, H, W).
        low: Stored value that becomes 0; values below do too.
        high: Stored value that becomes 1; values above do too.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, pixels: Pixels, low: float, high: float) -> None:
        self.pixels, self.low, self.high, self.shape = pixels, low, high, pixels.shape

    def __getitem__(self, index: Any) -> np.ndarray:
        part = self.pixels[index]
        kind = np.float32 if part.dtype.itemsize < 4 else np.float64  # float32 holds 16-bit numbers exactly
        scaled = (part.astype(kind) - kind(self.low)) / kind(self.high - self.low)
        return np.clip(scaled, 0, 1).astype(np.float32)


def open_image(item: Item, channels: int, value_range: tuple[float, float] | None = None) -> tuple[Scaled, bool]:
    """Open an image for a model.

    An uncompressed TIFF stays in its file; other images are decoded whole, in their own number type.

    Args:
        item: The image.
        channels: Channels that the model takes.
        value_range: Stored values that become 0 and 1; default: the range of 8- and 16-bit unsigned integers, and
            [0, 1] for floats.

    Returns:
        The image (C, H, W), and True if it is a grey image stored as RGB that was reduced to one channel.

    Raises:
        UnetzooError: If the file cannot be read, or its channels, number type or values do not fit.
    """
    mapped = map_tiff(item.path)
    if mapped is not None:
        pixels: Pixels = replace(mapped, part=(item.page or 0,))
    else:
        with _any_size():
            pixels = read_stored(item.path, item.page).colours()
    low, high = value_range or RANGES.get(pixels.dtype.name, (0, 1))
    if value_range is None and pixels.dtype.kind != "f" and pixels.dtype.name not in RANGES:
        raise UnetzooError(
            f"{item}: pixels of type {pixels.dtype} are not supported; allowed: 8- and 16-bit unsigned, float"
        )
    if pixels.dtype.kind == "f":
        for part in _strips(pixels):
            if not np.isfinite(part).all():
                raise UnetzooError(f"{item}: holds NaN or infinity")
            if value_range is None and (part.min() < 0 or part.max() > 1):
                raise UnetzooError(f"{item}: float values must lie in [0, 1], got {part.min():g} to {part.max():g}")
    has = pixels.shape[0]
    grey = channels == 1 and has == 3 and all((part[:1] == part[1:]).all() for part in _strips(pixels))
    if grey:
        pixels = replace(pixels, part=(*pixels.part, slice(1))) if isinstance(pixels, Mapped) else pixels[:1]
    elif has != channels:
        coloured = "; it is in colour, so it was not reduced to grey" if channels == 1 and has == 3 else ""
        raise UnetzooError(f"{item}: {has} channel{'s' * (has > 1)}, but the model takes {channels}{coloured}")
    return Scaled(pixels, low, high), grey


@contextmanager
def _any_size() -> Iterator[None]:
    """Lift Pillow's limit of 89 megapixels, which guards against attacks: these images were named by the user."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _strips(pixels: Pixels) -> Iterator[np.ndarray]:
    """Yield all of (C, H, W) in strips (C, h, W)."""
    channels, height, width = pixels.shape
    rows = max(1, STRIP // (channels * width))
    for top in range(0, height, rows):
        yield pixels[:, top : top + rows]
