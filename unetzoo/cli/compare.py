"""``unetzoo compare``: parse, call, print."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from unetzoo.cli.console import err, out
from unetzoo.cli.options import AsJson
from unetzoo.errors import UnetzooError

if TYPE_CHECKING:
    from unetzoo.report.speed import Compared, SpeedReport

COLOURS = {"slower": "red", "faster": "green"}


def compare_command(
    before: Annotated[Path, typer.Argument(metavar="A", help="Speed report to compare with, a JSON file.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Speed report to judge.")],
    tolerance: Annotated[
        float, typer.Option(help="Share by which a measurement may be slower, 0 or more: 0.05 is 5 %.")
    ] = 0.05,
    as_json: AsJson = False,
) -> None:
    """Tell slowdowns from noise in two speed reports, as the scripts in benchmarks/ write them.

    A ratio above 1 is slower. Verdicts are corrected for the number of measurements (Holm).
    Measurements of the group "reference" in both files stand for the machine: ratios are relative to theirs.

    Exit codes: 0 nothing is slower by more than the tolerance, 1 something is, 2 wrong input.

    Examples:
      [bold]unetzoo compare reports/speed/speed.json today.json[/]
      [bold]unetzoo compare before.json after.json --tolerance 0.1 --json[/]
    \f
    Raises:
        UnetzooError: If a file is not a speed report, they have no measurement in common, or the tolerance is below 0.
        Exit: With code 1 if a measurement is slower by more than the tolerance.
    """
    if not 0 <= tolerance < float("inf"):
        raise UnetzooError(f"--tolerance {tolerance:g}: must be a share of 0 or more, such as 0.05 for 5 %")
    from unetzoo.report.speed import compare_speed, read_speed

    reports = read_speed(before), read_speed(after)
    found = compare_speed(*reports)
    regressed = [c.name for c in found if c.regressed(tolerance)]
    only = [[name for name in one.by_name if name not in other.by_name] for one, other in (reports, reports[::-1])]
    if as_json:
        rows = [asdict(c) | {"regressed": c.regressed(tolerance)} for c in found]
        print(json.dumps({"tolerance": tolerance, "comparisons": rows, "only_in_a": only[0], "only_in_b": only[1]}))
    else:
        _print(found, reports, regressed, tolerance)
        for file, names in zip((before, after), only, strict=True):
            if names:
                err.print(escape(f"only in {file}: {', '.join(names)}"), highlight=False, soft_wrap=True)
    if regressed:
        raise typer.Exit(1)


def _print(
    found: list[Compared], reports: tuple[SpeedReport, SpeedReport], regressed: list[str], tolerance: float
) -> None:
    from rich.table import Table

    relative = any(c.relative is not None for c in found)
    table = Table(box=None, pad_edge=False)
    heads = ["measurement", "A", "B", "ratio", *(["to reference"] if relative else []), "95 % interval", "p", "verdict"]
    for head in heads:
        table.add_column(head, justify="left" if head in ("measurement", "verdict") else "right")
    for c in found:
        colour = COLOURS.get(c.verdict, "default")
        table.add_row(
            escape(c.name),
            f"{c.before:.4g} s",
            f"{c.after:.4g} s",
            f"{c.ratio:.3f}",
            *(["" if c.relative is None else f"{c.relative:.3f}"] if relative else []),
            f"{c.low:.3f} to {c.high:.3f}",
            "" if c.p_adjusted is None else f"{c.p_adjusted:.3f}",
            f"[{colour}]{c.verdict}[/]" + (" [red]![/]" if c.name in regressed else ""),
        )
    out.print(table)
    old, new = (report.environment for report in reports)
    if changed := [key for key in old if key in new and old[key] != new[key]]:
        texts = [f"{key} {old[key]} and {new[key]}" for key in changed]
        out.print(escape(f"the environments differ: {'; '.join(texts)}"), highlight=False, soft_wrap=True)
    worst = f"! {len(regressed)} slower by more than {100 * tolerance:g} %" if regressed else ""
    out.print(worst or f"nothing is slower by more than {100 * tolerance:g} %", highlight=False)
