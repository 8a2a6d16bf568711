"""``unetzoo bench`` and ``plan``: parse, call, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from unetzoo.cli.console import err, out, telling
from unetzoo.cli.options import AsJson, Imports, Memory, ModelOptions, Time, gib, parse_options
from unetzoo.cli.track import Track, chosen_trackers
from unetzoo.errors import UnetzooError

if TYPE_CHECKING:
    from unetzoo.bench.collection import Collection
    from unetzoo.bench.plan import Plan
    from unetzoo.bench.suite import Suite
    from unetzoo.data.base import SegmentationDataset


SuiteFile = Annotated[
    Path | None, typer.Argument(metavar="[SUITE.toml]", help="A suite file; default: the quick suite.")
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="PATH_OR_NAME",
        help="A registered data set, or a folder with images/ and masks/. For a suite with several data sets: the "
        "labels of those to use, A,B.",
    ),
]
Models = Annotated[str | None, typer.Option(metavar="A,B,C", help="Models to compare; default: the suite's.")]
OnLeak = Annotated[
    str | None,
    typer.Option(
        metavar="refuse|drop_from_training",
        help="For an image or a group that is in two splits: stop, or drop it (and near-duplicates) from training.",
    ),
]
Seeds = Annotated[int | None, typer.Option(min=1, help="Seeds per model; default: the suite's.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Training steps per trial; default: the suite's.")]

AcceptReading = Annotated[
    bool,
    typer.Option(
        "--accept-reading", help="Accept what is proposed for masks whose meaning is not certain; records say so."
    ),
]


def _suite(
    suite_file: Path | None,
    data: str | None,
    models: str | None,
    options: list[str] | None,
    seeds: int | None,
    steps: int | None,
    imports: list[str] | None,
    accept_reading: bool,
    on_leak: str | None,
) -> Suite | Collection:
    """Return the suite of a file, or the quick one, with the changes of the command line."""
    from unetzoo.bench.collection import Collection
    from unetzoo.bench.suite_file import adjust, adjust_collection, read_suite

    changes: dict[str, Any] = {
        "data": data,
        "models": models.split(",") if models is not None else None,
        "options": parse_options(options or []),
        "seeds": seeds,
        "steps": steps,
        "imports": imports or [],
        "accept_reading": accept_reading,
        "on_leak": on_leak,
    }
    base = read_suite(suite_file) if suite_file else None
    return adjust_collection(base, **changes) if isinstance(base, Collection) else adjust(base, **changes)


def bench_command(
    suite_file: SuiteFile = None,
    data: Data = None,
    models: Models = None,
    options: ModelOptions = None,
    seeds: Seeds = None,
    steps: Steps = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for records and report; default: runs/<suite>."),
    ] = None,
    jobs: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Trials that run side by side and share the cores; auto chooses by a short measurement.",
        ),
    ] = "auto",
    imports: Imports = None,
    accept_reading: AcceptReading = False,
    on_leak: OnLeak = None,
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="failed", help="Give 'failed' to run failed trials again, and those whose weights were lost."
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait in the end for trials that other processes run in DIR.")
    ] = True,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only check all and write the trials down, for 'unetzoo trial'.")
    ] = False,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Submit the trials to a Slurm cluster by the suite's [slurm], and return.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --slurm: print the scripts only.")] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="[ADDRESS]",
            help="Run the trials on a Ray cluster: HOST:PORT of its head, 'auto' for the one on this machine; without "
            "an address, on a local one for the time of the run.",
        ),
    ] = None,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Let machines take part that have other versions of unetzoo or torch.")
    ] = False,
    track: Track = None,
) -> None:
    """Train and measure models under one protocol, on one or several data sets, and write the report.

    Ctrl-C once stops after running trials have saved a checkpoint; twice stops at once.
    The same command continues where it stopped, even within a trial.
    Several processes, also on several machines that share the disk, may run it at once: each trial runs in one of them.

    Exit codes: 0 all trials succeeded, 1 some failed (see the report), 2 wrong input, 75 others still run in other
    processes (with --no-wait), 130 interrupted.

    Examples:
      [bold]unetzoo bench[/]
      [bold]unetzoo bench benchmarks/isbi2012-upsampling.toml[/]
      [bold]unetzoo bench --data ./my-images --models unet,unet_bilinear --seeds 3 --steps 500[/]
      [bold]unetzoo bench my-suite.toml --set width=16 --jobs 2 --retry failed[/]
      [bold]unetzoo bench my-suite.toml --slurm --dry-run[/]
      [bold]unetzoo bench my-suite.toml --ray 10.0.0.1:6379[/]
    \f
    Raises:
        UnetzooError: If an option, the suite or the data are not valid.
        Exit: With code 1 if a trial failed, 75 if some are still run elsewhere, 130 if the run was interrupted.
    """
    if retry not in (None, "failed"):
        raise UnetzooError(f"--retry {retry!r} is not a choice; allowed: failed")
    if not (jobs == "auto" or (jobs.isdecimal() and int(jobs) > 0)):
        raise UnetzooError(f"--jobs {jobs}: must be a whole number, 1 or more, or 'auto'")
    if dry_run and not slurm:
        raise UnetzooError("--dry-run: needs --slurm")
    engines = [f"--{name}" for name, given in (("prepare", prepare), ("slurm", slurm), ("ray", ray)) if given]
    if len(engines) > 1:
        raise UnetzooError(f"{' and '.join(engines)}: give one of them")
    if ray and (jobs != "auto" or not wait):
        raise UnetzooError(f"{'--jobs' if wait else '--no-wait'} has no effect with --ray; see [ray] in the suite file")
    trackers = chosen_trackers(track)
    if trackers and engines:
        raise UnetzooError("--track: follows trials that this process runs; once all are over: unetzoo export-runs")
    suite = _suite(suite_file, data, models, options, seeds, steps, imports, accept_reading, on_leak)
    folder = folder or Path("runs") / suite.name
    if prepare or slurm:
        from unetzoo.cli.cluster import prepare_run, submit_run

        submitted = {"retry_failed": retry == "failed", "allow_mixed": allow_mixed}
        if prepare:
            prepare_run(suite, folder, **submitted)
        else:
            submit_run(suite, folder, dry_run=dry_run, margin=_margins(suite), **submitted)
        return
    from unetzoo.bench.progress_file import together
    from unetzoo.bench.run import run
    from unetzoo.bench.trackers.watch import tracking
    from unetzoo.cli.bench_progress import LiveWatcher
    from unetzoo.cli.cluster import run_on_cluster
    from unetzoo.gallery.architecture import describe
    from unetzoo.records.record import WEIGHTS_NOT_SAVED
    from unetzoo.report import write_report

    lost = list[str]()
    try:
        with LiveWatcher(out) as watcher, tracking(folder, trackers, watcher.note) as more:
            side_by_side, again = "auto" if jobs == "auto" else int(jobs), retry == "failed"
            if ray:
                trials, lost = run_on_cluster(suite, folder, ray, again, allow_mixed, watcher)
            else:
                every = together(watcher, *more)
                trials = run(suite, folder, jobs=side_by_side, retry_failed=again, wait=wait, watcher=every)
    except KeyboardInterrupt:
        done = sum(len(list(folder.glob(f"{records}/*.json"))) for records in ("records", "*/records"))
        err.print(f"interrupted; {done} records are kept in {folder}, and the same command continues from there")
        raise typer.Exit(130) from None
    page = write_report(folder, margin=_margins(suite), describe=describe, if_changed=True)
    if lacking := int(trials["flags"].fillna("").str.contains(f"{WEIGHTS_NOT_SAVED}: ").sum()):
        err.print(
            f"the weights of {lacking} trials could not be saved; --retry failed trains them again", highlight=False
        )
    out.print(f"report: {page}", soft_wrap=True, highlight=False)
    failed = trials[trials["status"] != "ok"]
    if len(failed):
        err.print(f"[red]{len(failed)} of {len(trials)} trials failed[/]:", highlight=False)
        for trial in failed.itertuples():
            where = f"{trial.data}: " if "data" in trials else ""
            err.print(f"  {where}{escape(str(trial.model))} seed {trial.seed}: {trial.status}", highlight=False)
        err.print("the report gives the reasons; --retry failed runs them again", highlight=False)
    if lost:
        err.print(f"{len(lost)} trials have no record; the same command runs them again", highlight=False)
    if lost or len(failed):
        raise typer.Exit(1)
    if watcher.unfinished:
        raise typer.Exit(75)


def _margins(suite: Suite | Collection) -> float | dict[str, float]:
    """Return the margin of a suite, or of each data set of a collection by label."""
    from unetzoo.bench.suite import Suite

    if isinstance(suite, Suite):
        return suite.score.margin
    return {label: member.score.margin for label, member in suite.suites.items()}


def _remark(dataset: SegmentationDataset, where: str) -> None:
    """Print what a user would want to know of a folder before it is used: warnings, and answers that were accepted."""
    for line in getattr(dataset, "messages", ()):
        if line.startswith(("warning: ", "accepted: ", "and ")):
            err.print(f"{where}data: {line}", highlight=False, markup=False, soft_wrap=True)


def plan_command(
    suite_file: SuiteFile = None,
    data: Data = None,
    models: Models = None,
    options: ModelOptions = None,
    seeds: Seeds = None,
    steps: Steps = None,
    imports: Imports = None,
    accept_reading: AcceptReading = False,
    on_leak: OnLeak = None,
    memory: Memory = None,
    time: Time = True,
    as_json: AsJson = False,
) -> None:
    """Predict the cost of a suite before it runs: memory, time, whether it fits, and the largest batch that does.

    Memory is predicted without allocating any; time is extrapolated from a few measured steps of each model.

    Examples:
      [bold]unetzoo plan[/]
      [bold]unetzoo plan my-suite.toml --memory 8 --no-time[/]
      [bold]unetzoo plan --data ./my-images --models unet,unet_d6 --steps 500[/]
    """
    limit = gib(memory)
    from unetzoo.bench.plan import plan_suite
    from unetzoo.bench.suite import Suite
    from unetzoo.cli.plan_tables import print_plan, print_total

    def planned(member: Suite, where: str = "") -> Plan:
        with telling() as tell:
            return plan_suite(
                member,
                limit=limit,
                timed=time,
                on_model=lambda label: tell(f"plan: {where}{label}"),
                on_data=lambda dataset: _remark(dataset, where),
            )

    suite = _suite(suite_file, data, models, options, seeds, steps, imports, accept_reading, on_leak)
    if isinstance(suite, Suite):
        found = planned(suite)
        if as_json:
            print(json.dumps({**found.model_dump(mode="json"), "seconds": found.seconds}, indent=1))
        else:
            print_plan(found, out)
        return
    plans: dict[str, Plan] = {}
    for label, member in suite.chosen.items():
        plans[label] = planned(member, f"{label}: ")
        if not as_json:
            print_plan(plans[label], out)
            out.print()
    if as_json:
        by_label = {label: {**plan.model_dump(mode="json"), "seconds": plan.seconds} for label, plan in plans.items()}
        print(json.dumps({"collection": suite.name, "data": by_label}, indent=1))
    else:
        print_total(list(plans.values()), out)
