"""``unetzoo trial`` and ``status``, and ``bench`` with ``--prepare``, ``--slurm`` or ``--ray``: parse, call, print."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unetzoo.cli.console import err, out, telling
from unetzoo.cli.track import Track, chosen_trackers
from unetzoo.errors import UnetzooError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from unetzoo.bench.collection import Collection
    from unetzoo.bench.prepared import Prepared
    from unetzoo.bench.status import TrialState
    from unetzoo.bench.suite import Suite
    from unetzoo.cli.bench_progress import LiveWatcher

AGAIN = 75  # EX_TEMPFAIL of sysexits.h
WATCH_SECONDS = 5.0
ROWS = 40  # of trials that have not ended well

RunFolder = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of the run, on a disk that all share.")]


def trial_command(
    folder: RunFolder,
    trial: Annotated[str, typer.Argument(metavar="ID", help="Id of the trial; LABEL/ID in a collection.")],
    track: Track = None,
) -> None:
    """Run one trial of a prepared run; it continues from its checkpoint if it was stopped.

    'unetzoo bench SUITE.toml --prepare' prepares a run and prints the ids.
    SIGTERM, SIGUSR2 and Ctrl-C let the trial save itself and end. A trial with several devices starts a process for
    each itself; under torchrun, the first process does so and the others end at once.

    Exit codes: 0 it succeeded, now or before, 1 it failed and has a record, 2 wrong input, 75 stopped and saved, or
    run by another process: run it again.

    Examples:
      [bold]unetzoo trial runs/quick 3f0a9c51d2e7[/]
      [bold]unetzoo trial runs/nine-sets isbi2012/3f0a9c51d2e7[/]
    \f
    Raises:
        Exit: With code 1 if the trial failed, 75 if it is to be run again.
    """
    trackers = chosen_trackers(track)
    if "TORCHELASTIC_RUN_ID" in os.environ and _follows():
        return
    from unetzoo.bench.one_trial import run_prepared
    from unetzoo.bench.progress_file import together
    from unetzoo.bench.trackers.watch import tracking
    from unetzoo.cli.bench_progress import LiveWatcher

    with LiveWatcher(out) as watcher, tracking(folder, trackers, watcher.note) as more:
        outcome, line = run_prepared(folder, trial, together(watcher, *more))
    (out if outcome == "ok" else err).print(line, soft_wrap=True, highlight=False, markup=False)
    if outcome != "ok":
        raise typer.Exit(1 if outcome == "failed" else AGAIN)


def _follows() -> bool:
    """Return True in all processes of torchrun but the first, which starts those of its devices itself."""
    from unetzoo.bench.one_machine import place_in_torchrun  # imports Fabric

    place = place_in_torchrun(os.environ)
    if place is None or place[0] == 0:
        return False
    err.print(f"process {place[0]} of {place[1]}: nothing to do; the first starts one for each device of the trial",
              highlight=False, markup=False)  # fmt: skip
    return True


def status_command(
    folder: RunFolder,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the state again every few seconds until all is over.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the trials of a run from its files alone: done, running, stale, stopped, failed or waiting.

    A trial is stale if its heartbeat is older than its claim allows; whoever runs the suite takes it over.

    Examples:
      [bold]unetzoo status runs/quick[/]
      [bold]unetzoo status runs/quick --watch[/]
    """
    from unetzoo.bench.status import read_status

    while True:
        states = read_status(folder)
        if as_json:
            print(json.dumps([state.model_dump() for state in states], indent=1))
        else:
            _print(states)
        if not watch or all(state.state in ("done", "failed") for state in states):
            return
        time.sleep(WATCH_SECONDS)


def prepare_run(suite: Suite | Collection, folder: Path, *, retry_failed: bool, allow_mixed: bool) -> None:
    """Prepare a run and print the ids of its trials, one a line.

    Args:
        suite: The suite.
        folder: Folder of the output.
        retry_failed: Also run failed trials again.
        allow_mixed: Let machines with other versions take part.
    """
    from unetzoo.bench.run import prepare
    from unetzoo.cli.bench_progress import LiveWatcher

    with LiveWatcher(err) as watcher:
        prepared = prepare(suite, folder, retry_failed=retry_failed, allow_mixed=allow_mixed, watcher=watcher)
    todo = [line.id for line in prepared.trials if line.todo]
    err.print(f"prepared: {prepared.file}", soft_wrap=True, highlight=False, markup=False)
    err.print(f"{len(todo)} trials to run, each by: unetzoo trial {folder} ID", highlight=False, markup=False)
    for name in todo:
        print(name)


def submit_run(
    suite: Suite | Collection,
    folder: Path,
    *,
    retry_failed: bool,
    allow_mixed: bool,
    dry_run: bool,
    margin: float | dict[str, float],
) -> None:
    """Prepare a run, and submit it to Slurm or print the scripts.

    Args:
        suite: The suite.
        folder: Folder of the output.
        retry_failed: Also run failed trials again.
        allow_mixed: Let machines with other versions take part.
        dry_run: Print the scripts; nothing is written or submitted.
        margin: Margin of the report, or of each data set of a collection.
    """
    from unetzoo.bench.run import prepare
    from unetzoo.bench.slurm import scripts, submit
    from unetzoo.cli.bench_progress import LiveWatcher
    from unetzoo.metrics.policy import Scoring

    with LiveWatcher(err) as watcher:
        prepared = prepare(
            suite, folder, retry_failed=retry_failed, allow_mixed=allow_mixed, write=not dry_run, watcher=watcher
        )
    options = prepared.run.suites[0].suite.slurm
    todo = sum(line.todo for line in prepared.trials)
    if not todo:
        out.print(f"nothing to submit: all {len(prepared.trials)} trials have records", highlight=False)
        return
    seconds = _predicted_seconds(prepared) if options.task_minutes else {}
    own = margin if isinstance(margin, float) and margin != Scoring().margin else None
    found = scripts(prepared, options, seconds, own)
    if dry_run:
        for script in found:
            after = "" if script.tasks else ", submitted with --dependency=afterany:ARRAYS"
            print(f"# {script.name}{after}\n{script.text}")
        return
    *arrays, report = submit(prepared, found)
    tasks = sum(len(script.tasks) for script in found)
    out.print(f"{todo} trials in {tasks} tasks: jobs {', '.join(arrays)}, and {report} for the report", highlight=False)
    out.print(f"unetzoo status {folder} --watch shows how far they are", highlight=False, markup=False, soft_wrap=True)


def run_on_cluster(
    suite: Suite | Collection, folder: Path, address: str, retry_failed: bool, allow_mixed: bool, watcher: LiveWatcher
) -> tuple[pd.DataFrame, list[str]]:
    """Run a suite on a Ray cluster.

    Args:
        suite: The suite.
        folder: Folder of the output.
        address: Address of the cluster.
        retry_failed: Also run failed trials again.
        allow_mixed: Let nodes with other versions take part.
        watcher: Shows the progress.

    Returns:
        The table of its trials, and a line for each trial that has no record.
    """
    from unetzoo.bench.ray_run import run_on_ray

    return run_on_ray(
        suite,
        folder,
        address=address,
        retry_failed=retry_failed,
        allow_mixed=allow_mixed,
        predicted_memory=_predicted_memory,
        watcher=watcher,
    )


def _predicted_memory(suite: Suite) -> dict[str, int]:
    """Return the bytes of a trial's process by model, as `unetzoo plan` predicts them."""
    from unetzoo.bench.plan import plan_suite

    plan = plan_suite(suite, timed=False)
    return {row.label: row.need.process_bytes for row in plan.rows if row.need.process_bytes is not None}


def _predicted_seconds(prepared: Prepared) -> dict[tuple[str | None, str], float]:
    """Return the seconds of a trial by data set and model, as `unetzoo plan` predicts them on this machine."""
    from unetzoo.bench.plan import plan_suite

    found = {}
    for of in prepared.run.suites:
        where = "" if of.label is None else f"{of.label}: "
        try:
            with telling() as tell:
                plan = plan_suite(of.suite, on_model=lambda label, where=where: tell(f"plan: {where}{label}"))
        except UnetzooError as error:  # such as a device that this machine lacks
            err.print(f"note: {where}no time is predicted, so that each trial has a task of its own: {error}",
                      soft_wrap=True, highlight=False, markup=False)  # fmt: skip
            continue
        found |= {(of.label, row.label): row.trial_seconds for row in plan.rows if row.trial_seconds is not None}
    return found


def _print(states: list[TrialState]) -> None:
    from rich.markup import escape

    from unetzoo.bench.status import STATES

    counts = [f"{n} {name}" for name in STATES if (n := sum(state.state == name for state in states))]
    out.print(f"{len(states)} trials: {', '.join(counts)}", highlight=False)
    shown = [state for state in states if state.state not in ("done", "waiting")]
    if not shown:
        return
    table = _table()
    for state in shown[:ROWS]:
        name = state.trial if state.data is None else f"{state.data}: {state.trial}"
        age = "" if state.age is None else f"{state.age:.0f} s"
        table.add_row(escape(name), state.state, escape(state.detail), escape(state.where), age)
    out.print(table)
    if len(shown) > ROWS:
        out.print(f"and {len(shown) - ROWS} more; --json lists all", highlight=False)


def _table() -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("trial", "state", "where it is, or why", "process", "heartbeat"):
        table.add_column(title, overflow="fold")
    return table
