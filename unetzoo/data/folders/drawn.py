"""Masks that are drawn from annotated objects, such as polygons, by a stated rule where objects overlap."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from unetzoo.data.folders.files import Stored
from unetzoo.data.folders.reading import Overlap
from unetzoo.errors import UnetzooError

BACKGROUND_NAME = re.compile(r"_*background_*", re.IGNORECASE)


class Patch(NamedTuple):
    """The pixels of an object.

    Attributes:
        top: First row.
        left: First column.
        pixels: True where the object is, (h, w), cropped to its extent.
    """

    top: int
    left: int
    pixels: np.ndarray


class Shape(Protocol):
    """An annotated object.

    Attributes:
        label: The object in words, such as "annotation 7".
        category: Name of its category.
        crowd: True for a region of many objects, which is drawn beneath single ones.
    """

    label: str
    category: str
    crowd: bool

    def draw(self, height: int, width: int) -> Patch | None:
        """Return the pixels of the object in an image of the given size, or None if it covers none.

        Raises:
            UnetzooError: If the object cannot be drawn; the text does not name the file.
        """
        ...


@dataclass
class Drawing:
    """The annotated objects of an image, from which its mask is drawn.

    Attributes:
        path: The JSON file.
        image: Name of the image.
        size: Height and width that the file states.
        shapes: The objects, in the order of the file.
        values: Mask value of each category, shared by all drawings of a data set.
        overlap: Which of two overlapping objects is on top.
        embedded: Return the image in the JSON file, if there is no image file.
        unseen: Objects that cover no pixel, once drawn.
        contested: Pixels that belong to objects of different categories, once drawn.
        empty: True if the mask is background everywhere; None before it is drawn.
    """

    path: Path
    image: str
    size: tuple[int, int]
    shapes: Sequence[Shape]
    values: dict[str, int]
    overlap: Overlap = "smaller"
    embedded: Callable[[], Stored] | None = None
    unseen: list[str] = field(default_factory=list)
    contested: int = 0
    empty: bool | None = None

    def mask(self) -> Stored:
        """Draw the mask.

        Objects are painted from the largest to the smallest, or in the order of the file if ``overlap`` is "later";
        of two of one size the one with the higher value is painted last. Crowd regions are painted first.

        Raises:
            UnetzooError: If an object cannot be drawn, or its category has no value.
        """
        patches = list(self._patches())
        if self.overlap == "smaller":
            patches.sort(key=lambda drawn: (not drawn[0], -int(drawn[2].pixels.sum()), drawn[1]))
        else:
            patches.sort(key=lambda drawn: not drawn[0])
        mask = np.zeros(self.size, np.uint8 if max(self.values.values(), default=0) < 256 else np.uint16)
        owned = np.zeros(self.size, bool)  # painted by a single object, background included
        contested = np.zeros(self.size, bool)
        for crowd, value, (top, left, pixels) in patches:
            here = np.s_[top : top + pixels.shape[0], left : left + pixels.shape[1]]
            if not crowd:
                contested[here] |= pixels & owned[here] & (mask[here] != value)
                owned[here] |= pixels
            mask[here][pixels] = value
        self.contested, self.empty = int(contested.sum()), not mask.any()
        return Stored(mask[None], "JSON", 8 * mask.dtype.itemsize)

    def _patches(self) -> Iterable[tuple[bool, int, Patch]]:
        """Yield crowd, value and pixels of each object that covers any.

        Raises:
            UnetzooError: If an object cannot be drawn, or its category has no value.
        """
        self.unseen = []
        for shape in self.shapes:
            value = 0 if BACKGROUND_NAME.fullmatch(shape.category) else self.values.get(shape.category)
            if value is None:
                raise UnetzooError(
                    f"{self.path}: {shape.label} of {self.image} has category {shape.category!r}, which is not in "
                    "categories in dataset.toml; add it there"
                )
            try:
                patch = shape.draw(*self.size)
            except UnetzooError as error:
                raise UnetzooError(f"{self.path}: {shape.label} of {self.image}: {error}") from None
            if patch is None:
                self.unseen.append(shape.label)
            else:
                yield shape.crowd, value, patch


def crop(pixels: np.ndarray, top: int = 0, left: int = 0) -> Patch | None:
    """Return the part of a mask (H, W) that holds its True pixels, or None if there are none.

    Args:
        pixels: The mask.
        top: Row of its first row in the image.
        left: Column of its first column in the image.
    """
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return None
    part = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Patch(top + int(rows[0]), left + int(columns[0]), np.ascontiguousarray(part))
