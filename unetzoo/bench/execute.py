"""Run the jobs of a suite on this machine: costs first, then the trials, and keep every outcome as a record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unetzoo._util.atomic import write_atomic
from unetzoo._util.tail import tail
from unetzoo.bench.claims import ClaimLostError
from unetzoo.bench.gpus import Place, places
from unetzoo.bench.heart import Heart
from unetzoo.bench.jobs import Job, StopRequest
from unetzoo.bench.local import run_jobs
from unetzoo.bench.preparation import known_record
from unetzoo.bench.queue import Queue, check_unchanged, sweep
from unetzoo.bench.side_by_side import Measured, choose_jobs, most_jobs, training_seconds
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError


def turn(job: Job) -> float:
    """Return the turn of a job: the first seed of all data sets runs before the second of any.

    Trivial predictors, which are short, come last and fill the time in which fewer trials are left than run side by
    side.
    """
    return math.inf if job.trial.model.baseline else job.suite.seeds.index(job.trial.seed)


def execute(
    todo: list[Job],
    done: int,
    jobs: int | None,
    heart: Heart,
    wait: bool,
    watcher: Watcher,
    stop_request: StopRequest,
) -> None:
    """Measure costs, choose how many trials run side by side, and run them.

    Args:
        todo: The jobs, sorted by `turn`.
        done: Number of trials that have a record already.
        jobs: Trials that run side by side; None chooses by what was measured.
        heart: Heartbeat of this process.
        wait: Wait in the end for trials that other processes run.
        watcher: Callbacks that follow the run.
        stop_request: The user's request to stop.

    Raises:
        UnetzooError: If a record cannot be written.
    """
    watcher.start([job.trial for job in todo], done)
    todo, measured = _measure_costs(todo, heart, watcher, stop_request)
    shared_out = _places(todo, measured, watcher)
    if jobs is None:
        jobs = _on_gpus(todo, shared_out) or _choose_jobs(todo, measured, watcher, stop_request)
    if jobs > 1:  # long trials first, so that in the end no long one runs alone
        todo.sort(key=lambda job: (turn(job), -training_seconds(job.trial, measured.get(job.trial.costs_id))))
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
