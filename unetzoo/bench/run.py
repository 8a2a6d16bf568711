"""Run a suite: check it and its data, run the trials that are missing, and return the table of all."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unetzoo._util.paths import user_path
from unetzoo.bench import fork_server
from unetzoo.bench.asked import asked_suite
from unetzoo.bench.collection import Collection
from unetzoo.bench.execute import execute, turn
from unetzoo.bench.heart import Heart
from unetzoo.bench.interrupts import interruptible
from unetzoo.bench.jobs import Job
from unetzoo.bench.local import IMPORTED
from unetzoo.bench.preparation import (
    Member,
    check_kind,
    check_writable,
    make_jobs,
    open_member,
    write_manifest,
)
from unetzoo.bench.prepared import Prepared, write_prepared
from unetzoo.bench.progress import BarWatcher, in_notebook
from unetzoo.bench.progress_file import ProgressFile, together
from unetzoo.bench.suite import Suite
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError, check_argument

if TYPE_CHECKING:
    import pandas as pd


def run(
    suite: Suite | Collection | Path | str | None = None,
    out: Path | str | None = None,
    *,
    models: Sequence[str | Mapping[str, Any]] | None = None,
    data: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    jobs: int | Literal["auto"] = "auto",
    retry_failed: bool = False,
    wait: bool = True,
    watcher: Watcher | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Run the missing trials of a suite, and keep each outcome as a JSON file in ``out/records``.

    A trial that has a record is not run again. An interrupted trial continues from its checkpoint. A trial that fails
    becomes a record with its reason and log, and the others continue.

    Several processes, on one machine or on several that share the disk, may run a suite in one folder: each trial is
    run by one of them, and those of a process that has died are taken over by the others.

    For a collection, each data set has its own folder ``out/<label>`` with records, and the first seed of all data
    sets runs before the second seed of any.

    In a script, put the call under ``if __name__ == "__main__":``, because the trials' processes import the script.

    Args:
        suite: A suite, a collection, or the path of a TOML file with one. Without one, ``models`` or ``data`` make one,
            trained as the quick suite is.
        out: Folder of the output, which is created if it is missing; default: ``runs/<name of the suite>``.
        models: Registered names, or mappings such as ``{"name": "unet", "set": {"width": 16}}``; default: the suite's.
        data: Registered data set, folder, CSV file of pairs or dataset.toml; default: the suite's. For a collection,
            the labels to run, as 'a,b'.
        options: Model options for every model that does not set them itself.
        seeds: Number of seeds; default: the suite's.
        steps: Training steps, which replace any other budget.
        jobs: Trials that run side by side and share the cores; "auto" chooses by a short measurement, if the suite is
            long enough to be worth one.
        retry_failed: Run failed trials again, and those whose trained weights could not be saved or are damaged.
        wait: Wait in the end for trials that other processes run; otherwise the table lacks them, and the watcher says
            so.
        watcher: Callbacks that follow the run; default: none.
        progress: Show a bar, if there is no ``watcher``; None shows it in a notebook alone.

    Returns:
        A table like that of `read_records`, of this suite's trials alone: one row per trial, whose ``status`` tells
        how it ended. For a collection, the column ``data`` holds the label.

    Raises:
        UnetzooError: If the suite, its data, ``jobs`` or ``out`` is not valid; nothing has run then. Also if a record
            cannot be written.
        KeyboardInterrupt: After Ctrl-C or SIGTERM. At the first, running trials save themselves; a second kills them.
            No record is lost.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(IMPORTED)  # a trial's process imports the script with this call; `run_jobs` reports it
    side_by_side = None if isinstance(jobs, str) and jobs == "auto" else jobs
    if side_by_side is not None:
        check_argument("run", "jobs", jobs, int, "a whole number, 1 or more, or 'auto'")
        if side_by_side < 1:
            raise UnetzooError(f"jobs = {jobs} must be 1 or more, or 'auto'")
    for option, value in (("retry_failed", retry_failed), ("wait", wait)):
        check_argument("run", option, value, bool, "True or False")
    check_argument("run", "progress", progress, (bool, type(None)), "True, False or None")
    check_argument("run", "watcher", watcher, (Watcher, type(None)), "a unetzoo.bench.watcher.Watcher or None")
    changes = {"models": models, "data": data, "options": options, "seeds": seeds, "steps": steps}
    suite = asked_suite("run", suite, {name: value for name, value in changes.items() if value is not None})
    out = Path("runs") / suite.name if out is None else user_path(out, "run: out")
    if watcher is None and (in_notebook() if progress is None else progress):
        bar = BarWatcher()
        try:
            return _run_suite(suite, out, side_by_side, retry_failed, wait, bar)
        finally:
            bar.close()
    return _run_suite(suite, out, side_by_side, retry_failed, wait, watcher or Watcher())


def _run_suite(
    suite: Suite | Collection, out: Path, side_by_side: int | None, retry_failed: bool, wait: bool, watcher: Watcher
) -> pd.DataFrame:
    """Run a suite; see `run`."""
    check_kind(out, suite)
    if not any(out.glob("**/records/*.json")):  # something will run: the server imports while the data are checked
        fork_server.start_method()
    members, todo = _open(suite, out, retry_failed, watcher)
    if todo:
        write_prepared(out, members, todo)
    with interruptible(watcher) as stop_request, Heart() as heart, ExitStack() as held:
        progress = ProgressFile(out)
        held.callback(progress.remove)
        done = sum(len(member.trials) for member in members) - len(todo)
        execute(todo, done, side_by_side, heart, wait, together(watcher, progress), stop_request)
    if stop_request.stop:
        raise KeyboardInterrupt
    # A record that cannot be read has only its file name.
    asked = {(member.data, name) for member in members for trial in member.trials for name in (trial.id, trial.stem)}
    return table_of(out, asked)


def table_of(out: Path, asked: set[tuple[str | None, str]]) -> pd.DataFrame:
    """Return the table of some trials of a folder.

    Args:
        out: Folder of the output.
        asked: Label of the data set, None for a single suite, and id or file name of each trial.
    """
    from unetzoo.records.frame import read_records, tables

    if not any(out.glob("**/records/*.json")):  # other processes run all trials, and were not waited for
        return tables([], []).trials
    frame = read_records(out)
    labels = frame["data"] if "data" in frame else [None] * len(frame)
    ours = [pair in asked for pair in zip(labels, frame["id"], strict=True)]
    return frame.loc[ours, :].reset_index(drop=True)


def prepare(
    suite: Suite | Collection | Path | str,
    out: Path | str,
    *,
    retry_failed: bool = False,
    allow_mixed: bool = False,
    write: bool = True,
    watcher: Watcher | None = None,
) -> Prepared:
    """Check a suite and its data, and write its trials to a file, from which any machine can run each of them.

    Args:
        suite: A suite, a collection, or the path of a TOML file with one.
        out: Folder of the output, on a disk that all machines share.
        retry_failed: Also run failed trials again, and those whose trained weights could not be saved or are damaged.
        allow_mixed: Let machines take part whose unetzoo, torch or Python is another version than here.
        write: Write the file; otherwise nothing is written.
        watcher: Callbacks that follow the checks; default: none.

    Returns:
        What was prepared.

    Raises:
        UnetzooError: If the suite, its data or ``out`` is not valid.
    """
    for option, value in (("retry_failed", retry_failed), ("allow_mixed", allow_mixed), ("write", write)):
        check_argument("prepare", option, value, bool, "True or False")
    watcher, out = watcher or Watcher(), user_path(out, "prepare: out").absolute()
    suite = asked_suite("prepare", suite, {})
    check_kind(out, suite)
    members, todo = _open(suite, out, retry_failed, watcher, write, here=False)
    return write_prepared(out, members, todo, allow_mixed=allow_mixed, write=write)


def _open(
    suite: Suite | Collection, out: Path, retry_failed: bool, watcher: Watcher, write: bool = True, here: bool = True
) -> tuple[list[Member], list[Job]]:
    """Check the data of a suite, and return its members and the jobs that have no record yet, in their order.

    Raises:
        UnetzooError: If the suite, its data or ``out`` is not valid.
    """
    suites = [*suite.chosen.items()] if isinstance(suite, Collection) else [(None, suite)]
    members = [open_member(member, label, out, retry_failed, watcher) for label, member in suites]
    if write:
        for member in members:
            check_writable(member.folders.records)
            check_writable(member.folders.out / "trials")
        if isinstance(suite, Collection):
            write_manifest(suite, members, out, watcher)
    todo = [job for member in members for job in make_jobs(member, retry_failed, watcher, here=here)]
    todo.sort(key=turn)
    return members, todo
