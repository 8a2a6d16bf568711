"""Progress of a run as one bar, for notebooks and scripts; the command line draws more."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from unetzoo.bench.jobs import Job
from unetzoo.bench.trials import Trial
from unetzoo.bench.watcher import Watcher


def in_notebook() -> bool:
    """Return True in a Jupyter kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class BarWatcher(Watcher):
    """A bar of the trials that have ended, beside it what those do that run."""

    def __init__(self) -> None:
        self.bar: Any = None

    def start(self, todo: list[Trial], reused: int) -> None:
        if todo:
            self.bar = tqdm(total=len(todo), desc="trials", unit="trial", file=sys.stdout, dynamic_ncols=True)
        if reused:
            self.note(f"{reused} trials are already done")

    def note(self, line: str) -> None:
        tqdm.write(line, file=sys.stdout)

    def decided(self, line: str) -> None:
        self.note(line)

    def change(self, job: Job) -> None:
        if self.bar is not None:
            last = job.last
            where = f"step {last['step']}/{last['steps']}" if last.get("phase") == "train" else last.get("phase", "")
            dice = last.get("val_dice")
            score = "" if dice is None else f", val Dice {dice:.3f}"
            self.bar.set_postfix_str(f"{job.trial.model.label} seed {job.trial.seed}: {where}{score}")

    def end(self, job: Job) -> None:
        if self.bar is None:
            return
        self.bar.update(1)
        if job.status != "ok" and not job.stopped:
            self.note(f"{job.trial.model.label} seed {job.trial.seed}: {job.status}: {job.reason}")

    def close(self) -> None:
        """Leave the bar as it is, on a line of its own."""
        if self.bar is not None:
            self.bar.close()
