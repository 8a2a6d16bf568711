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
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from unetzoo.atomic import write_atomic
from unetzoo.bench.layout import Where
from unetzoo.bench.record import Record, Status
from unetzoo.bench.suite import Suite, Trial
from unetzoo.errors import UnetzooError, plain
from unetzoo.plugins import import_plugins

LOG_TAIL_LINES = 60


@dataclass
class Job:
    """A trial on its way: message by message until ``status`` is known."""

    trial: Trial
    blank: Record
    status: Status | None = None
    reason: str | None = None
    last: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)

    def hear(self, message: dict[str, Any]) -> None:
        self.last = message
        self.status, self.reason = message.get("status"), message.get("reason")
        self.environment = message.get("environment", self.environment)


@dataclass
class _Running:
    job: Job
    process: Any  # a Process of whichever start method
    connection: Connection | None  # None once it is closed at the other end

    def waitables(self) -> list[Any]:
        return [self.process.sentinel, *([self.connection] if self.connection else [])]

    def listen(self, on_change: Callable[[Job], None]) -> None:
        """Take in all that the trial has said since."""
        while self.connection is not None and self.connection.poll():
            try:
                self.job.hear(self.connection.recv())
            except (EOFError, OSError):
                self.connection.close()
                self.connection = None
            else:
                on_change(self.job)


def run_jobs(suite: Suite, jobs: list[Job], where: Where, on_change: Callable[[Job], None]) -> Iterator[Job]:
    """Run every job in a process of its own, ``where.jobs`` at a time; yield each as it ends.

    Closing the iterator (Ctrl-C does) terminates the trials that are under way.
    """
    context = _context() if jobs else None
    waiting, running = list(reversed(jobs)), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < where.jobs:
                assert context is not None
                job = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_trial_process, args=(suite, job.trial, job.blank, where, theirs))
                process.start()
                theirs.close()
                running.append(_Running(job, process, ours))
                on_change(job)
            wait([w for trial in running for w in trial.waitables()], timeout=1.0)
            for trial in list(running):
                ended = not trial.process.is_alive()  # asked first, so that its last words are not missed
                trial.listen(on_change)
                if ended:
                    running.remove(trial)
                    trial.process.join()
                    if trial.job.status is None:
                        trial.job.status, trial.job.reason = _how_it_died(trial.process.exitcode, trial.job.last)
                    yield trial.job
    finally:
        for trial in running:
            trial.process.terminate()
            trial.process.join()


def _context() -> Any:
    """The start method, and for a fork server the server itself, busy with its imports from now on."""
    # Threads of a busy machine that spin while they wait for each other can make a step ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["unetzoo.bench.trial"])
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None  # Ctrl-C is not for the server
    try:
        forkserver.ensure_running()
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)
    return context


def _how_it_died(code: int | None, last: dict[str, Any]) -> tuple[Status, str]:
    during = f" in phase {last['phase']!r}" if "phase" in last else ""
    if code is None or code >= 0:
        return "crashed", f"the process ended with exit code {code}{during} and said nothing"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        name = f"signal {-code}"
    hint = " (by hand, or by the system because memory ran out)" if name == "SIGKILL" else ""
    return "killed", f"killed by {name}{during}{hint}"


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


OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "MemoryError")


def classify(error: BaseException) -> tuple[Status, str]:
    """The status an exception gives a trial, and its reason in one line."""
    reason = str(error).partition("\n")[0] if isinstance(error, UnetzooError) else plain(error)
    if type(error).__name__ == "ProcessRaisedException":  # one process of several: its traceback is the message
        reason = str(error).strip().splitlines()[-1]
    if "NonFiniteLossError" in reason:
        return "nan", reason.partition(": ")[2]
    # torch's allocators raise a bare RuntimeError on CPU and MPS.
    return "oom" if any(words in reason for words in OUT_OF_MEMORY) else "crashed", reason


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
