"""Processes of this machine: which are alive, stopped or below another, and the end of all that a trial started.

Only Linux tells (proc(5), prctl(2)). Elsewhere nothing is known of another process, and nothing is adopted.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
STOPPED, ENDED = "tT", "ZX"


class Process(NamedTuple):
    """A line of the system's table of processes.

    Attributes:
        state: One letter, such as R (runs), S (sleeps), T (stopped by a signal), t (stopped by a debugger), Z (ended).
        parent: Id of its parent.
        began: Time of its start in clock ticks since boot; tells it from a later process with the same id.
    """

    state: str
    parent: int
    began: int


def look(pid: int) -> Process | None:
    """Return what the system tells about a process; None if there is none, or the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return Process(fields[0], int(fields[1]), int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None


def condition(pid: int) -> str:
    """Return "running", "stopped" or "ended"; "" if the system does not tell."""
    if not Path("/proc/self/stat").exists():
        return ""
    process = look(pid)
    if process is None or process.state in ENDED:
        return "ended"
    return "stopped" if process.state in STOPPED else "running"


def descendants(*ancestors: int) -> dict[int, Process]:
    """Return all processes that were started, directly or not, by others, and whose chain of parents still stands."""
    table: dict[int, Process] = {}
    with suppress(OSError):
        for path in Path("/proc").glob("[0-9]*"):
            if process := look(int(path.name)):
                table[int(path.name)] = process
    children: dict[int, list[int]] = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
    found, todo = dict[int, Process](), list(ancestors)
    while todo:
        for pid in children.get(todo.pop(), []):
            if pid not in found:
                found[pid] = table[pid]
                todo.append(pid)
    return found


def adopt_orphans() -> bool:
    """Become the parent of all descendants whose own parent ends, so that none escapes; True if the system can."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(number: signal.Signals) -> bool:
    """Let the system send a signal to this process once the thread that started it ends; True if it can."""
    return _prctl(PR_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> bool:
    try:
        return ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0
    except (AttributeError, OSError, TypeError):
        return False


def kill_all(processes: dict[int, Process]) -> None:
    """Kill processes that `descendants` found, unless they have ended and another has taken the id."""
    for pid, process in processes.items():
        now = look(pid)
        if now is not None and now.began == process.began:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def kill_descendants(ancestor: int, spared: Collection[int] = ()) -> None:
    """Kill all that a process started, until nothing of it is left.

    Args:
        ancestor: The process.
        spared: Children of it that stay, and whatever these started.
    """
    for _ in range(20):  # what is killed may have started others meanwhile
        strays = [pid for pid, p in descendants(ancestor).items() if p.parent == ancestor and pid not in spared]
        family = {pid: p for pid in strays if (p := look(pid))} | descendants(*strays)
        left = {pid: process for pid, process in family.items() if process.state not in ENDED}
        if not left:
            return
        kill_all(left)
