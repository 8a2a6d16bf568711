"""The records that a tracker has: one line for each in a file, so that none is exported twice."""

from __future__ import annotations

import json
from pathlib import Path

from unetzoo.bench.queue import signature

LEDGER = "written.jsonl"


class Ledger:
    """List of the records that one store of a tracker holds.

    Args:
        folder: Folder of the tracker in the run.
        store: Where it stores; another store has none of the records.
    """

    def __init__(self, folder: Path, store: str) -> None:
        self._file, self._store = folder / LEDGER, store

    def has(self, record: Path) -> bool:
        """Return True if a record has been written, as it is now."""
        try:
            lines = self._file.read_text().splitlines()
        except OSError:
            return False
        return self._line(record) in lines

    def add(self, record: Path) -> None:
        """Note that a record has been written."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write(self._line(record) + "\n")

    def _line(self, record: Path) -> str:
        return json.dumps({"store": self._store, "record": record.name, "digest": (signature(record) or "")[:16]})
