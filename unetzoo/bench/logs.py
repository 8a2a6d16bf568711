"""Logs of trials: all that a trial prints, up to a size."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LOG_BYTES = 10_000_000  # a longer log loses its middle
HEAD_BYTES, END_BYTES = 1_000_000, 4_000_000  # what then remains
MARK = b"\n[... cut here: a log keeps at most 10 MB, its first and its last lines ...]\n"


def redirect_output(log: Path) -> None:
    """Send all output of this process and its children to a new log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # Appending, so that a process whose log `trim` has cut goes on at the new end.
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # so that a killed process's log is complete


def trim(log: Path) -> None:
    """Cut the middle out of a log that is over its limit, also while it is being written."""
    with suppress(OSError):
        if log.stat().st_size <= LOG_BYTES:
            return
        with log.open("r+b") as file:
            file.seek(-END_BYTES, os.SEEK_END)
            end = file.read(END_BYTES)
            file.seek(HEAD_BYTES)
            file.write(MARK + end)
            file.truncate()


def append(log: Path, lines: Iterable[str]) -> None:
    """Add lines to the end of a log.

    Raises:
        OSError: If it cannot be written.
    """
    text = "".join(f"{line}\n" for line in lines)
    if text:
        with log.open("a", encoding="utf-8", errors="replace") as file:
            file.write(text)
