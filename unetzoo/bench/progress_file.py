"""The watcher that keeps a file in ``progress``, from which ``unetzoo report --serve`` shows a run while it goes on."""

from __future__ import annotations

import math
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo.bench.jobs import Job
from unetzoo.bench.trials import Trial
from unetzoo.bench.watcher import Watcher
from unetzoo.records.progress import PROGRESS, Progress, RunningTrial

EVERY_SECONDS = 2.0
FORGOTTEN_SECONDS = 3600.0
POINTS = 200  # of a curve, about


class ProgressFile(Watcher):
    """Writes what is done and what runs, at most every two seconds; `remove` ends it.

    Args:
        folder: Folder of the run's output.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS / f"{uuid.uuid4().hex}.json"
        self._progress = Progress(total=0)
        self._running: dict[str, RunningTrial] = {}
        self._begun = self._written = time.monotonic()

    def note(self, line: str) -> None:
        """Nothing: the run's own watcher tells the user."""

    def start(self, todo: list[Trial], reused: int) -> None:
        self._progress = Progress(total=len(todo), reused=reused)
        self._begun = time.monotonic()
        self._write()
        self._sweep()

    def change(self, job: Job) -> None:
        name = _name(job)
        self._running[name] = _updated(self._running.get(name) or RunningTrial(name=name), job.last)
        if time.monotonic() - self._written >= EVERY_SECONDS:
            self._write()

    def measured(self, job: Job) -> None:
        self._running.pop(_name(job), None)

    def end(self, job: Job) -> None:
        self._running.pop(_name(job), None)
        if not job.stopped:
            before = self._progress
            ended = {"done": before.done + 1, "failed": before.failed + (job.status != "ok")}
            self._progress = before.model_copy(update=ended)
        self._write()

    def remove(self) -> None:
        """Remove the file, as the run is over."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            self._path.parent.rmdir()

    def _sweep(self) -> None:
        """Remove the files of processes that were killed."""
        with suppress(OSError):  # such as a file that its own process has just removed
            now = self._path.stat().st_mtime
            for path in self._path.parent.glob("*.json"):
                if path.stat().st_mtime < now - FORGOTTEN_SECONDS:
                    path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._written = time.monotonic()
        now = {"seconds": round(self._written - self._begun, 1), "running": list(self._running.values())}
        with suppress(OSError):  # informative only
            write_atomic(self._path, self._progress.model_copy(update=now).model_dump_json() + "\n")


def _updated(before: RunningTrial, message: dict[str, Any]) -> RunningTrial:
    """Return a running trial after a message, which may be a mere sign of life."""
    step, steps = int(message.get("step") or 0), int(message.get("steps") or 0)
    loss, dice = (_finite(message.get(key)) for key in ("loss", "val_dice"))
    curve = before.curve
    if message.get("phase") == "train" and (not curve or step >= curve[-1][0] + max(1, steps // POINTS)):
        curve = [*curve, (step, loss, dice)]
    phase = str(message.get("phase", before.phase))
    return RunningTrial(name=before.name, phase=phase, step=step, steps=steps, loss=loss, val_dice=dice, curve=curve)


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _name(job: Job) -> str:
    data = "" if job.data is None else f"{job.data}: "
    return f"{data}{job.trial.model.label}" + (": costs" if job.task == "costs" else f" seed {job.trial.seed}")


def together(*watchers: Watcher) -> Watcher:
    """Return a watcher that passes every call on to several."""
    both = Watcher()
    for name in (name for name in vars(Watcher) if not name.startswith("_")):

        def call(*arguments: Any, name: str = name) -> None:
            for watcher in watchers:
                getattr(watcher, name)(*arguments)

        setattr(both, name, call)
    return both
