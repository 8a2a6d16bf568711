"""One trial of a prepared run, as an engine starts it: isolated, limited and resumed as by the local engine."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Literal

from unetzoo.bench.claims import POLL_SECONDS, Heart, Onlooker
from unetzoo.bench.jobs import Job, StopRequest
from unetzoo.bench.prepared import Prepared, check_versions, find_trial
from unetzoo.bench.queue import Queue, due
from unetzoo.bench.run import interruptible, run_queue
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError
from unetzoo.records.record import read_record

Outcome = Literal["ok", "failed", "again"]
SAVE_SIGNALS = (signal.SIGUSR2,) if hasattr(signal, "SIGUSR2") else ()


def run_prepared(out: Path, trial: str, watcher: Watcher | None = None) -> tuple[Outcome, str]:
    """Run one trial of a prepared run, and keep its record; one that has a record is not run.

    SIGTERM, SIGUSR2 and Ctrl-C let the trial save itself and end.

    Args:
        out: Folder of the output.
        trial: The trial's id, ``LABEL/ID`` in a collection.
        watcher: Callbacks that follow the trial.

    Returns:
        "ok" or "failed" by its record, or "again" if it was stopped and saved or another process runs it; and a line
        that says so.

    Raises:
        UnetzooError: If the folder, the run or the trial is not there, versions differ, or a record cannot be written.
    """
    out, watcher = out.absolute(), watcher or Watcher()
    prepared, line = find_trial(out, trial)
    check_versions(prepared)
    _enter_folder(prepared)
    record = prepared.folders(line).records / f"{line.stem}.json"
    if line.before is None and record.exists():
        return _outcome(record)
    job = prepared.job(line)
    with interruptible(watcher, SAVE_SIGNALS) as stop_request, Heart() as heart:
        if not _free(job, stop_request):
            return "again", f"trial {line.id} is run by {_holder(job)}"
        watcher.start([job.trial], 0)
        run_queue(Queue([job], heart, note=watcher.note), 1, watcher, stop_request)
    if job.status is None:
        return "again", f"trial {line.id} was stopped; it has saved itself, and the same command continues it"
    return _outcome(job.folders.record(job.trial))


def _enter_folder(prepared: Prepared) -> None:
    """Enter the folder that relative paths of the suite start from.

    Raises:
        UnetzooError: If this machine cannot see it.
    """
    try:
        os.chdir(prepared.run.folder)
    except OSError as error:
        raise UnetzooError(
            f"{prepared.run.folder}: cannot be entered: {error.strerror}; relative paths of the suite start there"
        ) from None


def _free(job: Job, stop_request: StopRequest) -> bool:
    """Return True once nobody else holds a trial; False as soon as its holder shows that it lives."""
    onlooker = Onlooker(job.folders.claims, job.trial.stem)
    while due(job) and not stop_request.stop and not onlooker.free():
        if onlooker.moved:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _holder(job: Job) -> str:
    onlooker = Onlooker(job.folders.claims, job.trial.stem)
    onlooker.free()
    return onlooker.holder.words


def _outcome(path: Path) -> tuple[Outcome, str]:
    record = read_record(path)
    if record.status == "ok":
        return "ok", f"{path}: ok"
    return "failed", f"{path}: {record.status}: {record.reason}"
