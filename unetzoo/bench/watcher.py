"""Watcher: what a run tells while it goes on."""

from __future__ import annotations

import logging

from unetzoo.bench.jobs import Job
from unetzoo.bench.trials import Trial
from unetzoo.data.base import SegmentationDataset


class Watcher:
    """Callbacks of a run, which do nothing here; the command line overrides them to show its progress."""

    def wait(self, owner: str) -> None:
        """Called when only trials are left that other processes run, those of ``owner``, and the run waits for them."""

    def left(self, jobs: list[Job]) -> None:
        """Called in the end with the trials that other processes still run, if they are not waited for."""

    def note(self, line: str) -> None:
        """Called with a line that the user should read, such as that a damaged record was set aside; logs it."""
        logging.getLogger("unetzoo").warning(line)

    def stopping(self) -> None:
        """Called when the user asks for an end and the running trials save themselves."""

    def data(self, dataset: SegmentationDataset) -> None:
        """Called when the data set is open."""

    def files(self, what: str, done: int, total: int) -> None:
        """Called for each file and model that is checked before the trials: what is done, how many are, their total."""

    def check(self, data: str) -> None:
        """Called before the data set with this label in a collection is opened and checked."""

    def start(self, todo: list[Trial], reused: int) -> None:
        """Called before the first trial, with the trials to run and the number of those already done."""

    def decided(self, line: str) -> None:
        """Called with a line on what was measured or decided before the first trial."""

    def change(self, job: Job) -> None:
        """Called when a trial, or the measurement of a model's costs, has started or sent a message."""

    def measured(self, job: Job) -> None:
        """Called when the costs of a model are measured."""

    def end(self, job: Job) -> None:
        """Called when a trial has ended and its record is written."""
