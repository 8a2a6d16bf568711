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


MANY = 8  # more models than this stand below each other where data sets are fewer


def heat_map(rows: Sequence[Row], models: Sequence[str], formats: Iterable[str] = SCREEN) -> Drawn | None:
    """Draw test Dice of every model on every data set; darker means nearer to the data set's best.

    Data sets are rows and models are columns, the other way round for many models. Last is the best trivial predictor.

    Args:
        rows: One per data set.
        models: Labels, in the order in which they stand.
        formats: Formats to draw.

    Returns:
        The plot by format, or None if no data set has a score.
    """
    shown = [row for row in rows if row.best is not None]
    if not shown:
        return None
    dice = np.array([[row.cell(m).dice for m in models] for row in shown], float)  # None becomes NaN
    below = np.minimum(np.nanmax(dice, axis=1, keepdims=True) - dice, FULL_SHADE)
    turned = len(models) > max(MANY, len(shown))
    names, labels = [*(short(m, 20) for m in models), "best trivial"], [short(row.label) for row in shown]
    across, down = (labels, names) if turned else (names, labels)
    with mpl.rc_context(RC):
        figure = canvas(2.6 + 1.15 * len(across), 1.7 + 0.42 * len(down))
        ax = figure.subplots()
        colours = mpl.colormaps["Blues_r"]
        shades = below.T if turned else below
        image = ax.pcolormesh(shades, cmap=colours, norm=SHADES, edgecolors="white", linewidth=1.5)
        for r, row in enumerate(shown):
            for c, model in enumerate(models):
                red, green, blue, _ = colours(SHADES(below[r, c]))
                dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
                _write(ax, (r, c) if turned else (c, r), row.cell(model), "white" if dark else "#111111")
            if row.baseline:
                x, y = (r, len(models)) if turned else (len(models), r)
                ax.text(x + 0.5, y + 0.5, f"{row.baseline[1]:.3f}", color=SOFT, ha="center", va="center")
        (ax.axhline if turned else ax.axvline)(len(models), color="#9a9a9a", linewidth=1, linestyle=":")
        slanted = {"rotation": 25, "ha": "left"} if max(map(len, across)) > 12 else {}
        ax.set_xticks(np.arange(len(across)) + 0.5, across, **slanted)
        ax.set_yticks(np.arange(len(down)) + 0.5, down)
        ax.set(xlim=(0, len(across)), ylim=(len(down), 0))
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=ax, orientation="horizontal", aspect=40, pad=0.02, fraction=0.05)
        bar.ax.set_xlim(0, FULL_SHADE)
        bar.set_ticks([0, FULL_SHADE / 2, FULL_SHADE], labels=["0", f"{FULL_SHADE / 2:g}", f"{FULL_SHADE:g} or more"])
        bar.set_label("test Dice below the best of the data set")
        bar.outline.set_visible(False)  # type: ignore[operator]
        return save(figure, formats)


def _write(ax: Axes, at: tuple[int, int], cell: Cell, ink: str) -> None:
    text = f"{MARKS[cell.mark]} {cell.dice:.3f}" if cell.mark else "failed" if cell.failed else "no trial"
    weight = "bold" if cell.mark == "best" else "normal"
    colour = ink if cell.mark else SOFT
    ax.text(at[0] + 0.5, at[1] + 0.5, text.strip(), color=colour, fontweight=weight, ha="center", va="center")
