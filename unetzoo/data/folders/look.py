"""One look at the files of a pair: each is decoded once, and whatever is needed of it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from unetzoo._util.helpers import spread
from unetzoo._util.progress import tell
from unetzoo.data.expected import Storage
from unetzoo.data.folders.files import Stored, array_digest, check_same_size
from unetzoo.data.folders.properties import ImageProperties, MaskProperties, image_properties, mask_properties
from unetzoo.data.folders.reading import Pair, Reading, convert_pair
from unetzoo.data.folders.thumbnails import views
from unetzoo.errors import UnetzooError


class Content(NamedTuple):
    """A pair's content under a reading.

    Attributes:
        digest: Hash of the image and the mask.
        storage: Facts about the image as stored.
    """

    digest: str
    storage: Storage


class Look(NamedTuple):
    """The result of a look at a pair.

    Attributes:
        image: Properties of the image; None after a mistake.
        mask: Properties of the mask; None after a mistake.
        wrong: Kind and text of each mistake.
        views: Thumbnails of the image, if they were asked for and it can be shown.
        content: Content under the reading that was given; None if there was none, or the pair contradicts it.
    """

    image: ImageProperties | None = None
    mask: MaskProperties | None = None
    wrong: tuple[tuple[str, str], ...] = ()
    views: np.ndarray | None = None
    content: Content | None = None


class Task(NamedTuple):
    """A pair to look at.

    Attributes:
        pair: The files.
        moved: How far the image is moved for thumbnails, see `views`; None for no thumbnails.
    """

    pair: Pair
    moved: int | None = None


def look_at(tasks: Mapping[str, Task], reading: Reading | None = None) -> Iterator[tuple[str, Look]]:
    """Look at pairs, on all cores if they are many, and yield the key and the result of each, in order.

    Args:
        tasks: Pair of each key.
        reading: Reading under which the content is hashed too.
    """
    items = list(tasks.values())
    looks = spread(partial(look, reading), items, alone=any(task.pair.drawing is not None for task in items))
    for done, (key, found) in enumerate(zip(tasks, looks, strict=True), start=1):
        tell("checking files", done, len(items))
        yield key, found


def look(reading: Reading | None, task: Task) -> Look:
    """Look at a pair; see `look_at`."""
    pair, opened, wrong = task.pair, [], []
    for read in (pair.read_image, pair.read_mask):
        try:
            opened.append(read())
        except UnetzooError as error:
            wrong.append(("unreadable", str(error)))
    if wrong:
        return Look(wrong=tuple(wrong))
    stored, mask = opened
    image_found, mask_found = None, None
    try:
        check_same_size(stored, mask, pair.image, pair.mask)
        image_found, mask_found = image_properties(stored, pair.image), mask_properties(mask, pair.mask)
    except UnetzooError as error:
        wrong.append(("size" if "mask is" in str(error) else "values", str(error)))
    shown = None
    if task.moved is not None and _finite(stored.pixels):
        shown = views(_unit(stored), task.moved)
    content = None
    if reading is not None and not wrong:
        try:
            content = content_of(pair, stored, mask, reading)
        except UnetzooError:
            content = None  # whoever needs it meets the error again
    return Look(image_found, mask_found, tuple(wrong), shown, content)


def content_of(pair: Pair, stored: Stored, mask: Stored, reading: Reading) -> Content:
    """Return the content of a decoded pair.

    Raises:
        UnetzooError: If the pair contradicts the reading.
    """
    return Content(array_digest(*convert_pair(pair, stored, mask, reading)), Storage.of(stored))


def contents(pairs: Mapping[str, Pair], reading: Reading) -> Iterator[tuple[str, Content]]:
    """Read pairs, on all cores if they are many, and yield the key and the content of each, in order.

    Args:
        pairs: Files of each key.
        reading: How to read them.

    Raises:
        UnetzooError: If a file cannot be read or contradicts the reading; it names the first such file.
    """
    alone = any(pair.drawing is not None for pair in pairs.values())
    found = spread(partial(_read_content, reading), list(pairs.values()), alone=alone)
    for done, (key, content) in enumerate(zip(pairs, found, strict=True), start=1):
        if isinstance(content, UnetzooError):
            raise content
        tell("reading files", done, len(pairs))
        yield key, content


def _read_content(reading: Reading, pair: Pair) -> Content | UnetzooError:
    try:
        return content_of(pair, pair.read_image(), pair.read_mask(), reading)
    except UnetzooError as error:
        return UnetzooError(str(error))  # without its trace, to be sent


def _finite(pixels: np.ndarray) -> bool:
    return pixels.dtype.kind != "f" or bool(np.isfinite(pixels).all())


def _unit(stored: Stored) -> np.ndarray:
    """Return the image (C, H, W) for a thumbnail, float32 in [0, 1], scaled by the range of its type or values."""
    pixels = stored.colours()
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / 255
    low, high = float(pixels.min()), float(pixels.max())
    return ((pixels - low) / max(high - low, 1e-12)).astype(np.float32)
