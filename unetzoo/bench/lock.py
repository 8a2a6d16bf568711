"""One harness at a time on a folder of output."""

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
    """Hold ``folder``; a lock of the kernel, which ends with the process however that ends.

    Where another process holds it: with ``wait`` tell ``waiting`` whose it is and wait, else raise `UnetzooError`.
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
                f"{folder}: in use by {who}; wait for its end, or choose another folder for the output"
            ) from None
        waiting(who)
        lock.acquire()
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot be locked: {error.strerror or error}") from None
    try:
        with suppress(OSError):  # only for people
            owner.write_text(f"process {os.getpid()} on {platform.node()}")
        yield
    finally:
        with suppress(OSError):
            owner.unlink()
        lock.release()
