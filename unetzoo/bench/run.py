"""Run a suite: expand it, run the trials that are missing, and keep every outcome as a record."""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unetzoo._util.atomic import write_atomic
from unetzoo._util.paths import user_path
from unetzoo._util.plugins import import_plugins
from unetzoo._util.progress import listening
from unetzoo.bench import fork_server
from unetzoo.bench.collection import Collection
from unetzoo.bench.expand import expand
from unetzoo.bench.local import IMPORTED, Job, StopRequest, run_jobs
from unetzoo.bench.lock import only_one
from unetzoo.bench.logs import tail
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.side_by_side import Measured, choose_jobs, most_jobs
from unetzoo.bench.suite import Suite
from unetzoo.bench.suite_file import read_suite
from unetzoo.bench.trials import Trial
from unetzoo.bench.watcher import Watcher
from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError, check_argument
from unetzoo.models.registry import model_info
from unetzoo.records.manifest import (
    MANIFEST,
    DamagedManifestError,
    Expected,
    Manifest,
    expected_by_records,
    read_manifest,
)
from unetzoo.records.record import (
    WEIGHTS_NOT_SAVED,
    DamagedRecordError,
    Flag,
    ModelDescription,
    Record,
    read_record,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class _Member:
    """A checked suite with its data and trials; ``data`` is its label in a collection."""

    suite: Suite
    data: str | None
    dataset: SegmentationDataset
    trials: list[Trial]
    folders: OutputFolders


def run(
    suite: Suite | Collection | Path | str,
    out: Path | str,
    *,
    jobs: int | Literal["auto"] = "auto",
    retry_failed: bool = False,
    wait: bool = False,
    watcher: Watcher | None = None,
) -> pd.DataFrame:
    """Run the missing trials of a suite, and keep each outcome as a JSON file in ``out/records``.

    A trial that has a record is not run again. An interrupted trial continues from its checkpoint. A trial that fails
    becomes a record with its reason and log, and the others continue.

    For a collection, each data set has its own folder ``out/<label>`` with records, and the first seed of all data
    sets runs before the second seed of any.

    In a script, put the call under ``if __name__ == "__main__":``, because the trials' processes import the script.

    Args:
        suite: A suite, a collection, or the path of a TOML file with one.
        out: Folder of the output, which is created if it is missing.
        jobs: Trials that run side by side and share the cores; "auto" chooses by a short measurement, if the suite is
            long enough to be worth one.
        retry_failed: Run failed trials again, and those whose trained weights could not be saved or are damaged.
        wait: Wait if another run uses ``out``, instead of raising.
        watcher: Callbacks that follow the run; default: none.

    Returns:
        A table like that of `read_records`, of this suite's trials alone: one row per trial, whose ``status`` tells
        how it ended. For a collection, the column ``data`` holds the label.

    Raises:
        UnetzooError: If the suite, its data, ``jobs`` or ``out`` is not valid, or another run uses ``out`` and
            ``wait`` is False; nothing has run then. Also if a record cannot be written.
        KeyboardInterrupt: After Ctrl-C or SIGTERM. At the first, running trials save themselves; a second kills them.
            No record is lost.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(IMPORTED)  # a trial's process imports the script with this call; `run_jobs` reports it
    side_by_side = None if isinstance(jobs, str) and jobs == "auto" else jobs
    if side_by_side is not None:
        check_argument("run", "jobs", jobs, int, "a whole number, 1 or more, or 'auto'")
        if side_by_side < 1:
            raise UnetzooError(f"jobs = {jobs} must be 1 or more, or 'auto'")
    for option, value in (("retry_failed", retry_failed), ("wait", wait)):
        check_argument("run", option, value, bool, "True or False")
    check_argument("run", "watcher", watcher, (Watcher, type(None)), "a unetzoo.bench.watcher.Watcher or None")
    words = "a Suite, a Collection or the path of a suite file"
    check_argument("run", "suite", suite, (Suite, Collection, str, os.PathLike), words)
    suite = suite if isinstance(suite, Suite | Collection) else read_suite(user_path(suite, "run: suite"))
    watcher, out = watcher or Watcher(), user_path(out, "run: out")
    _check_kind(out, suite)
    if not any(out.glob("**/records/*.json")):  # something will run: the server imports while the data are checked
        fork_server.start_method()
    suites = [*suite.chosen.items()] if isinstance(suite, Collection) else [(None, suite)]
    members = [_prepare(member, label, out, retry_failed, watcher) for label, member in suites]
    for member in members:
        _check_writable(member.folders.records)
        _check_writable(member.folders.out / "trials")
    with ExitStack() as held:
        for folder in dict.fromkeys([out, *(member.folders.out for member in members)]):
            held.enter_context(only_one(folder, wait, watcher.wait))
        stop_request = held.enter_context(_interruptible(watcher))
        if isinstance(suite, Collection):
            _write_manifest(suite, members, out, watcher)
        _run(members, side_by_side, retry_failed, watcher, stop_request)
    if stop_request.stop:
        raise KeyboardInterrupt
    from unetzoo.records.frame import read_records

    frame = read_records(out)
    # A record that cannot be read has only its file name.
    asked = {(member.data, name) for member in members for trial in member.trials for name in (trial.id, trial.stem)}
    labels = frame["data"] if isinstance(suite, Collection) else [None] * len(frame)
    ours = [pair in asked for pair in zip(labels, frame["id"], strict=True)]
    return frame.loc[ours, :].reset_index(drop=True)


def _check_kind(out: Path, suite: Suite | Collection) -> None:
    """Check that a folder with a collection gets a collection, and one with a single suite a single suite.

    Raises:
        UnetzooError: If the kinds differ.
    """
    if isinstance(suite, Collection):
        if any((out / "records").glob("*.json")):
            raise UnetzooError(f"{out}: holds the records of a single suite; choose another folder for the collection")
    elif (out / MANIFEST).exists():
        raise UnetzooError(f"{out}: is the folder of a collection ({MANIFEST}); choose another one for this suite")


def _prepare(suite: Suite, data: str | None, out: Path, retry_failed: bool, watcher: Watcher) -> _Member:
    """Open and check all that a suite needs.

    Raises:
        UnetzooError: If the suite or its data is not valid; in a collection the message begins with the label.
    """
    if data is not None:
        watcher.check(data)
    folders = OutputFolders(out if data is None else out / data)

    def finished(trial: Trial) -> bool:
        return not retry_failed and folders.record(trial).exists()

    try:
        import_plugins(suite.imports)
        with listening(watcher.files):
            dataset = suite.data.open(compare=True)
        watcher.data(dataset)
        trials = expand(suite, dataset, finished)
        if not all(map(finished, trials)):
            dataset.check_values()
    except UnetzooError as error:
        raise error if data is None else UnetzooError(f"{data}: {error}") from None
    return _Member(suite, data, dataset, trials, folders)


def _write_manifest(collection: Collection, members: list[_Member], out: Path, watcher: Watcher) -> None:
    """Write the manifest of the collection; data sets that are not chosen this time keep their entries.

    A damaged manifest is set aside and made again, with the trials that have records for those data sets.

    Raises:
        UnetzooError: If the file cannot be written.
    """
    try:
        before = read_manifest(out)
        known = before.data if before else {}
    except DamagedManifestError:
        aside = out / f"{MANIFEST}.damaged"
        (out / MANIFEST).replace(aside)
        watcher.note(f"{out / MANIFEST}: damaged; it is set aside as {aside.name} and made again")
        known = {label: expected_by_records(out / label) for label in collection.suites}
    asked = {
        member.data: [
            Expected(id=trial.id, model=trial.model.label, seed=trial.seed, baseline=trial.model.baseline)
            for trial in member.trials
        ]
        for member in members
    }
    data = {label: asked.get(label, known.get(label, [])) for label in collection.suites}
    manifest = Manifest(name=collection.name, question=collection.question, data=data)
    try:
        write_atomic(out / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise UnetzooError(f"{out / MANIFEST}: cannot be written: {error.strerror}") from None


def _run(
    members: list[_Member], jobs: int | None, retry_failed: bool, watcher: Watcher, stop_request: StopRequest
) -> None:
    todo = [job for member in members for job in _jobs(member, retry_failed, watcher)]
    # The first seed of all data sets runs before the second of any; trivial predictors, which are short, come last and
    # fill the time in which fewer trials are left than run side by side.
    todo.sort(key=lambda job: math.inf if job.trial.model.baseline else job.suite.seeds.index(job.trial.seed))
    watcher.start([job.trial for job in todo], sum(len(member.trials) for member in members) - len(todo))
    todo, measured = _measure_costs(todo, watcher, stop_request)
    if jobs is None:
        jobs = _choose_jobs(todo, measured, watcher, stop_request)
    for job in todo:
        job.folders = replace(job.folders, jobs=jobs)
    for job in run_jobs(todo, jobs, watcher.change, stop_request, watcher.note):
        _keep_failure(job, watcher)
        watcher.end(job)


def _keep_failure(job: Job, watcher: Watcher) -> None:
    """Write the record of a trial that failed; one that succeeded has written it itself.

    Raises:
        UnetzooError: If the record cannot be written.
    """
    path = job.folders.record(job.trial)
    before = None if job.status == "ok" else _known(path, watcher)
    if before is not None and before.status == "ok":  # it died after its record was written
        job.status, job.reason, job.stopped = "ok", None, False
    if job.status not in ("ok", None):
        log_tail = tail(job.folders.log(job.trial))
        failure = {"status": job.status, "reason": job.reason, "log_tail": log_tail, "environment": job.environment}
        try:
            write_atomic(path, job.blank.model_copy(update=failure).to_json())
        except OSError as error:
            raise UnetzooError(f"{path}: cannot be written: {error.strerror}") from None


def _measure_costs(
    todo: list[Job], watcher: Watcher, stop_request: StopRequest
) -> tuple[list[Job], dict[str, Measured]]:
    """Measure the costs of every model once, while no trial runs.

    Returns:
        The jobs that are still to run, without those whose model failed, and costs_id -> what was measured.
    """
    first: dict[tuple[Path, str], Job] = {}
    for job in (job for job in todo if not job.trial.model.baseline):
        first.setdefault((job.folders.out, job.trial.costs_id), replace(job, task="costs"))
    measured, failed = dict[str, Measured](), set[tuple[Path, str]]()
    for job in run_jobs(list(first.values()), 1, watcher.change, stop_request, watcher.note):
        if job.status == "ok":
            facts = {name: job.last[name] for name in ("step_seconds", "peak", "device")}
            measured[job.trial.costs_id] = Measured(**facts)
            watcher.measured(job)
        else:
            _keep_failure(job, watcher)
            failed.add((job.folders.out, job.trial.id))
            watcher.end(job)
    return [job for job in todo if (job.folders.out, job.trial.id) not in failed], measured


def _choose_jobs(todo: list[Job], measured: dict[str, Measured], watcher: Watcher, stop_request: StopRequest) -> int:
    """Choose how many trials run side by side, by a rehearsal with the model whose steps take the median time."""
    from unetzoo.machine.memory import memory_limit  # imports torch, so only if something runs

    known = [job for job in todo if job.trial.costs_id in measured]
    found = [measured[job.trial.costs_id] for job in known]
    memory = memory_limit("cpu")
    most = most_jobs([job.trial for job in known], found, memory[0] if memory else None)
    if most == 1:
        return 1
    order = sorted(range(len(known)), key=lambda i: found[i].step_seconds)
    median = known[order[len(order) // 2]]

    def steps_per_second(jobs: int) -> float | None:
        folders = replace(median.folders, jobs=jobs)
        rehearsals = [replace(median, task="rehearsal", folders=folders) for _ in range(jobs)]
        ended = list(run_jobs(rehearsals, jobs, lambda job: None, stop_request, watcher.note))
        if any(job.status != "ok" for job in ended) or len(ended) < jobs:
            return None
        return sum(job.last["steps_per_second"] for job in ended)

    jobs, why = choose_jobs(most, median.trial.train.threads > 0, steps_per_second)
    if why:
        watcher.decided(why)
    return jobs


def _jobs(member: _Member, retry_failed: bool, watcher: Watcher) -> list[Job]:
    """Return the jobs of a suite that are missing, or failed if failures are retried; clean up after the others."""
    suite, folders = member.suite, member.folders
    _sweep(folders.out)
    todo = []
    for trial in member.trials:
        record = _known(folders.record(trial), watcher)
        if record is None or (retry_failed and _failed(record, trial, folders, watcher)):
            todo.append(trial)
        elif record.status == "ok":  # a trial that died just after it wrote its record leaves a checkpoint
            for checkpoint in folders.folder(trial).glob("checkpoint*.pt"):
                checkpoint.unlink()
    if not todo:
        return []
    from unetzoo.bench.sanity import duplicates_flag
    from unetzoo.data.leaks import leaking_share, near_duplicates

    with listening(watcher.files):
        similar = near_duplicates(member.dataset)
    flag, leaking = duplicates_flag(similar), leaking_share(member.dataset, similar)
    described = member.dataset.describe() | ({"near_duplicates": leaking} if leaking else {})
    blanks = (_blank(suite, trial, described, [flag] if flag else []) for trial in todo)
    info = member.dataset.info
    return [Job(suite, trial, blank, folders, member.data, info) for trial, blank in zip(todo, blanks, strict=True)]


def _failed(record: Record, trial: Trial, folders: OutputFolders, watcher: Watcher) -> bool:
    """Return True if a trial failed, or its weights could not be saved or are damaged; they may have been deleted."""
    if record.status != "ok" or any(flag.kind == WEIGHTS_NOT_SAVED for flag in record.flags):
        return True
    file = folders.folder(trial) / "model.safetensors"
    if record.weights is None or not file.is_file():
        return False
    from unetzoo.train.weights import check_weights  # imports torch

    try:
        check_weights(file)
    except UnetzooError as error:
        watcher.note(str(error))
        return True
    return False


@contextmanager
def _interruptible(watcher: Watcher) -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop, and the next into an immediate `KeyboardInterrupt`."""
    stop_request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop_request
        return

    def interrupt(number: int, frame: object) -> None:
        if stop_request.stop:
            raise KeyboardInterrupt
        stop_request.stop = True
        watcher.stopping()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop_request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sweep(out: Path) -> None:
    """Remove temporary files of writers that were killed; no other run writes here, because the folder is locked."""
    for pattern in ("records/.*.json.*", "records/images/.*.png.*", "trials/*/.checkpoint*", "trials/*/.model.*"):
        for path in out.glob(pattern):
            path.unlink(missing_ok=True)
    for folder in out.glob("trials/*/decoded-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _known(path: Path, watcher: Watcher) -> Record | None:
    """Return a record, or None if there is none. A damaged one is renamed, said, and treated as missing.

    Raises:
        UnetzooError: If another version of unetzoo wrote the record, or it cannot be read.
    """
    if not path.exists():
        return None
    try:
        return read_record(path)
    except DamagedRecordError as error:
        aside = path.with_suffix(".json.damaged")
        path.replace(aside)
        watcher.note(f"{error}; it is set aside as {aside.name}, and its trial runs again")
        return None
    except UnetzooError as error:
        if not path.is_file() or not os.access(path, os.R_OK):
            raise
        raise UnetzooError(f"{error}; another version of unetzoo wrote it: choose another folder") from None


def _blank(suite: Suite, trial: Trial, data: dict[str, Any], flags: list[Flag]) -> Record:
    """Build the record of a trial as far as it is known before the trial runs."""
    return Record(
        id=trial.id,
        status="crashed",
        suite=suite.name,
        question=suite.question,
        baseline=trial.model.baseline,
        trial=trial.model_dump(mode="json"),
        model=_describe_model(trial),
        data=data,
        flags=flags,
    )


def _describe_model(trial: Trial) -> ModelDescription:
    """Collect a model's papers, its difference from ``unet`` if it is on the grid, and how its width was matched."""
    if trial.model.baseline:
        return ModelDescription(paper={}, diff={})
    entry = model_info(trial.model.name)
    diff = entry.diff_of(trial.model.options)
    paper, of_encoder = (p.model_dump() if p else {} for p in (entry.paper, entry.encoder_paper))
    return ModelDescription(paper=paper, diff=diff, encoder_paper=of_encoder, matched=trial.model.matched)


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot be written: {error.strerror}") from None
