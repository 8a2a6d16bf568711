"""Tiles that are computed together: as many as are asked for, or as many as are fastest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import NamedTuple

import torch
from torch import Tensor

from unetzoo.inference.network import Values
from unetzoo.inference.tiles import Tile
from unetzoo.inference.tta import Restore

MOST = 16  # tiles that "auto" computes at once
GAIN = 0.95  # a larger batch must take less than this share of the time per tile


class Job(NamedTuple):
    """One version of one tile: its place in the row, the network's input (1, C, h, w), and the inverse transform."""

    column: Tile
    pixels: Tensor
    restore: Restore


class Batches:
    """A function from images (N, C, H, W) to the network's outputs, with N no more than ``size``.

    With "auto", N is 1 on a CPU, where larger batches are no faster and outputs must not depend on the time of day.
    Elsewhere the first batches are timed: N is doubled as long as that is faster and memory suffices.

    Args:
        values: The network.
        batch: Largest N, or "auto".
        device: Device of the images.
        clock: Clock in seconds.
    """

    def __init__(
        self, values: Values, batch: int | str, device: torch.device, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.values, self.device, self.clock = values, device, clock
        self.size = batch if isinstance(batch, int) else 1
        self.settled = isinstance(batch, int) or device.type == "cpu"
        self.fastest = float("inf")  # seconds per tile
        self.warm = False  # the first batch of each size also pays for its set-up

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the outputs of a batch.

        Raises:
            OutOfMemoryError: If memory does not suffice for a single image.
        """
        if self.settled or len(pixels) < self.size:
            return self.values(pixels)
        begun = self.clock()
        try:
            found = self.values(pixels)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        except torch.OutOfMemoryError:
            if self.size == 1:
                raise
            self.size, self.settled = self.size // 2, True
            return torch.cat([self.values(part) for part in pixels.split(self.size)])
        self._learn((self.clock() - begun) / len(pixels))
        return found

    def _learn(self, seconds: float) -> None:
        """Take the seconds per tile into account, and choose the next size."""
        if not self.warm:
            self.warm = True
            return
        self.warm = False
        if seconds >= GAIN * self.fastest:
            self.size, self.settled = self.size // 2, True
        elif self.size == MOST:
            self.settled = True
        else:
            self.size, self.fastest = 2 * self.size, seconds


def answers(compute: Batches, jobs: Iterable[Job]) -> Iterator[tuple[Tile, Tensor]]:
    """Yield each job's column and output (K, h, w) in order; consecutive jobs of equal shape are computed together."""
    for _, alike in groupby(jobs, key=lambda job: job.pixels.shape):
        while together := list(islice(alike, compute.size)):
            found = compute(torch.cat([job.pixels for job in together]) if len(together) > 1 else together[0].pixels)
            for job, answer in zip(together, found.split(1), strict=True):
                yield job.column, job.restore(answer)
