"""Readings: where images and masks are, and what their values mean, as stated in a ``dataset.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from unetzoo.data.folders.files import Stored, read_stored
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
