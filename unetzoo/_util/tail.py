"""The end of a trial's log, for the record of a failure and for the page of a variant."""

from __future__ import annotations

import os
from pathlib import Path

from unetzoo._util.text import LINE, shortened, visible

TAIL_LINES, TAIL_BYTES = 60, 200_000


def tail(log: Path, most: int = TAIL_LINES) -> str:
    """Return the last lines of a log, each of bounded length; '' if it cannot be read.

    Args:
        log: The file.
        most: Number of lines.
    """
    try:
        with log.open("rb") as file:
            before = max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES)
            file.seek(before)
            lines = file.read(TAIL_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return ""
    if before and len(lines) <= most:
        lines.insert(0, f"[... {before} more bytes before]")
        del lines[1 : len(lines) - most + 1]
    return "\n".join(shortened(visible(line), LINE) for line in lines[-most:])
