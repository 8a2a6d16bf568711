"""Claims: which process runs a trial, told by files alone, so that many machines can work on one folder.

``claims/TRIAL.N.json`` is the Nth claim on a trial. It is made by a hard link, which exactly one process can do, on NFS
too; it never changes, and goes when the trial has succeeded. The trial is its who made the claim with the highest
number; whoever takes a trial over makes the next one. ``claims/TRIAL.TOKEN.beat`` is the holder's heartbeat, which is
removed when it lets go.

Clocks of different machines are never compared: a claim is stale once its heartbeat has not changed for a time that the
onlooker counts by itself. On the holder's own machine, a process that has ended is seen at once.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from unetzoo._util.text import shortened, visible
from unetzoo.errors import Strict, UnetzooError
from unetzoo.machine.processes import look

STALE_SECONDS = 120.0  # more than an NFS client keeps what it knows of a file, which is up to 60
POLL_SECONDS = 1.0  # between two looks at a heartbeat
TEXT = 100  # characters of a host or job in a message


class Holder(Strict):
    """Who made a claim.

    Attributes:
        token: Random name of the claim's heartbeat.
        host: Name of its machine.
        machine: Start of the machine and name space of its processes; "" if the system does not tell.
        pid: Its process id.
        began: Start of the process, which tells it from a later one with its id; 0 if the system does not tell.
        job: Its job in a batch system, in words.
        stale_seconds: Seconds without a heartbeat after which the claim is stale.
    """

    token: str = Field(pattern="^[0-9a-f]*$")
    host: str = ""
    machine: str = ""
    pid: int = 0
    began: int = 0
    job: str = ""
    stale_seconds: float = STALE_SECONDS

    @property
    def words(self) -> str:
        """The holder for a message."""
        job = f" ({shortened(visible(self.job), TEXT)})" if self.job else ""
        return f"process {self.pid} on {shortened(visible(self.host), TEXT) or 'an unknown machine'}{job}"

    def ended(self) -> bool:
        """Return True if its process is one of this machine and has ended."""
        if not self.machine or self.machine != _machine():
            return False
        process = look(self.pid)
        return process is None or process.state in "ZX" or process.began != self.began


class ClaimLostError(UnetzooError):
    """Another process has taken the trial over, so that this one must not write its record."""


@dataclass(frozen=True)
class Claim:
    """A claim that this process, or the harness that started it, has made.

    Args:
        folder: Folder of the claims.
        trial: File name of the trial without suffix.
        number: Number of the claim.
        holder: Who made it.
    """

    folder: Path
    trial: str
    number: int
    holder: Holder

    def held(self) -> bool:
        """Return True if nobody else has taken the trial over, as far as this machine knows."""
        newest = newest_claim(self.folder, self.trial, self.number)
        return newest is not None and newest[1].token == self.holder.token

    def renew(self) -> None:
        """Make the next claim oneself, which proves that nobody else has; to be called before anything is written.

        On a full disk, where no claim can be made, it is enough that none can be seen.

        Raises:
            ClaimLostError: If another process has taken the trial over.
        """
        number = self.number
        while not self._made(number + 1):
            number += 1
            found = _read(self.folder, self.trial, number)
            if found is None or found.token != self.holder.token:
                who = "another process" if found is None else found.words
                raise ClaimLostError(f"{self.trial}: taken over by {who}; this attempt ends without a record")

    def _made(self, number: int) -> bool:
        try:
            return _link(self.folder, self.trial, number, self.holder)
        except OSError:
            return not _claim_file(self.folder, self.trial, number).exists()

    def beat(self, state: Mapping[str, Any]) -> None:
        """Change the heartbeat, and put in it how far the trial is.

        Args:
            state: JSON values.
        """
        file = _beat_file(self.folder, self.trial, self.holder)
        try:
            file.write_text(json.dumps({"beat": uuid.uuid4().hex, **state}, default=str), encoding="utf-8")
        except OSError:  # such as a full disk, which still keeps times
            with suppress(OSError):
                os.utime(file)

    def release(self) -> None:
        """Let go of the trial, so that another process may take it at once."""
        with suppress(OSError):
            _beat_file(self.folder, self.trial, self.holder).unlink()


def forget(folder: Path, trial: str) -> None:
    """Remove the claims on a trial that has its record, the newest first; only its holder may call this."""
    newest = newest_claim(folder, trial)
    for number in range(newest[0] if newest else 0, 0, -1):
        with suppress(OSError):
            _claim_file(folder, trial, number).unlink()


def take(folder: Path, trial: str, after: int, stale_seconds: float) -> Claim | None:
    """Make the claim that follows claim ``after`` (0 for none); None if another process was first.

    Args:
        folder: Folder of the claims.
        trial: File name of the trial without suffix.
        after: Number of the claim that was let go or is stale.
        stale_seconds: Seconds without a heartbeat after which the new claim is stale.

    Raises:
        UnetzooError: If the folder cannot be written.
    """
    process = look(os.getpid())
    holder = Holder(
        token=uuid.uuid4().hex,
        host=platform.node(),
        machine=_machine(),
        pid=os.getpid(),
        began=process.began if process else 0,
        job=batch_job(),
        stale_seconds=stale_seconds,
    )
    claim = Claim(folder, trial, after + 1, holder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        claim.beat({"phase": "start"})  # first, because a claim without a heartbeat is free
        if _link(folder, trial, after + 1, holder):
            return claim
    except OSError as error:
        raise UnetzooError(f"{folder}: no trial can be claimed: {error.strerror or error}") from None
    claim.release()
    return None


def newest_claim(folder: Path, trial: str, known: int = 0) -> tuple[int, Holder] | None:
    """Return the number and the holder of the newest claim on a trial; None if there is none.

    Args:
        folder: Folder of the claims.
        trial: File name of the trial without suffix.
        known: Number of a claim that was made.
    """
    refresh(folder)
    number = known
    while _claim_file(folder, trial, number + 1).exists():
        number += 1
    if number == 0:
        return None
    return number, _read(folder, trial, number) or Holder(token="")


class Onlooker:
    """Watches somebody else's claim until it is free; ``moved`` tells that its holder has shown that it lives.

    Args:
        folder: Folder of the claims.
        trial: File name of the trial without suffix.
    """

    def __init__(self, folder: Path, trial: str) -> None:
        self.folder, self.trial = folder, trial
        self.number, self.holder = 0, Holder(token="")
        self.moved = False
        self._seen: object = None
        self._silent, self._looked = 0.0, time.monotonic()

    def free(self) -> bool:
        """Look once more; return True if nobody holds the newest claim, or its holder is silent for too long."""
        try:
            newest = newest_claim(self.folder, self.trial, self.number)
        except OSError:  # the disk does not answer, which says nothing about the holder
            return False
        if newest is None:
            return True
        now, gap = time.monotonic(), 2 * POLL_SECONDS
        waited, self._looked = min(now - self._looked, gap), now  # a longer time this process was stopped itself
        seen = heartbeat(self.folder, self.trial, newest[1])
        if (newest[0], seen) == (self.number, self._seen):
            self._silent += waited
        else:
            self.moved = newest[0] == self.number and self._seen is not None and seen is not None
            self._silent = 0.0
        (self.number, self.holder), self._seen = newest, seen
        return seen is None or self.holder.ended() or self.silent

    @property
    def silent(self) -> bool:
        """True if the holder's heartbeat has not changed for its time."""
        return self._silent > self.holder.stale_seconds


def heartbeat(folder: Path, trial: str, holder: Holder) -> tuple[int, bytes] | None:
    """Return the present state of a heartbeat: its time of change, for comparison alone, and its content; or None."""
    try:
        with _beat_file(folder, trial, holder).open("rb") as file:  # opening asks an NFS server for the latest
            return os.fstat(file.fileno()).st_mtime_ns, file.read(10_000)
    except OSError:
        return None


def batch_job() -> str:
    """Return the batch system's job of this process in words; "" if there is none."""
    array, task, job = (os.environ.get(f"SLURM_{name}") for name in ("ARRAY_JOB_ID", "ARRAY_TASK_ID", "JOB_ID"))
    if array and task:
        return f"Slurm job {array}_{task}"
    return f"Slurm job {job}" if job else ""


def trials_claimed(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield each trial with a claim in a folder of claims, and the number of its newest claim."""
    newest: dict[str, int] = {}
    for path in folder.glob("*.json"):
        trial, _, number = path.stem.rpartition(".")
        if trial and number.isdecimal():
            newest[trial] = max(int(number), newest.get(trial, 0))
    yield from newest.items()


def refresh(folder: Path) -> None:
    """Make an NFS client ask the server again which files a folder has, instead of remembering."""
    with suppress(OSError), os.scandir(folder):
        pass


def _claim_file(folder: Path, trial: str, number: int) -> Path:
    return folder / f"{trial}.{number}.json"


def _beat_file(folder: Path, trial: str, holder: Holder) -> Path:
    return folder / f"{trial}.{holder.token}.beat"


def _read(folder: Path, trial: str, number: int) -> Holder | None:
    """Return the holder that a claim names; None if there is no such claim, or it is damaged."""
    try:
        return Holder.from_json(_claim_file(folder, trial, number).read_bytes(), "claim")
    except (OSError, UnetzooError):
        return None


def _link(folder: Path, trial: str, number: int, holder: Holder) -> bool:
    """Make a claim's file with its content at once; False if there is one already.

    Raises:
        OSError: If the folder cannot be written.
    """
    file = _claim_file(folder, trial, number)
    content = holder.model_dump_json()
    temporary = folder / f".{trial}.{number}.{uuid.uuid4().hex}"
    temporary.write_text(content, encoding="utf-8")
    try:
        os.link(temporary, file)
    except FileExistsError:
        # The reply to a link that succeeded may be lost on its way, and the client then asks a second time.
        return temporary.stat().st_nlink == 2
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        return _create(file, content)  # a disk without hard links
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create(file: Path, content: str) -> bool:
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(content)
    except FileExistsError:
        return False
    return True


@cache
def _machine() -> str:
    """Return what tells this start of this machine, and its name space of processes, from any other."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    except OSError:
        return ""
