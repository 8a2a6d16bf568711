"""Callbacks, clock, lock and checkpoint that a trial gives to its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from unetzoo.machine.lock import MachineLock, no_beat
from unetzoo.machine.phases import Phases
from unetzoo.train.checkpoint import Checkpoint

Progress = Callable[[dict[str, Any]], None]


@dataclass
class TrainingHooks:
    """Callbacks, clock, lock and checkpoint of a training run; without lock and checkpoint by default.

    Attributes:
        progress: Called with a message after every step.
        beat: Called between messages as a sign of life.
        stop: Returns True if the training is to stop and save its state.
        phases: Clock of the time spent in each phase.
        lock: Lock that keeps training steps and timings on this machine apart.
        checkpoint: File from which the training resumes and to which it saves its state.
    """

    progress: Progress = lambda message: None
    beat: Callable[[], None] = no_beat
    stop: Callable[[], bool] = lambda: False
    phases: Phases = field(default_factory=lambda: Phases("train"))
    lock: MachineLock | None = None
    checkpoint: Checkpoint | None = None

    @contextmanager
    def turn(self, phase: str) -> Iterator[None]:
        """Run the block in ``phase``, after waiting for timings on this machine to end.

        Args:
            phase: Name of the phase.
        """
        if self.lock is None:
            with self.phases.during(phase):
                yield
            return
        with self.phases.during("wait"), self.lock.shared(), self.phases.during(phase):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run the block, a timing, in the current phase while nothing else on this machine trains or is timed."""
        if self.lock is None:
            yield
            return
        phase = self.phases.now
        with self.phases.during("wait"), self.lock.alone(), self.phases.during(phase):
            yield
