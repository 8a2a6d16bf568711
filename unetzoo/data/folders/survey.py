"""A survey of the files: every image and mask is opened once, and what matters about it is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unetzoo.data.folders.files import Stored, array_digest, check_same_size
from unetzoo.data.folders.layout import Layout
from unetzoo.data.folders.pairs import Finding, listed
from unetzoo.data.folders.reading import Pair, mask_values, where
from unetzoo.data.folders.thumbnails import Thumbnails
from unetzoo.errors import UnetzooError

MOST_VALUES = 4096  # different values in a mask; more are not classes and hardly ids
MOST_COMPARED = 3000  # images among which near-duplicates are searched for, as every pair is compared
SPECK = 4  # pixels in the largest component that counts as a speck


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
    palette: dict[int, int]
    lossy: bool
    wide_alpha: bool
    digest: str
    components: dict[int, int] = field(default_factory=dict)
    specks: dict[int, int] = field(default_factory=dict)
    touching: frozenset[tuple[int, int]] = frozenset()
    orientation: int = 1


@dataclass(frozen=True)
class Item:
    """Properties of a pair."""

    key: str
    pair: Pair
    image: ImageProperties
    mask: MaskProperties


@dataclass
class Survey:
    """Properties of all pairs of a folder.

    Attributes:
        layout: Layout of the folder.
        items: Properties of each pair that could be read.
        findings: Files that could not be read or are unsound.
        similar: Near-duplicates in different splits, as (split, key, split, key, correlation).
    """

    layout: Layout
    items: list[Item] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    similar: list[tuple[str, str, str, str, float]] = field(default_factory=list)

    def pixels(self) -> Counter[int]:
        """Return the pixels of each stored value, over all masks."""
        total: Counter[int] = Counter()
        for item in self.items:
            total.update(item.mask.counts)
        return total


def survey(layout: Layout, *, on_pair: Callable[[str], None] = lambda key: None, compare: bool = True) -> Survey:
    """Open every pair once, in the order of the splits.

    Args:
        layout: Layout of the folder.
        on_pair: Called with each key after its pair was opened.
        compare: Search for near-duplicates too.

    Returns:
        The survey. Files that cannot be read are among its findings, and the others are still opened.
    """
    found = Survey(layout)
    wrong: dict[str, list[str]] = {}
    split_of = layout.split_of
    keys = [*split_of, *(key for key in layout.pairing.pairs if key not in split_of)]
    thumbnails = Thumbnails() if compare and len(keys) <= MOST_COMPARED else None
    for key in keys:
        pair = layout.pairing.pairs[key]
        if (stored := _open(pair, wrong)) is not None:
            image, mask = stored
            try:
                check_same_size(image, mask, pair.image, pair.mask)
                found.items.append(
                    Item(key, pair, image_properties(image, pair.image), mask_properties(mask, pair.mask))
                )
            except UnetzooError as error:
                wrong.setdefault("size" if "mask is" in str(error) else "values", []).append(str(error))
            if thumbnails is not None and key in split_of and np.isfinite(image.pixels).all():
                thumbnails.add(split_of[key], key, _unit(image))
        on_pair(key)
    for kind, texts in wrong.items():
        found.findings += listed("error", kind, texts)
    if thumbnails is not None:
        found.similar = thumbnails.similar()
    elif compare:
        text = f"near-duplicates are not searched for among more than {MOST_COMPARED} images"
        found.findings.append(Finding("note", "near-duplicates", text))
    return found


def _open(pair: Pair, wrong: dict[str, list[str]]) -> tuple[Stored, Stored] | None:
    opened = []
    for read in (pair.read_image, pair.read_mask):
        try:
            opened.append(read())
        except UnetzooError as error:
            wrong.setdefault("unreadable", []).append(str(error))
    return (opened[0], opened[1]) if len(opened) == 2 else None


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
        dtype=str(pixels.dtype),
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
    palette = {}
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
    return MaskProperties(**{**vars(properties), **_regions(values, present)})


def _packed(colour: np.ndarray) -> int:
    red, green, blue = (int(c) for c in colour)
    return red << 16 | green << 8 | blue


def _regions(values: np.ndarray, present: np.ndarray) -> dict[str, object]:
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
    if stored.palette is not None:
        return f"palette {stored.format}"
    number = f"{stored.bits}-bit"
    if stored.pixels.dtype.kind in "if":
        number = f"{stored.bits}-bit {'float' if stored.pixels.dtype.kind == 'f' else 'signed'}"
    return f"{number} {stored.format}"


def _unit(stored: Stored) -> np.ndarray:
    """Return the image (C, H, W) for a thumbnail, float32 in [0, 1], scaled by the range of its type or values."""
    pixels = stored.colours()
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / 255
    low, high = float(pixels.min()), float(pixels.max())
    return ((pixels - low) / max(high - low, 1e-12)).astype(np.float32)
