"""A stamp beside a report, by which it is not written again while nothing that it is made from has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from unetzoo._util.atomic import write_atomic
from unetzoo._util.versions import __version__

STAMP = ".report"
INPUTS = ("collection.json", "records/*", "records/images/*")
OUTPUTS = ("*.html", "*.md", "*.csv", "plots/*", "variants/*")
State = tuple[str, int, int]  # path, size in bytes, time of the last change in ns


class Stamp:
    """The state of a report's records, code and options when this was made, and of the report's files.

    Make it before the report is written: a record that another process adds meanwhile is then missed by the stamp, as
    it is by the report, which is written again the next time.

    Args:
        folder: Output folder of a run, or of a collection.
        options: What else the report depends on, as text.
    """

    def __init__(self, folder: Path, options: str) -> None:
        code = Path(__file__).resolve().parents[1]
        self._folder = folder
        sources = [*_states(code.rglob("*.py"), code), *_states(code.rglob("*.j2"), code)]
        self._made_from = [__version__, options, sorted([*self._files(INPUTS), *sources])]

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
        return hashlib.sha256(json.dumps([*self._made_from, sorted(self._files(OUTPUTS))]).encode()).hexdigest()

    def _files(self, patterns: Sequence[str]) -> Iterator[State]:
        """Yield the states of files of the folder, and of those of its data sets."""
        folders = [self._folder, *(path for path in self._folder.glob("*/") if (path / "records").is_dir())]
        return _states((path for each in folders for pattern in patterns for path in each.glob(pattern)), self._folder)


def _states(files: Iterable[Path], root: Path) -> Iterator[State]:
    """Yield what tells a file from a later one of its name."""
    for path in files:
        with suppress(OSError):
            found = path.stat()
            yield path.relative_to(root).as_posix(), found.st_size, found.st_mtime_ns
