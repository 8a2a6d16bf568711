"""Writing the records of a run that is over to trackers, each record once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unetzoo._util.text import REASON, shortened, visible
from unetzoo.bench.trackers.choice import FOLDER, tracker_class
from unetzoo.bench.trackers.describe import curves, ending, tracked
from unetzoo.bench.trackers.ledger import Ledger
from unetzoo.errors import UnetzooError, one_line
from unetzoo.records.manifest import read_manifest
from unetzoo.records.reading import record_files
from unetzoo.records.record import read_record


@dataclass
class Exported:
    """Outcome of writing the records of a run to a tracker.

    Attributes:
        store: Where the tracker stores.
        written: Records that were written now.
        known: Records that the store had already.
        refused: What cannot be read, a line for each.
    """

    store: str
    written: int
    known: int
    refused: list[str]


def export_runs(folder: Path, name: str, told: Callable[[int, int], None] = lambda done, total: None) -> Exported:
    """Write each record of a run to a tracker that does not have it yet.

    Args:
        folder: Folder of the run, or of a collection.
        name: The tracker.
        told: Called with the number of records done and their total.

    Raises:
        UnetzooError: If the folder has no records, or the tracker fails; what it has by then is not written again.
    """
    files = list(_files(folder))
    if not files:
        raise UnetzooError(f"{folder}: nothing to export, looked for records/*.json and found none")
    place = folder.absolute() / FOLDER / name
    try:
        adapter = tracker_class(name)
        done = Exported(adapter.store(place), 0, 0, [])
        ledger = Ledger(place, done.store)
        for count, (label, path) in enumerate(files, 1):
            if ledger.has(path):
                done.known += 1
            else:
                try:
                    record = read_record(path)
                except UnetzooError as error:
                    done.refused.append(str(error))
                    continue
                tracker = adapter(place, tracked(record.suite, label, path.stem, record.id, record.trial))
                for step, values in curves(record):
                    tracker.log(step, values)
                tracker.end(ending(record, path))
                ledger.add(path)
                done.written += 1
            told(count, len(files))
    except Exception as error:
        raise UnetzooError(f"{name}: cannot be written: {shortened(visible(one_line(error)), REASON)}") from None
    return done


def _files(folder: Path) -> Iterator[tuple[str | None, Path]]:
    """Yield label and path of each record of a run; the label is None outside of collections.

    Raises:
        UnetzooError: If there is no such folder.
    """
    if not folder.is_dir():
        raise UnetzooError(f"{folder}: no such folder")
    manifest = read_manifest(folder)
    for label in [None] if manifest is None else manifest.data:
        for path in record_files(folder if label is None else folder / label):
            yield label, path.absolute()
