"""The order in which a trial reads its data: the test split last, once, after the weights have been chosen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unetzoo.data.base import SPLITS, SegmentationDataset
from unetzoo.data.expected import Storage
from unetzoo.machine.lock import no_beat
from unetzoo.records.parts import Event


class ReadInOrder(SegmentationDataset):
    """A data set that records what is read from it, and in which order.

    Reading a test item before `select`, or twice, raises `RuntimeError`: that would be a mistake of the harness, which
    must not become a number.

    Args:
        dataset: The data set to read from.
        beat: Called at every read, so that reading a large data set is not mistaken for a hang.
    """

    def __init__(self, dataset: SegmentationDataset, beat: Callable[[], None] = no_beat) -> None:
        self.info, self.splits = dataset.info, dataset.splits
        self.downscale = dataset.downscale
        self.events: list[Event] = []
        self._dataset, self._beat = dataset, beat
        self._split = {key: split for split in SPLITS for key in dataset.splits[split]}
        self._tested: set[str] | None = None  # None until the weights are chosen

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Read an item, and record the event.

        Raises:
            RuntimeError: If it is a test item and the weights are not chosen yet, or it is read a second time.
        """
        self._beat()
        split = self._split[key]
        if split == "test":
            if self._tested is None:
                raise RuntimeError(f"test item {key!r} was read before the weights were chosen")
            if key in self._tested:
                raise RuntimeError(f"test item {key!r} was read twice")
            self._tested.add(key)
        last = self.events[-1] if self.events else None
        if last is not None and (last.what, last.split) == ("read", split):
            self.events[-1] = last.model_copy(update={"items": last.items + 1})
        else:
            self.events.append(Event(what="read", split=split, items=1))
        return self._dataset.read(key)

    def select(self, step: int) -> None:
        """Record that the weights of ``step`` were chosen; from now on the test split may be read."""
        self.events.append(Event(what="select", split="val", step=step))
        self._tested = set()

    def content_digest(self, key: str) -> str:
        return self._dataset.content_digest(key)

    def instances(self, key: str) -> np.ndarray | None:
        return self._dataset.instances(key)

    def storage(self, key: str) -> Storage | None:
        return self._dataset.storage(key)
