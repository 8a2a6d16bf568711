"""The trials that a harness still has to run: which is next, which other processes run, and which those have ended."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from unetzoo.bench.claims import POLL_SECONDS, Claim, ClaimLostError, Onlooker, forget, refresh, take
from unetzoo.bench.heart import Heart
from unetzoo.bench.jobs import Job
from unetzoo.errors import UnetzooError
from unetzoo.records.record import Record, read_record


class Queue:
    """Jobs in the order in which they start; with a heart, each is claimed before, and may be another process's.

    Args:
        jobs: The jobs.
        heart: Beats for the claims; None for jobs that need no claim, such as measurements.
        wait: Wait in the end for trials that other processes run, and take over those whose process falls silent;
            otherwise wait only until each process has shown that it lives.
        note: Called with a line that the user should read.
        waiting: Called with the holders of the trials that are waited for, in words, when nothing else is left.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        heart: Heart | None = None,
        *,
        wait: bool = True,
        note: Callable[[str], None] = lambda line: None,
        waiting: Callable[[str], None] = lambda owner: None,
    ) -> None:
        self.heart, self._wait, self._note, self._waiting = heart, wait, note, waiting
        self._fresh = deque(jobs)
        self._watched: list[_Watched] = []
        self._ended: list[Job] = []
        self._looked, self._told = time.monotonic(), ""

    def open(self) -> bool:
        """Return True if a job may still come."""
        return bool(self._fresh or self._ended) or any(self._wait or not one.onlooker.moved for one in self._watched)

    def take(self) -> Job | None:
        """Return the next job to start, claimed; None if there is none at present."""
        while self._fresh:
            job = self._fresh.popleft()
            if self.heart is None or job.claim is not None or self._claim(job):
                return job
        now = time.monotonic()
        if now - self._looked >= POLL_SECONDS:
            self._looked = now
            return self._look()
        return None

    def again(self, job: Job) -> None:
        """Put a job in front that this harness has claimed and that is to be started again."""
        self._fresh.appendleft(job)

    def lost(self, job: Job) -> None:
        """Watch a job that another process has taken over from this one."""
        assert job.claim is not None
        assert self.heart is not None
        self.heart.drop(job.claim)
        job.claim = None
        job.start_over()
        self._note(f"{job.trial.stem}: another process has taken it over; this attempt ended without a record")
        self._watched.append(_Watched(job))

    def holds(self, job: Job) -> bool:
        """Return True if a job that was taken is still this harness's; tell its heartbeat how far it is."""
        if job.claim is None or self.heart is None:
            return True
        self.heart.tell(job.claim, job.progress())
        return job.claim.holder.token not in self.heart.lost

    def release(self, job: Job) -> None:
        """Let go of a job that has ended; if it has no record, another process may take it."""
        if job.claim is not None and self.heart is not None:
            self.heart.drop(job.claim)
            if job.status == "ok":
                forget(job.folders.claims, job.trial.stem)
            job.claim = None

    def ended(self) -> list[Job]:
        """Return the jobs that other processes have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def left(self) -> list[Job]:
        """Return the jobs that other processes run."""
        return [watched.job for watched in self._watched]

    def _claim(self, job: Job, onlooker: Onlooker | None = None) -> bool:
        """Claim a job; if that fails, it is watched, or has ended elsewhere."""
        assert self.heart is not None
        if self._over(job):
            return False
        claims, trial = job.folders.claims, job.trial.stem
        stale = job.suite.limits.stale_seconds
        if onlooker is None:
            onlooker = Onlooker(claims, trial)
            if not onlooker.free():  # looking costs less than a claim that fails
                self._watched.append(_Watched(job, onlooker))
                return False
        claim = take(claims, trial, onlooker.number, stale)
        if claim is None:
            self._watched.append(_Watched(job, onlooker))
            return False
        if self._over(job):
            claim.release()
            if job.status == "ok":
                forget(claims, trial)
            return False
        if claim.number > 1:
            if onlooker.silent:
                who = onlooker.holder.words
                self._note(f"{trial}: taken over from {who}, silent for {onlooker.holder.stale_seconds:g} s")
            sweep(job, claim)
        job.claim = claim
        self.heart.keep(claim)
        return True

    def _over(self, job: Job) -> bool:
        """Return True if a job has ended elsewhere, and note its outcome."""
        record = later_record(job.folders.record(job.trial), job.before)
        if record is None:
            return False
        job.status, job.reason, job.elsewhere = record.status, record.reason, True
        self._ended.append(job)
        return True

    def _look(self) -> Job | None:
        """Look at the trials of other processes; return one that has become free and was claimed."""
        watched, self._watched = self._watched, []
        for place, one in enumerate(watched):
            if self._over(one.job):
                continue
            if one.onlooker.free():
                if self._claim(one.job, one.onlooker):
                    self._watched += watched[place + 1 :]
                    return one.job
                continue
            self._watched.append(one)
        if self._watched and self._wait:
            who = ", ".join(dict.fromkeys(one.onlooker.holder.words for one in self._watched))
            if who != self._told:
                self._told = who
                self._waiting(who)
        return None


@dataclass
class _Watched:
    job: Job
    onlooker: Onlooker

    def __init__(self, job: Job, onlooker: Onlooker | None = None) -> None:
        self.job = job
        self.onlooker = onlooker or Onlooker(job.folders.claims, job.trial.stem)


def later_record(path: Path, before: str | None) -> Record | None:
    """Return the record that somebody has written since a job was made; None if there is none, or it is damaged.

    Args:
        path: The record.
        before: Its `signature` when the job was made: None, or that of a failure.
    """
    refresh(path.parent)
    if signature(path) in (None, before):
        return None
    try:
        return read_record(path)
    except UnetzooError:
        return None


def check_unchanged(path: Path, before: str | None) -> None:
    """Check that nobody has written a record since a job was made.

    Args:
        path: The record.
        before: Its `signature` when the job was made.

    Raises:
        ClaimLostError: If somebody has.
    """
    if later_record(path, before) is not None:
        raise ClaimLostError(f"{path}: another process has written it; this attempt ends without a record")


def signature(path: Path) -> str | None:
    """Return what tells a record from a later one of the same trial; None if there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def sweep(job: Job, claim: Claim) -> None:
    """Remove the temporary files of processes that were killed at a trial; only its holder may call this.

    Args:
        job: The trial.
        claim: The holder's claim.
    """
    out, trial = job.folders.out, job.trial.stem
    patterns = (f"records/.{trial}.json.*", f"trials/{trial}/.checkpoint*", f"trials/{trial}/.model.*")
    for pattern in patterns:
        for path in out.glob(pattern):
            path.unlink(missing_ok=True)
    for folder in out.glob(f"trials/{trial}/decoded-*"):
        shutil.rmtree(folder, ignore_errors=True)
    for path in out.glob(f"claims/{trial}.*.beat"):
        if path.name != f"{trial}.{claim.holder.token}.beat":
            path.unlink(missing_ok=True)
