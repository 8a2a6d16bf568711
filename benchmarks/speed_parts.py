"""Sections of the page of ``reports/speed`` on prediction, on options of a training step, and on the loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from speed_ratios import ratio

Table = Callable[[list[str], list[list[str]]], str]
Runs = dict[str, dict[str, dict[str, Any]]]


def prediction(runs: Runs, table: Table) -> Iterator[str]:
    """Yield the section on prediction.

    Args:
        runs: Run -> part -> content of its file.
        table: Function from a head and rows to Markdown.
    """
    rows, said = [], ""
    for run, parts in runs.items():
        for part in ("inference", "large"):
            content = parts.get(part, {})
            said = next(iter(content.get("computed", {}).values()), said)
            for size in dict.fromkeys(each["size"] for each in content.get("measurements", [])):
                same = {e["candidate"]: e for e in content["measurements"] if e["size"] == size}
                ours = next(e for name, e in same.items() if name.startswith("unetzoo auto"))
                for name, each in same.items():
                    seconds = np.array(each["values"])
                    by = "" if each is ours else ratio(seconds, np.array(ours["values"]))
                    memory = f"{max(each['peak_bytes']) / 2**20:.0f}" if "peak_bytes" in each else ""
                    rows.append([run, f"{size}x{size}", name, f"{np.median(seconds):.3f}", by, memory])
    if not rows:
        return
    yield "\n## Prediction\n"
    yield (
        "`unet` of width 32, three channels, by `unetzoo.predict` and by others; the ratio is their seconds over those "
        "of `unetzoo auto`. Above 512 px in tiles of 512 px that overlap by a quarter; runtimes take single tiles. "
        "OpenVINO and ONNX Runtime are called directly, without reading, normalising or softmax. Peak memory is that "
        f"of the process, where each run has one.{f' `auto` computed in {said}.' if said else ''}\n"
    )
    yield table(["run", "image", "way", "seconds", "over unetzoo auto", "peak, MiB"], rows)


def recompute(runs: Runs, table: Table) -> Iterator[str]:
    """Yield the section on memory and time of `recompute`.

    Args:
        runs: Run -> part -> content of its file.
        table: Function from a head and rows to Markdown.
    """
    rows = []
    for run, parts in runs.items():
        measured = parts.get("recompute", {}).get("measurements", [])
        whole = {each["width"]: each for each in measured if each["way"] == "none"}
        for each in measured:
            base = whole[each["width"]]
            memory = each["peak_bytes"] / base["peak_bytes"]
            time = "" if each is base else ratio(np.array(each["values"]), np.array(base["values"]))
            size, mib = "x".join(map(str, each["shape"])), f"{each['peak_bytes'] / 2**20:.0f}"
            rows.append([run, str(each["width"]), size, f"`{each['way']}`", mib, f"**{memory:.2f}**", time])
    if rows:
        yield "\n## Memory that is computed again\n"
        yield (
            "A training step of `unet` in bfloat16 and channels_last. Memory is the predicted peak of the tensors; "
            "memory and time are given over those of `none`.\n"
        )
        yield table(["run", "width", "shape", "`recompute`", "peak, MiB", "memory", "time"], rows)


def choices(runs: Runs, table: Table) -> Iterator[str]:
    """Yield the section on how trials of each network compute.

    Args:
        runs: Run -> part -> content of its file.
        table: Function from a head and rows to Markdown.
    """
    rows, ways = [], dict[str, None]()
    found = [(run, each) for run, parts in runs.items() for each in parts.get("choices", {}).get("choices", [])]
    for _, each in found:
        ways |= dict.fromkeys(each["seconds"])
    for run, each in found:
        options = ", ".join(f"{name} {value}" for name, value in each["options"].items())
        times = [f"{1000 * each['seconds'][way]:.0f}" if each["seconds"].get(way) else "fails" for way in ways]
        rows.append([run, f"`{each['model']}`" + (f", {options}" if options else ""), *times, each["choice"]])
    if rows:
        yield "\n## How each network computes\n"
        yield (
            "Milliseconds of a training step on 4x1x256x256 px, medians of at least three, by which "
            '`compute = "auto"` chooses: the first way, unless another saves a tenth of its time. '
            "A way that takes 1.5 times as long as the first in one round is not timed again.\n"
        )
        yield table(["run", "network", *ways, "choice"], rows)


def options(runs: Runs, table: Table) -> Iterator[str]:
    """Yield the sections on options of a training step, on evaluation, and on the loader.

    Args:
        runs: Run -> part -> content of its file.
        table: Function from a head and rows to Markdown.
    """
    found = {run: parts["options"] for run, parts in runs.items() if "options" in parts}
    if not found:
        return
    yield "\n## Options of a training step\n"
    yield (
        "`unet` of width 16 on 4x1x256x256, bfloat16 and channels_last, one thread. Ratios of the time with the option "
        "to that of today's way, by the clock, median and quartiles of paired rounds: below 1 is a gain.\n"
    )
    rows = []
    for run, content in found.items():
        for part in ("steps", "layout", "evaluation", "malloc"):
            for row in content["step"].get(part, [])[1:]:
                low, high = row["clock_spread"]
                rows.append([run, part, row["way"], f"**{row['clock_ratio']:.3f}** ({low:.3f} to {high:.3f})"])
    yield table(["run", "part", "option", "ratio"], rows)
    yield "\nWhere a step goes, by the profiler (share of the operators' own time):\n"
    rows = [
        [run, f"`{row['operator']}`", f"{row['share']:.2f}", f"{row['calls_per_step']:.0f}"]
        for run, content in found.items()
        for row in content["step"].get("profile", [])[:8]
    ]
    yield table(["run", "operator", "share", "calls a step"], rows)
    yield "\n## The loader\n"
    yield "Crops of 256x256 px a second on one core, from decoded images in memory; processor time, interleaved.\n"
    rows = []
    for run, content in found.items():
        for row in content["loader"]["crops"]:
            low, high = row["spread"]
            by = f"{row['our_rate_over_theirs']:.2f} ({low:.2f} to {high:.2f})" if row["library"] != "unetzoo" else ""
            rate = f"{row['crops_per_second_per_core']:,.0f}"
            rows.append([run, row["augmentation"], str(row["channels"]), row["library"], rate, by])
    yield table(["run", "augmentation", "channels", "library", "crops/s", "our rate over theirs"], rows)
    rows = [
        [run, row["augmentation"], row["step"], f"{100 * row['share_of_loading']:.1f} %"]
        for run, content in found.items()
        for row in content["loader"]["share"]
    ]
    yield table(["run", "augmentation", "step", "share of loading"], rows)


def scale(runs: Runs, table: Table) -> Iterator[str]:
    """Yield the section on reports, finished suites and start-up against the number of trials.

    Args:
        runs: Run -> part -> content of its file.
        table: Function from a head and rows to Markdown.
    """
    rows = []
    for run, parts in runs.items():
        for each in parts.get("scale", {}).get("measurements", []):
            trials = f"{each['trials']:,}" if each["trials"] else ""
            seconds, wanted = f"**{each['cpu_seconds']:.1f}**", f"{each['limit_seconds']:g}"
            memory, most = f"{each['peak_mib']:,.0f}", f"{each['limit_mib']:,}"
            rows.append([run, f"`{each['name']}`", trials, seconds, wanted, memory, most])
    if rows:
        yield "\n## Reports and start-up\n"
        yield (
            "Processor seconds and peak resident memory of the command, on synthetic records of 100 variants "
            "(`benchmarks/report_scale.py`), beside what was asked for.\n"
        )
        yield table(["run", "command", "trials", "seconds", "asked for", "peak, MiB", "asked for"], rows)
