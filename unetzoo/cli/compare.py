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
    from unetzoo.report.changes import Change, Changes
    from unetzoo.report.speed import Compared, SpeedReport

COLOURS = {"slower": "red", "faster": "green"}


def compare_command(
    before: Annotated[Path, typer.Argument(metavar="A", help="Run (folder) or speed report (JSON) to compare with.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Run or speed report to judge.")],
    tolerance: Annotated[
        float, typer.Option(help="Share by which a cost or measurement may grow, 0 or more: 0.05 is 5 %.")
    ] = 0.05,
    margin: Annotated[
        float | None,
        typer.Option(help="Largest difference in Dice that does not matter; default: the suites', or 0.01. Runs only."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what changed between two runs, or tell slowdowns from noise in two speed reports.

    Of two runs: scores by the rules of the report's verdicts, costs beyond noise, environment and settings. Costs of
    different machines are not compared, except parameters and MACs.

    Of two speed reports, as the scripts in benchmarks/ write them: a ratio above 1 is slower. Verdicts are corrected
    for the number of measurements (Holm). Measurements of the group "reference" in both files stand for the machine:
    ratios are relative to theirs.

    Exit codes: 0 nothing got worse (costs: by more than the tolerance), 1 something did, 2 wrong input.

    Examples:
      [bold]unetzoo compare runs/before runs/after[/]
      [bold]unetzoo compare reports/speed/speed.json today.json[/]
      [bold]unetzoo compare before.json after.json --tolerance 0.1 --json[/]
    \f
    Raises:
        UnetzooError: If A and B are not of one kind, they have nothing in common, or the tolerance is below 0.
        Exit: With code 1 if something got worse.
    """
    if not 0 <= tolerance < float("inf"):
        raise UnetzooError(f"--tolerance {tolerance:g}: must be a share of 0 or more, such as 0.05 for 5 %")
    kinds = ["folder" if path.is_dir() else "file" for path in (before, after)]
    if kinds[0] != kinds[1] and before.exists() and after.exists():
        raise UnetzooError(
            f"{before} is a {kinds[0]} and {after} a {kinds[1]}; give two runs (folders) or two speed reports"
        )
    if "folder" in kinds:
        worse = _compare_runs(before, after, tolerance, margin, as_json)
    elif margin is not None:
        raise UnetzooError(f"--margin {margin:g} is for two runs, and {before} is a file")
    else:
        worse = _compare_speed(before, after, tolerance, as_json)
    if worse:
        raise typer.Exit(1)


def _compare_speed(before: Path, after: Path, tolerance: float, as_json: bool) -> bool:
    """Compare two speed reports and print; return True if something is slower by more than the tolerance."""
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
    return bool(regressed)


def _compare_runs(before: Path, after: Path, tolerance: float, margin: float | None, as_json: bool) -> bool:
    """Compare two runs and print; return True if something got worse."""
    from unetzoo.report.changes import compare_runs

    found = compare_runs(before, after, tolerance, margin)
    if as_json:
        print(json.dumps({"tolerance": tolerance, **found.as_json()}, allow_nan=False))
    else:
        _print_changes(found)
    return bool(found.worse)


def _print_changes(found: Changes) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in ("data", "variant", "", "A", "B", "difference", "95 % interval", "verdict"):
        table.add_column(head, justify="right" if head in ("A", "B", "difference", "95 % interval") else "left")
    for c in (*found.scores, *found.costs):
        table.add_row(*map(escape, _cells(c)), style="red" if c.got_worse else None)
    out.print(table)
    lines = [*found.remarks]
    lines += [f"environment: {key} {a} -> {b}" for key, (a, b) in found.environment.items()]
    lines += [f"{label}: {key} {a} -> {b}" for label, some in found.settings.items() for key, (a, b) in some.items()]
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    worse = "; ".join(f"{c.model} on {c.data}: {c.what}" for c in found.worse)
    conclusion = f"got worse: {worse}" if worse else "nothing got worse"
    out.print(conclusion, highlight=False, markup=False, soft_wrap=True)


def _cells(c: Change) -> list[str]:
    from unetzoo.report.limits import KINDS
    from unetzoo.report.words import between, number, signed

    kind = KINDS.get(c.what)
    if kind is not None:
        values = [kind.amount(v) if v is not None else "" for v in (c.before, c.after)]
        gap = "" if c.difference is None else f"{signed(100 * c.difference, 1)} %"
        ends = "" if c.low is None or c.high is None else f"{between(100 * c.low, 100 * c.high, 1)} %"
    else:
        digits = 0 if c.what == "setbacks" else 2 if c.what in ("hd95", "assd") else 3
        values = [number(v, digits) for v in (c.before, c.after)]
        gap = signed(c.difference, digits)
        ends = "" if c.low is None else between(c.low, c.high, digits)
    verdict = c.verdict + (f" ({c.note})" if c.note and c.note != "exact" else "")
    return [c.data, c.model, kind.noun if kind else c.what, *values, gap, ends, verdict + (" !" if c.got_worse else "")]


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
