"""Locks whose owner is stopped, has ended or takes too long: it is named, and nobody waits for it for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from unetzoo.machine import lock as machine_lock
from unetzoo.machine.lock import MachineLock
from unetzoo.machine.processes import condition, descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells about processes and locks")

HOLDER = """
import sys; from pathlib import Path
{code}:
    print("held", flush=True)
    sys.stdin.read()
"""
TIMING = "from unetzoo.machine.lock import MachineLock\nwith MachineLock(Path({folder!r})).{kind}()"


@contextmanager
def holder(code: str, stopped: bool = True) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds a lock until its standard input ends, and stop it."""
    command = [sys.executable, "-c", HOLDER.format(code=code)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        if stopped:
            process.send_signal(signal.SIGSTOP)
            while condition(process.pid) != "stopped":
                time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LOOK_SECONDS": 0.01, "SAY_LOOKS": 2, "STOPPED_LOOKS": 5}.items():
        monkeypatch.setattr(machine_lock, name, value)


@pytest.mark.parametrize("kind", ["alone", "shared"])
def test_a_stopped_process_does_not_hold_up_others(tmp_path: Path, kind: str) -> None:
    said: list[str] = []
    with holder(TIMING.format(folder=str(tmp_path), kind=kind)) as owner:
        waiting = MachineLock(tmp_path, say=said.append)
        for _ in range(3):  # said once, not at every step
            with waiting.alone():
                pass
        assert not waiting.exclusive
    who = f"waiting for process {owner.pid}, stopped, to end a timing or a step"
    assert said == [who, f"no longer {who}; timings may be disturbed by it"]


def test_a_process_that_goes_on_is_waited_for_again(tmp_path: Path) -> None:
    with holder(TIMING.format(folder=str(tmp_path), kind="alone")) as owner:
        beats: list[int] = []

        def beat() -> None:  # the wait is under way: let the owner end
            beats.append(1)
            if len(beats) == 5 and owner.stdin is not None:
                owner.stdin.close()

        waiting = MachineLock(tmp_path)
        with waiting.shared():
            pass  # passed over while it is stopped
        waiting._beat = beat
        owner.send_signal(signal.SIGCONT)
        while condition(owner.pid) == "stopped":
            time.sleep(0.01)
        with waiting.shared():
            assert len(beats) >= 5
            owner.wait(timeout=60)


def test_a_process_that_takes_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_lock, "MOST_LOOKS", 5)
    said: list[str] = []
    with holder(TIMING.format(folder=str(tmp_path), kind="alone"), stopped=False) as owner:
        waiting = MachineLock(tmp_path, say=said.append)
        with waiting.shared():
            assert not waiting.exclusive
    assert said[-1].startswith(f"no longer waiting for process {owner.pid} to end")


def test_what_is_below_a_process() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    assert len(descendants(process.pid)) == 1
    assert process.pid in descendants(os.getpid())
    process.communicate("")
    assert descendants(process.pid) == {}
    assert condition(process.pid) == "ended"
