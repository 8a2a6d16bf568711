"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary file to write in ``path``'s folder; flushed and renamed to ``path`` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp gives 0o600
        temporary.replace(path)
        _flush_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, *content: bytes | memoryview | str) -> None:
    """Write all of ``content`` to ``path`` or leave what was there."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for part in content:
            file.write(part.encode() if isinstance(part, str) else part)


def _flush_folder(folder: Path) -> None:
    """After a power loss the new name stands only if the folder was flushed too; not every system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
