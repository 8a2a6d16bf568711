"""Readings: how files become images in [0, 1] and masks of class indices, as stated in a ``dataset.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from unetzoo.data.folders.files import Stored, check_same_size, read_stored
from unetzoo.errors import Strict, UnetzooError

if TYPE_CHECKING:
    from unetzoo.data.folders.drawn import Drawing

IGNORE = 255  # class index of void, or the first free number if there are more classes
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
RANGE = re.compile(r"(-?\d+)-(-?\d+)?")
LARGEST = 2**62  # end of an open range
Value = int | str
Overlap = Literal["smaller", "later"]


@dataclass(frozen=True)
class Pair:
    """The files of an image and its mask.

    Attributes:
        image: File of the image.
        mask: File of the mask.
        page: Page in both, from 0, if they are stacks.
        more_images: Files of further channels.
        more_masks: Further files of the mask.
        objects: True if each file of the mask shows one object.
        drawing: Annotations from which the mask is drawn; ``mask`` is then the file that holds them.
    """

    image: Path
    mask: Path
    page: int | None = None
    more_images: tuple[Path, ...] = ()
    more_masks: tuple[Path, ...] = ()
    objects: bool = False
    drawing: Drawing | None = None

    def read_image(self) -> Stored:
        """Return the image as stored.

        Raises:
            UnetzooError: If it cannot be read.
        """
        if self.drawing is not None and self.drawing.embedded is not None:
            return self.drawing.embedded()
        first = read_stored(self.image, self.page)
        if not self.more_images:
            return first
        from unetzoo.data.folders.joined import stack_channels

        return stack_channels((self.image, *self.more_images), first)

    def read_mask(self) -> Stored:
        """Return the mask as stored, or as drawn.

        Raises:
            UnetzooError: If it cannot be read or drawn.
        """
        if self.drawing is not None:
            return self.drawing.mask()
        first = read_stored(self.mask, self.page)
        if not self.objects and not self.more_masks:
            return first
        from unetzoo.data.folders.joined import join_masks

        return join_masks((self.mask, *self.more_masks), first, self.objects)


class ClassReading(Strict):
    """A class and the mask values that stand for it.

    Attributes:
        name: Name of the class.
        values: Whole numbers, ranges such as "128-255" or "1-" (1 and above), or colours "#rrggbb".
        foreground: True if the class counts towards the headline score.
    """

    name: str = Field(min_length=1)
    values: list[Value] = Field(min_length=1)
    foreground: bool = True


class Files(Strict):
    """The places of images and masks. Paths are relative to the folder of the file that holds the reading.

    Attributes:
        images: A folder, a glob such as "*.jpg", or a multi-page stack; "images/**" includes the folders inside. See
            `unetzoo.data.folders.patterns` for all that a pattern may hold.
        masks: The same for masks. In globs, what the star stands for matches masks to images.
        mask_stem: Stem of a mask, in which "{stem}" stands for that of its image.
        pairs: A CSV with columns image, mask and optionally split and group, in place of the above.
        joined: What several mask files of an image are: "parts" of one mask, or an object each.
        annotations: A COCO file or a folder of labelme files from which the masks are drawn, in place of ``masks``.
        categories: Names of the annotated categories: the first is drawn as mask value 1, and so on; 0 is background.
        overlap: Which of two overlapping objects is on top: the "smaller" or the "later" one of the file.
        splits: Folder of each split, for which "{split}" stands in ``images`` and ``masks``; without "{split}", list
            files with one stem per line.
        group: Regular expression whose first group (or whole match) in a key names what must stay in one split; or a
            column of ``pairs`` with these names, by default the column "group".
        seed: Seed of the split, where neither lists nor folders fix it.
    """

    images: str = "images"
    masks: str = "masks"
    mask_stem: str = "{stem}"
    pairs: str | None = None
    joined: Literal["parts", "objects"] = "parts"
    annotations: str | None = None
    categories: list[str] = []
    overlap: Overlap = "smaller"
    splits: dict[Literal["train", "val", "test"], str] = {}
    group: str | None = None
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _files_sound(self) -> Files:
        if self.mask_stem.count("{stem}") != 1 or "/" in self.mask_stem:
            raise ValueError(f"mask_stem = {self.mask_stem!r} must contain {{stem}} once, and no /")
        if self.annotations is not None:
            self._annotations_sound(self.annotations)
        elif self.categories:
            raise ValueError(f"categories = {self.categories}: they need annotations = a COCO file or a labelme folder")
        elif ("{split}" in self.images) != ("{split}" in self.masks):
            raise ValueError(
                f"images = {self.images!r} and masks = {self.masks!r}: {{split}} must be in both or in neither"
            )
        if self.by_folder and not self.splits:
            raise ValueError(f"images = {self.images!r}: splits must name the folders that {{split}} stands for")
        if self.group is not None:
            try:
                re.compile(self.group)
            except re.error as error:
                raise ValueError(f"group = {self.group!r} is not a regular expression: {error}") from None
        return self

    def _annotations_sound(self, annotations: str) -> None:
        """Check what depends on ``annotations``.

        Raises:
            ValueError: If they contradict another field.
        """
        if self.pairs is not None:
            raise ValueError(f"annotations = {annotations!r} and pairs = {self.pairs!r}: only one may be given")
        if "{split}" in self.images and "{split}" not in annotations:
            raise ValueError(f"images = {self.images!r} contains {{split}}, but annotations = {annotations!r} does not")
        if twice := [name for name in self.categories if self.categories.count(name) > 1]:
            raise ValueError(f"categories: {twice[0]!r} occurs twice")

    @property
    def by_folder(self) -> bool:
        """True if the splits are folders, or annotation files."""
        return "{split}" in (self.annotations or self.images)


class Reading(Files):
    """The places of images and masks, and the meaning of their values.

    Mask values are taken as stored (palette indices, grey values, ids; 1-bit as 0 and 1), unless the classes have
    colours; masks are then read as RGB.

    Attributes:
        name: Name of the data set.
        channels: Number of image channels; 1 takes one channel of grey images that are stored as RGB(A).
        range: Stored image values that become 0 and 1; values beyond are clipped.
        classes: Classes, in the order of the class indices.
        ignore: Mask values that are void.
        instances: True if mask values are instance ids.
        downscale: Side of the blocks that images are averaged over; masks take the centre of each block.
        description: What the data set shows, in one line.
        citation: The publication to cite.
        terms: Terms of use.
        confirmed: False if the reading was proposed and leaves questions open; it is then refused unless accepted.
    """

    name: str = Field(min_length=1)
    channels: int = Field(ge=1)
    range: tuple[float, float]
    classes: list[ClassReading] = Field(min_length=2)
    ignore: list[Value] = []
    instances: bool = False
    downscale: int = Field(1, ge=1)
    description: str = ""
    citation: str = ""
    terms: str = ""
    confirmed: bool = True

    @model_validator(mode="after")
    def _sound(self) -> Reading:
        names = [c.name for c in self.classes]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"classes: the name {twice[0]!r} occurs twice")
        if self.annotations is not None and (self.instances or not self.categories):
            what = "instances = true" if self.instances else "categories = []"
            raise ValueError(
                f"{what}: masks drawn from annotations need the names of their categories, and hold no ids"
            )
        if not any(c.foreground for c in self.classes):
            raise ValueError("classes: none has foreground = true, so there is nothing to score")
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range = {list(self.range)}: the first value must be below the second")
        Values.of(self)
        return self

    @property
    def ignore_index(self) -> int | None:
        """The class index of void, or None if there is no void."""
        return max(IGNORE, len(self.classes)) if self.ignore else None

    def same_content(self, other: Reading) -> bool:
        """Return True if another reading makes the same numbers of every file, whatever it says of names and splits."""
        values = [[part.values for part in reading.classes] for reading in (self, other)]
        numbers = [(r.channels, r.range, r.ignore, r.downscale) for r in (self, other)]
        return values[0] == values[1] and numbers[0] == numbers[1]

    @property
    def colours(self) -> bool:
        """True if masks are read as RGB."""
        return isinstance(self.classes[0].values[0], str) and self.classes[0].values[0].startswith("#")


@dataclass(frozen=True)
class Values:
    """The classes of stored values, as sorted intervals that do not overlap.

    Attributes:
        low: First value of each interval (N,), int64; colours are 0xrrggbb.
        high: Last value of each interval (N,), int64.
        index: Class index of each interval (N,), int64.
    """

    low: np.ndarray
    high: np.ndarray
    index: np.ndarray

    @classmethod
    def of(cls, reading: Reading) -> Values:
        """Return the intervals of a reading.

        Args:
            reading: The reading.

        Raises:
            ValueError: If a value is malformed, two of them overlap, or colours are mixed with numbers.
        """
        owners = [*((c.name, c.values, i) for i, c in enumerate(reading.classes))]
        if reading.ignore_index is not None:
            owners.append(("ignore", reading.ignore, reading.ignore_index))
        found = [(*interval(value), name, i, value) for name, values, i in owners for value in values]
        colours = [isinstance(value, str) and value.startswith("#") for *_, value in found]
        if any(colours) and not all(colours):
            number, colour = (found[colours.index(c)][-1] for c in (False, True))
            raise ValueError(f"values {number!r} and {colour!r}: all must be numbers, or all must be colours")
        found.sort(key=lambda entry: entry[:2])
        for one, other in pairwise(found):
            if other[0] <= one[1]:
                raise ValueError(f"value {one[4]!r} of {one[2]!r} and {other[4]!r} of {other[2]!r} overlap")
        low, high, index = (np.array([entry[i] for entry in found], dtype=np.int64) for i in (0, 1, 3))
        return cls(low, high, index)

    def classes(self, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the class index of each stored value, and True for those that have one, in the shape of ``stored``."""
        at = np.searchsorted(self.low, stored, side="right") - 1
        known = (at >= 0) & (stored <= self.high[at])
        return self.index[at], known


def interval(value: Value) -> tuple[int, int]:
    """Return the first and the last whole number of a value; a colour is 0xrrggbb.

    Args:
        value: A whole number, a range, or a colour.

    Raises:
        ValueError: If the value is malformed.
    """
    if isinstance(value, int):
        return value, value
    if COLOUR.fullmatch(value):
        return int(value[1:], 16), int(value[1:], 16)
    if (match := RANGE.fullmatch(value)) is None:
        raise ValueError(
            f"value {value!r} is not a whole number, a range such as '128-255' or '1-', or a colour '#rrggbb'"
        )
    low, high = int(match[1]), int(match[2]) if match[2] else LARGEST
    if low > high:
        raise ValueError(f"value {value!r}: the range's first number is above its last")
    return low, high


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


def group_of(key: str, pattern: str | None) -> str | None:
    """Return the group of a key, or None if there is no pattern.

    Args:
        key: Key of an item.
        pattern: Regular expression whose first group, or else whole match, names the group.

    Raises:
        UnetzooError: If the pattern is not found in the key.
    """
    if pattern is None:
        return None
    match = re.search(pattern, key)
    if match is None:
        raise UnetzooError(f"group = {pattern!r} is not found in {key!r}")
    return match[1] if match.re.groups else match[0]


def groups_of(keys: Iterable[str], pattern: str | None) -> dict[str, str]:
    """Return the group of every key; nothing if there is no pattern. See `group_of`."""
    return {key: group for key in keys if (group := group_of(key, pattern)) is not None}


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
