"""``--track`` and ``unetzoo export-runs``: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unetzoo.cli.console import err, out

CHOICES = "tensorboard|mlflow|wandb|trackio"
Track = Annotated[
    list[str] | None,
    typer.Option(
        metavar=CHOICES,
        help="Also show the trials in a tracker while they run; several with commas. Local, in DIR/trackers.",
    ),
]


def chosen_trackers(track: list[str] | None) -> list[str]:
    """Return the trackers of ``--track``.

    Raises:
        UnetzooError: If there is no such tracker, or a package that it needs is not installed.
    """
    if not track:
        return []
    from unetzoo.bench.trackers.choice import tracker_names

    return tracker_names(track, "--track")


def export_runs_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the run, or of a collection.")],
    to: Annotated[
        list[str],
        typer.Option("--to", metavar="tensorboard|mlflow|wandb|trackio", help="Tracker; several with commas."),
    ],
) -> None:
    """Write the records of a run that is over to a tracker; what it has already is not written again.

    The store is that of 'unetzoo bench --track': local, in DIR/trackers, unless the tracker's own variables say
    otherwise (MLFLOW_TRACKING_URI, WANDB_MODE, TRACKIO_DIR).

    Examples:
      [bold]unetzoo export-runs runs/quick --to mlflow[/]
      [bold]unetzoo export-runs runs/quick --to tensorboard,trackio[/]
    \f
    Raises:
        UnetzooError: If the folder or the tracker is not valid, or the tracker fails.
        Exit: With code 1 if a record cannot be read.
    """
    from unetzoo.bench.trackers.choice import tracker_names

    names = tracker_names(to, "--to")
    from unetzoo.bench.trackers.export import export_runs

    refused: dict[str, None] = {}
    for name in names:
        with err.status(name) as status:
            done = export_runs(folder, name, lambda n, total, name=name: status.update(f"{name}: {n}/{total}"))
        known = f", {done.known} already there" if done.known else ""
        line = f"{name}: {done.written} trials written{known}: {done.store}"
        out.print(line, highlight=False, markup=False, soft_wrap=True)
        refused |= dict.fromkeys(done.refused)
    for line in refused:
        err.print(f"left out: {line}", highlight=False, markup=False, soft_wrap=True)
    if refused:
        raise typer.Exit(1)
