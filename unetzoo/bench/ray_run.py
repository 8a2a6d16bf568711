"""The Ray engine: one Ray task per trial of a prepared run, followed, stopped and retried by the driver.

Records decide what is done, as with every engine. Ray starts a trial again if its node or worker is lost, and never
because it failed. Of Ray, only tasks and one small actor are used.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetzoo._util.atomic import write_atomic
from unetzoo.bench.collection import Collection
from unetzoo.bench.interrupts import interruptible
from unetzoo.bench.jobs import Job, StopRequest
from unetzoo.bench.prepared import Prepared, PreparedTrial
from unetzoo.bench.progress_file import ProgressFile, together
from unetzoo.bench.queue import later_record
from unetzoo.bench.ray_cluster import (
    LOCAL,
    Demand,
    check_demand,
    check_versions,
    connected,
    demand,
    first_line,
    living,
    on_each,
)
from unetzoo.bench.ray_worker import SIGNS, Ended, Task, run_task, sees, write_files
from unetzoo.bench.run import prepare, table_of
from unetzoo.bench.suite import Suite
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError
from unetzoo.records.record import read_record

if TYPE_CHECKING:
    import pandas as pd

MOST_LOSSES = 100  # of nodes and workers under one trial, as on preemptible machines
MOST_CRASHES = 3  # of a trial's own process, without an outcome
AGAIN_SECONDS = 5.0  # before a trial that another process runs is tried again
DESK_SECONDS = 60.0  # for the actor that passes messages on


class Desk:
    """An actor beside the driver: takes the messages of the trials, and answers each with the driver's wish."""

    def __init__(self) -> None:
        self._news: list[tuple[str, dict[str, Any]]] = []
        self._stop = False

    def tell(self, trial: str, messages: list[dict[str, Any]]) -> bool:
        """Take messages of a trial; return True if it is to save itself and end."""
        self._news += [(trial, message) for message in messages]
        return self._stop

    def news(self, stop: bool) -> list[tuple[str, dict[str, Any]]]:
        """Return all messages since the last call, and note whether trials are to end."""
        self._stop = stop
        news, self._news = self._news, []
        return news


def run_on_ray(
    suite: Suite | Collection | Path | str,
    out: Path | str,
    *,
    address: str = LOCAL,
    retry_failed: bool = False,
    allow_mixed: bool = False,
    predicted_memory: Callable[[Suite], Mapping[str, int]] = lambda suite: {},
    watcher: Watcher | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Run the missing trials of a suite on a Ray cluster; see `unetzoo.bench.run.run`.

    Args:
        suite: A suite, a collection, or the path of a TOML file with one.
        out: Folder of the output. Nodes that do not see it at this path run copies, whose files the driver writes.
        address: "local" for a cluster on this machine that is started and stopped, "auto" for the one that runs on it,
            or HOST:PORT of a cluster's head.
        retry_failed: Run failed trials again, and those whose trained weights could not be saved or are damaged.
        allow_mixed: Let nodes take part whose unetzoo, torch or Python is another version than here.
        predicted_memory: Function that predicts the memory of a trial's process in bytes by model, for Ray to keep it
            free; asked only if trials run on CPUs.
        watcher: Callbacks that follow the run; default: none.

    Returns:
        A table of the suite's trials as `run` returns it, and a line for each trial that has no record.

    Raises:
        UnetzooError: If the suite, its data or ``out`` is not valid, no cluster answers, or a node cannot run trials.
        KeyboardInterrupt: After Ctrl-C or SIGTERM. At the first, running trials save themselves; a second ends them.
    """
    watcher = watcher or Watcher()
    with connected(address) as ray:
        prepared = prepare(suite, out, retry_failed=retry_failed, allow_mixed=allow_mixed, watcher=watcher)
        with _signed(prepared.out) as sign, interruptible(watcher) as stop_request:
            progress = ProgressFile(prepared.out)
            driver = _Driver(ray, prepared, sign, together(watcher, progress), stop_request)
            try:
                driver.check(predicted_memory)
                driver.run()
            finally:
                progress.remove()
    if stop_request.stop:
        raise KeyboardInterrupt
    pairs = {(prepared.run.suites[line.suite].label, name) for line in prepared.trials for name in _names(line)}
    return table_of(prepared.out, pairs), driver.without_record


def _names(line: PreparedTrial) -> tuple[str, str]:
    return line.id.rpartition("/")[2], line.stem


@contextmanager
def _signed(out: Path) -> Iterator[tuple[str, str]]:
    """Put a file into the folder of a run, by which nodes tell that they see it; yield its path and content."""
    name, content = f"{SIGNS}/{uuid.uuid4().hex}", uuid.uuid4().hex
    try:
        write_atomic(out / name, content)
    except OSError as error:
        raise UnetzooError(f"{out / name}: cannot be written: {error.strerror}") from None
    try:
        yield name, content
    finally:
        with suppress(OSError):
            (out / name).unlink()
            (out / SIGNS).rmdir()


@dataclass
class _Sent:
    """A trial that is with Ray."""

    line: PreparedTrial
    job: Job
    node: str = ""  # where it began


class _Driver:
    def __init__(
        self, ray: Any, prepared: Prepared, sign: tuple[str, str], watcher: Watcher, stop_request: StopRequest
    ) -> None:
        self._ray, self._prepared, self._sign = ray, prepared, sign
        self._watcher, self._stop_request = watcher, stop_request
        self._jobs = {line.id: (line, prepared.job(line)) for line in prepared.trials if line.todo}
        self._demands: dict[str, Demand] = {}
        self._carried = False  # True once a node was found that does not see the folder
        self._sent: dict[Any, _Sent] = {}
        self._later: list[tuple[float, str]] = []
        self._crashes: dict[str, int] = {}
        self.without_record: list[str] = []

    def check(self, predicted_memory: Callable[[Suite], Mapping[str, int]]) -> None:
        """Check that the nodes can run the trials, before any is started.

        Raises:
            UnetzooError: If a node has other versions or lacks the data, or no node has what a trial needs.
        """
        if not self._jobs:
            return
        nodes = living(self._ray)
        suites = {job.data: job.suite for _, job in self._jobs.values()}
        memory = {label: self._predict(suite, predicted_memory) for label, suite in suites.items()}
        for name, (_, job) in self._jobs.items():
            known = memory[job.data].get(job.trial.model.label, 0)
            self._demands[name] = demand(job.suite, job.trial.model.baseline, known, nodes)
        check_demand(
            {f"model {job.trial.model.label!r}": self._demands[n] for n, (_, job) in self._jobs.items()}, nodes
        )
        check_versions(self._ray, self._prepared, nodes)
        look = Task(str(self._prepared.out), self._sign, "")
        blind = [node for node, seen in zip(nodes, on_each(self._ray, nodes, sees, look), strict=True) if not seen]
        if not blind:
            return
        self._carried = True
        names = ", ".join(dict.fromkeys(node.name for node in blind))
        self._watcher.note(f"{self._prepared.out} is not seen by {names}: trials run in copies there")
        task = Task(look.out, self._sign, "", defaults=_defaults(), carried=True)
        for node, ended in zip(blind, on_each(self._ray, blind, _check_data, task, self._copy), strict=True):
            if ended.outcome != "ok":
                raise UnetzooError(f"node {node.name}: {ended.line}")

    def _predict(self, suite: Suite, predicted_memory: Callable[[Suite], Mapping[str, int]]) -> Mapping[str, int]:
        if suite.ray.memory_gib is not None:
            return {}
        try:
            return predicted_memory(suite)
        except UnetzooError as error:  # such as a device that this machine lacks
            self._watcher.note(f"no memory is predicted, so that Ray keeps none free for trials: {error}")
            return {}

    def run(self) -> None:
        """Run all trials, and keep what comes back.

        Raises:
            UnetzooError: If a node refuses a trial, or a file cannot be written.
        """
        self._watcher.start([job.trial for _, job in self._jobs.values()], len(self._prepared.trials) - len(self._jobs))
        for name in self._jobs:
            self._send(name)
        stopping = False
        while self._sent or (self._later and not self._stop_request.stop):
            done = self._ray.wait(list(self._sent), num_returns=len(self._sent), timeout=0.5)[0] if self._sent else []
            if not self._sent:
                time.sleep(0.5)
            self._hear()
            for ref in done:
                self._end(self._sent.pop(ref), ref)
            if self._stop_request.stop and not stopping:
                stopping = True
                for ref in (ref for ref, sent in self._sent.items() if not sent.node):
                    self._ray.cancel(ref)
            due = [name for at, name in self._later if at <= time.monotonic()]
            self._later = [(at, name) for at, name in self._later if name not in due]
            if not self._stop_request.stop:
                for name in due:
                    self._send(name)

    @cached_property
    def _desk(self) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # pyright: ignore[reportMissingImports]

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        return self._ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote()

    @cached_property
    def _copy(self) -> Any:
        """The file of the prepared run by its path, in Ray's store."""
        file = self._prepared.file
        return self._ray.put({f"{file.parent.name}/{file.name}": file.read_bytes()})

    @cached_property
    def _remote(self) -> Any:
        return self._ray.remote(_run)

    def _send(self, name: str) -> None:
        line, job = self._jobs[name]
        asked = self._demands[name]
        files = _kept_files(self._prepared.out, job) if self._carried else {}
        task = Task(
            str(self._prepared.out), self._sign, line.id, asked.cpus, asked.gpus, _defaults(), self._carried, files
        )
        call = self._remote.options(**asked.options, max_retries=MOST_LOSSES, name=f"unetzoo {line.stem}")
        ref = call.remote(task, self._copy if self._carried else {}, self._desk)
        self._sent[ref] = _Sent(line, job)

    def _hear(self) -> None:
        """Pass on what trials have told since the last time."""
        by_name = {sent.line.id: sent for sent in self._sent.values()}
        for name, message in self._ray.get(self._desk.news.remote(self._stop_request.stop), timeout=DESK_SECONDS):
            if (sent := by_name.get(name)) is None:
                continue
            if "node" in message:
                if sent.node:
                    where = f"{sent.node}, which was lost, and goes on on {message['node']}"
                    self._watcher.note(f"{sent.line.stem}: was on {where}")
                sent.node = message["node"] or "a node"
                self._watcher.change(sent.job)
            elif "note" in message:
                self._watcher.note(f"{sent.line.stem}: {message['note']}")
            else:
                sent.job.receive(message["message"])
                self._watcher.change(sent.job)

    def _end(self, sent: _Sent, ref: Any) -> None:
        """Act on the end of a trial's task.

        Raises:
            UnetzooError: If the node refuses the trial, or a file cannot be written.
        """
        name, ray = sent.line.id, self._ray
        try:
            ended: Ended = ray.get(ref)
        except ray.exceptions.TaskCancelledError:
            ended = Ended("again", "not begun", "")
        except ray.exceptions.RayError as error:
            ended = Ended("lost", first_line(error), sent.node)
        if ended.files:
            self._keep(sent, ended)
        if ended.outcome in ("ok", "failed"):
            record = read_record(sent.job.folders.record(sent.job.trial))
            sent.job.status, sent.job.reason, sent.job.stopped = record.status, record.reason, False
            self._watcher.end(sent.job)
        elif ended.outcome == "refused":
            raise UnetzooError(f"node {ended.node}: {ended.line}")
        elif self._stop_request.stop:
            sent.job.stopped = True
            if sent.node:
                self._watcher.end(sent.job)
        elif ended.outcome == "again":
            self._later.append((time.monotonic() + AGAIN_SECONDS, name))
        elif ended.outcome == "unseen":
            self._carried = True
            self._send(name)
        elif ended.outcome == "crashed" and self._crashes.get(name, 0) + 1 < MOST_CRASHES:
            self._crashes[name] = self._crashes.get(name, 0) + 1
            self._watcher.note(f"{sent.line.stem}: started again: on {ended.node} {ended.line}")
            self._send(name)
        else:
            self.without_record.append(f"{sent.line.stem}: {ended.line}")
            self._watcher.note(f"{sent.line.stem}: has no record: {ended.line}")

    def _keep(self, sent: _Sent, ended: Ended) -> None:
        """Write the files of a trial from a node that does not see the folder, unless it has a record meanwhile.

        Raises:
            UnetzooError: If a file cannot be written.
        """
        job, out = sent.job, self._prepared.out
        if later_record(job.folders.record(job.trial), job.before) is not None:
            self._watcher.note(f"{sent.line.stem}: another process has written its record; this one is left out")
            return
        try:
            write_files(out, ended.files)
        except (OSError, ValueError) as error:
            raise UnetzooError(f"{out}: the files of {sent.line.stem} cannot be written: {error}") from None
        if ended.outcome == "ok":
            for checkpoint in job.folders.folder(job.trial).glob("checkpoint*.pt"):
                checkpoint.unlink(missing_ok=True)


def _kept_files(out: Path, job: Job) -> dict[str, bytes]:
    """Return what a copy of a run needs to go on with a trial: its checkpoints and log, and costs of its model."""
    folder, costs = job.folders.folder(job.trial), job.folders.out / "costs"
    found = [*folder.glob("checkpoint*.pt"), *folder.glob("log.txt"), *costs.glob(f"{job.trial.costs_id}-*.json")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def _defaults() -> dict[str, str]:
    """Return the variables of this process that trials need, too, where their node does not set them."""
    return {name: os.environ[name] for name in ("UNETZOO_DATA", "PYTHONPATH") if name in os.environ}


def _run(task: Task, prepared: Mapping[str, bytes], desk: Any) -> Ended:
    """Run a trial in a worker of Ray."""
    import ray  # pyright: ignore[reportMissingImports]

    here = ray.get_runtime_context().get_node_id()
    cores = next((node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["NodeID"] == here), 0.0)
    share = task.cpus / cores if cores else 1.0
    return run_task(task, prepared, lambda messages: ray.get(desk.tell.remote(task.trial, messages)), share)


def _check_data(task: Task, prepared: Mapping[str, bytes]) -> Ended:
    return run_task(task, prepared, lambda messages: False)
