"""Files as arrays, by a reading: images in [0, 1], masks of class indices or instance ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unetzoo.data.folders.files import Stored, check_same_size
from unetzoo.data.folders.reading import LARGEST, Pair, Reading, Value, Values
from unetzoo.errors import UnetzooError


def read_pair(pair: Pair, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Read an image and its mask.

    Args:
        pair: Files of the two.
        reading: How to read them.

    Returns:
        The image, float32 (C, H, W) in [0, 1], and the mask, int64 (H, W) of class indices, with
        `Reading.ignore_index` for void.

    Raises:
        UnetzooError: If a file cannot be read, the two differ in size, or they contradict the reading.
    """
    return convert_pair(pair, pair.read_image(), pair.read_mask(), reading)


def convert_pair(pair: Pair, stored: Stored, mask: Stored, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Return a decoded image and its decoded mask as `read_pair` does.

    Args:
        pair: Files of the two, to name in an error.
        stored: The image as stored.
        mask: The mask as stored.
        reading: How to read them.

    Raises:
        UnetzooError: If the two differ in size, or they contradict the reading.
    """
    check_same_size(stored, mask, pair.image, pair.mask)
    image = _image(stored, reading, pair.image)
    classes = to_classes(mask_values(mask, reading.colours, pair.mask), reading, pair.mask)
    if reading.downscale == 1:
        return image, classes
    return block_mean(image, reading.downscale, str(pair.image)), _sample(classes, reading.downscale)


def read_image_of(pair: Pair, reading: Reading) -> np.ndarray:
    """Read the image of a pair, as `read_pair` does."""
    image = _image(pair.read_image(), reading, pair.image)
    return image if reading.downscale == 1 else block_mean(image, reading.downscale, str(pair.image))


def read_instances(pair: Pair, reading: Reading) -> np.ndarray:
    """Return the stored instance ids, int32 (H, W), with 0 for all but the foreground.

    Args:
        pair: Files of the image and its mask.
        reading: How to read them.

    Raises:
        UnetzooError: If the mask cannot be read, contradicts the reading, or has an id that is too large.
    """
    path = pair.mask
    ids = mask_values(pair.read_mask(), False, path)
    foreground = [i for i, c in enumerate(reading.classes) if c.foreground]
    ids = np.where(np.isin(to_classes(ids, reading, path), foreground), ids, 0)
    if ids.max() > np.iinfo(np.int32).max:
        raise UnetzooError(f"{path}: instance id {ids.max()} is too large; the limit is {np.iinfo(np.int32).max}")
    return _sample(ids.astype(np.int32), reading.downscale)


def mask_values(stored: Stored, colours: bool, path: Path) -> np.ndarray:
    """Return the values of a mask.

    Args:
        stored: The mask; grey stored as RGB(A) counts as one channel.
        colours: Return colours as 0xrrggbb.
        path: File to name in an error.

    Returns:
        The values as stored, or the colours, int64 (H, W).

    Raises:
        UnetzooError: If a mask of numbers holds colours, or values that are not whole or too large.
    """
    if colours:
        red, green, blue = stored.rgb(path).astype(np.int64)
        return red << 16 | green << 8 | blue
    pixels = stored.pixels
    if len(pixels) > 1 and not stored.grey:
        raise UnetzooError(
            f"{path}: the mask holds colours ({len(pixels)} channels that differ), but the reading has numbers; "
            "give colours such as '#ff0000'"
        )
    values = pixels[0]
    if np.issubdtype(values.dtype, np.floating):
        whole = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < LARGEST)
        if not whole.all():
            raise UnetzooError(f"{path}: mask value {values[~whole][0]:g} is not a whole number{where(~whole)}")
    elif values.dtype == np.uint64 and values.max() > LARGEST:
        raise UnetzooError(f"{path}: mask value {values.max()} is too large to be a class or an id")
    return values.astype(np.int64)


def to_classes(stored: np.ndarray, reading: Reading, path: Path) -> np.ndarray:
    """Return the class indices (H, W) of stored values.

    Args:
        stored: Values of a mask (H, W), int64.
        reading: Classes and their values.
        path: File to name in an error.

    Raises:
        UnetzooError: If a value is in no class; it names the value and its place.
    """
    low, high = int(stored.min()), int(stored.max())
    values = Values.of(reading)
    if high - low < 2**17:  # one look-up per value instead of one per pixel
        index, known = values.classes(np.arange(low, high + 1))
        index, known = index[stored - low], known[stored - low]
    else:
        index, known = values.classes(stored)
    if not known.all():
        strange = np.unique(stored[~known])
        shown = [f"#{v:06x}" if reading.colours else str(v) for v in strange[:5].tolist()]
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        raise UnetzooError(
            f"{path}: mask value {', '.join(shown)}{more} is in no class{where(stored == strange[0])}; "
            f"classes: {', '.join(f'{c.name} {_shown(c.values)}' for c in reading.classes[:6])}"
            f"{f', ignore {_shown(reading.ignore)}' if reading.ignore else ''}"
        )
    return index


def where(mask: np.ndarray) -> str:
    """Describe the True pixels of a mask (H, W) as ' (12 pixels, first at row 3, column 4)'."""
    row, column = np.argwhere(mask)[0][-2:].tolist()
    count = int(mask.sum())
    return f" ({count} pixel{'s' if count > 1 else ''}, first at row {row}, column {column})"


def _shown(values: Sequence[Value]) -> str:
    return "/".join(str(value) for value in values[:6]) + ("/..." if len(values) > 6 else "")


def _image(stored: Stored, reading: Reading, path: Path) -> np.ndarray:
    pixels = stored.colours()
    if reading.channels == 1 and len(pixels) == 3 and stored.grey:
        pixels = pixels[:1]
    if len(pixels) != reading.channels:
        hint = " that differ" if reading.channels == 1 else ""
        raise UnetzooError(
            f"{path}: {len(pixels)} channels{hint}, but the reading has {reading.channels}; make them alike"
        )
    low, high = reading.range
    if np.issubdtype(pixels.dtype, np.floating) and not np.isfinite(pixels).all():
        bad = ~np.isfinite(pixels)
        raise UnetzooError(f"{path}: the image holds {'NaN' if np.isnan(pixels).any() else 'infinity'}{where(bad)}")
    kind = np.float32 if pixels.dtype.itemsize < 4 else np.float64  # float32 holds 16-bit numbers exactly
    scaled = (pixels.astype(kind) - kind(low)) / kind(high - low)
    return np.ascontiguousarray(np.clip(scaled, 0, 1, dtype=kind).astype(np.float32))


def block_mean(image: np.ndarray, factor: int, name: str) -> np.ndarray:
    """Return the means of blocks (C, H // factor, W // factor); incomplete blocks are dropped.

    Args:
        image: Image (C, H, W), float32.
        factor: Side of a block in px.
        name: Image to name in an error.

    Raises:
        UnetzooError: If there is no complete block.
    """
    height, width = (n // factor for n in image.shape[1:])
    if not height or not width:
        raise UnetzooError(f"{name}: {image.shape[1]}x{image.shape[2]} is too small for downscale = {factor}")
    blocks = image[:, : height * factor, : width * factor].reshape(len(image), height, factor, width, factor)
    return blocks.mean(axis=(2, 4), dtype=np.float32)


def _sample(mask: np.ndarray, factor: int) -> np.ndarray:
    """Return the centre pixel of each block of a mask (H, W)."""
    height, width = (n // factor for n in mask.shape)
    return np.ascontiguousarray(mask[: height * factor, : width * factor][factor // 2 :: factor, factor // 2 :: factor])
