"""Tables of a plan and of a profile on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unetzoo.bench.limits import PROCESS_BASE, PROCESS_FACTOR
from unetzoo.bench.need import Need
from unetzoo.bench.plan import Plan
from unetzoo.bench.profile import Profile
from unetzoo.cli.bench_progress import _duration
from unetzoo.records.measured import Breakdown

MOMENT = "Each row shows the memory at the moment of its peak; gradients not held at that moment are 0."
SPLIT = ("total", "parameters", "gradients", "optimizer", "activations", "of these\nskips", "other")


def print_plan(plan: Plan, out: Console) -> None:
    """Print costs and fit, then the parts of the memory, then the problems."""
    budget = f"{plan.steps} steps" if plan.flops is None else f"{plan.flops:g} floating-point operations of training"
    budget = f"{plan.minutes:g} min of training" if plan.minutes is not None else budget
    budget = f"up to {plan.most_steps} steps, until converged" if plan.most_steps is not None else budget
    out.print(
        f"[bold]{escape(plan.suite)}[/] on {escape(plan.data)}: {len(plan.rows)} models, "
        f"{sum(row.trials for row in plan.rows)} trials of {budget}; "
        f"{plan.device}, {plan.precision}, CPU threads: {plan.threads}",
        highlight=False,
        soft_wrap=True,
    )
    out.print(_limit(plan.limit_bytes, plan.limit_source), highlight=False, soft_wrap=True)
    if plan.rows:
        need = plan.rows[0].need
        out.print(
            f"training: a step on {_shape(need.train_shape)} (N, C, H, W) and its peak; "
            f"inference: {_shape(need.infer_shape)}; MACs: one image of that size",
            highlight=False,
            soft_wrap=True,
        )
    table = _table(
        "model", "trials", "parameters", "MACs", "training", "inference", "process", "fits", "largest\nbatch", "a trial"
    )
    for row in plan.rows:
        need = row.need
        table.add_row(
            escape(row.label),
            str(row.trials),
            _short(need.params),
            _short(need.macs),
            _bytes(need.memory.train.total if need.memory else None),
            _bytes(need.memory.infer.total if need.memory else None),
            _bytes(need.process_bytes),
            _fits(need),
            _number(need.largest_batch),
            "-" if row.trial_seconds is None else _duration(row.trial_seconds),
        )
    out.print(table)
    if found := [f"{row.label} {row.width:g} (x{row.matched['ratio']:.3f})" for row in plan.rows if row.matched]:
        matched = next(row.matched for row in plan.rows if row.matched)
        what = f"widths that match the {matched['what']} of {matched['reference']}: {', '.join(found)}"
        out.print(escape(what), highlight=False, soft_wrap=True)
    split = _table("peak of the tensors", "", *SPLIT)
    for row in plan.rows:
        if row.need.memory is not None:
            split.add_row(escape(row.label), "training", *_split(row.need.memory.train))
            split.add_row("", "inference", *_split(row.need.memory.infer))
    out.print()
    out.print(split)
    out.print(MOMENT, highlight=False, soft_wrap=True)
    for row in plan.rows:
        _problem(row.label, row.need, out)
    if plan.seconds is not None:
        out.print(
            f"all trials one after the other: about {_duration(plan.seconds)}, not counting their start-up, "
            "the measurement of their cost and the report",
            highlight=False,
            soft_wrap=True,
        )


def print_total(plans: list[Plan], out: Console) -> None:
    """Print the time of all data sets of a collection, if that of each is known."""
    seconds = [plan.seconds for plan in plans]
    if None not in seconds:
        total = sum(each or 0.0 for each in seconds)
        out.print(f"all {len(plans)} data sets one after the other: about {_duration(total)}", highlight=False)


def print_profile(profile: Profile, out: Console) -> None:
    """Print one model: its numbers, then the parts of its memory."""
    need = profile.need
    mirrored = f", mirrored to {profile.reads}x{profile.reads}" if profile.reads != need.train_shape[-1] else ""
    out.print(
        f"[bold]{escape(profile.name)}[/] at {_shape(need.train_shape)}{mirrored}: "
        f"{profile.device}, {profile.precision}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table.grid(padding=(0, 2))
    table.add_row("parameters", _number(need.params))
    table.add_row("MACs of one image", _number(need.macs))
    if profile.latency_p50_ms is not None:
        table.add_row(
            "latency",
            f"{profile.latency_p50_ms:.1f} ms median, {profile.latency_p90_ms:.1f} ms 90th percentile "
            f"of {profile.latency_repeats} forward passes",
        )
    table.add_row("process at its peak", _bytes(need.process_bytes))
    table.add_row("fits", _fits(need))
    table.add_row("largest training batch", _number(need.largest_batch))
    out.print(table, highlight=False)
    if need.memory is not None:
        split = _table("peak of the tensors", *SPLIT)
        split.add_row("training", *_split(need.memory.train))
        split.add_row("inference", *_split(need.memory.infer))
        out.print()
        out.print(split)
        out.print(MOMENT, highlight=False, soft_wrap=True)
    _problem(profile.name, need, out)
    out.print(_limit(profile.limit_bytes, profile.limit_source), highlight=False, soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for column in table.columns:
        column.overflow = "fold"  # on a narrow terminal a number wraps and is never cut off
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _limit(limit: int | None, source: str) -> str:
    base = f"{PROCESS_BASE / 2**20:.0f} MiB"
    return (
        f"memory: {_bytes(limit)} ({source}); a process is assumed to need {PROCESS_FACTOR:g} times the peak of its "
        f"tensors, and on a CPU {base} more"
    )


def _split(part: Breakdown) -> list[str]:
    values = (part.total, part.parameters, part.gradients, part.optimizer, part.activations, part.skips, part.other)
    return [_bytes(value) for value in values]


def _fits(need: Need) -> str:
    return "-" if need.fits is None else "yes" if need.fits else "[red]no[/]"


def _problem(label: str, need: Need, out: Console) -> None:
    if need.problem is not None:
        out.print(f"[red]{escape(label)}[/]: {escape(need.problem)}", highlight=False, soft_wrap=True)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _short(value: int | None) -> str:
    if value is None:
        return "-"
    unit, size = next(((u, s) for u, s in (("G", 1e9), ("M", 1e6), ("k", 1e3)) if value >= s), ("", 1.0))
    return f"{value / size:.4g} {unit}".rstrip()


def _bytes(value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.1f} MiB"
