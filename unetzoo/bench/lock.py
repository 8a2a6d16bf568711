"""A lock on a folder of output, so that one harness at a time writes there."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from unetzoo._util.text import shortened, visible
from unetzoo.errors import UnetzooError
from unetzoo.machine.processes import condition

LOCK, OWNER = ".lock", ".lock-owner"
POLL_SECONDS = 0.5
STOPPED_POLLS = 120  # patience with an owner that is stopped


@contextmanager
def only_one(folder: Path, wait: bool, waiting: Callable[[str], None] = lambda owner: None) -> Iterator[None]:
    """Hold the lock of a folder; it is the kernel's and ends with the process, however that ends.

    Args:
        folder: An existing folder.
        wait: Wait if another process holds the lock, instead of raising; for a stopped one only a minute.
        waiting: Called with the owner of the lock, in words, before waiting, and again if it is stopped meanwhile.

    Yields:
        Nothing; the lock is held inside the ``with`` block.

    Raises:
        UnetzooError: If the folder cannot be locked, or another process holds it and ``wait`` is False, or it is
            stopped and stays so.
    """
    lock, owner = FileLock(folder / LOCK), folder / OWNER
    told, stopped = "", 0
    while not _acquired(lock, folder):
        who, pid = _owner(owner)
        idle = pid is not None and condition(pid) == "stopped"
        stopped = stopped + 1 if idle else 0
        if idle:
            who += ", which is stopped"
            remedy = f"continue it (kill -CONT {pid}) or end it (kill -KILL {pid})"
        else:
            remedy = "wait until it has ended"
        if not wait or stopped > STOPPED_POLLS:
            raise UnetzooError(f"{folder}: in use by {who}; {remedy}, or choose another output folder")
        if who != told:
            told = who
            waiting(who)
        time.sleep(POLL_SECONDS)
    try:
        with suppress(OSError):  # informative only
            since = time.strftime("%Y-%m-%d %H:%M")
            owner.write_text(f"process {os.getpid()} on {platform.node()} since {since}", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            owner.unlink()
        lock.release()


def _acquired(lock: FileLock, folder: Path) -> bool:
    """Take the lock if it is free.

    Raises:
        UnetzooError: If the folder cannot be locked.
    """
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot be locked: {error.strerror or error}") from None
    return True


def _owner(file: Path) -> tuple[str, int | None]:
    """Return who holds the lock, in words, and its process id if it is one of this machine."""
    try:
        text = shortened(visible(file.read_text(encoding="utf-8", errors="replace")), 200).strip()
    except OSError:
        text = ""
    match = re.match(r"process (\d{1,9}) on (\S+)", text)
    return text or "another process", int(match[1]) if match and match[2] == platform.node() else None
