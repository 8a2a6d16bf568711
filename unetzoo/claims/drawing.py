"""Pictures of claims: lines or bars of a measurement's table, or the differences of a suite's comparisons."""

# matplotlib's stubs lack the style dictionary that `rc_context` takes.
# pyright: reportArgumentType=false

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, NullFormatter

from unetzoo.claims.measured import Measured, Plot, Table
from unetzoo.claims.verdict import PartVerdict
from unetzoo.report.style import RC, canvas, looks, save
from unetzoo.report.words import short

BAND = "#cfe8d8"
COLOURS = {"holds": "#0a7d4b", "does not hold": "#b03a2e", "undecided": "#666666"}


def draw_measured(found: Measured) -> bytes | None:
    """Draw the picture of a measurement as PNG; None if it has none."""
    plot = found.plot
    if plot is None:
        return None
    table = found.tables[plot.table]
    with mpl.rc_context(RC):
        count = len(table.rows) if plot.kind == "bars" else 14
        figure = canvas(7.5, max(2.2, 0.6 + 0.24 * count) if plot.kind == "bars" else 3.8)
        ax = figure.subplots()
        (_bars if plot.kind == "bars" else _lines)(ax, table, plot)
        return save(figure, ["png"])["png"]


def _lines(ax: Axes, table: Table, plot: Plot) -> None:
    x, y = table.columns.index(plot.x), table.columns.index(plot.y)
    by = table.columns.index(plot.series) if plot.series else None
    names = list(dict.fromkeys("" if by is None else str(row[by]) for row in table.rows))
    look = looks(names, None)
    for name in names:
        rows = [row for row in table.rows if by is None or str(row[by]) == name]
        points = [(float(row[x] or 0), float(row[y] or 0)) for row in rows if row[y] is not None]
        style = look[name]
        ax.plot(
            *zip(*points, strict=True), style.line, marker=style.marker, ms=4, color=style.colour, label=short(name)
        )
    if plot.log:
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        _plain(ax.xaxis)
        low, high = ax.get_ylim()
        _plain(ax.yaxis, minor=high < 10 * low)
    ax.set_xlabel(plot.x)
    ax.set_ylabel(plot.y)
    if by is not None:
        ax.legend(fontsize=8, frameon=False)


def _bars(ax: Axes, table: Table, plot: Plot) -> None:
    x, y = table.columns.index(plot.x), table.columns.index(plot.y)
    names = [short(str(row[x])) for row in table.rows][::-1]
    values = [float(row[y] or 0) for row in table.rows][::-1]
    places = range(len(names))
    ax.barh(places, values, color=looks(["-"], None)["-"].colour, height=0.7)
    ax.set_yticks(places, names, fontsize=8)
    if plot.log:
        ax.set_xscale("log")
        least = min((v for v in values if v > 1e-9), default=1e-3)
        ax.set_xlim(least / 3, max(values) * 2)
        _plain(ax.xaxis)
    if plot.line is not None:
        ax.axvline(plot.line, color="#111111", lw=1, ls="--")
    ax.set_xlabel(plot.y)
    ax.grid(axis="y", visible=False)


def _plain(axis: Axis, minor: bool = False) -> None:
    """Label a logarithmic axis with plain numbers; minor ticks only if there is hardly a major one."""
    axis.set_major_formatter(FuncFormatter(_number))
    axis.set_minor_formatter(FuncFormatter(_number) if minor else NullFormatter())


def _number(value: float, _position: object = None) -> str:
    return f"{value:g}"


def draw_differences(verdicts: Sequence[PartVerdict]) -> bytes | None:
    """Draw the differences of comparisons with their intervals and margins as PNG; None if there are none."""
    shown = [v for v in verdicts if v.numbers is not None][::-1]
    if not shown:
        return None
    with mpl.rc_context(RC):
        figure = canvas(7.5, 0.9 + 0.35 * len(shown))
        ax = figure.subplots()
        for place, verdict in enumerate(shown):
            (value, low, high), margin = verdict.numbers or (0.0, 0.0, 0.0), verdict.part.margin
            ax.plot([-margin, margin], [place, place], color=BAND, lw=12, solid_capstyle="butt")
            ax.errorbar(
                value, place, xerr=[[value - low], [high - value]], fmt="o", capsize=3, color=COLOURS[verdict.word]
            )
        names = [f"{v.part.data + ': ' if v.part.data else ''}{v.part.name}" for v in shown]
        ax.set_yticks(range(len(shown)), [short(name, 56) for name in names], fontsize=8)
        ax.set_ylim(-0.7, len(shown) - 0.3)
        ax.axvline(0, color="#888888", lw=1)
        ax.set_xlabel("difference (band: the margin)")
        ax.grid(axis="y", visible=False)
        return save(figure, ["png"])["png"]
