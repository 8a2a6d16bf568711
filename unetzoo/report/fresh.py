"""A stamp beside a report, by which it is not written again while nothing that it is made from has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from unetzoo._util.atomic import write_atomic
from unetzoo._util.versions import __version__

STAMP = ".report"
INPUTS = ("collection.json", "records/*", "records/images/*")
OUTPUTS = ("*.html", "*.md", "*.csv", "plots/*", "variants/*")


class Stamp:
    """The state of a report's records, code, options and files.

    Args:
        folder: Output folder of a run, or of a collection.
        options: What else the report depends on, as text.
    """

    def __init__(self, folder: Path, options: str) -> None:
        self._folder, self._options = folder, options

    def valid(self) -> bool:
        """Return True if the report was written by these options, and its records and files are as they were."""
        try:
            return (self._folder / STAMP).read_bytes() == self._digest().encode()
        except OSError:
            return False

    def put(self) -> None:
        """Write the stamp, once the report is there."""
        with suppress(OSError):  # such as a full disk: the report is then written again the next time
            write_atomic(self._folder / STAMP, self._digest())

    def _digest(self) -> str:
        code = Path(__file__).resolve().parents[1]
        folders = [self._folder, *(path for path in self._folder.glob("*/") if (path / "records").is_dir())]
        files = (path for folder in folders for pattern in (*INPUTS, *OUTPUTS) for path in folder.glob(pattern))
        seen = [*_states(files, self._folder), *_states(code.rglob("*.py"), code), *_states(code.rglob("*.j2"), code)]
        return hashlib.sha256(json.dumps([__version__, self._options, sorted(seen)]).encode()).hexdigest()


def _states(files: Iterable[Path], root: Path) -> Iterator[tuple[str, int, int]]:
    """Yield what tells a file from a later one of its name."""
    for path in files:
        with suppress(OSError):
            found = path.stat()
            yield path.relative_to(root).as_posix(), found.st_size, found.st_mtime_ns
