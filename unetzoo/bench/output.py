"""Where a suite's output lies, and what of the machine a trial may use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from unetzoo.bench.trials import Trial


@dataclass(frozen=True)
class Where:
    """Folders of a suite's output, the trials that run side by side, and the CPU threads each may use."""

    out: Path
    jobs: int = 1

    @property
    def threads(self) -> int:
        here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, here // self.jobs)

    @property
    def records(self) -> Path:
        return self.out / "records"

    def record(self, trial: Trial) -> Path:
        return self.records / f"{trial.stem}.json"

    def folder(self, trial: Trial) -> Path:
        """Where a trial's log and weights go."""
        return self.out / "trials" / trial.stem

    def log(self, trial: Trial) -> Path:
        return self.folder(trial) / "log.txt"
