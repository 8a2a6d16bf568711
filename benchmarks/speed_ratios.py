"""The ratios that reports/speed and the project's README quote: what, against what, in which run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

PLAIN = ("plain script, loading in the process", "plain script, two loading processes")
OURS = ("unetzoo bench --jobs 1", "unetzoo bench")
STEP, PASS = "unet, training step, 4x1x256x256", "unet, forward pass, 1x1x512x512"
Run = dict[str, dict[str, Any]]  # part -> content of its file


def quoted(runs: dict[str, Run]) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Return how many times as fast as something else unetzoo was, in each round of each run.

    Args:
        runs: Runs of reports/speed, in their order.

    Returns:
        What and against what, in words -> run -> a ratio for each round.
    """
    found: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for ratios in (suites, steps, predictions):
        for name, run in runs.items():
            for what, against, values in ratios(run):
                found.setdefault((what, against), {})[name] = values
    return found


def suites(run: Run) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield the seconds of the plain script over those of `unetzoo bench`, for each task of a run's suites."""
    for task in run.get("suites", {}).get("facts", {}):
        taken = values(run["suites"])
        plain = np.minimum(*(taken[f"{task}: {name}"] for name in PLAIN))
        what = f"`unetzoo bench`, {task}, {run['suites']['steps']} steps each, with everything it measures"
        yield what, "a plain float32 script", plain / taken[f"{task}: {OURS[1]}"]


def steps(run: Run) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield the ratios of a training step and a forward pass of `unet`."""
    if "steps" not in run:
        return
    taken = values(run["steps"])
    for name, what in ((STEP, "training step"), (PASS, "forward pass")):
        shape = name.rpartition(", ")[2]
        yield f"{what} of `unet`, width 16, {shape}", "float32", taken[f"{name}, plain"] / taken[f"{name}, unetzoo"]


def predictions(run: Run) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield the seconds of other ways to predict over those of `unetzoo predict`."""
    for part in ("inference", "large"):
        rows = run.get(part, {}).get("measurements", [])
        taken = {(row["size"], row["candidate"]): np.array(row["values"]) for row in rows}
        for (size, candidate), theirs in taken.items():
            if candidate.startswith("unetzoo"):
                continue
            ours = next(v for (side, name), v in taken.items() if side == size and name.startswith("unetzoo auto"))
            rounds = min(len(theirs), len(ours))
            yield f"`unetzoo predict`, `unet`, width 32, {size}x{size}", candidate, theirs[:rounds] / ours[:rounds]


def values(part: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the raw timings of a part by name."""
    return {each["name"]: np.array(each["values"]) for each in part["measurements"]}


def spread(ratios: np.ndarray) -> str:
    """Return the range of some rounds in words."""
    return f"{ratios.min():.2f} to {ratios.max():.2f}" if len(ratios) > 1 else "one round"


def ratio(over: np.ndarray, under: np.ndarray) -> str:
    """Return the median of the rounds' ratios and their range."""
    rounds = min(len(over), len(under))
    ratios = over[:rounds] / under[:rounds]
    return f"**{np.median(ratios):.2f}** ({spread(ratios)})"
