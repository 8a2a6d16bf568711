"""Reading all records of a folder, in the little memory that 10,000 of them need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unetzoo._util.text import REASON, shortened, visible
from unetzoo.errors import UnetzooError
from unetzoo.records.manifest import Manifest
from unetzoo.records.record import Record, read_record

Shared = dict[str, Any]  # text of a value -> the value


def record_files(folder: Path) -> list[Path]:
    """Return the paths of all records in ``folder/records``, sorted; hidden files are skipped."""
    return sorted(p for p in (folder / "records").glob("*.json") if not p.name.startswith("."))


def read_members(folder: Path, manifest: Manifest) -> dict[str, tuple[list[Record], list[tuple[str, str]]]]:
    """Return `read_all` of each data set of a collection that has records, by label.

    Raises:
        UnetzooError: If no data set has a record.
    """
    found = {label: read_all(folder / label) for label in manifest.data if record_files(folder / label)}
    if not found:
        raise UnetzooError(f"{folder}: nothing to report, no data set of this collection has a record yet")
    return found


def read_all(folder: Path) -> tuple[list[Record], list[tuple[str, str]]]:
    """Return the readable records of ``folder/records/*.json``, and (file name, reason) of the unreadable ones.

    The records share what is the same in several of them.

    Raises:
        UnetzooError: If the folder or its records are missing.
    """
    if not folder.is_dir():
        raise UnetzooError(f"{folder}: no such folder")
    if not (folder / "records").is_dir():
        raise UnetzooError(f"{folder}: nothing to report, looked for a folder 'records' in it")
    paths = record_files(folder)
    if not paths:
        raise UnetzooError(f"{folder / 'records'}: nothing to report, looked for *.json and found none")
    records: list[Record] = []
    unreadable: list[tuple[str, str]] = []
    shared: Shared = {}
    for path in paths:
        try:
            records.append(_compact(read_record(path), shared))
        except UnetzooError as error:  # name, not path: the report must not depend on where the folder is
            why = " ".join(str(error).replace(str(path), path.name).split())
            unreadable.append((visible(path.name), shortened(visible(why), REASON)))
    return records, unreadable


def _compact(record: Record, shared: Shared) -> Record:
    """Return the same record in less memory."""

    def same(value: Any) -> Any:
        return shared.setdefault(repr(value), value)

    change: dict[str, Any] = {name: same(getattr(record, name)) for name in ("model", "environment", "events", "data")}
    change["trial"] = {name: same(value) for name, value in record.trial.items()}
    if (result := record.result) is not None:
        change["result"] = result.model_copy(update={"policy": same(result.policy), "groups": same(result.groups)})
    return record.model_copy(update=change)
