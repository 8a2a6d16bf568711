"""Figures from tables, with one colour and marker per variant in every plot; the reference is black."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from unetzoo.records.frame import Tables
from unetzoo.report.alarms import best_baseline
from unetzoo.report.bars import memory_split, phases
from unetzoo.report.forest import difference
from unetzoo.report.image_plots import best_set, difficulty, image_ranks, paired_lines
from unetzoo.report.judgement import Judgement
from unetzoo.report.scaling import size_scaling
from unetzoo.report.style import BASELINE, RC, REFERENCE, SCREEN, Drawn, Look, canvas, looks, save
from unetzoo.report.words import MIB, short

DENSE = 600  # more points than this are drawn fainter, and as pixels inside the SVG
MARKERS = "o^sDvPX"  # of the seeds
MOST = 40  # variants in a plot that has a row, a column or a line for each
CROWDED = 30  # with more points than this, only those with room beside them are named
Baseline = tuple[str, float]  # label and test Dice of the best trivial predictor


def plain_number(value: float, _position: object = None) -> str:
    """Format a tick of an axis: '20,000', never '2e4'."""
    return f"{value:,.6g}"


def pareto_front(cost: Sequence[float], dice: Sequence[float]) -> list[int]:
    """Return the indices, by rising cost, of the points that no other point beats in Dice at the same or lower cost."""
    front: list[int] = []
    for k in sorted(range(len(cost)), key=lambda k: (cost[k], -dice[k])):
        if not front or dice[k] > dice[front[-1]]:
            front.append(k)
    return front


def dice_against(cost: str, title: str, unit: float = 1.0, timed: bool = False) -> Callable[..., Figure | None]:
    """Return a function that plots test Dice against a cost, with the Pareto front unless nothing is ranked.

    Args:
        cost: Column of the summary.
        title: Label of its axis.
        unit: The cost is divided by this.
        timed: Draw variants with a noisy timing as hollow markers.
    """

    def plot(
        summary: pd.DataFrame, look: dict[str, Look], baseline: Baseline | None, ranked: bool = True
    ) -> Figure | None:
        chosen = summary[summary["dice"].notna() & summary[cost].notna()]
        if chosen.empty:
            return None
        names = [str(name) for name in chosen["model"]]
        x, low, high = (chosen[cost + end].to_numpy(float) / unit for end in ("", "_low", "_high"))
        y, dy = (chosen[end].to_numpy(float) for end in ("dice", "dice_sd"))
        figure = canvas(7.4, 4.6)
        ax = figure.subplots()
        if x.min() > 0 and x.max() / x.min() > 10:
            ax.set_xscale("log")
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(plain_number))
        hollow = chosen["noisy"].to_numpy(bool) & timed
        for name, xi, yi, left, right, ye, open_ in zip(names, x, y, x - low, high - x, dy, hollow, strict=True):
            ax.errorbar(
                xi,
                yi,
                xerr=[[left], [right]] if left + right > 0 else None,
                yerr=ye if ye > 0 else None,  # NaN for one seed
                fmt=look[name].marker,
                color=look[name].colour,
                markersize=8,
                markerfacecolor="white" if open_ else look[name].colour,
                markeredgecolor=look[name].colour if open_ else "white",
                markeredgewidth=1.6 if open_ else 1.0,
                elinewidth=1.2,
                capsize=2.5,
                zorder=3,
            )
        ax.margins(0.12, 0.12)
        ax.autoscale_view()
        front = pareto_front(x.tolist(), y.tolist())
        if ranked:
            ends = ax.get_xlim()
            steps = [*x[front], ends[1]], [*y[front], y[front[-1]]]
            ax.step(*steps, where="post", color="#9a9a9a", linewidth=1.2, linestyle="--", zorder=1)
            ax.set_xlim(ends)
        ax.set(xlabel=title, ylabel="test Dice (mean ± SD over seeds)")
        _draw_baseline(ax, baseline, "y")
        if len(names) > CROWDED:
            first = ", those on the dashed line first" if ranked else ""
            ax.set_xlabel(f"{ax.get_xlabel()}\nnamed where there is room{first}")
        bars = np.column_stack([low, high, y - np.nan_to_num(dy), y + np.nan_to_num(dy)])
        _label_points(figure, ax, [short(n) for n in names], x, y, bars, front)
        return figure

    return plot


def _draw_baseline(ax: Axes, baseline: Baseline | None, axis: str) -> None:
    """Draw a thin line at the best baseline's Dice and name it under the axis; only name it if it is off the scale."""
    if baseline is None:
        return
    label, dice = baseline
    low, high = ax.get_ylim() if axis == "y" else ax.get_xlim()
    within = min(low, high) <= dice <= max(low, high)
    if within:
        line = ax.axhline if axis == "y" else ax.axvline
        line(dice, color=BASELINE, linewidth=1.1, linestyle=(0, (1, 1.5)), zorder=1)
    where = "dotted line" if within else "below this scale" if dice < min(low, high) else "above this scale"
    ax.set_xlabel(f"{ax.get_xlabel()}\nbest baseline ({where}): {short(label)}, Dice {dice:.3f}")


def _label_points(
    figure: Figure, ax: Axes, names: list[str], x: np.ndarray, y: np.ndarray, bars: np.ndarray, first: list[int]
) -> None:
    """Write names beside their points, each at the candidate place where it covers the least.

    In a crowd a name that would cover another is left out, and so is one not in ``first`` that would cover anything.

    Args:
        figure: The figure, whose layout is frozen here.
        ax: Its axes.
        names: One per point.
        x: Positions in data units.
        y: Positions in data units.
        bars: Ends of the error bars in data units (points, 4): left, right, low, high.
        first: Indices of the points to name first in a crowd.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # keep the places just computed
    scale = 72 / figure.dpi
    frame = np.asarray(ax.get_window_extent().extents) * scale
    points = ax.transData.transform(np.column_stack([x, y])) * scale  # in points of 1/72 inch
    taken = [(px - 5, py - 5, px + 5, py + 5) for px, py in points]
    starts = ax.transData.transform(bars[:, [0, 2]]) * scale
    stops = ax.transData.transform(bars[:, [1, 3]]) * scale
    for (px, py), (left, low), (right, high) in zip(points, starts, stops, strict=True):
        taken += [(left, py - 2, right, py + 2), (px - 2, low, px + 2, high)]
    crowded, written = len(names) > CROWDED, []
    for k in sorted(range(len(names)), key=lambda k: crowded and k not in first):
        name, (px, py) = names[k], points[k]
        width, height = _width(ax, name) * scale + 4, 11.0
        places = []
        for radius in (9, 18, 30, 44):
            for ox, oy in ((1, 0.6), (1, -0.6), (-1, 0.6), (-1, -0.6), (0, 1), (0, -1)):
                left = px + ox * radius - (0.5 - ox / 2) * width
                low = py + oy * radius - height / 2
                places.append((left, low, left + width, low + height))
        costs = _overlaps(places, taken).sum(1) + 5 * np.array([_outside(p, frame) for p in places])
        best = int(np.argmin(costs + 1e-3 * np.arange(len(costs))))
        if crowded and (_overlaps([places[best]], written).any() or (k not in first and costs[best] > 0)):
            continue
        written.append(places[best])
        left, low = places[best][:2]
        taken.append(places[best])
        ax.annotate(
            name,
            (x[k], y[k]),
            (left - px, low + height / 2 - py),
            textcoords="offset points",
            fontsize=9,
            va="center",
            arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "lw": 0.7} if best >= 6 else None,
            zorder=4,
        )


def _width(ax: Axes, name: str) -> float:
    """Return the width of a name in pixels."""
    text = ax.text(0, 0, name, fontsize=9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the font may lack a letter
        width = text.get_window_extent().width
    text.remove()
    return width


def _overlaps(some: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> np.ndarray:
    """Return the area that each of some boxes (left, low, right, high) shares with each of others, (some, others)."""
    a, b = np.reshape(some, (-1, 1, 4)), np.reshape(others, (1, -1, 4))
    shared = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.maximum(shared, 0.0).prod(-1)


def _outside(a: Sequence[float], frame: np.ndarray) -> float:
    return (a[2] - a[0]) * (a[3] - a[1]) - float(_overlaps([a], [frame])[0, 0])


def dice_distribution(
    images: pd.DataFrame, order: Sequence[str], look: dict[str, Look], baseline: Baseline | None
) -> Figure | None:
    """Draw box and points of per-image Dice, one row per variant in this order, one marker per seed.

    Returns:
        The figure; None without scores.
    """
    images = images.dropna(subset=["dice"])
    if images.empty:
        return None
    by_model = dict(iter(images.groupby("model", sort=False)))
    order = [name for name in order if name in by_model]
    seeds = sorted(set(images["seed"]))
    dense = len(images) > DENSE
    figure = canvas(7.4, 1.3 + 0.52 * len(order))
    ax = figure.subplots()
    for row, name in enumerate(order):
        colour, dice = look[name].colour, by_model[name]["dice"].to_numpy(float)
        turns = np.searchsorted(seeds, by_model[name]["seed"].to_numpy(int))
        low, q1, middle, q3, high = np.quantile(dice, [0, 0.25, 0.5, 0.75, 1])
        ax.plot([low, high], [row, row], color=colour, linewidth=1.2, zorder=1)
        ax.barh(row, q3 - q1, left=q1, height=0.7, color=colour, alpha=0.22, edgecolor=colour)
        ax.plot([middle, middle], [row - 0.35, row + 0.35], color=colour, linewidth=2)
        for k, marker in enumerate(MARKERS[: len(seeds)]):
            drawn = turns % len(MARKERS) == k
            ax.scatter(
                dice[drawn],
                row + 0.5 * ((turns[drawn] + 0.5) / len(seeds) - 0.5),
                s=14,
                marker=marker,
                color=colour,
                alpha=0.25 if dense else 0.7,
                linewidths=0,
                zorder=3,
                rasterized=dense,
            )
    ax.set_yticks(range(len(order)), [short(n) for n in order])
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.set(ylabel="", xlabel="Dice of one test image (mean over foreground classes)")
    ax.grid(axis="y", visible=False)
    _draw_baseline(ax, baseline, "x")
    _legend_seeds(ax, seeds)
    return figure


def _legend_seeds(ax: Axes, seeds: list[int]) -> None:
    if len(seeds) > len(MARKERS):
        return
    handles = [
        Line2D([], [], linestyle="", marker=MARKERS[k], color="#555555", markersize=4.5, label=f"seed {seed}")
        for k, seed in enumerate(seeds)
    ]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=7, frameon=False, handletextpad=0.1)


def learning_curves(curves: pd.DataFrame, look: dict[str, Look]) -> Figure | None:
    """Draw training loss and validation Dice against the step: mean over seeds, band from lowest to highest."""
    panels = [
        (c, t) for c, t in (("loss", "training loss"), ("val_dice", "validation Dice")) if curves[c].notna().any()
    ]
    if not panels:
        return None
    names = sorted(set(curves["model"]), key=lambda n: (look[n].colour != REFERENCE, n))
    figure = canvas(4.6 * len(panels) + 0.2, 3.9 + 0.2 * np.ceil(len(names) / 4))
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    for ax, (column, title) in zip(axes, panels, strict=True):
        known = curves[curves[column].notna()]
        by_model = dict(iter(known.groupby("model", sort=False)))
        for name in names:
            steps = by_model.get(name, known[:0]).groupby("step")[column].agg(["mean", "min", "max"])
            at, colour = steps.index.to_numpy(float), look[name].colour
            marker = look[name].marker if len(at) < 2 else ""
            ax.plot(at, steps["mean"], color=colour, linestyle=look[name].line, marker=marker, linewidth=1.6)
            ax.fill_between(at, steps["min"], steps["max"], color=colour, alpha=0.13, linewidth=0)
        ax.set(title=title, xlabel="optimizer step")
    shown = [Line2D([], [], color=look[n].colour, linestyle=look[n].line, linewidth=2, label=short(n)) for n in names]
    figure.legend(handles=shown, loc="outside lower center", ncols=min(4, len(names)), frameon=False)
    return figure


PARETO = {
    "dice_vs_latency": dice_against("latency_p50_ms", "latency, median (ms)", timed=True),
    "dice_vs_params": dice_against("params", "parameters (millions)", 1e6),
    "dice_vs_memory": dice_against("peak_train_bytes", "peak memory of training (MiB)", MIB),
}
ALL = {*PARETO, "size_scaling"}  # plots of points, which show all variants
NAMES = [
    *PARETO,
    "size_scaling",
    "dice_distribution",
    "learning_curves",
    "difference",
    "best_set",
    "paired_images",
    "image_ranks",
    "difficulty",
    "memory_split",
    "phases",
    "predictions",
]


def makers(t: Tables, summary: pd.DataFrame, j: Judgement) -> dict[str, Callable[[], Figure | None]]:
    """Return a function for each plot but the predictions; it returns None if the data lack what it shows.

    Args:
        t: Tables of the report.
        summary: One row per variant, in the order of the page.
        j: The verdicts.
    """
    baseline = best_baseline(t)
    look = looks([str(name) for name in summary["model"]], j.reference)
    first = summary.head(MOST)
    order = [str(name) for name in first["model"]]
    curves = t.curves[t.curves["model"].isin(order)]
    return {
        **{name: partial(plot, summary, look, baseline, j.ranked) for name, plot in PARETO.items()},
        "dice_distribution": lambda: dice_distribution(t.images, order, look, baseline),
        "learning_curves": lambda: learning_curves(curves, look),
        "difference": lambda: difference(j, order),
        "memory_split": lambda: memory_split(t, first),
        "phases": lambda: phases(t, first),
        "paired_images": lambda: paired_lines(t.images, order, look),
        "image_ranks": lambda: image_ranks(t.images, order),
        "size_scaling": lambda: size_scaling(t.models, summary),
        "difficulty": lambda: difficulty(t.images, order, look),
        "best_set": lambda: best_set(summary, j, MOST),
    }


def draw(
    t: Tables, summary: pd.DataFrame, j: Judgement, names: Sequence[str] = NAMES, formats: Iterable[str] = SCREEN
) -> dict[str, Drawn]:
    """Draw the plots that have data, except the predictions.

    Args:
        t: Tables of the report.
        summary: One row per variant, in the order of the page.
        j: The verdicts.
        names: Names of the plots to draw.
        formats: Formats to draw.

    Returns:
        Name of each plot -> the plot by format.
    """
    with mpl.rc_context(RC):
        figures = {name: make() for name, make in makers(t, summary, j).items() if name in names}
        return {name: save(figure, formats) for name, figure in figures.items() if figure is not None}
