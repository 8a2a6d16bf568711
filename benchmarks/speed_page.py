"""The page of ``reports/speed``, and the CSV in timm's style, from the JSON files of its runs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import FuncFormatter
from speed_parts import choices, options, prediction, recompute, scale
from speed_ratios import OURS, PLAIN, Run, quoted, ratio, values

from unetzoo._util.atomic import write_atomic
from unetzoo.report.style import RC, canvas, save

QUESTION = "How many times as fast as a plain float32 script, and as other libraries, is unetzoo?"
BEGIN, END = "<!-- written by benchmarks/speed.py page -->\n", "<!-- end -->\n"
COMMANDS = (
    "Measured by `python benchmarks/speed.py suites --run NAME` and the other parts in its `--help`; reports by "
    "`python benchmarks/report_scale.py --out reports/speed/NAME/scale.json`."
)
COLUMNS = (
    "model",
    "infer_samples_per_sec",
    "infer_step_time",
    "infer_img_size",
    "train_samples_per_sec",
    "train_step_time",
    "train_img_size",
    "gmacs",
    "params",
    "precision",
    "layout",
    "device",
)


def read_runs(folder: Path) -> dict[str, Run]:
    """Return all runs of ``reports/speed`` in the order of their names.

    Args:
        folder: ``reports/speed``, with a folder of JSON files for each run.
    """
    runs: dict[str, Run] = {}
    for file in sorted(folder.glob("*/*.json")):
        runs.setdefault(file.parent.name, {})[file.stem] = json.loads(file.read_text())
    return runs


def write_page(folder: Path, readme: Path) -> None:
    """Write README.md, speed.csv and the plot of the sweeps, and the table in the project's README.

    Args:
        folder: ``reports/speed``, with a folder of JSON files for each run.
        readme: The project's README.md.
    """
    runs = read_runs(folder)
    if not runs:
        raise SystemExit(f"{folder}: no run yet; see benchmarks/speed.py --help")
    parts = [
        f"# How fast?\n\n{QUESTION}\n\n{answer(runs)}\n",
        f"{COMMANDS}\n",
        _conditions(runs),
        *_suites(runs),
        *_shares(runs),
        *_steps(runs),
        *_sweeps(runs, folder),
    ]
    parts += [
        *prediction(runs, _table),
        *recompute(runs, _table),
        *choices(runs, _table),
        *options(runs, _table),
        *scale(runs, _table),
    ]
    notes = Path(__file__).with_name("speed_notes.md")
    parts += [notes.read_text()] if notes.exists() else []
    write_atomic(folder / "README.md", "\n".join(parts).rstrip() + "\n")
    write_atomic(folder / "speed.csv", _timm_csv(runs))
    before, _, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{readme}: the lines {BEGIN.strip()!r} and {END.strip()!r} are missing")
    write_atomic(readme, before + BEGIN + readme_table(runs) + END + after)
    print(folder / "README.md")


def answer(runs: dict[str, Run]) -> str:
    """Return in a sentence how many times as fast as plain float32 things were, in the last run that timed them.

    Args:
        runs: From `read_runs`.
    """
    parts = {
        "suites of six variants": ("six variants", "a plain float32 script"),
        "a training step of `unet`": ("training step of", "float32"),
        "prediction on 512x512 px": ("512x512", "eager float32"),
    }
    said = []
    for words, (part, against) in parts.items():
        for (what, other), by_run in quoted(runs).items():
            if part in what and other == against:
                said.append(f"{words} {np.median(list(by_run.values())[-1]):.1f}")
    return (
        f"Times as fast as float32, by the median of the last run: {', '.join(said)}. Losing cases stand in the tables."
    )


def readme_table(runs: dict[str, Run]) -> str:
    """Return the ratios that the project's README quotes: the last run, and those before it.

    Args:
        runs: From `read_runs`.
    """
    rows = []
    for (what, against), by_run in quoted(runs).items():
        *before, last = by_run.values()
        rows.append([what, against, ratio(last, np.ones_like(last)), ", ".join(f"{np.median(r):.2f}" for r in before)])
    return _table(["what", "against", "times as fast: median (range) of the last run", "runs before"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


def _conditions(runs: dict[str, Run]) -> str:
    rows = []
    for name, run in runs.items():
        for part, content in run.items():
            e = content["environment"]
            load = f"{e['load_before']:.1f}" if "load_before" in e else ""
            rows.append([name, part, str(e.get("begun", "")), str(e["cpu"]), str(e["threads"]), load, str(e["torch"])])
    head = ["run", "part", "begun (UTC)", "CPU", "threads", "load of the 15 minutes before", "torch"]
    return (
        "Ratios of paired timings: in every round all candidates ran one after the other. Above 1, unetzoo is faster; "
        "in brackets the smallest and the largest ratio of a round.\n\n" + _table(head, rows)
    )


def _suites(runs: dict[str, Run]) -> Iterator[str]:
    found = {name: run["suites"] for name, run in runs.items() if "suites" in run}
    if not found:
        return
    yield "\n## Suites, end to end\n"
    yield (
        "A plain training script ([plain_training.py](../../benchmarks/plain_training.py): float32, DataLoader) "
        "against `unetzoo bench`, which also runs five trivial predictors, measures latency and memory and "
        "writes the report. Whole processes, on the same data, networks, crops, steps and evaluations; the faster "
        "of the plain script's two ways to load counts in each round.\n"
    )
    rows = []
    for run, content in found.items():
        taken = values(content)
        for task in content["facts"]:
            plain = np.minimum(*(taken[f"{task}: {name}"] for name in PLAIN))
            seconds = f"{np.median(plain):.0f} s"
            ours = [taken[f"{task}: {name}"] for name in OURS]
            jobs = ", ".join(map(str, content["facts"][task]["jobs"]))
            rows.append([run, task, str(content["steps"]), seconds, *(ratio(plain, each) for each in ours), jobs])
    yield _table(["run", "task", "steps", "plain script", "`--jobs 1`", "`--jobs auto`", "jobs chosen"], rows)
    for content in found.values():
        for task, facts in content["facts"].items():
            if verdict := _verdict(facts["dice"]):
                yield f"{task}: {verdict}\n"


def _verdict(dice: dict[str, list[dict[str, Any]]]) -> str:
    """Compare the test Dice of both by the report's own rules, variant by variant."""
    import pandas as pd

    from unetzoo.report.statistics import compare

    lines = []
    for model in dict.fromkeys(each["model"].split("(")[0] for each in dice["plain script"]):
        grids = {}
        for by, trials in dice.items():
            mine = {t["seed"]: t["dice"] for t in trials if t["model"].split("(")[0] == model}
            grids[by] = pd.DataFrame.from_dict(mine, orient="index").astype(float).sort_index()
        if len(grids["plain script"]) < 3:
            continue
        (found,) = compare(grids, "plain script")
        lines.append(
            f"test Dice of `{model}`, unetzoo minus plain: {found.difference:+.3f} "
            f"({found.low:+.3f} to {found.high:+.3f}), *{found.verdict}*"
        )
    return "; ".join(lines)


def _shares(runs: dict[str, Run]) -> Iterator[str]:
    rows = []
    for run, parts in runs.items():
        for task, facts in parts.get("suites", {}).get("facts", {}).items():
            shares = [each["share"] for each in facts["shares"]]
            steps = facts["shares"][0]["steps"]
            rows.append([run, task, str(steps), f"{min(shares):.2f} to {max(shares):.2f}"])
    if rows:
        yield "\n## Share of a trial's wall time in training and evaluation\n"
        yield "Training steps with their data, validation and test, over the trial's whole time in its process.\n"
        yield _table(["run", "task", "steps", "share"], rows)
    stages = [
        [run, f"{task}, {name}", ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in each.items())]
        for run, parts in runs.items()
        for task, facts in parts.get("suites", {}).get("facts", {}).items()
        for name, each in facts.get("stages", {}).items()
    ]
    if stages:
        yield "\n## Stages of a suite\n"
        yield "Seconds of the last round, one stage after the other, by the times at which files were written.\n"
        yield _table(["run", "suite", "seconds"], stages)


def _steps(runs: dict[str, Run]) -> Iterator[str]:
    found = {name: run["steps"] for name, run in runs.items() if "steps" in run}
    if not found:
        return
    yield "\n## One step, one pass\n"
    yield (
        "The same network as a plain script computes it (float32, memory layout as it comes) and as a trial does. "
        "Utilisation is the share of this machine's fastest bfloat16 matrix product that the trial's way reaches, with "
        "three times the forward's operations for a training step.\n"
    )
    rows = []
    for run, content in found.items():
        taken = values(content)
        products = [(int(name.split()[0]), v) for name, v in taken.items() if name.endswith("product, bfloat16")]
        peak = max(2 * side**3 / float(np.median(seconds)) for side, seconds in products)
        for each in content["measurements"]:
            if each.get("by") != "unetzoo":
                continue
            ours = np.array(each["values"])
            plain = taken[each["name"].replace(", unetzoo", ", plain")]
            factor = 3 if each["what"] == "training step" else 1
            used = 2 * each["macs"] * each["shape"][0] * factor / float(np.median(ours)) / peak
            size = "x".join(map(str, each["shape"]))
            times = [f"{1000 * np.median(v):.0f}" for v in (plain, ours)]
            rows.append([run, each["model"], each["what"], size, *times, ratio(plain, ours), f"{used:.2f}"])
    yield _table(["run", "network", "what", "shape", "plain, ms", "unetzoo, ms", "ratio", "utilisation"], rows)


def _sweeps(runs: dict[str, Run], folder: Path) -> Iterator[str]:
    found = {name: run["steps"] for name, run in runs.items() if "steps" in run}
    if not found:
        return
    yield "\n## Time and memory against size\n"
    yield (
        "`unet` of width 16 as a trial computes it. Exponents are slopes of the logarithms over the pixels, from "
        "the three largest sides; 1 means that time or memory grow as the image does. Memory is the predicted peak "
        "of the tensors.\n"
    )
    rows = []
    for run, content in found.items():
        for group in dict.fromkeys(
            e["group"] for e in content["measurements"] if e["group"].startswith("sweep of size")
        ):
            points = [e for e in content["measurements"] if e["group"] == group][-3:]
            pixels = np.log([e["shape"][2] * e["shape"][3] for e in points])
            time = np.polyfit(pixels, np.log([np.median(e["values"]) for e in points]), 1)[0]
            memory = np.polyfit(pixels, np.log([e["predicted_bytes"] for e in points]), 1)[0]
            sides = ", ".join(str(e["shape"][2]) for e in points)
            rows.append([run, group.removeprefix("sweep of size, "), sides, f"{time:.2f}", f"{memory:.2f}"])
    yield _table(["run", "what", "sides in px", "exponent of time", "of memory"], rows)
    *_, (last, content) = found.items()
    _plot(content, folder / "size.png")
    yield f"![Time and memory of unet against the side of the image, {last}](size.png)\n"
    yield "\n### Batch, width, threads\n"
    rows = []
    for run, content in found.items():
        for each in content["measurements"]:
            if each["group"] in ("sweep of batch", "sweep of width", "sweep of threads"):
                n = each["shape"][0]
                seconds = np.array(each["values"])
                p10, p50, p90 = (1000 * np.percentile(seconds / n, q) for q in (10, 50, 90))
                rows.append(
                    [run, each["group"].removeprefix("sweep of "), each["name"], f"{p50:.1f} ({p10:.1f} to {p90:.1f})"]
                )
    yield _table(["run", "sweep", "step", "ms an image, median (10th to 90th percentile)"], rows)


def _plot(content: dict[str, Any], file: Path) -> None:
    with mpl.rc_context(RC):
        figure = canvas(9, 3.4)
        panels = figure.subplots(1, 2)
        for what in ("training step", "forward pass"):
            points = [e for e in content["measurements"] if e["group"] == f"sweep of size, {what}"]
            sides = [e["shape"][2] for e in points]
            panels[0].plot(sides, [np.median(e["values"]) for e in points], "o-", label=what)
            panels[1].plot(sides, [e["predicted_bytes"] / 2**20 for e in points], "o-", label=what)
        for panel, label in zip(panels, ("seconds, one image", "MiB of tensors, one image"), strict=True):
            panel.set(xscale="log", yscale="log", xlabel="side in px", ylabel=label)
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            panel.set_xticks(sides, [str(side) for side in sides])
            panel.minorticks_off()
        panels[0].legend()
        write_atomic(file, save(figure, ["png"])["png"])


def _timm_csv(runs: dict[str, Run]) -> str:
    """Return the CSV of the last run that has steps, with a row for each network and way of computing."""
    content = next((run["steps"] for run in reversed(runs.values()) if "steps" in run), None)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for each in content["measurements"] if content else []:
        if "by" not in each:
            continue
        row = rows.setdefault((each["model"], each["by"]), {"model": each["model"], "device": "cpu"})
        kind = "train" if each["what"] == "training step" else "infer"
        seconds = float(np.median(each["values"]))
        row[f"{kind}_samples_per_sec"] = round(each["shape"][0] / seconds, 2)
        row[f"{kind}_step_time"] = round(1000 * seconds, 3)
        row[f"{kind}_img_size"] = each["shape"][2]
        if kind == "infer":
            row["gmacs"] = round(each["macs"] / 1e9, 3)
        row["params"] = round(each["params"] / 1e6, 3)
        plain = each["by"] == "plain"
        row["precision"], row["layout"] = ("float32", "contiguous") if plain else ("bfloat16", "channels_last")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    return text.getvalue()
