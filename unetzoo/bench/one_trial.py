"""One trial of a prepared run, as an engine starts it: isolated, limited and resumed as by the local engine."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Literal

from unetzoo.bench.claims import newest_claim
from unetzoo.bench.execute import run_queue
from unetzoo.bench.heart import Heart
from unetzoo.bench.interrupts import interruptible
from unetzoo.bench.jobs import Job
from unetzoo.bench.prepared import Prepared, check_versions, find_trial, read_newest
from unetzoo.bench.queue import Queue
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError
from unetzoo.records.record import read_record

Outcome = Literal["ok", "failed", "again"]
SAVE_SIGNALS = (signal.SIGUSR2,) if hasattr(signal, "SIGUSR2") else ()


def run_prepared(
    out: Path, trial: str, watcher: Watcher | None = None, *, elsewhere: bool = False
) -> tuple[Outcome, str]:
    """Run one trial of a prepared run, and keep its record; one that has a record is not run.

    SIGTERM, SIGUSR2 and Ctrl-C let the trial save itself and end.

    Args:
        out: Folder of the output.
        trial: The trial's id, ``LABEL/ID`` in a collection.
        watcher: Callbacks that follow the trial.
        elsewhere: True on a machine that sees only a copy of the run, whose data are checked before the trial.

    Returns:
        "ok" or "failed" by its record, or "again" if it was stopped and saved or another process runs it; and a line
        that says so.

    Raises:
        UnetzooError: If the folder, the run or the trial is not there, versions differ, or a record cannot be written.
    """
    out, watcher = out.absolute(), watcher or Watcher()
    prepared, line = find_trial(out, trial)
    check_versions(prepared)
    _enter_folder(prepared, elsewhere)
    record = prepared.folders(line).records / f"{line.stem}.json"
    if line.before is None and record.exists():
        return _outcome(record)
    job = prepared.job(line)
    if elsewhere:
        _check_digest(job)
    with interruptible(watcher, SAVE_SIGNALS) as stop_request, Heart() as heart:
        queue = Queue([job], heart, wait=False, note=watcher.note)
        watcher.start([job.trial], 0)
        run_queue(queue, 1, watcher, stop_request)
    if queue.left():
        return "again", f"trial {line.id} is run by {_holder(job)}"
    if job.status is None:
        return "again", f"trial {line.id} was stopped; it has saved itself, and the same command continues it"
    return _outcome(job.folders.record(job.trial))


def check_data(out: Path) -> None:
    """Check that this machine, which sees only a copy of a run, has the data of each of its suites.

    Args:
        out: Folder with the copy.

    Raises:
        UnetzooError: If it has not.
    """
    prepared = read_newest(out.absolute())
    if prepared is None:
        raise UnetzooError(f"{out}: no run is prepared here")
    _enter_folder(prepared, elsewhere=True)
    for line in {line.suite: line for line in prepared.trials if line.todo}.values():
        _check_digest(prepared.job(line))


def _check_digest(job: Job) -> None:
    """Check that the data set of a trial is here, with the content that it had where the run was prepared.

    Raises:
        UnetzooError: If it is not.
    """
    try:
        digest = job.suite.data.open().digest()
    except UnetzooError as error:
        raise UnetzooError(f"data of the run: {error}") from None
    if digest != job.trial.data.digest:
        raise UnetzooError(f"data set {job.trial.data.name!r} has another content than where the run was prepared")


def _enter_folder(prepared: Prepared, elsewhere: bool) -> None:
    """Enter the folder that relative paths of the suite start from; one that sees only a copy may do without.

    Raises:
        UnetzooError: If this machine cannot see it.
    """
    try:
        os.chdir(prepared.run.folder)
    except OSError as error:
        if elsewhere:
            return
        raise UnetzooError(
            f"{prepared.run.folder}: cannot be entered: {error.strerror}; relative paths of the suite start there"
        ) from None


def _holder(job: Job) -> str:
    newest = newest_claim(job.folders.claims, job.trial.stem)
    return newest[1].words if newest else "another process"


def _outcome(path: Path) -> tuple[Outcome, str]:
    record = read_record(path)
    if record.status == "ok":
        return "ok", f"{path}: ok"
    return "failed", f"{path}: {record.status}: {record.reason}"
