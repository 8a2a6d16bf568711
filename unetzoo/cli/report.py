"""``unetzoo report``: of one run, of several, served, or the index of all reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unetzoo.cli.console import out
from unetzoo.cli.options import Lang
from unetzoo.errors import UnetzooError


def report_command(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folder with records/, or of a collection; several are merged."),
    ],
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the report of several runs; default: runs/merged."),
    ] = None,
    brief: Annotated[
        bool,
        typer.Option("--brief", help="Write only what is worth keeping in a repository: tables and a few plots."),
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option(help="Largest difference in Dice that does not matter, 0 or more; default: the suite's, or 0.01."),
    ] = None,
    paper: Annotated[
        bool,
        typer.Option("--paper", help="Also write paper/: tables (LaTeX, Markdown), BibTeX, methods, per-image scores."),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--serve",
            metavar="[PORT]",
            min=0,
            max=65535,
            help="Serve the page on 127.0.0.1 and refresh it while a suite runs; Ctrl-C stops. Default port: 8765.",
        ),
    ] = None,
    lang: Lang = "en",
    index: Annotated[
        bool, typer.Option("--index", help="DIR is a folder of reports: write the index README.md of all of them.")
    ] = False,
) -> None:
    """Write the report again from the records of a folder, or one report of several runs side by side.

    Nothing is trained. The path of the new page is printed. In the report of several runs equal data are judged
    together, and measured costs have columns of their own for each machine.

    Examples:
      [bold]unetzoo report runs/quick[/]
      [bold]unetzoo report reports/mine --brief[/]
      [bold]unetzoo report runs/quick --margin 0.02[/]
      [bold]unetzoo report runs/quick --paper[/]
      [bold]unetzoo report runs/laptop runs/cluster --out runs/both[/]
      [bold]unetzoo report runs/quick --serve[/]
      [bold]unetzoo report runs/quick --lang zh[/]
      [bold]unetzoo report reports --index[/]
    \f
    Raises:
        UnetzooError: If an option is not valid, a folder has no records, or the runs cannot be compared.
    """
    if index:
        others = brief or paper or lang != "en" or any(x is not None for x in (margin, port, out_folder))
        if others or len(folders) > 1:
            raise UnetzooError("--index writes an index of the reports in one DIR as they are; leave out other options")
        out.print(f"index: {_index(folders[0])}", soft_wrap=True, highlight=False)
        return
    if port is not None:
        if brief or len(folders) > 1:
            raise UnetzooError("--serve shows the page of one DIR, without --brief")
        from unetzoo.cli.serve import serve_report

        serve_report(folders[0], port, margin, lang)
        return
    from unetzoo.report import write_report

    if len(folders) > 1:
        if brief or paper:
            raise UnetzooError(f"--{'brief' if brief else 'paper'} is for one DIR, not {len(folders)}")
        from unetzoo.report.merged_page import build_merged

        page = build_merged(folders, out_folder or Path("runs") / "merged", margin, lang)
    elif out_folder is not None:
        raise UnetzooError(f"--out {out_folder} is for several runs; the report of one is written to its own folder")
    else:
        page = write_report(folders[0], brief=brief, margin=margin, paper=paper, lang=lang)
    out.print(f"report: {page}", soft_wrap=True, highlight=False)


def _index(folder: Path) -> Path:
    from unetzoo.machine.environment import last_change
    from unetzoo.report.index import write_index

    if not folder.is_dir():
        raise UnetzooError(f"{folder}: is not a folder; give the folder that has the reports")
    return write_index(folder, last_change)
