"""A prepared run: a checked suite and its trials in one file, from which any machine can run each trial by its id.

``prepared/DIGEST.jsonl`` has a line about the run and then one line per trial. It is named by its content and never
changed, so that tasks that wait in a queue find their trials even if another suite is prepared in the same folder.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from unetzoo._util.atomic import write_atomic
from unetzoo._util.plugins import import_plugins
from unetzoo._util.text import shortened, visible
from unetzoo._util.versions import __version__, installed_version
from unetzoo.bench.jobs import Job
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.preparation import Member, blank_record
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.data.base import DatasetInfo
from unetzoo.errors import Strict, UnetzooError
from unetzoo.records.parts import Flag

FOLDER = "prepared"


class PreparedSuite(Strict):
    """A checked suite.

    Attributes:
        label: Label of its data set in a collection; None for a single suite.
        suite: The suite.
        info: Description of the data set.
        data: The data set as records describe it; None if no trial was left to run.
        flags: Reasons to suspect every result on these data.
    """

    label: str | None
    suite: Suite
    info: DatasetInfo
    data: dict[str, Any] | None = None
    flags: list[Flag] = []


class RunDescription(Strict):
    """The first line of the file.

    Attributes:
        version: Version of the format.
        folder: Working folder of the preparation, which relative paths start from.
        unetzoo: Version of unetzoo.
        torch: Version of torch.
        python: Version of Python, without its patch.
        allow_mixed: True if machines with other versions may take part.
        suites: The suites.
    """

    version: Literal[1] = 1
    folder: str
    unetzoo: str
    torch: str
    python: str
    allow_mixed: bool = False
    suites: list[PreparedSuite]


class PreparedTrial(Strict):
    """A line of the file after the first.

    Attributes:
        id: The trial's id; with the label of its data set before it, ``LABEL/ID``, in a collection.
        stem: File name of its record without suffix.
        suite: Index of its suite.
        before: What its record was by `unetzoo.bench.queue.signature`; another record than this ends the trial.
        todo: True if the trial was still to run.
        trial: The trial.
    """

    id: str
    stem: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")
    suite: int
    before: str | None = None
    todo: bool = True
    trial: dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """A prepared run.

    Attributes:
        out: Folder of the output.
        digest: Digest of the file, which names it.
        run: Its first line.
        trials: The others.
    """

    out: Path
    digest: str
    run: RunDescription
    trials: list[PreparedTrial]

    @property
    def file(self) -> Path:
        """The file."""
        return self.out / FOLDER / f"{self.digest}.jsonl"

    def job(self, line: PreparedTrial) -> Job:
        """Return the job of a trial; the suite's imports register its models.

        Raises:
            UnetzooError: If this version of unetzoo makes another trial of it, or it has to be prepared again.
        """
        of = self.run.suites[line.suite]
        import_plugins(of.suite.imports)
        trial = Trial.from_mapping(line.trial, f"{self.file}: trial {line.id}")
        if trial.id != line.id.rpartition("/")[2]:
            raise UnetzooError(f"{self.file}: trial {line.id} is trial {trial.id} to this unetzoo; prepare it again")
        if of.data is None:
            raise UnetzooError(f"{self.file}: trial {line.id} had a record, which is gone; prepare the run again")
        blank = blank_record(of.suite, trial, of.data, of.flags)
        folders = self.folders(line)
        return Job(of.suite, trial, blank, folders, of.label, of.info, before=line.before)

    def folders(self, line: PreparedTrial) -> OutputFolders:
        """Return the folders of a trial's output."""
        label = self.run.suites[line.suite].label
        return OutputFolders(self.out if label is None else self.out / label)


def write_prepared(
    out: Path, members: list[Member], todo: list[Job], *, allow_mixed: bool = False, write: bool = True
) -> Prepared:
    """Write the file of a run; one with the same content is left as it is, but counts as the newest.

    Args:
        out: Folder of the output.
        members: The checked suites.
        todo: The jobs that are to run.
        allow_mixed: True if machines with other versions may take part.
        write: Write the file; otherwise it is only made up.

    Returns:
        What is in the file.

    Raises:
        UnetzooError: If the file cannot be written.
    """
    by_label = {job.data: job for job in todo}
    suites = [
        PreparedSuite(
            label=member.data,
            suite=member.suite,
            info=member.dataset.info,
            data=by_label[member.data].blank.data if member.data in by_label else None,
            flags=by_label[member.data].blank.flags if member.data in by_label else [],
        )
        for member in members
    ]
    run = RunDescription(folder=str(Path.cwd()), allow_mixed=allow_mixed, suites=suites, **versions())
    known = {(job.data, job.trial.id): job for job in todo}
    trials = []
    for index, member in enumerate(members):
        for trial in member.trials:
            job = known.get((member.data, trial.id))
            name = trial.id if member.data is None else f"{member.data}/{trial.id}"
            values = trial.model_dump(mode="json")
            before = job.before if job else None
            trials.append(
                PreparedTrial(id=name, stem=trial.stem, suite=index, before=before, todo=job is not None, trial=values)
            )
    lines = [run.model_dump_json(), *(json.dumps(trial.model_dump()) for trial in trials)]
    text = "\n".join(lines) + "\n"
    prepared = Prepared(out, hashlib.sha256(text.encode()).hexdigest()[:12], run, trials)
    if write:
        try:
            if prepared.file.exists():
                prepared.file.touch()
            else:
                write_atomic(prepared.file, text)
        except OSError as error:
            raise UnetzooError(f"{prepared.file}: cannot be written: {error.strerror}") from None
    return prepared


def read_newest(out: Path) -> Prepared | None:
    """Return the run that was prepared last; None if there is none.

    Raises:
        UnetzooError: If its file cannot be read.
    """
    file = next(_files(out), None)
    return None if file is None else _read(out, file, "")


def find_trial(out: Path, name: str) -> tuple[Prepared, PreparedTrial]:
    """Find a trial among all that were prepared in a folder.

    Args:
        out: Folder of the output.
        name: The trial's id, with its label in a collection, ``LABEL/ID``.

    Returns:
        Its run, with no other trial, and the trial.

    Raises:
        UnetzooError: If the folder cannot be seen or has no such trial.
    """
    if not out.is_dir():
        raise UnetzooError(
            f"{out}: no such folder on {platform.node()}; it must be on a disk that all machines share, at one path"
        )
    files = list(_files(out))
    if not files:
        raise UnetzooError(f"{out}: no run is prepared here; 'unetzoo bench SUITE --out {out} --prepare' does it")
    for file in files:
        run = _read(out, file, name)
        if run.trials:
            return run, run.trials[0]
    known = [line.id for line in _read(out, files[0], "").trials]
    example = f"; such as {known[0]}" if known else ""
    shown = shortened(visible(name), 60)
    raise UnetzooError(f"{out}: trial {shown!r} is not one of the {len(known)} prepared here{example}")


def versions() -> dict[str, str]:
    """Return the versions that all machines of a run must have in common."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"unetzoo": __version__, "torch": installed_version("torch") or "none", "python": python}


def check_versions(prepared: Prepared) -> None:
    """Check that this machine has the versions with which a run was prepared, unless it may be mixed.

    Raises:
        UnetzooError: If it has not.
    """
    if prepared.run.allow_mixed:
        return
    if words := other_versions(versions(), prepared.run):
        raise UnetzooError(
            f"{platform.node()} has {words}, with which {prepared.out} was prepared; use one environment on all "
            "machines, or prepare with --allow-mixed"
        )


def other_versions(here: Mapping[str, str], run: RunDescription) -> str:
    """Return the versions of a machine that are not those with which a run was prepared, in words; '' if none."""
    pairs = {name: (version, getattr(run, name)) for name, version in here.items()}
    return ", ".join(f"{name} {one} and not {other}" for name, (one, other) in pairs.items() if one != other)


def _files(out: Path) -> Iterator[Path]:
    """Yield the files of the prepared runs, the newest first."""
    dated = []
    for file in (out / FOLDER).glob("*.jsonl"):
        try:
            dated.append((file.stat().st_mtime_ns, file))
        except OSError:
            continue
    yield from (file for _, file in sorted(dated, reverse=True))


def _read(out: Path, file: Path, only: str) -> Prepared:
    """Read a file; with ``only``, of its trials no other than this.

    Raises:
        UnetzooError: If it cannot be read or is damaged.
    """
    where = f"{file}: not a prepared run"
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UnetzooError(f"{file}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(text).hexdigest()[:12] != file.stem:
        raise UnetzooError(f"{file}: damaged, its content does not match its name; remove it and prepare the run again")
    first, *lines = text.splitlines()
    start = json.dumps({"id": only})[:-1].encode() + b"," if only else b""
    trials = [PreparedTrial.from_json(line, where) for line in lines if line.startswith(start)]
    return Prepared(out, file.stem, RunDescription.from_json(first, where), trials)
