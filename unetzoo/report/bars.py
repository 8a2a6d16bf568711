"""Stacked bars: training memory by purpose, and a trial's time by phase."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from unetzoo.records.fields import label_of
from unetzoo.records.frame import Tables
from unetzoo.records.measured import Breakdown
from unetzoo.records.record import Record
from unetzoo.report.costs import core_share, is_core
from unetzoo.report.style import canvas
from unetzoo.report.words import MIB, number, short, span

PARTS = {
    "parameters": "#0072B2",
    "gradients": "#56B4E9",
    "optimizer": "#009E73",
    "activations": "#E69F00",
    "of these, skips": "#b06a00",
    "other": "#b5b5b5",
}
CORE_COLOURS = ["#004d80", "#0072B2", "#56B4E9", "#8fd0f5"]  # training, validation, test
REST_COLOURS = ["#5f5f5f", "#a08a68", "#b5b5b5", "#8a8a8a", "#d2d2d2", "#c9b79c", "#3d3d3d", "#e6d9c3"]


Part = tuple[str, str, np.ndarray]  # title, colour, one width per bar


def stacked(figure: Figure, names: Sequence[str], parts: list[Part], ends: list[str]) -> Axes:
    """Draw one horizontal stacked bar per name.

    Args:
        figure: An empty figure.
        names: One label per bar, top to bottom.
        parts: Segments, left to right, each with one width per bar.
        ends: One text per bar, written at its end.
    """
    ax = figure.subplots()
    left = np.zeros(len(names))
    shown = []
    for title, colour, widths in parts:
        if widths.any():
            ax.barh(range(len(names)), widths, 0.62, left, color=colour, edgecolor="white", linewidth=0.6)
            shown.append(Patch(color=colour, label=title.lstrip("_")))  # matplotlib hides labels that begin with _
            left = left + widths
    for row, end in enumerate(ends):
        ax.annotate(end, (left[row], row), (7, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set_yticks(range(len(names)), [short(n) for n in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1.22 * max(left.max(), 1e-9))
    ax.grid(axis="y", visible=False)
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 6, "frameon": False}
    ax.legend(handles=shown, fontsize=9, handlelength=1.1, **place)
    return ax


def memory_split(t: Tables, summary: pd.DataFrame) -> Figure | None:
    """Draw the peak training memory of each model by purpose: measured tensors, else the prediction."""
    found: dict[str, tuple[Breakdown, Breakdown | None, bool]] = {}
    for record in t.models:
        if record.status == "ok" and label_of(record) not in found and (split := _split(record)):
            found[label_of(record)] = split
    names = [str(name) for name in summary["model"] if name in found]
    if not names:
        return None
    sizes = [_parts(found[name][0]) for name in names]
    parts = [(title, colour, np.array([s[title] for s in sizes])) for title, colour in PARTS.items()]
    ends = [f"{number(found[n][0].total, 1, MIB)}{'' if found[n][2] else ' (predicted)'}" for n in names]
    figure = canvas(8.6, 1.3 + 0.42 * len(names))
    ax = stacked(figure, names, parts, ends)
    for row, name in enumerate(names):
        predicted = found[name][1]
        if found[name][2] and predicted is not None:
            ax.plot(predicted.total / MIB, row, "D", color="white", markeredgecolor="#111111", markersize=6, zorder=3)
    ax.set_xlabel("tensors at the peak of one training step (MiB)")
    return figure


def _split(record: Record) -> tuple[Breakdown, Breakdown | None, bool] | None:
    """Return the breakdown to draw, the predicted one, and True if the former was measured."""
    if record.cost is None:
        return None
    predicted = record.cost.predicted.train if record.cost.predicted else None
    if record.cost.tensors:
        return record.cost.tensors.train, predicted, True
    return (predicted, predicted, False) if predicted else None


def _parts(memory: Breakdown) -> dict[str, float]:
    skips = memory.skips or 0
    sizes = [memory.parameters, memory.gradients, memory.optimizer, memory.activations - skips, skips, memory.other]
    return {title: size / MIB for title, size in zip(PARTS, sizes, strict=True)}


def phases(t: Tables, summary: pd.DataFrame) -> Figure | None:
    """Draw the wall time of a trial by phase, median over seeds; phases that only prepare or measure are grey."""
    chosen = summary[summary[list(t.phases.values())].sum(axis=1) > 0]
    if chosen.empty:
        return None
    names = [str(name) for name in chosen["model"]]
    seconds = {phase: chosen[column].fillna(0).to_numpy(float) for phase, column in t.phases.items()}
    totals = sum(seconds.values())
    unit, title = (60, "minutes") if np.max(totals) > 600 else (1, "seconds")
    core = sorted((phase for phase in seconds if is_core(phase)), key=lambda phase: not phase.startswith("train"))
    rest = [phase for phase in seconds if not is_core(phase)]
    colours = {phase: CORE_COLOURS[k % len(CORE_COLOURS)] for k, phase in enumerate(core)}
    colours |= {phase: REST_COLOURS[k % len(REST_COLOURS)] for k, phase in enumerate(rest)}
    shares = [core_share(row, t.phases) for row in chosen.to_dict("records")]
    ends = [f"{span(s)} ({100 * (c or 0):.0f} %)" for s, c in zip(totals, shares, strict=True)]
    figure = canvas(8.6, 1.3 + 0.42 * len(names))
    parts = [(short(phase, 18), colours[phase], seconds[phase] / unit) for phase in [*core, *rest]]
    stacked(figure, names, parts, ends).set_xlabel(f"{title}, median over seeds")
    return figure
