"""Machine-wide lock: one timing at a time, and no training step during a timing.

Every trial holds a shared lock while it computes; a timing holds it exclusively. The locks are the kernel's (flock),
so they vanish with a process that dies. Their files lie in the folder for temporary files, one set per user, so that
suites that run side by side do not disturb each other's timings. A turnstile in front of the lock prevents training
steps from starving a timing.

Nobody waits for ever: a process that is stopped computes nothing, so it is passed over soon; one that holds the lock
without a break for longer than any timing takes is passed over, too, and timings are then not said to be kept apart.
"""

from __future__ import annotations

import os
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unetzoo.machine.processes import condition

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

POLL_SECONDS = 0.01
LOOK_SECONDS = 1.0  # between two looks at the processes that hold the lock
SAY_LOOKS, STOPPED_LOOKS, MOST_LOOKS = 10, 30, 1800  # patience: until it is said, with a stopped process, with any


def no_beat() -> None:
    """Do nothing; the default sign of life."""


def silent(line: str) -> None:
    """Say nothing; the default of who wants to be told."""


class MachineLock:
    """Lock that keeps timings and training steps on this machine apart.

    The attribute ``exclusive`` is False if there is no flock, no folder that belongs to this user, or a process that
    held the lock too long was passed over. Timings are then not kept apart, and the record says so.

    Args:
        folder: Folder of the lock files; by default one of this user's in the folder for temporary files.
        beat: Called while waiting, so that a wait is not mistaken for a hang.
        say: Called with a line about the processes that hold the lock, once for each, if the wait is long.
    """

    def __init__(
        self, folder: Path | None = None, beat: Callable[[], None] = no_beat, say: Callable[[str], None] = silent
    ) -> None:
        self._beat, self._say = beat, say
        self._said: set[str] = set()
        self._passed: set[int] = set()  # processes that are not waited for while they are stopped
        self._overdue: set[int] = set()  # processes that are never waited for again
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
        if fcntl is None or len(self._files) < 2:
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
        """Wait for the lock of a file, or until its owners are not worth waiting for."""
        assert fcntl is not None
        wait = _Wait(file)
        while True:
            try:
                fcntl.flock(file, mode | fcntl.LOCK_NB)
            except BlockingIOError:
                self._beat()
                if wait.look(first=bool(self._passed or self._overdue)) and self._passes(wait):
                    return
                time.sleep(POLL_SECONDS)
            else:
                return

    def _passes(self, wait: _Wait) -> bool:
        """Return True if the owners of a lock are to be passed over; say so, and say whom a long wait is for."""
        idle = wait.idle > 0
        if wait.idle >= STOPPED_LOOKS:
            self._passed |= wait.owners
        if wait.looks >= MOST_LOOKS:
            self._overdue |= wait.owners
        passes = wait.looks >= MOST_LOOKS or (
            bool(wait.owners) and wait.owners <= self._overdue | (self._passed if idle else set())
        )
        if passes:
            self.exclusive = False
            self._tell(f"no longer waiting for {wait.who()} to end a timing or a step; timings may be disturbed by it")
        elif wait.looks == SAY_LOOKS:
            self._tell(f"waiting for {wait.who()} to end a timing or a step")
        return passes

    def _tell(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)


class _Wait:
    """A wait for the lock of a file: who holds it, and for how many looks the same processes have.

    Looks are counted, not seconds: while this process is stopped itself, nobody's patience ends.
    """

    def __init__(self, file: int) -> None:
        self._file, self._looked = file, time.monotonic()
        self.owners: set[int] = set()
        self.looks = self.idle = 0  # looks at the same owners; the last ones of them with all stopped or ended

    def look(self, first: bool) -> bool:
        """Look at the owners if it is time to; return True if it was.

        Args:
            first: Make the first look at once.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS and not (first and self.looks == 0):
            return False
        self._looked = now
        owners = _owners(self._file)
        if owners != self.owners:
            self.owners, self.looks, self.idle = owners, 0, 0
        self.looks += 1
        self.idle = self.idle + 1 if owners and all(condition(p) in ("stopped", "ended") for p in owners) else 0
        return True

    def who(self) -> str:
        """Return the owners in words."""
        if not self.owners:
            return "another process"
        state = ", stopped," if self.idle else ""
        ids = ", ".join(map(str, sorted(self.owners)))
        return f"process {ids}{state}" if len(self.owners) == 1 else f"processes {ids}{state}"


def _owners(file: int) -> set[int]:
    """Return the processes that hold the flock of a file; none are known where the system does not tell (proc(5))."""
    found = set()
    with suppress(OSError, IndexError, ValueError):
        inode = str(os.fstat(file).st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()  # 1: FLOCK ADVISORY WRITE 4711 fe:00:2146626 0 EOF; of one that waits, 1: -> FLOCK ...
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                found.add(int(words[4]))
    return {pid for pid in found if pid > 0}  # those of another container have no id here
