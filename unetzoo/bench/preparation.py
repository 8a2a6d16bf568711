"""From a suite to jobs: open and check the data, expand the trials, and find those that have no record yet."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo._util.plugins import import_plugins
from unetzoo._util.progress import listening
from unetzoo.bench.cells import pack
from unetzoo.bench.collection import Collection
from unetzoo.bench.expand import expand
from unetzoo.bench.foresight import machine_decides, mixed_precisions, unjudged
from unetzoo.bench.jobs import Job
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.queue import signature
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.bench.watcher import Watcher
from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError
from unetzoo.models.registry import model_info
from unetzoo.records.manifest import (
    MANIFEST,
    DamagedManifestError,
    Expected,
    Manifest,
    expected_by_records,
    read_manifest,
)
from unetzoo.records.parts import Flag, ModelDescription
from unetzoo.records.record import WEIGHTS_NOT_SAVED, DamagedRecordError, Record, read_record


@dataclass(frozen=True)
class Member:
    """A checked suite with its data and trials; ``data`` is its label in a collection."""

    suite: Suite
    data: str | None
    dataset: SegmentationDataset
    trials: list[Trial]
    folders: OutputFolders


def check_kind(out: Path, suite: Suite | Collection) -> None:
    """Check that a folder with a collection gets a collection, and one with a single suite a single suite.

    Raises:
        UnetzooError: If the kinds differ.
    """
    if isinstance(suite, Collection):
        if any((out / "records").glob("*.json")):
            raise UnetzooError(f"{out}: holds the records of a single suite; choose another folder for the collection")
    elif (out / MANIFEST).exists():
        raise UnetzooError(f"{out}: is the folder of a collection ({MANIFEST}); choose another one for this suite")


def open_member(suite: Suite, data: str | None, out: Path, retry_failed: bool, watcher: Watcher) -> Member:
    """Open and check all that a suite needs.

    Raises:
        UnetzooError: If the suite or its data is not valid; in a collection the message begins with the label.
    """
    if data is not None:
        watcher.check(data)
    folders = OutputFolders(out if data is None else out / data)

    def finished(trial: Trial) -> bool:
        return not retry_failed and folders.record(trial).exists()

    try:
        import_plugins(suite.imports)
        with listening(watcher.files):
            dataset = suite.data.open(compare=True)
        watcher.data(dataset)
        trials = expand(suite, dataset, finished)
        if not all(map(finished, trials)):
            dataset.check_values()
    except UnetzooError as error:
        raise error if data is None else UnetzooError(f"{data}: {error}") from None
    return Member(suite, data, dataset, trials, folders)


def write_manifest(collection: Collection, members: list[Member], out: Path, watcher: Watcher) -> None:
    """Write the manifest of the collection; data sets that are not chosen this time keep their entries.

    A damaged manifest is set aside and made again, with the trials that have records for those data sets.

    Raises:
        UnetzooError: If the file cannot be written.
    """
    try:
        before = read_manifest(out)
        known = before.data if before else {}
    except DamagedManifestError:
        aside = out / f"{MANIFEST}.damaged"
        with suppress(FileNotFoundError):  # another process was first
            (out / MANIFEST).replace(aside)
        watcher.note(f"{out / MANIFEST}: damaged; it is set aside as {aside.name} and made again")
        known = {label: expected_by_records(out / label) for label in collection.suites}
    asked = {
        member.data: [
            Expected(id=trial.id, model=trial.model.label, seed=trial.seed, baseline=trial.model.baseline)
            for trial in member.trials
        ]
        for member in members
    }
    data = {label: asked.get(label, known.get(label, [])) for label in collection.suites}
    manifest = Manifest(name=collection.name, question=collection.question, data=data)
    try:
        write_atomic(out / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise UnetzooError(f"{out / MANIFEST}: cannot be written: {error.strerror}") from None


def make_jobs(member: Member, retry_failed: bool, watcher: Watcher, *, here: bool = True) -> list[Job]:
    """Return the jobs of a suite that are missing, or failed if failures are retried; clean up after the others.

    Args:
        member: The suite.
        retry_failed: Also return failed trials, and those whose weights could not be saved or are damaged.
        watcher: Is told what a report will hold against the run.
        here: This machine runs them, so that their precision is known.
    """
    suite, folders = member.suite, member.folders
    _sweep(folders.out)
    todo: list[Trial] = []
    precisions: set[str] = set()
    for trial in member.trials:
        record = known_record(folders.record(trial), watcher)
        if record is None or (retry_failed and _failed(record, trial, folders, watcher)):
            todo.append(trial)
        elif record.status == "ok":  # a trial that died just after it wrote its record leaves a checkpoint
            if machine_decides(trial) and isinstance(precision := record.environment.get("precision"), str):
                precisions.add(precision)
            for checkpoint in folders.folder(trial).glob("checkpoint*.pt"):
                checkpoint.unlink(missing_ok=True)
    if not todo:
        return []
    from unetzoo.bench.sanity import duplicates_flag
    from unetzoo.data.leaks import leaking_share, near_duplicates

    with listening(watcher.files):
        similar = near_duplicates(member.dataset)
    flag, leaking = duplicates_flag(similar), leaking_share(member.dataset, similar)
    name = member.data or suite.data.name
    for reason in unjudged(member.dataset, leaking):
        watcher.note(f"{name}: the report will have no verdicts, since {reason}")
    if here and (mixed := mixed_precisions(precisions, todo)):
        watcher.note(f"{name}: {mixed}")
    described = member.dataset.describe() | ({"near_duplicates": leaking} if leaking else {})
    blanks = (blank_record(suite, trial, described, [flag] if flag else []) for trial in todo)
    info = member.dataset.info
    cells = {name: pack(name, suite.data.name) for name in dict.fromkeys(trial.model.name for trial in todo)}
    return [
        Job(
            suite,
            trial,
            blank,
            folders,
            member.data,
            info,
            cells=cells[trial.model.name],
            before=signature(folders.record(trial)),
        )
        for trial, blank in zip(todo, blanks, strict=True)
    ]


def _failed(record: Record, trial: Trial, folders: OutputFolders, watcher: Watcher) -> bool:
    """Return True if a trial failed, or its weights could not be saved or are damaged; they may have been deleted."""
    if record.status != "ok" or any(flag.kind == WEIGHTS_NOT_SAVED for flag in record.flags):
        return True
    file = folders.folder(trial) / "model.safetensors"
    if record.weights is None or not file.is_file():
        return False
    from unetzoo.train.weights import check_weights  # imports torch

    try:
        check_weights(file)
    except UnetzooError as error:
        watcher.note(str(error))
        return True
    return False


def _sweep(out: Path) -> None:
    """Remove temporary files of writers that were killed, unless another process may be at work in this folder."""
    if any(out.glob("claims/*.beat")):  # then each trial's are removed by the process that claims it
        return
    for pattern in ("records/.*.json.*", "records/images/.*.png.*", "trials/*/.checkpoint*", "trials/*/.model.*"):
        for path in out.glob(pattern):
            path.unlink(missing_ok=True)
    for folder in out.glob("trials/*/decoded-*"):
        shutil.rmtree(folder, ignore_errors=True)


def known_record(path: Path, watcher: Watcher) -> Record | None:
    """Return a record, or None if there is none. A damaged one is renamed, said, and treated as missing.

    Raises:
        UnetzooError: If another version of unetzoo wrote the record, or it cannot be read.
    """
    if not path.exists():
        return None
    try:
        return read_record(path)
    except DamagedRecordError as error:
        aside = path.with_suffix(".json.damaged")
        with suppress(FileNotFoundError):  # another process was first
            path.replace(aside)
        watcher.note(f"{error}; it is set aside as {aside.name}, and its trial runs again")
        return None
    except UnetzooError as error:
        if not path.is_file() or not os.access(path, os.R_OK):
            raise
        raise UnetzooError(f"{error}; another version of unetzoo wrote it: choose another folder") from None


def blank_record(suite: Suite, trial: Trial, data: dict[str, Any], flags: list[Flag]) -> Record:
    """Build the record of a trial as far as it is known before the trial runs."""
    return Record(
        id=trial.id,
        status="crashed",
        suite=suite.name,
        question=suite.question,
        baseline=trial.model.baseline,
        trial=trial.model_dump(mode="json"),
        model=_describe_model(trial),
        data=data,
        flags=flags,
    )


def _describe_model(trial: Trial) -> ModelDescription:
    """Collect a model's papers, its difference from ``unet`` if it is on the grid, and how its width was matched."""
    if trial.model.baseline:
        return ModelDescription(paper={}, diff={})
    entry = model_info(trial.model.name)
    diff = entry.diff_of(trial.model.options)
    paper, of_encoder = (p.model_dump() if p else {} for p in (entry.paper, entry.encoder_paper))
    return ModelDescription(paper=paper, diff=diff, encoder_paper=of_encoder, matched=trial.model.matched)


def check_writable(folder: Path) -> None:
    """Make a folder if it is missing, and check that files can be written there.

    Raises:
        UnetzooError: If they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot be written: {error.strerror}") from None
