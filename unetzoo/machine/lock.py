"""Machine-wide lock: one timing at a time, and no training step during a timing.

Every trial holds a shared lock while it computes; a timing holds it exclusively. The locks are the kernel's (flock),
so they vanish with a process that dies. Their files lie in the folder for temporary files, one set per user, so that
suites that run side by side do not disturb each other's timings. A turnstile in front of the lock prevents training
steps from starving a timing.
"""

from __future__ import annotations

import os
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

POLL_SECONDS = 0.01


def no_beat() -> None:
    """Do nothing; the default sign of life."""


class MachineLock:
    """Lock that keeps timings and training steps on this machine apart.

    The attribute ``exclusive`` is False if there is no flock, or no folder that belongs to this user. Timings are then
    not kept apart, and the record says so.

    Args:
        folder: Folder of the lock files; by default one of this user's in the folder for temporary files.
        beat: Called while waiting, so that a wait is not mistaken for a hang.
    """

    def __init__(self, folder: Path | None = None, beat: Callable[[], None] = no_beat) -> None:
        self._beat = beat
        self._files: list[int] = []
        if fcntl is not None:
            folder = folder or Path(tempfile.gettempdir()) / f"unetzoo-{os.getuid()}"
            with suppress(OSError):
                folder.mkdir(mode=0o700, exist_ok=True)
                for name in ("turnstile", "steps") if folder.lstat().st_uid == os.getuid() else ():
                    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                    self._files.append(os.open(folder / name, flags, 0o600))
                    weakref.finalize(self, os.close, self._files[-1])
        self.exclusive = len(self._files) == 2

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Run the block beside other steps, after waiting for timings to end."""
        with self._held(shared=True):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run the block while no other step or timing runs on this machine."""
        with self._held(shared=False):
            yield

    @contextmanager
    def _held(self, shared: bool) -> Iterator[None]:
        if fcntl is None or not self.exclusive:
            yield
            return
        turnstile, steps = self._files
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._take(turnstile, mode)
        try:
            self._take(steps, mode)
            if shared:
                fcntl.flock(turnstile, fcntl.LOCK_UN)
            yield
        finally:
            fcntl.flock(steps, fcntl.LOCK_UN)
            fcntl.flock(turnstile, fcntl.LOCK_UN)

    def _take(self, file: int, mode: int) -> None:
        assert fcntl is not None
        while True:
            try:
                fcntl.flock(file, mode | fcntl.LOCK_NB)
            except BlockingIOError:
                self._beat()
                time.sleep(POLL_SECONDS)
            else:
                return
