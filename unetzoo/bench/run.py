"""Run a suite: expand it, run the trials that are missing, and keep every outcome as a record."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unetzoo._util.atomic import write_atomic
from unetzoo._util.paths import user_path
from unetzoo.bench import fork_server
from unetzoo.bench.claims import ClaimLostError, Heart
from unetzoo.bench.collection import Collection
from unetzoo.bench.gpus import Place, places
from unetzoo.bench.jobs import Job, StopRequest
from unetzoo.bench.local import IMPORTED, run_jobs
from unetzoo.bench.logs import tail
from unetzoo.bench.preparation import (
    Member,
    check_kind,
    check_writable,
    known_record,
    make_jobs,
    open_member,
    write_manifest,
)
from unetzoo.bench.prepared import Prepared, write_prepared
from unetzoo.bench.progress import BarWatcher, in_notebook
from unetzoo.bench.progress_file import ProgressFile, together
from unetzoo.bench.queue import Queue, check_unchanged, sweep
from unetzoo.bench.side_by_side import Measured, choose_jobs, most_jobs, training_seconds
from unetzoo.bench.suite import Suite
from unetzoo.bench.suite_file import adjust, adjust_collection, read_suite
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError, check_argument

if TYPE_CHECKING:
    import pandas as pd


def run(
    suite: Suite | Collection | Path | str | None = None,
    out: Path | str | None = None,
    *,
    models: Sequence[str | Mapping[str, Any]] | None = None,
    data: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    jobs: int | Literal["auto"] = "auto",
    retry_failed: bool = False,
    wait: bool = True,
    watcher: Watcher | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Run the missing trials of a suite, and keep each outcome as a JSON file in ``out/records``.

    A trial that has a record is not run again. An interrupted trial continues from its checkpoint. A trial that fails
    becomes a record with its reason and log, and the others continue.

    Several processes, on one machine or on several that share the disk, may run a suite in one folder: each trial is
    run by one of them, and those of a process that has died are taken over by the others.

    For a collection, each data set has its own folder ``out/<label>`` with records, and the first seed of all data
    sets runs before the second seed of any.

    In a script, put the call under ``if __name__ == "__main__":``, because the trials' processes import the script.

    Args:
        suite: A suite, a collection, or the path of a TOML file with one. Without one, ``models`` or ``data`` make one,
            trained as the quick suite is.
        out: Folder of the output, which is created if it is missing; default: ``runs/<name of the suite>``.
        models: Registered names, or mappings such as ``{"name": "unet", "set": {"width": 16}}``; default: the suite's.
        data: Registered data set, folder, CSV file of pairs or dataset.toml; default: the suite's. For a collection,
            the labels to run, as 'a,b'.
        options: Model options for every model that does not set them itself.
        seeds: Number of seeds; default: the suite's.
        steps: Training steps, which replace any other budget.
        jobs: Trials that run side by side and share the cores; "auto" chooses by a short measurement, if the suite is
            long enough to be worth one.
        retry_failed: Run failed trials again, and those whose trained weights could not be saved or are damaged.
        wait: Wait in the end for trials that other processes run; otherwise the table lacks them, and the watcher says
            so.
        watcher: Callbacks that follow the run; default: none.
        progress: Show a bar, if there is no ``watcher``; None shows it in a notebook alone.

    Returns:
        A table like that of `read_records`, of this suite's trials alone: one row per trial, whose ``status`` tells
        how it ended. For a collection, the column ``data`` holds the label.

    Raises:
        UnetzooError: If the suite, its data, ``jobs`` or ``out`` is not valid; nothing has run then. Also if a record
            cannot be written.
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
    check_argument("run", "progress", progress, (bool, type(None)), "True, False or None")
    check_argument("run", "watcher", watcher, (Watcher, type(None)), "a unetzoo.bench.watcher.Watcher or None")
    changes = {"models": models, "data": data, "options": options, "seeds": seeds, "steps": steps}
    suite = _suite(suite, {name: value for name, value in changes.items() if value is not None})
    out = Path("runs") / suite.name if out is None else user_path(out, "run: out")
    if watcher is None and (in_notebook() if progress is None else progress):
        bar = BarWatcher()
        try:
            return _run_suite(suite, out, side_by_side, retry_failed, wait, bar)
        finally:
            bar.close()
    return _run_suite(suite, out, side_by_side, retry_failed, wait, watcher or Watcher())


def _suite(suite: Suite | Collection | Path | str | None, changes: Mapping[str, Any]) -> Suite | Collection:
    """Return the suite of a call, with the changes that the call asks for.

    Raises:
        UnetzooError: If there is neither a suite nor models or data, or one of them is not valid.
    """
    words = "a Suite, a Collection or the path of a suite file"
    check_argument("run", "suite", suite, (Suite, Collection, str, os.PathLike, type(None)), words)
    kinds: dict[str, tuple[Any, str]] = {
        "models": ((list, tuple), "a list of names of models, such as ['unet', 'attention_unet']"),
        "data": ((str, os.PathLike), "a registered data set or a path"),
        "options": (Mapping, "a dict of options, such as {'width': 16}"),
        "seeds": (int, "a number of seeds"),
        "steps": (int, "a number of steps"),
    }
    for name, value in changes.items():
        check_argument("run", name, value, *kinds[name])
    if suite is None and not {"models", "data"} & set(changes):
        raise UnetzooError(f"run: suite = None: must be {words}; or give models or data, such as models=['unet']")
    if "models" in changes and not all(isinstance(model, str | Mapping) for model in changes["models"]):
        raise UnetzooError("run: models must be names, or mappings with a name and set, as in a suite file")
    if "data" in changes:
        changes = {**changes, "data": os.fspath(changes["data"])}
    if "models" in changes:
        changes = {**changes, "models": list(changes["models"])}
    if suite is not None and not isinstance(suite, Suite | Collection):
        suite = read_suite(user_path(suite, "run: suite"))
    if isinstance(suite, Collection):
        return adjust_collection(suite, **changes) if changes else suite
    return adjust(suite, **changes) if changes or suite is None else suite


def _run_suite(
    suite: Suite | Collection, out: Path, side_by_side: int | None, retry_failed: bool, wait: bool, watcher: Watcher
) -> pd.DataFrame:
    """Run a suite; see `run`."""
    check_kind(out, suite)
    if not any(out.glob("**/records/*.json")):  # something will run: the server imports while the data are checked
        fork_server.start_method()
    members, todo = _open(suite, out, retry_failed, watcher)
    if todo:
        write_prepared(out, members, todo)
    with interruptible(watcher) as stop_request, Heart() as heart, ExitStack() as held:
        progress = ProgressFile(out)
        held.callback(progress.remove)
        _run(members, todo, side_by_side, heart, wait, together(watcher, progress), stop_request)
    if stop_request.stop:
        raise KeyboardInterrupt
    # A record that cannot be read has only its file name.
    asked = {(member.data, name) for member in members for trial in member.trials for name in (trial.id, trial.stem)}
    return table_of(out, asked)


def table_of(out: Path, asked: set[tuple[str | None, str]]) -> pd.DataFrame:
    """Return the table of some trials of a folder.

    Args:
        out: Folder of the output.
        asked: Label of the data set, None for a single suite, and id or file name of each trial.
    """
    from unetzoo.records.frame import read_records, tables

    if not any(out.glob("**/records/*.json")):  # other processes run all trials, and were not waited for
        return tables([], []).trials
    frame = read_records(out)
    labels = frame["data"] if "data" in frame else [None] * len(frame)
    ours = [pair in asked for pair in zip(labels, frame["id"], strict=True)]
    return frame.loc[ours, :].reset_index(drop=True)


def prepare(
    suite: Suite | Collection | Path | str,
    out: Path | str,
    *,
    retry_failed: bool = False,
    allow_mixed: bool = False,
    write: bool = True,
    watcher: Watcher | None = None,
) -> Prepared:
    """Check a suite and its data, and write its trials to a file, from which any machine can run each of them.

    Args:
        suite: A suite, a collection, or the path of a TOML file with one.
        out: Folder of the output, on a disk that all machines share.
        retry_failed: Also run failed trials again, and those whose trained weights could not be saved or are damaged.
        allow_mixed: Let machines take part whose unetzoo, torch or Python is another version than here.
        write: Write the file; otherwise nothing is written.
        watcher: Callbacks that follow the checks; default: none.

    Returns:
        What was prepared.

    Raises:
        UnetzooError: If the suite, its data or ``out`` is not valid.
    """
    for option, value in (("retry_failed", retry_failed), ("allow_mixed", allow_mixed), ("write", write)):
        check_argument("prepare", option, value, bool, "True or False")
    watcher, out = watcher or Watcher(), user_path(out, "prepare: out").absolute()
    suite = _suite(suite, {})
    check_kind(out, suite)
    members, todo = _open(suite, out, retry_failed, watcher, write)
    return write_prepared(out, members, todo, allow_mixed=allow_mixed, write=write)


def _open(
    suite: Suite | Collection, out: Path, retry_failed: bool, watcher: Watcher, write: bool = True
) -> tuple[list[Member], list[Job]]:
    """Check the data of a suite, and return its members and the jobs that have no record yet, in their order.

    Raises:
        UnetzooError: If the suite, its data or ``out`` is not valid.
    """
    suites = [*suite.chosen.items()] if isinstance(suite, Collection) else [(None, suite)]
    members = [open_member(member, label, out, retry_failed, watcher) for label, member in suites]
    if write:
        for member in members:
            check_writable(member.folders.records)
            check_writable(member.folders.out / "trials")
        if isinstance(suite, Collection):
            write_manifest(suite, members, out, watcher)
    todo = [job for member in members for job in make_jobs(member, retry_failed, watcher)]
    todo.sort(key=_turn)
    return members, todo


def _turn(job: Job) -> float:
    """Return the turn of a job: the first seed of all data sets runs before the second of any.

    Trivial predictors, which are short, come last and fill the time in which fewer trials are left than run side by
    side.
    """
    return math.inf if job.trial.model.baseline else job.suite.seeds.index(job.trial.seed)


def _run(
    members: list[Member],
    todo: list[Job],
    jobs: int | None,
    heart: Heart,
    wait: bool,
    watcher: Watcher,
    stop_request: StopRequest,
) -> None:
    watcher.start([job.trial for job in todo], sum(len(member.trials) for member in members) - len(todo))
    todo, measured = _measure_costs(todo, heart, watcher, stop_request)
    shared_out = _places(todo, measured, watcher)
    if jobs is None:
        jobs = _on_gpus(todo, shared_out) or _choose_jobs(todo, measured, watcher, stop_request)
    if jobs > 1:  # long trials first, so that in the end no long one runs alone
        todo.sort(key=lambda job: (_turn(job), -training_seconds(job.trial, measured.get(job.trial.costs_id))))
    for job in todo:
        job.folders = replace(job.folders, jobs=jobs)
    queue = Queue(todo, heart, wait=wait, note=watcher.note, waiting=watcher.wait)
    run_queue(queue, jobs, watcher, stop_request, shared_out)


def run_queue(queue: Queue, jobs: int, watcher: Watcher, stop_request: StopRequest, on: Sequence[Place] = ()) -> None:
    """Run the jobs of a queue and keep their records.

    Args:
        queue: The jobs.
        jobs: Trials that run side by side.
        watcher: Callbacks that follow the run.
        stop_request: The user's request to stop.
        on: GPUs that trials are put on; none if the machine's devices are not shared out.

    Raises:
        UnetzooError: If a record cannot be written.
    """
    for job in run_jobs(queue, jobs, watcher.change, stop_request, watcher.note, on):
        try:
            _keep_failure(job, watcher)
        except ClaimLostError:
            queue.lost(job)
        else:
            queue.release(job)
            watcher.end(job)
    if left := queue.left():
        watcher.note(f"{len(left)} trials are still run by other processes; their records are not in the result")
        watcher.left(left)


def _keep_failure(job: Job, watcher: Watcher) -> None:
    """Write the record of a trial that failed; one that succeeded has written it itself.

    Raises:
        ClaimLostError: If another process has taken the trial over.
        UnetzooError: If the record cannot be written.
    """
    if job.elsewhere:
        return
    path = job.folders.record(job.trial)
    before = None if job.status == "ok" else known_record(path, watcher)
    if before is not None and before.status == "ok":  # it died after its record was written
        job.status, job.reason, job.stopped = "ok", None, False
    if job.status not in ("ok", None):
        if job.claim is not None:
            job.claim.renew()
            check_unchanged(path, job.before)
            sweep(job, job.claim)
        log_tail = tail(job.folders.log(job.trial))
        failure = {"status": job.status, "reason": job.reason, "log_tail": log_tail, "environment": job.environment}
        try:
            write_atomic(path, job.blank.model_copy(update=failure).to_json())
        except OSError as error:
            raise UnetzooError(f"{path}: cannot be written: {error.strerror}") from None


def _measure_costs(
    todo: list[Job], heart: Heart, watcher: Watcher, stop_request: StopRequest
) -> tuple[list[Job], dict[str, Measured]]:
    """Measure the costs of every model once, while no trial runs.

    Returns:
        The jobs that are still to run, without those whose model failed, and costs_id -> what was measured.
    """
    first: dict[tuple[Path, str], Job] = {}
    for job in (job for job in todo if not job.trial.model.baseline and job.suite.measure.where != "off"):
        first.setdefault((job.folders.out, job.trial.costs_id), replace(job, task="costs"))
    measured, failed = dict[str, Measured](), set[tuple[Path, str]]()
    for job in run_jobs(Queue(first.values()), 1, watcher.change, stop_request, watcher.note):
        if job.status == "ok":
            facts = {name: job.last[name] for name in ("step_seconds", "peak", "device", "gpus")}
            measured[job.trial.costs_id] = Measured(**facts)
            watcher.measured(job)
        elif job.stopped or Queue([job], heart).take() is not None:  # otherwise another process runs the trial
            _keep_failure(job, watcher)
            if job.claim is not None:
                heart.drop(job.claim)
            failed.add((job.folders.out, job.trial.id))
            watcher.end(job)
    return [job for job in todo if (job.folders.out, job.trial.id) not in failed], measured


def _places(todo: list[Job], measured: dict[str, Measured], watcher: Watcher) -> list[Place]:
    """Return the GPUs that trials may be put on at the same time; none if they do not train on GPUs."""
    models = [(job, measured[job.trial.costs_id]) for job in todo if job.trial.costs_id in measured]
    if not models or any(found.device != "cuda" for _, found in models):
        return []
    peaks = [found.peak for _, found in models if found.peak is not None]
    devices = max(job.trial.train.devices for job, _ in models)
    per_device = min(job.suite.limits.per_device for job, _ in models)
    found, why = places(models[0][1].gpus, devices, per_device, max(peaks, default=None))
    if why:
        watcher.decided(why)
    return found


def _on_gpus(todo: list[Job], on: Sequence[Place]) -> int:
    """Return the number of trials side by side that fills the GPUs; 0 if there is nothing to fill."""
    if any(job.trial.train.minutes is not None for job in todo):  # beside others they would be trained less
        return 0
    return min(len(on), len(todo))


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
        if jobs == 1:  # the costs were measured so, a moment ago
            return 1 / max(measured[median.trial.costs_id].step_seconds, 1e-9)
        folders = replace(median.folders, jobs=jobs)
        rehearsals = [replace(median, task="rehearsal", folders=folders) for _ in range(jobs)]
        ended = list(run_jobs(Queue(rehearsals), jobs, lambda job: None, stop_request, watcher.note))
        if any(job.status != "ok" for job in ended) or len(ended) < jobs:
            return None
        return sum(job.last["steps_per_second"] for job in ended)

    jobs, why = choose_jobs(most, median.trial.train.threads > 0, steps_per_second)
    if why:
        watcher.decided(why)
    return jobs


@contextmanager
def interruptible(watcher: Watcher, also: tuple[signal.Signals, ...] = ()) -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop, and the next into an immediate `KeyboardInterrupt`.

    Args:
        watcher: Told of the request.
        also: Signals that ask for a stop, however often they come.
    """
    stop_request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop_request
        return

    def interrupt(number: int, frame: object) -> None:
        if stop_request.stop and number not in also:
            raise KeyboardInterrupt
        if not stop_request.stop:
            stop_request.stop = True
            watcher.stopping()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, *also)}
    try:
        yield stop_request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
