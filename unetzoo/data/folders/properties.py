"""Properties of a decoded image or mask, which the rules of a proposal look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np

from unetzoo.data.folders.convert import mask_values, where
from unetzoo.data.folders.files import Stored, array_digest
from unetzoo.errors import UnetzooError

MOST_VALUES = 4096  # different values in a mask; more are not classes and hardly ids
SPECK = 4  # pixels in the largest component that counts as a speck
NONE: Mapping[int, int] = {}  # one object for all masks, of which there may be many


@dataclass(frozen=True, slots=True)
class ImageProperties:
    """Properties of an image file.

    Attributes:
        kind: Depth and format, such as "8-bit PNG".
        dtype: Type of the pixels.
        bits: Bits of one stored number.
        channels: Number of channels; 3 for a palette image.
        grey: True if it is stored with three equal channels.
        size: Height and width.
        low: Lowest value.
        high: Highest value.
        alpha: True if it has an alpha channel.
        orientation: EXIF orientation.
        digest: Hash of the pixels.
    """

    kind: str
    dtype: str
    bits: int
    channels: int
    grey: bool
    size: tuple[int, int]
    low: float
    high: float
    alpha: bool
    orientation: int
    digest: str


@dataclass(frozen=True, slots=True)
class MaskProperties:
    """Properties of a mask file.

    Attributes:
        kind: Depth and format, such as "8-bit PNG".
        channels: Number of stored channels.
        colours: True if it has three channels that differ.
        counts: Pixels of each stored value, which is a number (also for grey stored as RGB) or a colour 0xrrggbb.
        palette: Colour 0xrrggbb of each index that is used, for a palette image.
        lossy: True if the format is lossy.
        wide_alpha: True if it has an alpha channel that varies.
        digest: Hash of the values.
        components: Number of 8-connected regions of each value; empty, like the next two, with fewer than 3 values.
        specks: Number of such regions of up to 4 px.
        touching: Pairs of values that are neighbours.
        orientation: EXIF orientation.
    """

    kind: str
    channels: int
    colours: bool
    counts: dict[int, int]
    palette: Mapping[int, int]
    lossy: bool
    wide_alpha: bool
    digest: str
    components: Mapping[int, int] = field(default_factory=lambda: NONE)
    specks: Mapping[int, int] = field(default_factory=lambda: NONE)
    touching: frozenset[tuple[int, int]] = frozenset()
    orientation: int = 1


def image_properties(stored: Stored, path: Path) -> ImageProperties:
    """Return the properties of an image.

    Args:
        stored: The image.
        path: File to name in an error.

    Raises:
        UnetzooError: If the image holds NaN or infinity.
    """
    pixels = stored.pixels
    if not (finite := np.isfinite(pixels)).all():
        what = "NaN" if np.isnan(pixels).any() else "infinity"
        raise UnetzooError(f"{path}: the image holds {what}{where(~finite)}")
    return ImageProperties(
        kind=_kind(stored),
        dtype=intern(str(pixels.dtype)),
        bits=stored.bits,
        channels=3 if stored.palette is not None else len(pixels),
        grey=len(pixels) == 3 and stored.grey,
        size=pixels.shape[1:],
        low=float(pixels.min()),
        high=float(pixels.max()),
        alpha=stored.alpha is not None,
        orientation=stored.orientation,
        digest=array_digest(stored.colours()),
    )


def mask_properties(stored: Stored, path: Path) -> MaskProperties:
    """Return the properties of a mask.

    Args:
        stored: The mask.
        path: File to name in an error.

    Raises:
        UnetzooError: If a value is not whole, there are too many values, or the channels are not those of a mask.
    """
    pixels = stored.pixels
    colours = len(pixels) > 1 and not stored.grey
    if colours and (len(pixels) != 3 or pixels.dtype != np.uint8):
        raise UnetzooError(
            f"{path}: has {len(pixels)} channels of {pixels.dtype}; a mask must have one channel of class values, or "
            "8-bit RGB colours"
        )
    values = mask_values(stored, colours, path)
    present, counts = np.unique(values, return_counts=True)
    if len(present) > MOST_VALUES:
        raise UnetzooError(f"{path}: {len(present)} different {'colours' if colours else 'values'}: this is not a mask")
    palette = NONE
    if stored.palette is not None:
        palette = {int(i): _packed(stored.palette[i]) for i in present.tolist()}
    properties = MaskProperties(
        kind=_kind(stored),
        channels=len(pixels),
        colours=colours,
        counts=dict(zip(present.tolist(), counts.tolist(), strict=True)),
        palette=palette,
        lossy=stored.lossy,
        wide_alpha=stored.alpha is not None and bool((stored.alpha != stored.alpha.flat[0]).any()),
        digest=array_digest(values),
        orientation=stored.orientation,
    )
    if len(present) < 3:
        return properties
    return replace(properties, **_regions(values, present))


def _packed(colour: np.ndarray) -> int:
    red, green, blue = (int(c) for c in colour)
    return red << 16 | green << 8 | blue


def _regions(values: np.ndarray, present: np.ndarray) -> dict[str, Any]:
    """Return the 8-connected regions and the specks of each value, and the pairs of values that touch."""
    from skimage.measure import label

    order = np.searchsorted(present, values)  # (H, W), 0 to K - 1
    regions = np.asarray(label(order, background=-1, connectivity=2))
    sizes = np.bincount(regions.ravel())[1:]
    owner = np.zeros(len(sizes), np.int64)
    owner[regions.ravel() - 1] = order.ravel()
    of_value = np.bincount(owner, minlength=len(present)).tolist()
    specks = np.bincount(owner[sizes <= SPECK], minlength=len(present)).tolist()
    touching = set()
    for one, other in ((order[1:], order[:-1]), (order[:, 1:], order[:, :-1])):
        low, high = np.minimum(one, other), np.maximum(one, other)
        for code in np.unique(low[low != high] * len(present) + high[low != high]).tolist():
            touching.add((int(present[code // len(present)]), int(present[code % len(present)])))
    names = present.tolist()
    return {
        "components": dict(zip(names, of_value, strict=True)),
        "specks": dict(zip(names, specks, strict=True)),
        "touching": frozenset(touching),
    }


def _kind(stored: Stored) -> str:
    return _kind_of(stored.format, stored.bits, stored.pixels.dtype.kind, stored.palette is not None)


@lru_cache(maxsize=256)  # so that many images share one text
def _kind_of(name: str, bits: int, letter: str, palette: bool) -> str:
    if palette:
        return f"palette {name}"
    number = f"{bits}-bit"
    if letter in "if":
        number = f"{bits}-bit {'float' if letter == 'f' else 'signed'}"
    return f"{number} {name}"
