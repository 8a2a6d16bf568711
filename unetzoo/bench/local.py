"""The local engine: runs each trial in a fresh process and finds out how it ended.

On Linux, processes are forked from a server that has already done the imports (``forkserver``; elsewhere ``spawn``),
so a trial starts clean and at once. Each trial writes its output to its own log. It dies with the harness, and
whatever it started dies with it. All clocks are monotonic, so that setting the time of day ends no trial.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from unetzoo.bench import fork_server
from unetzoo.bench.gpus import Place, emptiest
from unetzoo.bench.gpus import visible as visible_gpus
from unetzoo.bench.jobs import Job, StopRequest
from unetzoo.bench.limits import Limits, oom_kills
from unetzoo.bench.logs import trim
from unetzoo.bench.queue import Queue
from unetzoo.bench.trial_process import trial_process
from unetzoo.errors import UnetzooError, one_line
from unetzoo.machine.processes import Process, descendants, kill_all, look
from unetzoo.records.record import Status

IMPORTED = 78  # exit code of a trial's process if the user's script calls `run` while being imported
SERVER_GONE = 255  # exit code that multiprocessing makes up for the trials of a fork server that died
START_MINUTES = 5.0  # a trial's first message may have to wait for the fork server's imports
GAP_SECONDS = 2.0  # the harness looks every half second; after a longer gap it did not run itself


@dataclass
class _Running:
    job: Job
    process: Any  # a Process; its class depends on the start method
    connection: Connection | None  # None once the trial has closed its end
    began: float
    last_sign: float
    oom_kills: int | None
    server: int | None  # process id of the fork server that it was started from
    started: Process | None  # what tells the process from a later one with its id
    place: Place = ()  # its GPUs

    def waitables(self) -> list[Any]:
        """Return the objects to wait for with `multiprocessing.connection.wait`."""
        return [self.process.sentinel, *([self.connection] if self.connection else [])]

    def listen(self, on_change: Callable[[Job], None], note: Callable[[str], None]) -> None:
        """Process the messages that have arrived; of a trial that sends without a break, those of a second."""
        begun = time.monotonic()
        while self.connection is not None and time.monotonic() - begun < 1.0 and self.connection.poll():
            try:
                message = self.connection.recv()
            except (EOFError, OSError):
                self.connection.close()
                self.connection = None
                return
            self.last_sign = time.monotonic()
            if "note" in message:
                note(f"{self.job.trial.model.label} seed {self.job.trial.seed}: {message['note']}")
            else:
                self.job.receive(message)
                on_change(self.job)

    def slept(self, seconds: float) -> None:
        """Leave a time out of account in which the harness did not run, and so may not have heard a living trial."""
        self.began += seconds
        self.last_sign = time.monotonic()

    def lost(self) -> bool:
        """Return True if the process seems to have ended only because its fork server has."""
        return self.process.exitcode == SERVER_GONE and fork_server.died(self.server)

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
        now, family = look(self.process.pid), dict[int, Process]()
        if self.started and now and now.began == self.started.began:
            family = {self.process.pid: self.started} | descendants(self.process.pid)
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):  # already gone, or not yet the leader of its own group
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        kill_all(family)
        self.process.join()
        fork_server.kill_orphans()


def run_jobs(
    queue: Queue,
    side_by_side: int,
    on_change: Callable[[Job], None],
    stop_request: StopRequest,
    note: Callable[[str], None] = lambda line: None,
    places: Sequence[Place] = (),
) -> Iterator[Job]:
    """Run every job in its own process and yield each as it ends.

    Once ``stop_request.stop`` is set, nothing new starts and the running trials are asked to save themselves and end.
    Closing the iterator, as a second Ctrl-C does, kills them. A trial whose fork server died is started again, once.
    A trial that another process has taken over is killed and goes back to the queue.

    Args:
        queue: The jobs, which may also be ended by other processes.
        side_by_side: Trials that run at the same time.
        on_change: Called with a job when it starts and after each of its messages.
        stop_request: The user's request to stop, which may be set at any time.
        note: Called with a line that the user should read.
        places: GPUs that trials are put on, each on those that the fewest share; without any, all see all GPUs.

    Yields:
        Each job that has ended, with its status or ``stopped`` set.

    Raises:
        UnetzooError: If the calling script is not protected by ``if __name__ == "__main__":``, or no process can be
            started.
    """
    running = list[_Running]()
    asked, looked = False, time.monotonic()
    try:
        while running or (queue.open() and not stop_request.stop):
            while len(running) < side_by_side and not stop_request.stop and (job := queue.take()) is not None:
                running.append(_start(job, note, emptiest(places, [trial.place for trial in running])))
                on_change(job)
            yield from queue.ended()
            if stop_request.stop and not asked:
                asked = True
                for trial in running:
                    trial.stop()
            wait([w for trial in running for w in trial.waitables()], timeout=0.5)
            looked = _forgive_gap(running, looked)
            for trial in list(running):
                ended = not trial.process.is_alive()  # checked first, so that its last messages are not missed
                trial.listen(on_change, note)
                trim(trial.job.folders.log(trial.job.trial))
                if not queue.holds(trial.job):
                    running.remove(trial)
                    trial.kill()
                    queue.lost(trial.job)
                    continue
                if not ended and (passed := trial.over(trial.job.suite.limits)):
                    trial.kill()
                    trial.listen(on_change, note)
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
                    trial.listen(on_change, note)
                    if stop_request.stop and trial.process.exitcode == -signal.SIGTERM:
                        trial.job.stopped = True  # it got the same SIGTERM as the harness; its checkpoint is valid
                    if trial.job.lost:
                        queue.lost(trial.job)
                        continue
                    if trial.job.status is None and not trial.job.stopped and trial.lost():
                        if not stop_request.stop and not trial.job.again:
                            trial.job.start_over()
                            queue.again(trial.job)
                            continue
                        trial.job.stopped = stop_request.stop
                    if trial.job.status is None and not trial.job.stopped:
                        trial.job.status, trial.job.reason = _how_it_died(trial)
                    yield trial.job
    finally:
        for trial in running:
            trial.kill()
            queue.release(trial.job)


def _forgive_gap(running: list[_Running], looked: float) -> float:
    """Leave out of account a long time since the harness last looked, and return the time now.

    A laptop slept, say, or all processes were stopped, and the harness was the first to wake.
    """
    now = time.monotonic()
    if now - looked > GAP_SECONDS:
        for trial in running:
            trial.slept(now - looked)
    return now


def _start(job: Job, note: Callable[[str], None], place: Place) -> _Running:
    """Start a trial's process; if the fork server has died, start that again first.

    Raises:
        UnetzooError: If the process cannot be started, although the fork server was started again.
    """
    if fork_server.died(server := fork_server.server_id()):
        note(fork_server.said_of(server))
    for last_attempt in (False, True):
        context = fork_server.start_method()
        ours, theirs = context.Pipe()
        began = time.monotonic()
        process = context.Process(
            target=trial_process,
            args=(
                job.suite,
                job.trial,
                job.blank,
                job.folders,
                theirs,
                began,
                job.info,
                job.task,
                job.claim,
                job.before,
                job.cells,
                visible_gpus(place),
            ),
        )
        server = fork_server.server_id()
        try:
            with fork_server.STARTING:
                process.start()
        except (EOFError, OSError) as error:
            ours.close()
            if last_attempt or not fork_server.died(server):
                raise UnetzooError(f"the process of a trial cannot be started: {one_line(error)}") from None
            note(fork_server.said_of(server))
        else:
            return _Running(job, process, ours, began, began, oom_kills(), server, look(process.pid), place)
        finally:
            theirs.close()
    raise AssertionError("unreachable")


def _during(last: dict[str, Any]) -> str:
    return f" in phase {last['phase']!r}" if "phase" in last else ""


def _how_it_died(trial: _Running) -> tuple[Status, str]:
    code, during = trial.process.exitcode, _during(trial.job.last)
    if trial.lost():
        return "killed", f"its fork server was killed a second time{during}"
    if code is None or code >= 0:
        return "crashed", f"the process ended with exit code {code}{during} and said nothing"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        name = f"signal {-code}"
    if name == "SIGKILL" and trial.oom_kills is not None and (oom_kills() or 0) > trial.oom_kills:
        return "oom", f"killed by SIGKILL{during}, while the system killed processes because memory ran out"
    return "killed", f"killed by {name}{during}"
