"""Where wall time goes: one clock, one phase at a time, so that the phases add up to the whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Phases:
    """Seconds by phase. Begins in ``phase`` at ``since`` (of `time.monotonic`, so a set clock changes nothing)."""

    def __init__(self, phase: str, since: float | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self.earlier: dict[str, float] = {}
        self.now, self._mark = phase, time.monotonic() if since is None else since

    def __call__(self, phase: str) -> None:
        """From now on it is ``phase``."""
        now = time.monotonic()
        self.seconds[self.now] = self.seconds.get(self.now, 0.0) + now - self._mark
        self.now, self._mark = phase, now

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """``phase`` inside the block, afterwards what it was before."""
        before = self.now
        self(phase)
        try:
            yield
        finally:
            self(before)

    def total(self, *phases: str) -> float:
        """Seconds of these phases up to now, of this attempt alone."""
        self(self.now)
        return sum(self.seconds.get(phase, 0.0) for phase in phases)

    def so_far(self) -> dict[str, float]:
        """Every phase's seconds up to now, those of interrupted attempts included."""
        self(self.now)
        names = {**self.earlier, **self.seconds}
        return {name: self.earlier.get(name, 0.0) + self.seconds.get(name, 0.0) for name in names}

    def take_over(self, earlier: dict[str, float]) -> None:
        """Count what an interrupted attempt had spent when it was saved; of several savings the last."""
        if sum(earlier.values()) > sum(self.earlier.values()):
            self.earlier = dict(earlier)
