"""One trial in one tracker: what an adapter is told, and what it must do with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Setting = bool | int | float | str
Status = Literal["ok", "failed", "stopped"]


@dataclass(frozen=True)
class TrackedTrial:
    """A trial as it is known before it runs.

    Attributes:
        project: Name of the suite.
        name: File name of its record without suffix, in a collection after the label of the data set.
        id: The trial's id.
        settings: All its options, named ``train.lr``.
    """

    project: str
    name: str
    id: str
    settings: Mapping[str, Setting]


@dataclass(frozen=True)
class Ending:
    """The end of a trial.

    Attributes:
        status: How it ended; "stopped" may go on later.
        reason: Why it failed; empty if it did not.
        step: Its last step.
        values: Scores, ``test/dice``, and costs, ``cost/params``.
        pictures: Key of a test image -> PNG of image, truth and prediction side by side.
        record: Its record; None if it has none.
    """

    status: Status
    reason: str = ""
    step: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    record: Path | None = None


class Tracker(ABC):
    """A trial in a tracker; it is made when the trial starts, in whichever thread calls its methods.

    Args:
        folder: Folder of this tracker in the run, in which a local store lies.
        trial: The trial. One that was stopped before is continued.
    """

    def __init__(self, folder: Path, trial: TrackedTrial) -> None:
        self.folder, self.trial = folder, trial

    @classmethod
    @abstractmethod
    def store(cls, folder: Path) -> str:
        """Return where it stores: a path, an address, or a mode.

        Args:
            folder: Folder of this tracker in the run.
        """

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of a step.

        Args:
            step: The step, from 1.
            values: Name of a curve, such as ``train/loss`` -> its value.
        """

    @abstractmethod
    def end(self, ending: Ending) -> None:
        """Take the end of the trial, and close the store."""
