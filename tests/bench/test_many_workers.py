"""Many workers of several "machines" on one folder, killed, stopped and skewed: each trial once, none lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

# A worker runs trials that only beat and sleep, through the queue, the heart and the claims of the harness.
WORKER = """
import os, random, sys, time
from pathlib import Path
from types import SimpleNamespace
from unetzoo.bench import claims
from unetzoo.bench.claims import ClaimLostError
from unetzoo.bench.heart import Heart
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.queue import Queue, check_unchanged
from unetzoo.bench.jobs import Job
from unetzoo.records.parts import ModelDescription
from unetzoo.records.record import Record
import unetzoo.bench.queue as queue_module

out, host, trials = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
seconds, skew = map(float, sys.argv[4:6])
claims._machine = lambda: host  # so that no worker sees at once that another one has ended
claims.POLL_SECONDS = queue_module.POLL_SECONDS = 0.1
real = time.time
time.time = lambda: real() + skew
suite = SimpleNamespace(limits=SimpleNamespace(stale_seconds=3.0))
folders = OutputFolders(out)
jobs = [Job(suite, SimpleNamespace(stem=f"t{n}-s0-{n:012x}", id=f"{n:012x}"), None, folders) for n in range(trials)]
from unetzoo._util.atomic import write_atomic
with Heart() as heart:
    queue = Queue(jobs, heart)
    while queue.open():
        job = queue.take()
        queue.ended()
        if job is None:
            time.sleep(0.05)
            continue
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and queue.holds(job):
            time.sleep(0.01)
        if not queue.holds(job):
            queue.lost(job)
            continue
        try:
            job.claim.renew()
            check_unchanged(folders.record(job.trial), None)
        except ClaimLostError:
            queue.lost(job)
            continue
        text = Record(id=job.trial.id, status="ok", suite="s", trial={}, model=ModelDescription(paper={}, diff={}),
                      data={}, environment={"worker": os.getpid()}).to_json()
        write_atomic(folders.record(job.trial), text)
        with (out / "written.txt").open("a") as file:
            file.write(job.trial.stem + "\\n")
        job.status = "ok"
        queue.release(job)
"""


def start(out: Path, host: str, trials: int, seconds: float, skew: float = 0.0) -> subprocess.Popen[bytes]:
    arguments = [str(out), host, str(trials), str(seconds), str(skew)]
    return subprocess.Popen([sys.executable, "-c", WORKER, *arguments], start_new_session=True)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("faults", "trials"), [(50, 20), pytest.param(200, 60, marks=pytest.mark.nightly)])
def test_faults_lose_nothing_and_repeat_nothing(faults: int, trials: int, tmp_path: Path) -> None:
    out, dice = tmp_path, random.Random(20)
    (out / "records").mkdir()
    workers = {n: start(out, f"host{n % 3}", trials, 0.3, skew=1e6 * (n % 3 - 1)) for n in range(4)}
    struck: Counter[str] = Counter()
    stopped: list[tuple[float, int]] = []
    deadline = time.monotonic() + 240
    while struck.total() < faults and time.monotonic() < deadline:
        n = dice.choice(list(workers))
        kind = dice.choice(["kill", "kill", "stop", "delete heartbeat", "damage claim"])
        if kind == "kill":
            workers[n].kill()
            workers[n].wait()
            workers[n] = start(out, f"host{n % 3}", trials, 0.3, skew=1e6 * (n % 3 - 1))
        elif kind == "stop":  # longer than its claims last
            os.kill(workers[n].pid, signal.SIGSTOP)
            stopped.append((time.monotonic() + dice.choice([0.5, 4.0]), n))
        else:
            pattern = "claims/*.beat" if kind == "delete heartbeat" else "claims/*.json"
            files = sorted(out.glob(pattern))
            if not files:
                continue
            try:
                file = dice.choice(files)
                file.unlink() if kind == "delete heartbeat" else file.write_text("")
            except FileNotFoundError:
                continue
        struck[kind] += 1
        time.sleep(dice.uniform(0.05, 0.25))
        stopped = _continue(stopped, workers)
    for _, n in stopped:
        os.kill(workers[n].pid, signal.SIGCONT)
    assert struck.total() == faults
    for worker in workers.values():
        assert worker.wait(timeout=120) == 0
    assert len(list((out / "records").glob("*.json"))) == trials
    written = Counter((out / "written.txt").read_text().split())
    assert len(written) >= trials - struck["kill"]  # one that was killed between its record and this line
    assert [trial for trial, times in written.items() if times > 1] == []
    assert list(out.glob("claims/*.beat")) == []


def _continue(stopped: list[tuple[float, int]], workers: dict[int, subprocess.Popen[bytes]]) -> list[tuple[float, int]]:
    left = []
    for until, n in stopped:
        if time.monotonic() >= until:
            os.kill(workers[n].pid, signal.SIGCONT)
        else:
            left.append((until, n))
    return left
