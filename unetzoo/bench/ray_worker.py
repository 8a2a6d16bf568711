"""The part of the Ray engine that runs on the nodes: one trial of a prepared run, in a process of its own.

The process is not the worker's own, because Ray's workers live on from trial to trial, with what a trial leaves in
them. Nothing here imports Ray. Where a node sees the folder of the run, only paths travel; elsewhere the trial runs in
a copy, and its files come back as bytes.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo._util.batch_job import MIB
from unetzoo.bench.prepared import FOLDER

ELSEWHERE = "--elsewhere"  # option of a trial's process whose folder is a copy
TELL_SECONDS = 1.0  # between two messages to the driver, each of which also brings its wish
SAVE_SECONDS = 120.0  # for a trial to save itself once its worker is to end
SAID_LINES = 5  # of a process that ends without an outcome
SIGNS = "ray"  # folder with the file by which a node tells whether it sees the folder of the run
NO_GPU = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
NOT_BACK = {FOLDER, "claims", SIGNS}

Tell = Callable[[list[dict[str, Any]]], bool]
"""Pass messages on to the driver; return True if the trial is to save itself and end."""


@dataclass(frozen=True)
class Task:
    """A trial for a node.

    Attributes:
        out: Folder of the run where the driver is.
        sign: Path of a file below it, and its content, by which a node tells that it sees that folder.
        trial: Id of the trial; "" only checks the data.
        cpus: Cores that it may use.
        gpus: GPUs that it may use, which are those that Ray shows it.
        defaults: Variables of its process, unless the node sets them itself.
        carried: True if the run may be copied to a node that does not see its folder.
        files: What a copy needs besides the prepared run: path below ``out`` -> content.
    """

    out: str
    sign: tuple[str, str]
    trial: str
    cpus: int = 1
    gpus: float = 0.0
    defaults: Mapping[str, str] = field(default_factory=dict)
    carried: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """The end of a trial on a node.

    Attributes:
        outcome: "ok" or "failed" by its record; "again" if it saved itself or another process runs it; "refused" if
            the node or the run is not as it must be; "crashed" if it ended in silence; "unseen" if the node does not
            see the folder and was given no copy.
        line: The outcome in words.
        node: Name of the node.
        files: Path below the folder of the run -> content, from a node that does not see it.
    """

    outcome: str
    line: str
    node: str
    files: Mapping[str, bytes] = field(default_factory=dict)


def run_task(task: Task, prepared: Mapping[str, bytes], tell: Tell, share: float = 1.0) -> Ended:
    """Run a trial on this machine.

    Args:
        task: The trial.
        prepared: The file of the prepared run by its path, for a copy.
        tell: Passes messages on to the driver.
        share: Share of this machine's memory that is the trial's.

    Returns:
        How it ended.
    """
    node = platform.node()
    if tell([{"node": node}]):
        return Ended("again", "not begun", node)
    if sees(task):
        outcome, line = _follow(task, Path(task.out), [], tell, share)
        return Ended(outcome, line, node)
    if not task.carried:
        return Ended("unseen", f"{task.out}: no such folder on {node}", node)
    with tempfile.TemporaryDirectory(prefix="unetzoo-", ignore_cleanup_errors=True) as scratch:
        copy = Path(scratch)
        write_files(copy, {**prepared, **task.files})
        outcome, line = _follow(task, copy, [ELSEWHERE], tell, share)
        return Ended(outcome, line.replace(scratch, task.out), node, read_files(copy) if task.trial else {})


def sees(task: Task) -> bool:
    """Return True if this machine sees the folder of the run where the driver sees it."""
    path, content = task.sign
    try:
        return (Path(task.out) / path).read_text() == content
    except OSError:
        return False


def read_files(out: Path) -> dict[str, bytes]:
    """Return all that a trial has written in a copy of a run; the prepared run and temporary files stay."""
    found = {}
    for path in sorted(out.rglob("*")):
        parts = path.relative_to(out).parts
        if path.is_file() and not NOT_BACK & set(parts) and not any(p.startswith((".", "decoded-")) for p in parts):
            found["/".join(parts)] = path.read_bytes()
    return found


def write_files(out: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder; records last, as they say that all else is there.

    Args:
        out: The folder.
        files: Path below it -> content.

    Raises:
        ValueError: If a path leads out of the folder.
        OSError: If a file cannot be written.
    """
    for name in sorted(files, key=lambda name: name.endswith(".json") and "records" in PurePosixPath(name).parts):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{name!r} leads out of the folder of the run")
        write_atomic(out / path, files[name])


def _environment(task: Task, share: float) -> dict[str, str]:
    """Return the variables of a trial's process, which tell it its share of the machine."""
    from unetzoo.machine.memory import memory_limit

    found = {**task.defaults, **os.environ, "UNETZOO_CORES": str(task.cpus)}
    if (memory := memory_limit("cpu")) is not None:
        found["UNETZOO_MEMORY_MIB"] = str(int(memory[0] * min(1.0, share)) // MIB)
    return found if task.gpus else found | dict.fromkeys(NO_GPU, "")


def _follow(task: Task, out: Path, options: Iterable[str], tell: Tell, share: float) -> tuple[str, str]:
    """Run a trial in a process of its own, pass on what it says, and return its outcome and a line."""
    command = [sys.executable, "-m", "unetzoo.bench.followed_trial", str(out), task.trial, *options]
    process = subprocess.Popen(  # noqa: S603
        command,
        env=_environment(task, share),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    lines: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    said, end, open_ = deque[str](maxlen=SAID_LINES), dict[str, Any](), True
    try:
        while open_:
            messages = []
            for line in _available(lines):
                if line is None:
                    open_ = False
                elif (message := _parsed(line)) is None:
                    said.append(line.decode(errors="replace").strip())
                elif "outcome" in message:
                    end = message
                else:
                    messages.append(message)
            if tell(_latest(messages)):
                process.terminate()
        code = process.wait()
    finally:
        if process.poll() is None:  # the worker is cancelled, or the driver is gone
            _end(process)
    if end:
        return end["outcome"], end["line"]
    return "crashed", f"the trial's process ended with exit code {code} and said: {' | '.join(said) or 'nothing'}"


def _read(process: subprocess.Popen[bytes], lines: queue.Queue[bytes | None]) -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            lines.put(line)
    lines.put(None)


def _available(lines: queue.Queue[bytes | None]) -> list[bytes | None]:
    """Return the lines of the next moment; they may be none."""
    found: list[bytes | None] = []
    try:
        found.append(lines.get(timeout=TELL_SECONDS))
        while True:
            found.append(lines.get_nowait())
    except queue.Empty:
        return found


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return a line of the trial; None for what a library has printed."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.keys() & {"outcome", "message", "note"} else None


def _latest(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return all notes and the last of the other messages, which is about the present."""
    last = [message for message in messages if "message" in message][-1:]
    return [message for message in messages if "note" in message] + last


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(SAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
