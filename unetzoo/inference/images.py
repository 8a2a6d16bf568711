"""Image files to predict: which ones are meant, and pixels of which only the tiles asked for are read."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tifffile
from PIL import Image

from unetzoo.data.folders.files import SUFFIXES, count_pages, file_kind, read_stored
from unetzoo.errors import UnetzooError

STRIP = 2**24  # numbers that are looked at together
RANGES = {"bool": (0, 1), "uint8": (0, 255), "uint16": (0, 65535)}
CHANNEL_AXES = "SC"  # tifffile's names for samples and channels


class Item(NamedTuple):
    """One image: a file, or a page of a stack."""

    path: Path
    page: int | None

    @property
    def stem(self) -> str:
        return self.path.stem if self.page is None else f"{self.path.stem}.page{self.page:04d}"

    def __str__(self) -> str:
        return str(self.path) if self.page is None else f"{self.path} page {self.page}"


def find_images(arguments: Iterable[str | Path]) -> list[Item]:
    """Files, the images of folders, and what glob patterns match; each once, in this order, stacks page by page.

    Raises `UnetzooError` on an argument that names nothing.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        path = Path(argument).expanduser()
        if path.is_dir():
            paths = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
            if not paths:
                raise UnetzooError(f"{path}: no images ({', '.join(SUFFIXES)})")
        elif path.is_file():
            paths = [path]
        else:
            names = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
            paths = [Path(name) for name in names if Path(name).is_file()]
            if not paths:
                raise UnetzooError(f"{path}: no such file or folder, and no pattern that matches a file")
        for each in paths:
            found.setdefault(each.resolve(), each)
    return [item for path in found.values() for item in _pages(path)]


def _pages(path: Path) -> list[Item]:
    try:
        layout = _layout(path)
        count = layout.shape[0] if layout else count_pages(path)
    except UnetzooError:  # said again when the file's turn comes, so that it does not stop the others
        count = 1
    return [Item(path, page) for page in range(count)] if count > 1 else [Item(path, None)]


@dataclass(frozen=True)
class Mapped:
    """Pixels (pages, C, H, W) in an uncompressed TIFF. What is sliced is read, and nothing else stays in memory.

    In the file they have shape ``stored``, whose axes are ``order`` when transposed.
    """

    path: Path
    dtype: np.dtype
    offset: int
    stored: tuple[int, ...]
    order: tuple[int, ...]
    new: tuple[int, ...]  # axes of length 1 that are not in the file
    part: tuple[slice | int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self._open().shape

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.array(self._open()[index])

    def _open(self) -> np.ndarray:
        pixels = np.memmap(self.path, self.dtype, "r", self.offset, self.stored)
        return np.expand_dims(pixels.transpose(self.order), self.new)[self.part]


Pixels: TypeAlias = "np.ndarray | Mapped"


def _layout(path: Path) -> Mapped | None:
    """How the pages of an uncompressed TIFF lie in it; None where `read_stored` has to decode, turn or look up."""
    if file_kind(path) != "TIFF":
        return None
    try:
        with tifffile.TiffFile(path) as file:
            (series,) = file.series
            key, axes = series.keyframe, series.axes
            if series.dataoffset is None or key.photometric.name not in ("MINISBLACK", "RGB"):
                return None
            if key.extrasamples and any(int(extra) in (1, 2) for extra in key.extrasamples):  # an alpha channel
                return None
            if (key.tags.valueof("Orientation") or 1) != 1:
                return None
            dtype = np.dtype(file.byteorder + series.dtype.char)
            offset, shape = series.dataoffset, series.shape
    except Exception:  # `read_stored` says what is wrong
        return None
    if dtype.kind not in "buif" or 0 in shape:
        return None
    channels = [i for i, a in enumerate(axes) if a in CHANNEL_AXES]
    pages = [i for i, a in enumerate(axes) if a not in "YX" + CHANNEL_AXES]
    if not {"Y", "X"} <= set(axes) or len(channels) > 1 or len(pages) > 1:
        return None
    order = (*pages, *channels, axes.index("Y"), axes.index("X"))
    new = (*(() if pages else (0,)), *(() if channels else (1,)))
    return Mapped(path, dtype, offset, shape, order, new)


class Scaled:
    """Float32 (C, H, W): ``low`` to ``high`` of ``pixels`` as 0 to 1, what lies beyond cut off; read where sliced."""

    dtype = np.dtype(np.float32)

    def __init__(self, pixels: Pixels, low: float, high: float) -> None:
        self.pixels, self.low, self.high, self.shape = pixels, low, high, pixels.shape

    def __getitem__(self, index: Any) -> np.ndarray:
        part = self.pixels[index]
        kind = np.float32 if part.dtype.itemsize < 4 else np.float64  # float32 holds 16-bit numbers exactly
        scaled = (part.astype(kind) - kind(self.low)) / kind(self.high - self.low)
        return np.clip(scaled, 0, 1).astype(np.float32)


def open_image(item: Item, channels: int, value_range: tuple[float, float] | None = None) -> tuple[Scaled, bool]:
    """The image of a model that takes ``channels``, and whether it was grey, stored as RGB, and reduced to one.

    An uncompressed TIFF stays in its file; others are decoded whole, in their own number type. ``value_range`` are
    the stored values that become 0 and 1; by default those of 8- and 16-bit unsigned integers, and floats lie in
    [0, 1]. Raises `UnetzooError` on a file that cannot be read, on other channels and on other values.
    """
    layout = _layout(item.path)
    if layout is not None:
        pixels: Pixels = replace(layout, part=(item.page or 0,))
    else:
        with _any_size():
            pixels = read_stored(item.path, item.page).colours()
    low, high = value_range or RANGES.get(pixels.dtype.name, (0, 1))
    if value_range is None and pixels.dtype.kind != "f" and pixels.dtype.name not in RANGES:
        raise UnetzooError(f"{item}: pixels of type {pixels.dtype}; 8- or 16-bit unsigned or float is read")
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
        coloured = "; it is coloured, so it was not reduced" if channels == 1 and has == 3 else ""
        raise UnetzooError(f"{item}: {has} channel{'s' * (has > 1)}, but the model takes {channels}{coloured}")
    return Scaled(pixels, low, high), grey


@contextmanager
def _any_size() -> Iterator[None]:
    """Pillow refuses images above 89 megapixels as an attack, but these were asked for by name."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _strips(pixels: Pixels) -> Iterator[np.ndarray]:
    """All of (C, H, W) in parts (C, h, W)."""
    channels, height, width = pixels.shape
    rows = max(1, STRIP // (channels * width))
    for top in range(0, height, rows):
        yield pixels[:, top : top + rows]
