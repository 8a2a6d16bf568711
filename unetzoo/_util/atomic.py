"""Atomic file writes: a file is written completely or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write, which replaces ``path`` if the block ends without an exception.

    The file lies in the folder of ``path``, which is created if need be, and is flushed to disk before it is renamed.
    After an exception it is removed and ``path`` is left as it was.

    Args:
        path: The file to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:  # Windows flushes a file only if it is open for writing
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp gives 0o600
        temporary.replace(path)
        _flush_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, *content: bytes | memoryview | str) -> None:
    """Write ``content`` to ``path``, or leave the file as it was if that fails.

    Args:
        path: The file to write.
        content: Pieces that are written one after the other; text is encoded as UTF-8.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for part in content:
            file.write(part.encode() if isinstance(part, str) else part)


def _flush_folder(folder: Path) -> None:
    """Flush a folder to disk, if the system can.

    Without it a rename may be lost in a power failure although the file itself was flushed.
    """
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
