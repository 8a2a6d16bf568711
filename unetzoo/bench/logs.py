"""Logs of trials: all that a trial prints, up to a size, and its last lines for the record of a failure."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from unetzoo._util.text import LINE, shortened, visible

LOG_BYTES = 10_000_000  # a longer log loses its middle
HEAD_BYTES, END_BYTES = 1_000_000, 4_000_000  # what then remains
MARK = b"\n[... cut here: a log keeps at most 10 MB, its first and its last lines ...]\n"
TAIL_LINES, TAIL_BYTES = 60, 200_000


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


def tail(log: Path) -> str:
    """Return the last lines of a log, each of bounded length; '' if it cannot be read."""
    try:
        with log.open("rb") as file:
            before = max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES)
            file.seek(before)
            lines = file.read(TAIL_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return ""
    if before and len(lines) <= TAIL_LINES:
        lines.insert(0, f"[... {before} more bytes before]")
        del lines[1 : len(lines) - TAIL_LINES + 1]
    return "\n".join(shortened(visible(line), LINE) for line in lines[-TAIL_LINES:])


def append(log: Path, lines: Iterable[str]) -> None:
    """Add lines to the end of a log.

    Raises:
        OSError: If it cannot be written.
    """
    text = "".join(f"{line}\n" for line in lines)
    if text:
        with log.open("a", encoding="utf-8", errors="replace") as file:
            file.write(text)
