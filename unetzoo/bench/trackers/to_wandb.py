"""Weights & Biases: a run in a project of the suite's name, offline unless ``WANDB_MODE`` says otherwise."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from unetzoo.bench.trackers.tracker import Ending, TrackedTrial, Tracker

EXIT_CODES = {"ok": 0, "failed": 1, "stopped": 75}
LONGEST = 120  # characters of a project's name


class Adapter(Tracker):
    """A trial as a run of Weights & Biases; see `Tracker`."""

    def __init__(self, folder: Path, trial: TrackedTrial) -> None:
        super().__init__(folder, trial)
        folder.mkdir(parents=True, exist_ok=True)
        self._wandb: Any = import_module("wandb")  # types and examples are checked without it
        self._run = self._wandb.init(
            mode=self.store(folder),
            dir=str(folder),
            project=re.sub(r"[^\w.-]", "-", trial.project)[:LONGEST],
            name=trial.name,
            id=trial.id,
            resume=None if self.store(folder) == "offline" else "allow",
            config=dict(trial.settings),
            reinit="create_new",  # several trials run side by side
            settings=self._wandb.Settings(
                silent=True, console="off", save_code=False, disable_git=True, x_disable_meta=True
            ),
        )

    @classmethod
    def store(cls, folder: Path) -> str:
        """Return ``WANDB_MODE`` if it is set, else ``offline``."""
        return os.environ.get("WANDB_MODE") or "offline"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of a step."""
        self._run.log(dict(values), step=step)

    def end(self, ending: Ending) -> None:
        """Take the end of the trial, and close its run."""
        for name, value in {**ending.values, "status": ending.status, "reason": ending.reason}.items():
            self._run.summary[name] = value
        for key, png in ending.pictures.items():
            self._run.log({f"pictures/{key}": self._wandb.Image(Image.open(io.BytesIO(png)))}, step=ending.step)
        if ending.record is not None:
            shutil.copy(ending.record, self._run.dir)  # all files there are uploaded
        self._run.finish(exit_code=EXIT_CODES[ending.status])
