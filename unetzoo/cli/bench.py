"""``unetzoo bench``, ``plan`` and ``report``: parse, call, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from unetzoo.cli.console import err, out
from unetzoo.cli.options import AsJson, Imports, Memory, Settings, Time, gib, parse_settings
from unetzoo.errors import UnetzooError

if TYPE_CHECKING:
    from unetzoo.bench.collection import Collection
    from unetzoo.bench.plan import Plan
    from unetzoo.bench.suite import Suite


SuiteFile = Annotated[Path | None, typer.Argument(metavar="[SUITE.toml]", help="The suite; without it the quick one.")]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="PATH_OR_NAME",
        help="A registered data set, or a folder with images/ and masks/. Of a suite with several data sets: those of "
        "these labels, A,B.",
    ),
]
Models = Annotated[str | None, typer.Option(metavar="A,B,C", help="Models to compare, instead of the suite's.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Number of seeds per model.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Training steps per trial.")]


def _suite(
    suite_file: Path | None,
    data: str | None,
    models: str | None,
    settings: list[str] | None,
    seeds: int | None,
    steps: int | None,
    imports: list[str] | None,
) -> Suite | Collection:
    """The suite that `bench` runs and `plan` plans: a file's or the quick one, with the command line's changes."""
    from unetzoo.bench.collection import Collection
    from unetzoo.bench.suite_file import adjust, adjust_collection, read_suite

    changes: dict[str, Any] = {
        "data": data,
        "models": models.split(",") if models is not None else None,
        "settings": parse_settings(settings or []),
        "seeds": seeds,
        "steps": steps,
        "imports": imports or [],
    }
    base = read_suite(suite_file) if suite_file else None
    return adjust_collection(base, **changes) if isinstance(base, Collection) else adjust(base, **changes)


def bench_command(
    suite_file: SuiteFile = None,
    data: Data = None,
    models: Models = None,
    settings: Settings = None,
    seeds: Seeds = None,
    steps: Steps = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where records and report go; default runs/<suite>."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trials side by side; the cores are shared out among them.")] = 1,
    imports: Imports = None,
    retry: Annotated[str | None, typer.Option(metavar="failed", help="'failed': run failed trials again.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait where another run uses DIR, instead of refusing.")] = False,
) -> None:
    """Train and measure models on one data set, or several, under one protocol, and write the report.

    Run again after an interruption, it goes on where it stopped, inside a trial too. Ctrl-C once: nothing new
    begins, trials under way save themselves; twice: at once. Exit codes: 0 all trials ended well,
    1 some failed (the report says which), 2 wrong input, 130 interrupted.

    Examples: [bold]unetzoo bench[/]   [bold]unetzoo bench benchmarks/isbi2012-upsampling.toml[/]
    [bold]unetzoo bench --data ./my-images --models unet,unet_bilinear --set width=16 --seeds 3 --steps 500[/]
    """
    if retry not in (None, "failed"):
        raise UnetzooError(f"--retry {retry!r} is not a choice; allowed: failed")
    from unetzoo.bench.run import run
    from unetzoo.cli.bench_progress import LiveWatcher
    from unetzoo.report import write_report

    suite = _suite(suite_file, data, models, settings, seeds, steps, imports)
    folder = folder or Path("runs") / suite.name
    try:
        with LiveWatcher(out) as watcher:
            trials = run(suite, folder, jobs=jobs, retry_failed=retry == "failed", wait=wait, watcher=watcher)
    except KeyboardInterrupt:
        done = sum(len(list(folder.glob(f"{records}/*.json"))) for records in ("records", "*/records"))
        err.print(f"interrupted; {done} records are kept in {folder}, and the same command goes on from there")
        raise typer.Exit(130) from None
    page = write_report(folder)
    out.print(f"report: {page}", soft_wrap=True, highlight=False)
    failed = trials[trials["status"] != "ok"]
    if len(failed):
        err.print(f"[red]{len(failed)} of {len(trials)} trials failed[/]:", highlight=False)
        for trial in failed.itertuples():
            where = f"{trial.data}: " if "data" in trials else ""
            err.print(f"  {where}{escape(str(trial.model))} seed {trial.seed}: {trial.status}", highlight=False)
        err.print("their reasons are in the report; --retry failed runs them again", highlight=False)
        raise typer.Exit(1)


def plan_command(
    suite_file: SuiteFile = None,
    data: Data = None,
    models: Models = None,
    settings: Settings = None,
    seeds: Seeds = None,
    steps: Steps = None,
    imports: Imports = None,
    memory: Memory = None,
    time: Time = True,
    as_json: AsJson = False,
) -> None:
    """What a suite will cost, before it runs: memory, time, what does not fit and the largest batch that does.

    Memory is predicted with nothing allocated; time comes from a few measured steps of each model.

    Examples: [bold]unetzoo plan[/]   [bold]unetzoo plan my-suite.toml --memory 8 --no-time[/]
    [bold]unetzoo plan --data ./my-images --models unet,unet_d6 --steps 500[/]
    """
    limit = gib(memory)
    from unetzoo.bench.plan import plan_suite
    from unetzoo.bench.suite import Suite
    from unetzoo.cli.plan_tables import print_plan, print_total

    def planned(part: Suite, where: str = "") -> Plan:
        with err.status("") as status:
            return plan_suite(
                part, limit=limit, timed=time, on_model=lambda label: status.update(escape(where + label))
            )

    suite = _suite(suite_file, data, models, settings, seeds, steps, imports)
    if isinstance(suite, Suite):
        found = planned(suite)
        if as_json:
            print(json.dumps({**found.model_dump(mode="json"), "seconds": found.seconds}, indent=1))
        else:
            print_plan(found, out)
        return
    plans: dict[str, Plan] = {}
    for label, part in suite.chosen.items():
        plans[label] = planned(part, f"{label}: ")
        if not as_json:
            print_plan(plans[label], out)
            out.print()
    if as_json:
        facts = {label: {**plan.model_dump(mode="json"), "seconds": plan.seconds} for label, plan in plans.items()}
        print(json.dumps({"collection": suite.name, "data": facts}, indent=1))
    else:
        print_total(list(plans.values()), out)


def report_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with records/, or a collection's.")],
    brief: Annotated[
        bool,
        typer.Option("--brief", help="To keep with code: tables, and plots of costs or a collection's page."),
    ] = False,
) -> None:
    """Write the report again from the records of a folder.

    Examples: [bold]unetzoo report runs/quick[/]   [bold]unetzoo report reports/mine --brief[/]
    """
    from unetzoo.report import write_report

    out.print(f"report: {write_report(folder, brief=brief)}", soft_wrap=True, highlight=False)
