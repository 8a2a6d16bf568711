"""The local engine: a fresh process per trial, and what became of it.

Processes are forked from a server that has the imports done (``forkserver``; ``spawn`` where the system has no
fork), so a trial starts clean and at once. A trial's output goes to its own log; it dies with the harness.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from unetzoo.atomic import write_atomic
from unetzoo.bench.record import Record, Status
from unetzoo.bench.suite import Suite, Trial, import_plugins
from unetzoo.errors import UnetzooError

LOG_TAIL_LINES = 60


@dataclass(frozen=True)
class Where:
    """Folders of a suite's output, the trials that run side by side, and the CPU threads each may use."""

    out: Path
    jobs: int = 1

    @property
    def threads(self) -> int:
        return max(1, (os.cpu_count() or 1) // self.jobs)

    @property
    def records(self) -> Path:
        return self.out / "records"

    def record(self, trial: Trial) -> Path:
        return self.records / f"{trial.stem}.json"

    def folder(self, trial: Trial) -> Path:
        """Where a trial's log and weights go."""
        return self.out / "trials" / trial.stem

    def log(self, trial: Trial) -> Path:
        return self.folder(trial) / "log.txt"


@dataclass
class Job:
    """A trial on its way: message by message until ``status`` is known."""

    trial: Trial
    blank: Record
    status: Status | None = None
    reason: str | None = None
    last: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)


def run_jobs(suite: Suite, jobs: list[Job], where: Where, on_change: Callable[[Job], None]) -> Iterator[Job]:
    """Run every job in a process of its own, ``where.jobs`` at a time; yield each as it ends.

    Closing the iterator (Ctrl-C does) terminates the trials that are under way.
    """
    # Threads of a busy machine that spin while they wait for each other can make a step ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["unetzoo.bench.trial"])
    else:
        context = multiprocessing.get_context("spawn")
    waiting, running = list(reversed(jobs)), dict[Any, tuple[Job, Any]]()
    try:
        while waiting or running:
            while waiting and len(running) < where.jobs:
                job = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_trial_process, args=(suite, job.trial, job.blank, where, theirs))
                process.start()
                theirs.close()
                running[ours] = (job, process)
                on_change(job)
            for connection in wait(list(running), timeout=1.0):
                job, process = running[connection]
                assert isinstance(connection, Connection)
                try:
                    job.last = connection.recv()
                    job.status, job.reason = job.last.get("status"), job.last.get("reason")
                    job.environment = job.last.get("environment", job.environment)
                    on_change(job)
                except EOFError:  # the process has ended, whatever way
                    process.join()
                    del running[connection]
                    connection.close()
                    if job.status is None:
                        job.status, job.reason = _how_it_died(process.exitcode, job.last.get("phase"))
                    yield job
    finally:
        for connection, (_, process) in running.items():
            process.terminate()
            process.join()
            connection.close()


def _how_it_died(code: int | None, phase: str | None) -> tuple[Status, str]:
    during = f" in phase {phase!r}" if phase else ""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " (by hand, or by the system because memory ran out)" if name == "SIGKILL" else ""
        return "killed", f"killed by {name}{during}{hint}"
    return "crashed", f"the process ended with exit code {code}{during} and said nothing"


def tail(log: Path) -> str:
    """The last lines of a trial's log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    except OSError:
        return ""


def _trial_process(suite: Suite, trial: Trial, blank: Record, where: Where, connection: Connection) -> None:
    """The fresh process: runs the trial, writes its record if all went well, and says how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the harness's to handle
    threading.Thread(target=_die_with_harness, daemon=True).start()
    _redirect_output(where.log(trial))
    from unetzoo.bench.trial import run_trial

    end: dict[str, Any] = {"phase": "end", "status": "ok"}
    try:
        import_plugins(suite.imports)
        record = run_trial(suite, trial, blank, where, connection.send)
        write_atomic(where.record(trial), record.to_json())
        if record.result and record.cost:
            end |= {"dice": record.result.dice, "wall_seconds": record.cost.wall_seconds}
    except BaseException as error:
        traceback.print_exc()
        end["status"], end["reason"] = classify(error)
    connection.send(end)
    connection.close()
    sys.stderr.flush()
    os._exit(0)  # nothing of a finished trial is worth waiting for


def classify(error: BaseException) -> tuple[Status, str]:
    """The status an exception gives a trial, and its reason in one line."""
    from torch import OutOfMemoryError

    from unetzoo.train.loop import NonFiniteLossError

    lines = str(error).strip().splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0]}" if lines[0] else type(error).__name__
    if isinstance(error, NonFiniteLossError):
        return "nan", lines[0]
    out_of_memory = (
        "can't allocate memory",
        "not enough memory",
        "out of memory",
    )  # torch's CPU and MPS allocators
    if isinstance(error, MemoryError | OutOfMemoryError) or any(w in str(error).lower() for w in out_of_memory):
        return "oom", text
    return "crashed", lines[0] if isinstance(error, UnetzooError) else text


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a killed process cannot flush


def _die_with_harness() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
