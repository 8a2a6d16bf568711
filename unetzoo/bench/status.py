"""The state of a run from files alone, whichever engine runs it: records, claims, heartbeats and what was prepared."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from unetzoo._util.text import shortened, visible
from unetzoo.bench.claims import heartbeat, newest_claim, trials_claimed
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.prepared import PreparedTrial, read_newest
from unetzoo.errors import Strict, UnetzooError
from unetzoo.records.record import read_record

State = Literal["done", "failed", "running", "stale", "stopped", "waiting"]
STATES: tuple[State, ...] = ("done", "failed", "running", "stale", "stopped", "waiting")
WORDS = 200  # characters of a text from a file


class TrialState(Strict):
    """The state of a trial.

    Attributes:
        data: Label of its data set in a collection; None for a single suite.
        trial: File name of its record without suffix.
        state: "done" or "failed" by its record; "running", or "stale" if its heartbeat is older than its claim allows;
            "stopped" if it began and nobody holds it; "waiting" if it has not begun.
        detail: Why it failed, or the phase and the step it is at.
        where: Process that runs it, in words.
        age: Seconds since its last heartbeat by the disk's clock; None if not known.
    """

    data: str | None
    trial: str
    state: State
    detail: str = ""
    where: str = ""
    age: float | None = None


def read_status(out: Path) -> list[TrialState]:
    """Return the state of every trial of the run that was prepared last, and of all others that have begun.

    Args:
        out: Folder of the output.

    Raises:
        UnetzooError: If there is no such folder, or nothing of a run in it.
    """
    if not out.is_dir():
        raise UnetzooError(f"{out}: no such folder")
    prepared = read_newest(out)
    expected = list[tuple[str | None, PreparedTrial]]()
    if prepared:
        expected = [(prepared.run.suites[line.suite].label, line) for line in prepared.trials]
    labels = {label for label, _ in expected} | {None if d == out else d.name for d in _member_folders(out)}
    found = []
    for label in sorted(labels, key=lambda label: label or ""):
        folders = OutputFolders(out if label is None else out / label)
        claimed = dict(trials_claimed(folders.claims))
        stems = [line.stem for of, line in expected if of == label]
        stems += sorted((claimed.keys() | {path.stem for path in folders.records.glob("*.json")}) - set(stems))
        now = _disk_time(folders.out)
        found += [_state(label, folders, stem, claimed.get(stem), now) for stem in stems]
    if not found:
        raise UnetzooError(f"{out}: no trial of a run is here, nor is one prepared")
    return found


def _member_folders(out: Path) -> list[Path]:
    """Return the folders with records or claims: the output itself, or those of a collection's data sets."""
    inside = [path.parent for name in ("records", "claims") for path in out.glob(f"*/{name}")]
    return [folder for folder in (out, *inside) if (folder / "records").is_dir() or (folder / "claims").is_dir()]


def _state(label: str | None, folders: OutputFolders, stem: str, claimed: int | None, now: float | None) -> TrialState:
    path = folders.records / f"{stem}.json"
    if path.exists():
        try:
            record = read_record(path)
        except UnetzooError as error:
            return TrialState(data=label, trial=stem, state="failed", detail=shortened(str(error), WORDS))
        if record.status == "ok":
            return TrialState(data=label, trial=stem, state="done")
        reason = shortened(visible(f"{record.status}: {record.reason}"), WORDS)
        return TrialState(data=label, trial=stem, state="failed", detail=reason)
    newest = newest_claim(folders.claims, stem, claimed) if claimed else None
    if newest is None:
        return TrialState(data=label, trial=stem, state="waiting")
    holder = newest[1]
    beat = heartbeat(folders.claims, stem, holder)
    if beat is None or holder.ended():
        return TrialState(data=label, trial=stem, state="stopped")
    age = None if now is None else max(0.0, now - beat[0] / 1e9)
    state: State = "stale" if age is not None and age > holder.stale_seconds else "running"
    return TrialState(data=label, trial=stem, state=state, detail=_progress(beat[1]), where=holder.words, age=age)


def _progress(beat: bytes) -> str:
    """Return phase and step of a heartbeat, '' if it was read while it was being written."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        told: dict[str, Any] = json.loads(beat)
        steps = f", step {told['step']}/{told['steps']}" if "step" in told else ""
        return shortened(visible(f"{told['phase']}{steps}"), WORDS)
    return ""


def _disk_time(folder: Path) -> float | None:
    """Return the time by the clock of the disk, which also dates the heartbeats; None if it cannot be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".now-") as file:
            file.write(b".")
            file.flush()
            return Path(file.name).stat().st_mtime
    except OSError:
        return None
