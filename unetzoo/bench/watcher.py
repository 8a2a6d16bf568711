"""Watcher: what a run tells while it goes on."""

from __future__ import annotations

from unetzoo.bench.local import Job
from unetzoo.bench.trials import Trial
from unetzoo.data.base import SegmentationDataset


class Watcher:
    """What a run tells while it goes on; the command line draws it."""

    def wait(self, owner: str) -> None:
        """The folder is in use by ``owner``, and the run waits for it."""

    def stopping(self) -> None:
        """The user asked for an end; the trials under way save themselves."""

    def data(self, dataset: SegmentationDataset) -> None:
        """The data set is open."""

    def check(self, data: str) -> None:
        """The data set of this label, one of a collection's, is opened and read through."""

    def start(self, todo: list[Trial], reused: int) -> None:
        """Before the first trial."""

    def change(self, job: Job) -> None:
        """A trial has started or said something."""

    def end(self, job: Job) -> None:
        """A trial has ended and its record is written."""
