"""Trackio: a run in a project of the suite's name, in a database in the folder of the run."""

from __future__ import annotations

import contextvars
import io
import os
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from unetzoo.bench.trackers.tracker import Ending, TrackedTrial, Tracker

LONGEST = 120  # characters of a project's name


class Adapter(Tracker):
    """A trial as a run of Trackio; see `Tracker`."""

    def __init__(self, folder: Path, trial: TrackedTrial) -> None:
        super().__init__(folder, trial)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("TRACKIO_DIR", str(folder))  # before the import, which reads it
        self._trackio: Any = import_module("trackio")
        # In a context of its own: `init` ends the run before it in the same context, and trials run side by side.
        self._run = contextvars.Context().run(
            self._trackio.init,
            project=re.sub(r"[^\w-]", "-", trial.project)[:LONGEST],
            name=trial.name.replace("/", "-"),
            config=dict(trial.settings),
            resume="allow",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )

    @classmethod
    def store(cls, folder: Path) -> str:
        """Return ``TRACKIO_DIR`` if it is set, else the folder."""
        return os.environ.get("TRACKIO_DIR") or str(folder)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of a step."""
        self._run.log(dict(values), step=step)

    def end(self, ending: Ending) -> None:
        """Take the end of the trial, and close its run."""
        pictures = {
            f"pictures/{key}": self._trackio.Image(Image.open(io.BytesIO(png))) for key, png in ending.pictures.items()
        }
        record = {} if ending.record is None else {"record": self._trackio.Markdown(_block(ending.record.read_text()))}
        self._run.log({**ending.values, **pictures, **record, "status": ending.status}, step=ending.step)
        self._run.finish()


def _block(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
