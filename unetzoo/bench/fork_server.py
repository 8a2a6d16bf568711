"""The fork server, from which trials start on Linux: its start, its death, and the end of what trials leave behind.

Processes that a trial started and that it did not outlive become the server's children, because it adopts orphans.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from multiprocessing import forkserver, util
from typing import Any

from unetzoo.errors import UnetzooError
from unetzoo.machine.allocation import ask_for_huge_pages
from unetzoo.machine.processes import kill_descendants

PRELOADED = ["unetzoo.bench.run_trial", "unetzoo.bench.tasks", "unetzoo.bench.adopt"]
LONGEST = 107 - len("/pymp-12345678/listener-12345678")  # bytes of a temporary folder, for names of sockets end at 107
STARTING = threading.Lock()  # held while a process is being started, when nobody knows its id yet


def start_method() -> Any:
    """Return the context to start processes with; on Linux also start the fork server and its imports."""
    # On a busy machine, threads that spin while they wait for each other can make a step ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    ask_for_huge_pages()
    if sys.platform != "linux":  # Windows cannot fork; macOS cannot do so safely once these libraries are loaded
        return multiprocessing.get_context("spawn")
    _keep_names_short()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
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


def _keep_names_short() -> None:
    """Put the sockets of this process into /tmp if the names of sockets in ``TMPDIR`` would be too long."""
    usual = tempfile.gettempdir()
    if len(os.fsencode(usual)) <= LONGEST:
        return
    tempfile.tempdir = "/tmp"  # noqa: S108  # for one moment; `get_temp_dir` makes a folder of this user's own, once
    try:
        util.get_temp_dir()
    except OSError as error:
        raise UnetzooError(
            f"TMPDIR = {usual}: too long for the names of sockets; give a folder of at most {LONGEST} bytes "
            f"(/tmp cannot be used: {error.strerror})"
        ) from None
    finally:
        tempfile.tempdir = usual


def server_id() -> int | None:
    """Return the process id of the fork server; None if there is none."""
    return getattr(forkserver._forkserver, "_forkserver_pid", None)  # type: ignore[attr-defined]  # stable since 3.4


def died(server: int | None) -> bool:
    """Return True if a fork server, given by its id, has ended or another has taken its place."""
    if server is None:
        return False
    if server != server_id():
        return True
    try:  # without reaping it, which `ensure_running` does
        return os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def kill_orphans() -> None:
    """Kill all processes that ended trials have left behind; processes that this one has started are spared."""
    server = server_id()
    if server is not None:
        with STARTING:
            alive = [process.pid for process in multiprocessing.active_children() if process.pid is not None]
            kill_descendants(server, spared=alive)


def said_of(server: int | None) -> str:
    """Return the line that tells the user of a fork server's death."""
    return (
        f"the fork server (process {server}) was killed; it is started again, and so are the trials that died with it"
    )
