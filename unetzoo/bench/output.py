"""The folders of a suite's output, and the share of the machine that a trial may use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from unetzoo._util.batch_job import cores
from unetzoo.bench.trials import Trial


@dataclass(frozen=True)
class OutputFolders:
    """Folders of a suite's output, and the trials that share the machine.

    Args:
        out: Folder of the output.
        jobs: Trials that run side by side.
    """

    out: Path
    jobs: int = 1

    @property
    def threads(self) -> int:
        """CPU threads that each trial may use."""
        return max(1, cores() // self.jobs)

    @property
    def records(self) -> Path:
        """Folder of the records."""
        return self.out / "records"

    @property
    def claims(self) -> Path:
        """Folder of the claims on trials; see `unetzoo.bench.claims`."""
        return self.out / "claims"

    def record(self, trial: Trial) -> Path:
        """Return the path of a trial's record."""
        return self.records / f"{trial.stem}.json"

    def costs(self, trial: Trial, machine: str) -> Path:
        """Return the path of the costs of a trial's model on a kind of machine."""
        kind = hashlib.sha256(machine.encode(errors="replace")).hexdigest()[:8]
        return self.out / "costs" / f"{trial.costs_id}-{kind}.json"

    def folder(self, trial: Trial) -> Path:
        """Return the folder of a trial's log, checkpoints and weights."""
        return self.out / "trials" / trial.stem

    def log(self, trial: Trial) -> Path:
        """Return the path of a trial's log."""
        return self.folder(trial) / "log.txt"
