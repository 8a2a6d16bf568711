"""Peak memory of a training step at any batch, read from the steps that were tracked at two batches.

A step allocates and frees the same storages in the same order whatever the batch; some sizes grow in proportion to it,
the others do not depend on it. So two tracked steps tell every other one, without running the network again.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from unetzoo.measure.rehearsal import Rehearsal, Shape
from unetzoo.measure.tracker import Purpose, Trace, breakdown
from unetzoo.records.measured import Breakdown


class BatchPeaks:
    """Peaks of a network's training step by batch size.

    A step is tracked for a batch of one, on which some networks work differently or fail, and as long as no two tracked
    steps agree, as with networks that choose at random what they compute.

    Args:
        work: The network and its optimizer; `training_peak` is called.
        shape: Shape of a batch of images, (N, C, H, W), of which N does not matter.
    """

    def __init__(self, work: Rehearsal, shape: Shape) -> None:
        self._work, self._shape = work, shape
        self._known: dict[int, Breakdown] = {}
        self._traces: dict[int, Trace] = {}

    @property
    def tracked(self) -> list[int]:
        """The batches for which a step was tracked, in that order."""
        return list(self._traces)

    def at(self, batch: int) -> Breakdown:
        """Return the peak at a batch size; exceptions of the network are passed on.

        Args:
            batch: Images in the batch.
        """
        if batch not in self._known:
            found = self._told(batch) if batch > 1 else None
            self._known[batch] = found or self._track(batch)
        return self._known[batch]

    def _track(self, batch: int) -> Breakdown:
        found = self._work.training_peak((batch, *self._shape[1:]))
        self._traces[batch] = self._work.trace
        return found

    def _told(self, batch: int) -> Breakdown | None:
        """Return the peak that the last two tracked steps tell; None if they do not agree, or there are fewer."""
        if len(self._traces) < 2:
            return None
        (n, one), (m, other) = list(self._traces.items())[-2:]
        sizes = _sizes(one, other, n, m, batch)
        if sizes is None:
            return None
        held = np.cumsum(sizes)
        last = one.begun + int(held[one.begun :].argmax())  # the first of several, as in `MemoryTracker`
        peak = Counter[Purpose]()
        for purpose, size in zip(one.purposes[: last + 1], sizes[: last + 1].tolist(), strict=True):
            peak[purpose] += size
        return breakdown(peak, has_skips=self._work.has_skips)


def _sizes(one: Trace, other: Trace, n: int, m: int, batch: int) -> np.ndarray | None:
    """Return the bytes of each event at a batch, from those at batches n and m; None if these two do not tell."""
    if one.purposes != other.purposes or one.begun != other.begun:
        return None
    a, b = np.array(one.sizes, np.int64), np.array(other.sizes, np.int64)
    constant, grows = a == b, (a * m == b * n) & (a % n == 0)
    return np.where(constant, a, a // n * batch) if bool((constant | grows).all()) else None
