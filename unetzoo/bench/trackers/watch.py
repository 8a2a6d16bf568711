"""The watcher that tells trackers of a run while it goes on, from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from unetzoo._util.text import REASON, shortened, visible
from unetzoo.bench.jobs import Job
from unetzoo.bench.logs import append
from unetzoo.bench.trackers.choice import FOLDER, tracker_class
from unetzoo.bench.trackers.tracker import Ending, TrackedTrial, Tracker
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import one_line

POINTS = 500  # of a curve, about
CLOSE_SECONDS = 120.0  # for what is left to write in the end


@dataclass
class _Followed:
    """A trial that runs.

    Attributes:
        trial: The trial.
        trackers: Name of each tracker that has not failed -> its adapter.
        step: Step of the last point; 0 before the first.
        warnings: Why trackers failed.
    """

    trial: TrackedTrial
    trackers: dict[str, Tracker] = field(default_factory=dict)
    step: int = 0
    warnings: list[str] = field(default_factory=list)


class TrackingWatcher(Watcher):
    """Tells trackers of settings, curves, costs, records and pictures.

    Whatever a tracker raises, and however slow it is, the run goes on: the trial's log has a warning, and the user is
    told once of each tracker.

    Args:
        folder: Folder of the run's output.
        names: The trackers.
        tell: Called with a line that the user should read.
    """

    def __init__(self, folder: Path, names: Sequence[str], tell: Callable[[str], None]) -> None:
        self._folder, self._names, self._tell = folder.absolute() / FOLDER, names, tell
        self._followed: dict[Path, _Followed] = {}
        self._warned: set[str] = set()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True, name="trackers")
        self._thread.start()

    def note(self, line: str) -> None:
        """Nothing: the run's own watcher tells the user."""

    def change(self, job: Job) -> None:
        if job.task == "trial" and job.last and job.last.get("phase") != "end":
            self._work.put(partial(self._take, job, job.last))

    def end(self, job: Job) -> None:
        if not job.elsewhere:
            self._work.put(partial(self._end, job, job.stopped or job.status is None))

    def close(self) -> None:
        """Wait until all is written, or say that it is not."""
        self._work.put(None)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            self._tell(
                f"{', '.join(self._names)}: not all is written after {CLOSE_SECONDS:g} s; "
                "'unetzoo export-runs' writes what is missing"
            )

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception as error:  # whatever it is, the run goes on
                self._warn("trackers", one_line(error))

    def _take(self, job: Job, message: dict[str, Any]) -> None:
        """Log the losses and the validation of a message, if it is time for a point."""
        from unetzoo.bench.trackers.describe import finite

        followed = self._follow(job)
        if message.get("phase") != "train" or job.trial.train.tune is not None:  # the chosen rate is not known yet
            return
        step, validated = message["step"], message["val_step"] == message["step"]
        every = 1 if validated else max(1, message["steps"] // POINTS)
        if followed.step and step < followed.step + every:  # also what a trial repeats that was started again
            return
        followed.step = step
        values = {"train/loss": message["loss"]}
        if validated:
            values |= {"val/loss": message["val_loss"], "val/dice": message["val_dice"]}
        self._each(followed, lambda tracker: tracker.log(step, finite(values)))

    def _end(self, job: Job, stopped: bool) -> None:
        from unetzoo.bench.trackers.describe import curves, ending
        from unetzoo.bench.trackers.ledger import Ledger
        from unetzoo.records.record import read_record

        followed = self._follow(job)
        del self._followed[job.folders.folder(job.trial)]
        path = job.folders.record(job.trial)
        if stopped:
            self._each(followed, lambda tracker: tracker.end(Ending("stopped", step=followed.step)))
        else:
            record = read_record(path)
            if job.trial.train.tune is not None:
                for step, values in curves(record):
                    self._each(followed, lambda tracker, step=step, values=values: tracker.log(step, values))
            last = ending(record, path)
            self._each(followed, lambda tracker: tracker.end(last))
            for tracker in followed.trackers.values():
                Ledger(tracker.folder, tracker.store(tracker.folder)).add(path)
        with suppress(OSError):
            append(job.folders.log(job.trial), followed.warnings)

    def _follow(self, job: Job) -> _Followed:
        """Return a trial that runs; the first time, open it in all trackers."""
        place = job.folders.folder(job.trial)
        if place in self._followed:
            return self._followed[place]
        from unetzoo.bench.trackers.describe import tracked

        trial = job.trial.model_dump(mode="json")
        followed = _Followed(tracked(job.suite.name, job.data, job.trial.stem, job.trial.id, trial))
        self._followed[place] = followed
        for name in self._names:
            with self._survived(followed, name):
                followed.trackers[name] = tracker_class(name)(self._folder / name, followed.trial)
        return followed

    def _each(self, followed: _Followed, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(followed.trackers.items()):
            with self._survived(followed, name):
                call(tracker)

    @contextmanager
    def _survived(self, followed: _Followed, name: str) -> Iterator[None]:
        """Turn an exception of a tracker into a warning, and do without it for the rest of the trial."""
        try:
            yield
        except BaseException as error:  # clients may even ask to exit
            followed.trackers.pop(name, None)
            why = shortened(visible(one_line(error)), REASON)
            followed.warnings.append(f"unetzoo: warning: tracker {name} failed; the trial goes on without it: {why}")
            self._warn(name, f"{why}; see the logs of trials")

    def _warn(self, name: str, why: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            self._tell(f"tracker {name} failed, trials go on without it: {why}")


@contextmanager
def tracking(folder: Path, names: Sequence[str], tell: Callable[[str], None]) -> Iterator[list[Watcher]]:
    """Yield the watchers that trackers need: one, or none if there are no trackers.

    Args:
        folder: Folder of the run's output.
        names: The trackers, by `unetzoo.bench.trackers.choice.tracker_names`.
        tell: Called with a line that the user should read.
    """
    if not names:
        yield []
        return
    watcher = TrackingWatcher(folder, names, tell)
    try:
        yield [watcher]
    finally:
        watcher.close()
