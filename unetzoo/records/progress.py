"""The progress of a run: one file ``progress/*.json`` in its folder for each process that runs it, while it does."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from unetzoo.errors import Strict, UnetzooError

PROGRESS = "progress"
SILENT_SECONDS = 60.0  # after which what a process said to run is no longer believed


class RunningTrial(Strict):
    """A trial that runs, or the measurement of its model's costs.

    Attributes:
        name: Label and seed, in a collection with the data set before them.
        phase: What it does: "data", "measure", "train", "test" or "starting".
        step: Optimizer step.
        steps: Steps in all; 0 while they are not known.
        loss: Latest training loss.
        val_dice: Latest validation Dice.
        curve: (step, training loss, latest validation Dice), at most about 200 points.
    """

    name: str
    phase: str = "starting"
    step: int = 0
    steps: int = 0
    loss: float | None = None
    val_dice: float | None = None
    curve: list[tuple[int, float | None, float | None]] = []


class Progress(Strict):
    """State of a run: what is done, what runs, what failed.

    Attributes:
        version: Version of the format.
        total: Trials to run.
        reused: Trials that had a record before.
        done: Trials that have ended.
        failed: Those of them that failed.
        seconds: Seconds since the first trial began.
        running: The trials that run.
    """

    version: Literal[1] = 1
    total: int
    reused: int = 0
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    running: list[RunningTrial] = []

    @property
    def left(self) -> float | None:
        """Expected seconds until all trials are done; None before anything is done."""
        steps = sum(trial.step / trial.steps for trial in self.running if trial.steps)
        done = self.done + steps
        return self.seconds / done * max(0.0, self.total - done) if done > 0 and self.seconds > 0 else None


def read_progress(folder: Path) -> tuple[Progress, float] | None:
    """Return the progress of the run in a folder and when it was last written (Unix time); None if none goes on.

    Every process knows of all trials that have ended, and of the running ones its own.
    """
    found = []
    for path in (folder / PROGRESS).glob("*.json"):
        try:
            found.append((path.stat().st_mtime, Progress.from_json(path.read_bytes(), str(path))))
        except (OSError, UnetzooError):
            continue
    if not found:
        return None
    latest = max(written for written, _ in found)
    lively = [progress for written, progress in found if written >= latest - SILENT_SECONDS]
    whole = max(lively, key=lambda progress: (progress.total, progress.seconds))
    running = {trial.name: trial for progress in lively for trial in progress.running}
    return whole.model_copy(update={"running": list(running.values())}), latest
