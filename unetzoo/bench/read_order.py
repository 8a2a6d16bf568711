"""In which order a trial read its data: the test split stands last, once, after the weights were chosen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unetzoo.data.base import SPLITS, SegmentationDataset
from unetzoo.machine.quiet import nothing
from unetzoo.records.record import Event


class ReadInOrder(SegmentationDataset):
    """A data set that keeps account of what is read of it.

    Raises `RuntimeError` where a test item is read before `select`, or twice: a mistake in the harness, which must
    not become a number.
    """

    def __init__(self, dataset: SegmentationDataset, beat: Callable[[], None] = nothing) -> None:
        """``beat`` is called at every read, so that a large data set is not taken for a hang."""
        self.info, self.splits = dataset.info, dataset.splits
        self.events: list[Event] = []
        self._dataset, self._beat = dataset, beat
        self._split = {key: split for split in SPLITS for key in dataset.splits[split]}
        self._tested: set[str] | None = None  # None until the weights are chosen

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
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
        """The weights of ``step`` are the chosen ones; the test split may be read from now on."""
        self.events.append(Event(what="select", split="val", step=step))
        self._tested = set()

    def content_digest(self, key: str) -> str:
        return self._dataset.content_digest(key)

    def instances(self, key: str) -> np.ndarray | None:
        return self._dataset.instances(key)
