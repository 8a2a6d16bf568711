"""Learning curves of a collection: test Dice against the number of training images.

Rows of a collection form one curve if they differ in ``n_train`` alone: same data set, budget and test images. The
bands are 95 % intervals of the mean, resampled over test images and seeds as in `unetzoo.report.statistics`.
"""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from unetzoo.records.fields import dig
from unetzoo.report.matrix import Row
from unetzoo.report.statistics import ALPHA, MIN_IMAGES, resample, score_grids, widening
from unetzoo.report.style import RC, Look, canvas, looks, save
from unetzoo.report.words import listed, short


@dataclass(frozen=True)
class Curve:
    """Rows of one data set by their number of training images, fewest first."""

    name: str
    rows: dict[int, Row]


def learning_curves(rows: Sequence[Row]) -> list[Curve]:
    """Return the curves with at least two points, in the order of the rows; rows without a score are skipped."""
    found: dict[str, dict[int, Row]] = {}
    for row in rows:
        if row.best is None:
            continue
        record = row.models[0]
        data = dict(dig(record.trial, "data") or {})
        n = dig(record.data, "splits", "train", "n")
        if not isinstance(n, int):
            continue
        options = {k: v for k, v in (data.get("options") or {}).items() if k != "n_train"}
        same = {k: v for k, v in data.items() if k not in ("n_train", "digest", "options")}
        budget, test = dig(record.trial, "train"), dig(record.data, "splits", "test", "digest")
        key = json.dumps([same, options, budget, test], sort_keys=True)
        found.setdefault(key, {}).setdefault(n, row)
    return [
        Curve(str(json.loads(key)[0].get("name", "data")), dict(sorted(points.items())))
        for key, points in found.items()
        if len(points) > 1
    ]


def band(grid: pd.DataFrame) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean Dice of a (seeds, images) grid; None for one seed or too few images."""
    values = grid.to_numpy(float)
    if values.shape[0] < 2 or np.isfinite(values).any(0).sum() < MIN_IMAGES:
        return None
    drawn = resample([values])[:, 0]
    mean = float(np.nanmean(np.nanmean(values, axis=1)))
    wide = mean + widening(values) * (drawn - mean)
    low, high = np.nanpercentile(wide, [100 * ALPHA / 2, 100 - 100 * ALPHA / 2])
    return max(0.0, float(low)), min(1.0, float(high))


def sentences(curve: Curve, models: Sequence[str]) -> list[str]:
    """Say which model is highest at each number of images, the verdicts on the others, and who needs fewer images."""
    sentences = []
    best = {n: row.best for n, row in curve.rows.items()}
    for model in dict.fromkeys(best.values()):
        at = [str(n) for n in best if best[n] == model]
        sentences.append(f"{model} has the highest mean Dice with {listed(at, len(at))} training image{_s(at)}")
    lines = [f"{curve.name}: {'; '.join(sentences)}."]
    for model in models:
        marks = {n: row.cell(model).mark for n, row in curve.rows.items()}
        parts = [
            f"{text} with {listed(at, len(at))}"
            for mark, text in (
                ("worse", "shown to score lower than the highest"),
                ("indistinguishable", "indistinguishable from it"),
                ("not enough data", "not judged"),
            )
            if (at := [str(n) for n, found in marks.items() if found == mark])
        ]
        if parts:
            lines.append(f"{model}: {'; '.join(parts)}.")
    return [*lines, *_as_far(curve, models)]


def _as_far(curve: Curve, models: Sequence[str]) -> list[str]:
    """Say with how few images one model reaches the mean Dice that another has with the most."""
    most = max(curve.rows)
    sentences = []
    for slow in models:
        goal = curve.rows[most].cell(slow).dice
        if goal is None:
            continue
        for fast in models:
            scores = {n: row.cell(fast).dice for n, row in curve.rows.items()}
            n = next((n for n, dice in scores.items() if dice is not None and dice >= goal), most)
            if fast != slow and n < most:
                sentences.append(
                    f"With {n} image{'s' * (n > 1)} {fast} reaches the mean Dice that {slow} has with {most}."
                )
    return sentences


def _s(at: Sequence[str]) -> str:
    return "" if list(at) == ["1"] else "s"


def plot(curves: Sequence[Curve], models: Sequence[str]) -> tuple[bytes, bytes]:
    """Draw a panel for each curve and a line with a band for each model; return (PNG, SVG)."""
    look = looks(models, "unet" if "unet" in models else None)
    with mpl.rc_context(RC):
        figure = canvas(0.8 + 4.6 * len(curves), 4.4)
        axes = figure.subplots(1, len(curves), squeeze=False)[0]
        for ax, curve in zip(axes, curves, strict=True):
            for model in models:
                _line(ax, curve, model, look[model])
            numbers = list(curve.rows)
            ax.set_xscale("log", base=2)
            ax.set_xticks(numbers, [str(n) for n in numbers])
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set(title=short(curve.name), xlabel="training images", ylabel="test Dice")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, max(1, len(labels))), frameon=False)
        return save(figure)


def _line(ax: Axes, curve: Curve, model: str, look: Look) -> None:
    points = {n: row.cell(model).dice for n, row in curve.rows.items()}
    points = {n: dice for n, dice in points.items() if dice is not None}
    bands = {
        n: found
        for n in points
        if (row := curve.rows[n]).tables is not None
        and (grid := score_grids(row.tables.images).get(model)) is not None
        and (found := band(grid)) is not None
    }
    ax.plot(
        list(points),
        list(points.values()),
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        markersize=7,
        markeredgecolor="white",
        label=short(model, 40),
    )
    if bands:
        low, high = zip(*bands.values(), strict=True)
        ax.fill_between(list(bands), low, high, color=look.colour, alpha=0.15, linewidth=0)
