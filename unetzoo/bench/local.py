"""The local engine: runs each trial in a fresh process and finds out how it ended.

On Linux, processes are forked from a server that has already done the imports (``forkserver``; elsewhere ``spawn``),
so a trial starts clean and at once. Each trial writes its output to its own log. It dies with the harness, and
whatever it started dies with it. All clocks are monotonic, so that setting the time of day ends no trial.
"""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo._util.plugins import import_plugins
from unetzoo.bench.limits import Limits, oom_kills
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.errors import UnetzooError, one_line
from unetzoo.records.record import Record, Status

LOG_TAIL_LINES = 60
IMPORTED = 78  # exit code of a trial's process if the user's script calls `run` while being imported
START_MINUTES = 5.0  # a trial's first message may have to wait for the fork server's imports


@dataclass
class Job:
    """A trial to run, updated by each of its messages until it has ended.

    Attributes:
        suite: The suite of the trial.
        trial: The trial itself.
        blank: Its record, as far as it is known before the trial runs.
        folders: Folders of the output.
        data: Label of its data set in a collection; None for a single suite.
        status: How the trial ended; None while it runs, and if it was stopped.
        reason: Why it failed, in one line.
        stopped: True if it ended because the user asked it to, whether or not it could save a checkpoint.
        last: Its last message.
        environment: Its report on the machine and the software.
    """

    suite: Suite
    trial: Trial
    blank: Record
    folders: OutputFolders
    data: str | None = None
    status: Status | None = None
    reason: str | None = None
    stopped: bool = False
    last: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)

    def receive(self, message: dict[str, Any]) -> None:
        """Update the job from a message of its trial."""
        if not message:  # a sign of life
            return
        self.last = message
        self.status, self.reason = message.get("status"), message.get("reason")
        self.stopped = message.get("stopped", False)
        self.environment = message.get("environment", self.environment)


@dataclass
class StopRequest:
    """The user's request to a run: with ``stop``, nothing new starts and running trials save themselves and end."""

    stop: bool = False


@dataclass
class _Running:
    job: Job
    process: Any  # a Process; its class depends on the start method
    connection: Connection | None  # None once the trial has closed its end
    began: float
    last_sign: float
    oom_kills: int | None

    def waitables(self) -> list[Any]:
        """Return the objects to wait for with `multiprocessing.connection.wait`."""
        return [self.process.sentinel, *([self.connection] if self.connection else [])]

    def listen(self, on_change: Callable[[Job], None]) -> None:
        """Process all messages that have arrived."""
        while self.connection is not None and self.connection.poll():
            try:
                self.job.receive(self.connection.recv())
            except (EOFError, OSError):
                self.connection.close()
                self.connection = None
            else:
                self.last_sign = time.monotonic()
                on_change(self.job)

    def over(self, limits: Limits) -> tuple[Status, str] | None:
        """Return the status and reason of the limit that this trial has exceeded, or None."""
        now, during = time.monotonic(), _during(self.job.last)
        if now - self.began > 60 * limits.minutes:
            return "timeout", f"ended after limits.minutes = {limits.minutes:g}{during}"
        patience = limits.hang_minutes if self.job.last else max(limits.hang_minutes, START_MINUTES)
        if now - self.last_sign > 60 * patience:
            return "hung", f"no sign of progress for limits.hang_minutes = {limits.hang_minutes:g}{during}"
        return None

    def stop(self) -> None:
        """Ask the trial to save itself and end; see `unetzoo.bench.channel`."""
        if self.connection is not None:
            with suppress(OSError):
                self.connection.send("stop")

    def kill(self) -> None:
        """Kill the process and all that it started."""
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):  # already gone, or not yet the leader of its own group
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()


def run_jobs(
    jobs: list[Job], side_by_side: int, on_change: Callable[[Job], None], stop_request: StopRequest
) -> Iterator[Job]:
    """Run every job in its own process and yield each as it ends.

    Once ``stop_request.stop`` is set, nothing new starts and the running trials are asked to save themselves and end.
    Closing the iterator, as a second Ctrl-C does, kills them.

    Args:
        jobs: The jobs, in the order in which they start.
        side_by_side: Trials that run at the same time.
        on_change: Called with a job when it starts and after each of its messages.
        stop_request: The user's request to stop, which may be set at any time.

    Yields:
        Each job that has ended, with its status or ``stopped`` set.

    Raises:
        UnetzooError: If the calling script is not protected by ``if __name__ == "__main__":``.
    """
    context = _context() if jobs else None
    waiting, running = list(reversed(jobs)), list[_Running]()
    asked = False
    try:
        while running or (waiting and not stop_request.stop):
            while waiting and len(running) < side_by_side and not stop_request.stop:
                assert context is not None
                running.append(_start(context, waiting.pop()))
                on_change(running[-1].job)
            if stop_request.stop and not asked:
                asked = True
                for trial in running:
                    trial.stop()
            wait([w for trial in running for w in trial.waitables()], timeout=0.5)
            for trial in list(running):
                ended = not trial.process.is_alive()  # checked first, so that its last messages are not missed
                trial.listen(on_change)
                if not ended and (passed := trial.over(trial.job.suite.limits)):
                    trial.kill()
                    trial.listen(on_change)
                    if trial.job.status is None:
                        trial.job.status, trial.job.reason = passed
                    ended = True
                if ended:
                    if trial.process.exitcode == IMPORTED and not trial.job.last:
                        raise UnetzooError(
                            "the script that calls run must do so under 'if __name__ == \"__main__\":', because the "
                            "trials' processes import it"
                        )
                    running.remove(trial)
                    trial.kill()  # whatever it started may still run
                    if stop_request.stop and trial.process.exitcode == -signal.SIGTERM:
                        trial.job.stopped = True  # it got the same SIGTERM as the harness; its checkpoint is valid
                    if trial.job.status is None and not trial.job.stopped:
                        trial.job.status, trial.job.reason = _how_it_died(trial)
                    yield trial.job
    finally:
        for trial in running:
            trial.kill()


def _start(context: Any, job: Job) -> _Running:
    ours, theirs = context.Pipe()
    began = time.monotonic()
    process = context.Process(target=_trial_process, args=(job.suite, job.trial, job.blank, job.folders, theirs, began))
    process.start()
    theirs.close()
    return _Running(job, process, ours, began, began, oom_kills())


def _context() -> Any:
    """Return the context to start processes with; on Linux also start the fork server and its imports."""
    # On a busy machine, threads that spin while they wait for each other can make a step ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform != "linux":  # Windows cannot fork; macOS cannot do so safely once these libraries are loaded
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["unetzoo.bench.run_trial"])
    in_main = threading.current_thread() is threading.main_thread()
    # The server ignores Ctrl-C, and a SIGTERM sent to all processes (by timeout, a batch system, a service manager):
    # if it died, the harness could not learn how a trial ended.
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM) if in_main}
    try:
        forkserver.ensure_running()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return context


def _during(last: dict[str, Any]) -> str:
    return f" in phase {last['phase']!r}" if "phase" in last else ""


def _how_it_died(trial: _Running) -> tuple[Status, str]:
    code, during = trial.process.exitcode, _during(trial.job.last)
    if code is None or code >= 0:
        return "crashed", f"the process ended with exit code {code}{during} and said nothing"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        name = f"signal {-code}"
    if name == "SIGKILL" and trial.oom_kills is not None and (oom_kills() or 0) > trial.oom_kills:
        return "oom", f"killed by SIGKILL{during}, while the system killed processes because memory ran out"
    return "killed", f"killed by {name}{during}"


def tail(log: Path) -> str:
    """Return the last lines of a trial's log, '' if it cannot be read."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    except OSError:
        return ""


def _trial_process(
    suite: Suite, trial: Trial, blank: Record, folders: OutputFolders, connection: Connection, began: float
) -> None:
    """Run the trial in its fresh process, write its record if it succeeds, and report how it ended."""
    if hasattr(os, "setsid"):
        os.setsid()  # leaves Ctrl-C to the harness, and makes a group that can be killed as one
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the server ignores it, and this process inherits that
    from unetzoo.bench.channel import Channel  # imports torch, which the harness does without

    channel = Channel(connection)
    channel.listen()
    end: dict[str, Any] = {"phase": "end", "status": "ok"}
    try:
        _redirect_output(folders.log(trial))
        from unetzoo.bench.run_trial import run_trial

        gc.freeze()  # keeps the garbage collector off the server's objects, whose pages it would copy
        import_plugins(suite.imports)
        record = run_trial(suite, trial, blank, folders, channel, began)
        _keep(record, trial, folders)
        if record.result:
            end |= {"dice": record.result.dice, "seconds": time.monotonic() - began}
    except BaseException as error:
        if _interrupted(error):
            end = {"phase": "end", "stopped": True}
        else:
            traceback.print_exc()
            end["status"], end["reason"] = classify(error)
    with suppress(OSError):  # the harness is gone, and this process is about to be killed
        channel.send(end)
        channel.close()
    sys.stderr.flush()
    os._exit(0)  # skips clean-up, which a finished trial does not need


def _interrupted(error: BaseException) -> bool:
    """Return True for `Interrupted`, also if one process of several raised it: its traceback is then the message."""
    if type(error).__name__ == "ProcessRaisedException":
        return str(error).rstrip().endswith("unetzoo.train.loop.Interrupted")
    return type(error).__name__ == "Interrupted"


def _keep(record: Record, trial: Trial, folders: OutputFolders) -> None:
    """Write the record and delete the trial's checkpoints; on a full disk delete them first to make room.

    Raises:
        OSError: If the record cannot be written.
    """
    path, checkpoints = folders.record(trial), list(folders.folder(trial).glob("checkpoint*.pt"))
    try:
        write_atomic(path, record.to_json())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        traceback.print_exc()
        for checkpoint in checkpoints:
            checkpoint.unlink()
        write_atomic(path, record.to_json())
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)


OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "MemoryError")


def classify(error: BaseException) -> tuple[Status, str]:
    """Return the status that an exception gives a trial, and the reason in one line."""
    reason = str(error).partition("\n")[0] if isinstance(error, UnetzooError) else one_line(error)
    if type(error).__name__ == "ProcessExitedException" and getattr(error, "signal_name", None):
        return "killed", reason.partition(": ")[2]
    if type(error).__name__ == "ProcessRaisedException":  # raised by one process of several, whose traceback it holds
        reason = str(error).strip().splitlines()[-1]
    if "NonFiniteLossError" in reason or type(error) is ArithmeticError:
        return "nan", reason.partition(": ")[2]
    # torch's allocators raise a bare RuntimeError on CPU and MPS.
    return "oom" if any(words in reason for words in OUT_OF_MEMORY) else "crashed", reason


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # so that the log of a killed process is complete
