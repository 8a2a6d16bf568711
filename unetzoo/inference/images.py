"""Image files to predict: finding them, and reading only the pixels that are needed."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from unetzoo.data.folders.files import SUFFIXES, count_pages, read_stored
from unetzoo.data.folders.mapped import Mapped, map_tiff
from unetzoo.errors import UnetzooError


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


def find_images(arguments: Iterable[str | Path], tell: Callable[[str], None] = lambda line: None) -> list[Item]:
    """Find the images that the arguments name.

    Args:
        arguments: Files, folders and glob patterns. Brackets that are part of a name need no escape.
        tell: Called with a line about each folder that holds what is not read.

    Returns:
        Each image once, in the order of the arguments and sorted within folders and patterns; stacks page by page.

    Raises:
        UnetzooError: If an argument names no image.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if not p.name.startswith("."))
            paths = [p for p in inside if p.suffix.lower() in SUFFIXES and not p.is_dir()]
            unread = _unread(path, [p for p in inside if p not in paths])
            if not paths:
                raise UnetzooError(f"{path}: no images ({', '.join(SUFFIXES)}){unread and f'; {unread}'}")
            if unread:
                tell(f"{path}: {unread}")
        elif path.is_file():
            paths = [path]
        else:
            paths = _matches(path)
            if not paths:
                raise UnetzooError(f"{path}: no such file or folder, and no pattern that matches any file")
        for each in paths:
            found.setdefault(each.resolve(), each)
    return [item for path in found.values() for item in _pages(path)]


def _matches(pattern: Path) -> list[Path]:
    """Return the files that match a pattern, sorted.

    Folders that exist under the name they are given by are taken at their word; if nothing matches then, so are all
    brackets.
    """
    there = next((folder for folder in pattern.parents if folder.is_dir()), Path())
    rest = str(pattern.relative_to(there))
    literal = glob.escape(str(there)) if there.parts else ""
    for tried in (os.path.join(literal, rest), os.path.join(literal, rest.replace("[", "[[]")), str(pattern)):  # noqa: PTH118
        names = sorted(glob.glob(tried, recursive=True))  # noqa: PTH207  # Path.glob does not take absolute patterns
        if paths := [Path(name) for name in names if Path(name).is_file()]:
            return paths
    return []


def _unread(folder: Path, others: list[Path]) -> str:
    """Name the files and folders in a folder that are not read; '' if there are none."""
    files, folders = [p for p in others if not p.is_dir()], [p for p in others if p.is_dir()]
    told = []
    if files:
        told.append(f"{len(files)} file{'s' * (len(files) > 1)} not read: {_names(files)}")
    if folders:
        s = "s" * (len(folders) > 1)
        told.append(f"{len(folders)} folder{s} not searched: {_names(folders)} ('{folder}/**/*.png' would)")
    return "; ".join(told)


def _names(paths: list[Path], most: int = 5) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(path.name for path in paths[:most]) + more


def _pages(path: Path) -> list[Item]:
    try:
        mapped = map_tiff(path)
        count = mapped.shape[0] if mapped else count_pages(path)
    except UnetzooError:  # raised again when the file is read, so that it does not stop the others
        count = 1
    return [Item(path, page) for page in range(count)] if count > 1 else [Item(path, None)]


Pixels: TypeAlias = "np.ndarray | Mapped"


@dataclass(frozen=True)
class Opened:
    """An image that is open, and what its file states.

    Attributes:
        pixels: The stored pixels (C, H, W).
        bits: Bits of one number; 8 for a palette's colours.
        alpha: True if there is an alpha channel, which is not read.
    """

    pixels: Pixels
    bits: int
    alpha: bool = False


def open_image(item: Item) -> Opened:
    """Open an image.

    An uncompressed TIFF stays in its file; other images are decoded whole, in their own number type.

    Args:
        item: The image.

    Returns:
        Its pixels.

    Raises:
        UnetzooError: If the file cannot be read.
    """
    mapped = map_tiff(item.path)
    if mapped is not None:
        bits = 1 if mapped.dtype.kind == "b" else 8 * mapped.dtype.itemsize
        return Opened(replace(mapped, part=(item.page or 0,)), bits)
    with _any_size():
        stored = read_stored(item.path, item.page)
    return Opened(stored.colours(), stored.bits if stored.palette is None else 8, stored.alpha is not None)


@contextmanager
def _any_size() -> Iterator[None]:
    """Lift Pillow's limit of 89 megapixels, which guards against attacks: these images were named by the user."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
