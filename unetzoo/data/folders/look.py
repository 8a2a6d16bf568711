"""One look at the files of a pair: each is decoded once, and whatever is needed of it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np

from unetzoo._util.helpers import spread
from unetzoo._util.progress import tell
from unetzoo.data.expected import Storage
from unetzoo.data.folders.convert import convert_pair
from unetzoo.data.folders.files import Stored, array_digest, check_same_size
from unetzoo.data.folders.properties import ImageProperties, MaskProperties, image_properties, mask_properties
from unetzoo.data.folders.reading import Pair, Reading
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
        views: Thumbnails of the image, if they were asked for and it can be shown: under the reading that was given, or
            else as stored.
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


def tasks_of(pairs: Mapping[str, Pair], split_of: Mapping[str, str], compare: bool) -> dict[str, Task]:
    """Return the task of each key; images of the first split are compared with none, and need not be moved.

    Args:
        pairs: Files of each key.
        split_of: Split of each key that has one, in the order of the splits.
        compare: Ask for thumbnails of those that have a split.
    """
    first = next(iter(split_of.values()), None)
    moved = {key: int(split != first) for key, split in split_of.items()} if compare else {}
    return {key: Task(pair, moved.get(key)) for key, pair in pairs.items()}


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
    shown, content = None, None
    if reading is not None and not wrong:
        with suppress(UnetzooError):  # whoever needs the content meets the error again
            content, shown = _converted(task, stored, mask, reading)
    if shown is None and task.moved is not None and _finite(stored.pixels):
        shown = views(_unit(stored), task.moved)
    return Look(image_found, mask_found, tuple(wrong), shown, content)


def _converted(task: Task, stored: Stored, mask: Stored, reading: Reading) -> tuple[Content, np.ndarray | None]:
    """Return the content of a decoded pair, and the thumbnails of its image if they are asked for.

    Raises:
        UnetzooError: If the pair contradicts the reading.
    """
    image, classes = convert_pair(task.pair, stored, mask, reading)
    shown = None if task.moved is None else views(image, task.moved)
    return Content(array_digest(image, classes), Storage.of(stored)), shown


def contents(tasks: Mapping[str, Task], reading: Reading) -> Iterator[tuple[str, Content, np.ndarray | None]]:
    """Read pairs, on all cores if they are many, and yield key, content and thumbnails of each, in order.

    Args:
        tasks: Pair of each key.
        reading: How to read them.

    Raises:
        UnetzooError: If a file cannot be read or contradicts the reading; it names the first such file.
    """
    alone = any(task.pair.drawing is not None for task in tasks.values())
    found = spread(partial(_read_content, reading), list(tasks.values()), alone=alone)
    for done, (key, read) in enumerate(zip(tasks, found, strict=True), start=1):
        if isinstance(read, UnetzooError):
            raise read
        tell("reading files", done, len(tasks))
        yield key, *read


def _read_content(reading: Reading, task: Task) -> tuple[Content, np.ndarray | None] | UnetzooError:
    try:
        return _converted(task, task.pair.read_image(), task.pair.read_mask(), reading)
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
