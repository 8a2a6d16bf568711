"""Data sets whose items are pairs of files, read according to a `Reading`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from unetzoo._util.helpers import spread
from unetzoo.data.base import SPLITS, DatasetInfo, SegmentationDataset
from unetzoo.data.expected import Storage
from unetzoo.data.folders.convert import read_image_of, read_instances, read_pair
from unetzoo.data.folders.look import Content, contents, tasks_of
from unetzoo.data.folders.pairs import some
from unetzoo.data.folders.reading import COLOUR, Pair, Reading, groups_of
from unetzoo.data.folders.reading_file import shown_values
from unetzoo.data.folders.thumbnails import Compared, Thumbnails

T = TypeVar("T")


class FileDataset(SegmentationDataset):
    """A data set of image and mask files. Every file is read once at the start.

    Args:
        reading: How to read the files.
        pairs: Files of each key.
        splits: Keys of each split.
        groups: Group of each key, which must stay in one split; default: found in the keys by the reading's ``group``.
        known: Content of keys that were read under this reading already.
        compare: Search for near-duplicates among the files that are read.
        on_read: Called with each key after its files were read.

    Raises:
        UnetzooError: If a file contradicts the reading; it names the first such file.
    """

    def __init__(
        self,
        reading: Reading,
        pairs: Mapping[str, Pair],
        splits: Mapping[str, tuple[str, ...]],
        groups: Mapping[str, str] | None = None,
        *,
        known: Mapping[str, Content] = MappingProxyType({}),
        compare: bool = False,
        on_read: Callable[[str], None] = lambda key: None,
    ) -> None:
        self.reading = reading
        self.splits = splits
        self._pairs = {key: pairs[key] for keys in splits.values() for key in keys}
        self.info = dataset_info(reading, len(pairs), next(iter(self._pairs.values()), None))
        self.groups = groups_of(self._pairs, reading.group) if groups is None else groups
        self.downscale = reading.downscale
        self._digests: dict[str, str] = {}
        self._storage: dict[str, Storage] = {}
        split_of = {key: split for split, keys in splits.items() for key in keys}
        unread = {key: pair for key, pair in self._pairs.items() if key not in known}
        thumbnails = Thumbnails()
        read = contents(tasks_of(unread, split_of, compare), reading)
        for key in self._pairs:
            content, views = (known[key], None) if key in known else next(read)[1:]
            self._digests[key], self._storage[key] = content
            if views is not None:
                thumbnails.add(split_of[key], key, views)
            on_read(key)
        self.compared = Compared.of(splits, thumbnails) if compare else None

    def summary_lines(self) -> list[str]:
        """Describe the reading in two lines."""
        reading = self.reading
        low, high = reading.range
        classes = ", ".join(f"{c.name} = {shown_values(c.values)}" for c in reading.classes[:12])
        classes += ", ..." if len(reading.classes) > 12 else ""
        scored = [c.name for c in reading.classes if c.foreground]
        headline = "all" if len(scored) == len(reading.classes) else some(scored)
        void = f"; void = {shown_values(reading.ignore)}" if reading.ignore else ""
        down = f", {reading.downscale}x{reading.downscale} px averaged" if reading.downscale > 1 else ""
        sizes = ", ".join(f"{len(self.splits[split])} {split}" for split in SPLITS)
        return [
            f"{reading.channels} channel{'s' * (reading.channels > 1)}, {low:g} to {high:g}{down}; {sizes}",
            f"classes {classes}{void}; headline: {headline}",
        ]

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        return read_pair(self._pairs[key], self.reading)

    def storage(self, key: str) -> Storage | None:
        return self._storage.get(key)

    def read_image(self, key: str) -> np.ndarray:
        return read_image_of(self._pairs[key], self.reading)

    def each_image(self, work: Callable[[np.ndarray], T], keys: Sequence[str]) -> Iterator[T]:
        pairs = [self._pairs[key] for key in keys]
        alone = any(pair.drawing is not None for pair in pairs)
        return spread(partial(_of_image, work, self.reading), pairs, alone=alone)

    def content_digest(self, key: str) -> str:
        return self._digests[key]

    def check_values(self) -> None:
        """Do nothing: every mask was read at the start, which refuses a value that is in no class."""

    def instances(self, key: str) -> np.ndarray | None:
        return read_instances(self._pairs[key], self.reading) if self.reading.instances else None


def _of_image(work: Callable[[np.ndarray], T], reading: Reading, pair: Pair) -> T:
    return work(read_image_of(pair, reading))


def dataset_info(reading: Reading, count: int, first: Pair | None = None) -> DatasetInfo:
    """Return the description of a data set that follow from its reading.

    ``values`` and ``palette`` are given only if each class has a single value.

    Args:
        reading: How to read the files.
        count: Number of pairs, for the description.
        first: A pair whose mask, if it is a palette image with a colour for each class, gives the palette.
    """
    single = [c.values[0] for c in reading.classes if len(c.values) == 1]
    numbers = tuple(value for value in single if isinstance(value, int))
    colours = tuple(value.lower() for value in single if isinstance(value, str) and COLOUR.fullmatch(value))
    classes = len(reading.classes)
    if first and len(numbers) == classes:
        colours = _palette(first, numbers)
    return DatasetInfo(
        name=reading.name,
        channels=reading.channels,
        class_names=tuple(c.name for c in reading.classes),
        foreground=tuple(i for i, c in enumerate(reading.classes) if c.foreground),
        ignore_index=reading.ignore_index,
        values=numbers if len(numbers) == classes else None,
        palette=colours if len(colours) == classes else None,
        range=reading.range,
        description=reading.description or f"{count} image-mask pairs",
        citation=reading.citation,
    )


def _palette(pair: Pair, values: tuple[int, ...]) -> tuple[str, ...]:
    """Return the colours of a mask's palette at ``values``; () if it has no palette or two of them are equal."""
    stored = pair.read_mask().palette
    if stored is None or not 0 <= min(values) <= max(values) < len(stored):
        return ()
    colours = tuple(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in stored[list(values)].tolist())
    return colours if len(set(colours)) == len(colours) else ()
