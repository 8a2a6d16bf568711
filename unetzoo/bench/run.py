"""Run a suite: expand it, do what is missing, keep every outcome as a record."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from unetzoo.atomic import write_atomic
from unetzoo.bench.layout import Where
from unetzoo.bench.local import Job, run_jobs, tail
from unetzoo.bench.record import ModelFacts, Record, Status, read_record
from unetzoo.bench.suite import Suite, Trial, expand
from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError
from unetzoo.plugins import import_plugins
from unetzoo.registry import model_info


@dataclass(frozen=True)
class Outcome:
    """How the suite's trials stand: name of the record's file -> status."""

    statuses: dict[str, Status]
    reused: int

    @property
    def failed(self) -> dict[str, Status]:
        return {name: status for name, status in self.statuses.items() if status != "ok"}


class Watcher:
    """What a run tells while it goes on; the command line draws it."""

    def start(self, todo: list[Trial], reused: int) -> None:
        """Before the first trial."""

    def change(self, job: Job) -> None:
        """A trial has started or said something."""

    def end(self, job: Job) -> None:
        """A trial has ended and its record is written."""


def run_suite(
    suite: Suite, out: Path, *, jobs: int = 1, retry_failed: bool = False, watcher: Watcher | None = None
) -> Outcome:
    """Run what is missing of a suite's trials into ``out/records``, one JSON file each.

    A trial that has a record is not run again; with ``retry_failed`` one whose record is a failure is. A trial
    that fails becomes a record with its reason and log; the others go on. Raises `UnetzooError` before anything
    runs where the suite, its data or ``out`` is not sound.
    """
    watcher = watcher or Watcher()
    import_plugins(suite.imports)
    dataset = suite.data.open()
    trials = expand(suite, dataset)
    where = Where(out, jobs)
    dataset.check_values()
    _check_writable(where.records)
    _check_writable(where.out / "trials")
    statuses: dict[str, Status] = {}
    todo = []
    for trial in trials:
        path = where.record(trial)
        status = _status(path)
        if status is None or (retry_failed and status != "ok"):
            todo.append(trial)
        else:
            statuses[path.name] = status

    reused = len(statuses)
    watcher.start(todo, reused)
    started = [Job(trial, _blank(suite, trial, dataset)) for trial in todo]
    for job in run_jobs(suite, started, where, watcher.change):
        path = where.record(job.trial)
        if job.status != "ok" and _status(path) == "ok":  # it died after its record was written
            job.status, job.reason = "ok", None
        if job.status != "ok":
            log_tail = tail(where.log(job.trial))
            failure = {"status": job.status, "reason": job.reason, "log_tail": log_tail, "environment": job.environment}
            try:
                write_atomic(path, job.blank.model_copy(update=failure).to_json())
            except OSError as error:
                raise UnetzooError(f"{path}: cannot be written: {error.strerror}") from None
        assert job.status is not None
        statuses[path.name] = job.status
        watcher.end(job)
    return Outcome(statuses, reused)


def _status(path: Path) -> Status | None:
    """The status of a record; None where there is none. One that cannot be read is set aside, and is none."""
    if not path.exists():
        return None
    try:
        return read_record(path).status
    except UnetzooError:
        path.rename(path.with_suffix(".json.damaged"))
        return None


def _blank(suite: Suite, trial: Trial, dataset: SegmentationDataset) -> Record:
    """What is known of a record before its trial runs."""
    entry = model_info(trial.model.name)
    return Record(
        id=trial.id,
        status="crashed",
        suite=suite.name,
        question=suite.question,
        trial=trial.model_dump(mode="json"),
        model=ModelFacts(paper=entry.paper.model_dump() if entry.paper else {}, diff=_diff(trial)),
        data=dataset.facts(),
    )


def _diff(trial: Trial) -> dict[str, tuple[object, object]]:
    """A grid model's resolved options against ``unet``'s; of any other, its options as they are."""
    entry = model_info(trial.model.name)
    if entry.spec is None:
        return {}
    base = model_info("unet").options
    return {k: (base[k], v) for k, v in trial.model.options.items() if v != base[k]}


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot be written: {error.strerror}") from None
