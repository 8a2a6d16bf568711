"""The one plot of a collection: test Dice of every model on every data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from unetzoo.report.matrix import MARKS, Cell, Row
from unetzoo.report.style import RC, SCREEN, Drawn, canvas, save
from unetzoo.report.words import short

FULL_SHADE = 0.1  # a cell is lightest from this difference in Dice below the row's best
SHADES = Normalize(-0.03, 1.25 * FULL_SHADE)  # keeps the ends from becoming black or white
SOFT = "#6b6b6b"


def heat_map(rows: Sequence[Row], models: Sequence[str], formats: Iterable[str] = SCREEN) -> Drawn | None:
    """Draw test Dice of every model on every data set; darker means nearer to the row's best.

    The right-hand column is the best trivial predictor.

    Args:
        rows: One per data set.
        models: Labels, in the order of the columns.
        formats: Formats to draw.

    Returns:
        The plot by format, or None if no data set has a score.
    """
    shown = [row for row in rows if row.best is not None]
    if not shown:
        return None
    dice = np.array([[row.cell(m).dice for m in models] for row in shown], float)  # None becomes NaN
    below = np.minimum(np.nanmax(dice, axis=1, keepdims=True) - dice, FULL_SHADE)
    with mpl.rc_context(RC):
        figure = canvas(2.6 + 1.15 * (len(models) + 1), 1.7 + 0.42 * len(shown))
        ax = figure.subplots()
        colours = mpl.colormaps["Blues_r"]
        image = ax.pcolormesh(below, cmap=colours, norm=SHADES, edgecolors="white", linewidth=1.5)
        for r, row in enumerate(shown):
            for c, model in enumerate(models):
                red, green, blue, _ = colours(SHADES(below[r, c]))
                dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
                _write(ax, r, c, row.cell(model), "white" if dark else "#111111")
            if row.baseline:
                ax.text(len(models) + 0.5, r + 0.5, f"{row.baseline[1]:.3f}", color=SOFT, ha="center", va="center")
        ax.axvline(len(models), color="#9a9a9a", linewidth=1, linestyle=":")
        names = [*(short(m, 20) for m in models), "best trivial"]
        turned = {"rotation": 25, "ha": "left"} if max(map(len, names)) > 12 else {}
        ax.set_xticks(np.arange(len(names)) + 0.5, names, **turned)
        ax.set_yticks(np.arange(len(shown)) + 0.5, [short(row.label) for row in shown])
        ax.set(xlim=(0, len(names)), ylim=(len(shown), 0))
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=ax, orientation="horizontal", aspect=40, pad=0.02, fraction=0.05)
        bar.ax.set_xlim(0, FULL_SHADE)
        bar.set_ticks([0, FULL_SHADE / 2, FULL_SHADE], labels=["0", f"{FULL_SHADE / 2:g}", f"{FULL_SHADE:g} or more"])
        bar.set_label("test Dice below the row's best")
        bar.outline.set_visible(False)  # type: ignore[operator]
        return save(figure, formats)


def _write(ax: Axes, row: int, column: int, cell: Cell, ink: str) -> None:
    text = f"{MARKS[cell.mark]} {cell.dice:.3f}" if cell.mark else "failed" if cell.failed else "no trial"
    weight = "bold" if cell.mark == "best" else "normal"
    colour = ink if cell.mark else SOFT
    ax.text(column + 0.5, row + 0.5, text.strip(), color=colour, fontweight=weight, ha="center", va="center")
