"""A lock on a folder of output, so that one harness at a time writes there."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from unetzoo.errors import UnetzooError

LOCK, OWNER = ".lock", ".lock-owner"


@contextmanager
def only_one(folder: Path, wait: bool, waiting: Callable[[str], None] = lambda owner: None) -> Iterator[None]:
    """Hold the lock of a folder; it is the kernel's and ends with the process, however that ends.

    Args:
        folder: An existing folder.
        wait: Wait if another process holds the lock, instead of raising.
        waiting: Called with the owner of the lock, in words, before waiting.

    Yields:
        Nothing; the lock is held inside the ``with`` block.

    Raises:
        UnetzooError: If the folder cannot be locked, or another process holds it and ``wait`` is False.
    """
    lock, owner = FileLock(folder / LOCK), folder / OWNER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            who = owner.read_text()
        except OSError:
            who = "another process"
        if not wait:
            raise UnetzooError(
                f"{folder}: in use by {who}; wait until it has ended, or choose another output folder"
            ) from None
        waiting(who)
        lock.acquire()
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot be locked: {error.strerror or error}") from None
    try:
        with suppress(OSError):  # informative only
            owner.write_text(f"process {os.getpid()} on {platform.node()}")
        yield
    finally:
        with suppress(OSError):
            owner.unlink()
        lock.release()
