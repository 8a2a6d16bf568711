"""The process of one trial, which runs it, writes its record and tells the harness how it ended."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from unetzoo._util.atomic import write_atomic
from unetzoo._util.plugins import import_plugins
from unetzoo._util.text import LINE, REASON, shortened, visible
from unetzoo.bench.cells import unpack
from unetzoo.bench.claims import Claim, ClaimLostError
from unetzoo.bench.logs import redirect_output
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.queue import check_unchanged
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.errors import UnetzooError, one_line
from unetzoo.machine.allocation import keep_freed_memory
from unetzoo.machine.processes import adopt_orphans, kill_descendants
from unetzoo.records.record import Record, Status

if TYPE_CHECKING:
    from unetzoo.data.base import DatasetInfo


def trial_process(
    suite: Suite,
    trial: Trial,
    blank: Record,
    folders: OutputFolders,
    connection: Connection,
    began: float,
    info: DatasetInfo,
    task: str,
    claim: Claim | None,
    before: str | None,
    cells: bytes,
    gpus: str,
) -> None:
    """Run the trial in its fresh process, write its record if it succeeds, and report how it ended; or measure.

    Args:
        suite: The suite.
        trial: The trial.
        blank: Record of the trial, without an outcome.
        folders: Folders of the output.
        connection: Where messages go to; the harness sends "stop".
        began: Monotonic time at which the process was started.
        info: Channels, classes and ignored label of the data set.
        task: "trial", "costs" or "rehearsal".
        claim: This run's claim on the trial, if it has one.
        before: What the record was when the job was made; see `unetzoo.bench.jobs.Job`.
        cells: Models that cells of a notebook registered.
        gpus: GPUs that the process may see; empty for all.
    """
    if hasattr(os, "setsid"):
        os.setsid()  # leaves Ctrl-C to the harness, and makes a group that can be killed as one
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_orphans()  # so that what a child starts and leaves is still found below this trial
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the server ignores it, and this process inherits that
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus  # before CUDA is first used
    from unetzoo.bench.channel import Channel  # imports torch, which the harness does without

    channel = Channel(connection, claim)
    channel.listen()
    end: dict[str, Any] = {"phase": "end", "status": "ok"}
    try:
        redirect_output(folders.log(trial))
        from unetzoo.bench.run_trial import run_trial
        from unetzoo.bench.tasks import measure_costs, rehearse

        keep_freed_memory()
        gc.freeze()  # keeps the garbage collector off the server's objects, whose pages it would copy
        import_plugins(suite.imports)
        unpack(cells)
        if task == "trial":
            record = run_trial(suite, trial, blank, folders, channel, began)
            channel.renew_claim()
            check_unchanged(folders.record(trial), before)
            _keep(record, trial, folders)
            if record.result:
                end["dice"] = record.result.dice
        else:
            end |= (measure_costs if task == "costs" else rehearse)(suite, trial, info, folders, channel)
        end["seconds"] = time.monotonic() - began
    except BaseException as error:
        if _interrupted(error):
            end = {"phase": "end", "stopped": True}
        elif _claim_lost(error):
            end = {"phase": "end", "lost": True}
        else:
            _print_traceback()
            end["status"], end["reason"] = classify(error)
    with suppress(OSError):  # the harness is gone, and this process is about to be killed
        channel.send(end)
        channel.close()
    sys.stderr.flush()
    kill_descendants(os.getpid())
    os._exit(0)  # skips clean-up, which a finished trial does not need


def _print_traceback() -> None:
    """Print the traceback of the present exception, with no line so long that it pushes the others out of the log."""
    for line in traceback.format_exc().splitlines():
        print(shortened(line, LINE - 100), file=sys.stderr)  # so that `tail` need not cut the mark


def _interrupted(error: BaseException) -> bool:
    """Return True for `Interrupted`, also if one process of several raised it: its traceback is then the message."""
    if type(error).__name__ == "ProcessRaisedException":
        return str(error).rstrip().endswith("unetzoo.train.loop.Interrupted")
    return type(error).__name__ == "Interrupted"


def _claim_lost(error: BaseException) -> bool:
    """Return True for `ClaimLostError`, also if one process of several raised it."""
    if type(error).__name__ == "ProcessRaisedException":
        return f"{ClaimLostError.__module__}.{ClaimLostError.__name__}: " in str(error)
    return isinstance(error, ClaimLostError)


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
    """Return the status that an exception gives a trial, and the reason in one line that any page can show."""
    status, reason = _classified(error)
    return status, shortened(visible(reason), REASON)


def _classified(error: BaseException) -> tuple[Status, str]:
    reason = str(error).partition("\n")[0] if isinstance(error, UnetzooError) else one_line(error)
    if type(error).__name__ == "ProcessExitedException" and getattr(error, "signal_name", None):
        return "killed", reason.partition(": ")[2]
    if type(error).__name__ == "ProcessRaisedException":  # raised by one process of several, whose traceback it holds
        reason = str(error).strip().splitlines()[-1]
    if "NonFiniteLossError" in reason or type(error) is ArithmeticError:
        return "nan", reason.partition(": ")[2]
    # torch's allocators raise a bare RuntimeError on CPU and MPS.
    return "oom" if any(words in reason for words in OUT_OF_MEMORY) else "crashed", reason
