"""``unetzoo claims``: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unetzoo.cli.console import err, out, telling


def claims_command(
    only: Annotated[str | None, typer.Option(metavar="A,B", help="Names of the claims to ask; default: all.")] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="PATH_OR_NAME", help="Ask it of this data: a registered data set, or a folder of images."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of page and results; default: runs/claims.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the suites' results, each under its name; default: --out."),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Also run the trainings that a claim needs: hours; see unetzoo plan.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure again what was measured before.")] = False,
    definitions: Annotated[
        Path | None, typer.Option("--claims", metavar="DIR", help="Folder of the claims; default: those of unetzoo.")
    ] = None,
) -> None:
    """Measure what is said of U-Net, sentence by sentence, and write a page with the verdicts.

    Without --train, only what takes minutes is measured; trainings that are there already are judged.
    The same command continues where it stopped.

    Exit codes: 0 the page is written, whatever the verdicts, 2 wrong input.

    Examples:
      [bold]unetzoo claims --only architecture,memory[/]
      [bold]unetzoo claims --out reports/claims --results reports[/]
      [bold]unetzoo claims --only skips --data ./my-images --train[/]
    \f
    Raises:
        UnetzooError: If a claim or the data are not valid, or a claim cannot be asked of the data.
    """
    from unetzoo.claims.run import Asking, ask

    default = Path("runs") / ("claims" if data is None else "claims-own")
    with telling() as tell:
        asking = Asking(
            out=folder or default,
            folder=definitions,
            results=results,
            only=only,
            data=data,
            train=train,
            again=again,
            progress=lambda line: _lasting(line) if line.startswith("left out: ") else tell(line),
        )
        page = ask(asking)
    out.print(f"page: {page}", soft_wrap=True, highlight=False)


def _lasting(line: str) -> None:
    """Print a line that stays on a terminal too."""
    err.print(line, markup=False, highlight=False, soft_wrap=True)
