"""An image, file or array, made ready for a model: values, channels and size as in training, or an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from unetzoo.data.expected import Expected, distance, histogram
from unetzoo.data.folders.convert import block_mean
from unetzoo.errors import UnetzooError
from unetzoo.inference.images import Opened
from unetzoo.inference.read_as import ReadAs, Spelling
from unetzoo.inference.scale import Seen, choose, levels

STRIP = 2**22  # numbers that are looked at together
SAMPLED = 2**20  # pixels of an image that its histogram is of
FAR, FAR_LEAST = 1.5, 0.1  # an image is far from training beyond 1.5 times its spread, and beyond 0.1; see docs


class Layers:
    """An image (H, W) or (C, H, W), sliced as (C, H, W) and in NumPy, whatever it is.

    Args:
        image: An array, a tensor, or anything that is sliced like one.
        channels: Channels to give.
    """

    def __init__(self, image: Any, channels: slice = slice(None)) -> None:
        self.image, self.channels = image, channels
        count = image.shape[0] if len(image.shape) == 3 else 1
        self.shape: tuple[int, ...] = (len(range(count)[channels]), *map(int, image.shape[-2:]))
        self.dtype = np.dtype(_name(image.dtype).replace("bfloat16", "float32"))

    def __getitem__(self, index: Any) -> np.ndarray:
        part = self.image[..., index[-2], index[-1]] if len(self.image.shape) == 3 else self.image[index[-2], index[-1]]
        if hasattr(part, "detach"):  # a tensor, of which NumPy has not all types
            part = part.detach().cpu()
            part = (part.float() if "bfloat16" in str(part.dtype) else part).numpy()
        part = np.asarray(part)
        return (part if part.ndim == 3 else part[None])[self.channels]


class Scaled:
    """An image as float32 (C, H, W) in [0, 1], scaled when it is sliced.

    Args:
        pixels: The stored pixels (C, H, W).
        low: Stored value that becomes 0; values below do too.
        high: Stored value that becomes 1; values above do too. If it is the lower one, the image is inverted.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, pixels: Any, low: float, high: float) -> None:
        self.pixels, self.low, self.high = pixels, low, high
        self.shape: tuple[int, ...] = pixels.shape

    def __getitem__(self, index: Any) -> np.ndarray:
        part = self.pixels[index]
        kind = np.float32 if part.dtype.itemsize < 4 else np.float64  # float32 holds 16-bit numbers exactly
        scaled = (part.astype(kind) - kind(self.low)) / kind(self.high - self.low)
        return np.clip(scaled, 0, 1).astype(np.float32)


class Blocks:
    """An image (C, H // factor, W // factor) of the means of blocks, computed when it is sliced.

    Args:
        image: The image (C, H, W).
        factor: Side of a block in px; incomplete blocks are dropped.
        name: Image to name in an error.

    Raises:
        UnetzooError: If there is no complete block.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, image: Scaled, factor: int, name: str) -> None:
        self.image, self.factor, self.name = image, factor, name
        channels, *sides = image.shape
        self.shape = (channels, *(side // factor for side in sides))
        if 0 in self.shape:
            raise UnetzooError(f"{name}: {sides[0]}x{sides[1]} is too small for downscale = {factor}")

    def __getitem__(self, index: Any) -> np.ndarray:
        rows, columns = (slice(part.start * self.factor, part.stop * self.factor) for part in index[-2:])
        return block_mean(self.image[:, rows, columns], self.factor, self.name)


@dataclass(frozen=True)
class Prepared:
    """An image ready for a model.

    Attributes:
        image: The image (C, H, W), float32 in [0, 1], of its own size.
        blocks: What the network reads: the image, or the means of its blocks.
        factor: Side of a block in px.
        notes: What was done that training did not do, in words that several images may share.
        far: Distance of the intensities from those of training if that is large, else None.
    """

    image: Scaled
    blocks: Any
    factor: int = 1
    notes: list[str] = field(default_factory=list)
    far: float | None = None

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.shape[-2], self.image.shape[-1]


class Model(NamedTuple):
    """A model that is to read images: its channels, and the facts about its training images."""

    channels: int | None
    expected: Expected


def prepare(image: Any, model: Model, options: ReadAs, name: str = "the image") -> Prepared:
    """Make an image ready for a model.

    Args:
        image: An open file, or an array (H, W) or (C, H, W).
        model: The model's channels and the facts about its training images.
        options: How to read the image.
        name: Image to name in an error.

    Returns:
        The image on the range and in the size of training.

    Raises:
        UnetzooError: If the image does not fit, and is not known to be read as in training; the message names the
            option that would read it.
    """
    say = Spelling(python=not isinstance(image, Opened))
    notes: list[str] = []
    try:
        pixels = _channels(image, model, options, notes, say)
        if not options.as_trained and options.range is None:
            _check_file_of(image, say)
        bits = image.bits if isinstance(image, Opened) else 1 if pixels.dtype == bool else 8 * pixels.dtype.itemsize
        seen = _seen(pixels, bits, model.expected.depth, array=say.python)
        chosen = choose(seen, model.expected, options, say)
    except UnetzooError as error:
        raise UnetzooError(f"{name}: {error}") from None
    if chosen.note:
        notes.append(chosen.note)
    scaled = Scaled(pixels, *chosen.range)
    factor = options.downscale or model.expected.downscale or 1
    blocks = Blocks(scaled, factor, name) if factor > 1 else scaled
    return Prepared(scaled, blocks, factor, notes, _far(blocks, model.expected, options, name, chosen.range, say))


def _channels(image: Any, model: Model, options: ReadAs, notes: list[str], say: Spelling) -> Any:
    """Return the pixels (C, H, W) in the channels that the model takes.

    Raises:
        UnetzooError: If it takes others.
    """
    pixels = image.pixels if isinstance(image, Opened) else Layers(image)
    wanted, has = model.channels, pixels.shape[0]
    if isinstance(image, Opened) and image.alpha and model.expected.known and not model.expected.alpha:
        notes.append("an alpha channel was not read")
    if wanted is None or has == wanted:
        return pixels
    if wanted == 1 and has == 3 and all((part[:1] == part[1:]).all() for part in strips(pixels)):
        notes.append(GREY)
        return Layers(pixels, slice(1))
    grey = model.expected.meaning == "grey stored as RGB"
    if wanted == 3 and has == 1 and (grey or options.as_trained):
        notes.append("grey was read as three equal channels")
        return _Repeated(pixels)
    hint = ""
    if wanted == 1 and has == 3:
        hint = "; it is in colour, so it was not reduced to grey"
    elif wanted == 3 and has == 1 and model.expected.known:
        hint = f"; {say.as_trained} reads grey as three equal channels"
    elif not isinstance(image, Opened) and len(image.shape) == 3 and image.shape[-1] == wanted:
        hint = f"; it looks like (H, W, {wanted})"
    s = "s" * (has > 1)
    raise UnetzooError(f"{has} channel{s}, but the model takes {wanted}{hint}")


GREY = "one channel was read of grey stored as RGB"


class _Repeated(Layers):
    """A grey image (1, H, W) as three equal channels."""

    def __init__(self, image: Any) -> None:
        super().__init__(image)
        self.shape = (3, *self.shape[1:])

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.repeat(super().__getitem__(index), 3, axis=0)


def _check_file_of(image: Any, say: Spelling) -> None:
    """Refuse a memory map of a TIFF in which 0 is white: its values are those of the file, not those of training.

    Raises:
        UnetzooError: If that is so.
    """
    path = getattr(image, "filename", None) if isinstance(image, np.memmap) else None
    if path is None or Path(path).suffix.lower() not in (".tif", ".tiff"):
        return
    try:
        with tifffile.TiffFile(path) as file:
            white = file.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    except Exception:  # the file is gone or is no TIFF, which is its user's affair
        return
    if white:
        high = 2.0 ** (8 * image.dtype.itemsize) - 1 if image.dtype.kind == "u" else 1.0
        raise UnetzooError(
            f"a memory map of a TIFF in which 0 is white ({Path(path).name}); {say.range(high, 0)} inverts it or "
            f"{say.as_trained} takes 0 as black"
        )


def _seen(pixels: Any, bits: int, depth: int | None, *, array: bool) -> Seen:
    """Look at all values of an image (C, H, W).

    Raises:
        UnetzooError: If one is NaN or infinite.
    """
    dtype = pixels.dtype
    low, high, whole, copies, exact, between = np.inf, -np.inf, True, dtype.name == "uint16", True, False
    for part in strips(pixels):
        if dtype.kind == "f":
            if not np.isfinite(part).all():
                raise UnetzooError("holds NaN or infinity; replace these pixels by numbers")
            whole = whole and bool((part == np.floor(part)).all())
            exact = exact and levels(part, depth)
            between = between or bool(((part > 0) & (part < 1)).any())
        copies = copies and not (part % 257).any()
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    unit = dtype.kind == "f" and exact and between and low >= 0 and high <= 1
    return Seen(dtype.name, bits, low, high, whole, copies, unit, array)


def strips(pixels: Any) -> Iterator[np.ndarray]:
    """Yield all of an image (C, H, W) in strips (C, h, W)."""
    channels, height, width = pixels.shape
    rows = max(1, STRIP // (channels * width))
    for top in range(0, height, rows):
        yield pixels[:, top : min(height, top + rows), 0:width]


def _far(
    image: Any, expected: Expected, options: ReadAs, name: str, used: tuple[float, float], say: Spelling
) -> float | None:
    """Return the distance of an image's intensities from those of training if it is large.

    Raises:
        UnetzooError: If it is large, and that of the inverted image is small.
    """
    if expected.histogram is None or len(expected.histogram) != image.shape[0]:
        return None
    usual, here = np.array(expected.histogram), histogram(_sampled(image))
    limit = far_limit(expected)
    found = distance(here, usual)
    if found <= limit:
        return None
    inverted = distance(here[:, ::-1], usual)
    if inverted < limit / 2 and options.range is None and not options.as_trained:
        raise UnetzooError(
            f"{name}: its intensities are unlike those of training (distance {found:.2f}), those of its negative are "
            f"like them ({inverted:.2f}); {say.range(used[1], used[0])} inverts it or {say.as_trained} reads it"
        )
    return found


def far_limit(expected: Expected) -> float:
    """Return the distance from training's histogram above which an image is far from training."""
    return max(FAR_LEAST, FAR * (expected.spread or 0.0))


def _sampled(image: Any) -> np.ndarray:
    """Return an image (C, H, W), or if it is large, some of its rows."""
    _, height, width = image.shape
    if height * width <= SAMPLED:
        return image[:, 0:height, 0:width]
    rows = np.unique(np.linspace(0, height - 1, max(1, SAMPLED // width)).astype(int)).tolist()
    return np.concatenate([image[:, row : row + 1, 0:width] for row in rows], axis=1)


def _name(dtype: Any) -> str:
    return getattr(dtype, "name", None) or str(dtype).removeprefix("torch.")
