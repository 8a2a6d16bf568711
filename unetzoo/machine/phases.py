"""Wall time by phase: there is one phase at any time, so that the phases add up to the whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Phases:
    """Clock that counts the seconds spent in each phase.

    It uses `time.monotonic`, so changes of the system's clock do not matter.

    Args:
        phase: Name of the first phase.
        since: Start of the first phase, a value of `time.monotonic`; now if None.
    """

    def __init__(self, phase: str, since: float | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self.earlier: dict[str, float] = {}
        self.now, self._mark = phase, time.monotonic() if since is None else since

    def __call__(self, phase: str) -> None:
        """Begin a phase and end the one before.

        Args:
            phase: Name of the phase.
        """
        now = time.monotonic()
        self.seconds[self.now] = self.seconds.get(self.now, 0.0) + now - self._mark
        self.now, self._mark = phase, now

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Run the block in a phase and return to the phase before.

        Args:
            phase: Name of the phase.
        """
        before = self.now
        self(phase)
        try:
            yield
        finally:
            self(before)

    def total(self, *phases: str) -> float:
        """Return the seconds spent in some phases up to now, without those of interrupted attempts.

        Args:
            phases: Names of the phases.
        """
        self(self.now)
        return sum(self.seconds.get(phase, 0.0) for phase in phases)

    def so_far(self) -> dict[str, float]:
        """Return the seconds of every phase up to now, including those of interrupted attempts."""
        self(self.now)
        names = {**self.earlier, **self.seconds}
        return {name: self.earlier.get(name, 0.0) + self.seconds.get(name, 0.0) for name in names}

    def take_over(self, earlier: dict[str, float]) -> None:
        """Add the time of an interrupted attempt; if there are several, only the longest, that is the last, counts.

        Args:
            earlier: Seconds of every phase, as returned by `so_far` when the attempt was saved.
        """
        if sum(earlier.values()) > sum(self.earlier.values()):
            self.earlier = dict(earlier)
