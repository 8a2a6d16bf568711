"""Style of every figure: fonts, colours and canvas, saved as bytes that do not depend on the date."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

RC: Any = {
    **sns.axes_style("whitegrid"),
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same glyphs on every machine
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titley": 1.0,  # where it goes anyway; looking for room above ticks takes seconds of a report
    "axes.edgecolor": "#888888",
    "grid.color": "#e6e6e6",
    "text.parse_math": False,  # a '$' in a name is a dollar
    "svg.hashsalt": "unetzoo",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # letters stay text, which journals ask for
    "figure.dpi": 100,
}
REFERENCE = "#111111"
UNDATED: dict[str, Any] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
FORMATS = tuple(UNDATED)
SCREEN = ("png", "svg")  # of the files of plots, unless others are asked for
Drawn = dict[str, bytes]  # a plot by format
BASELINE = "#8c6d31"


class Look(NamedTuple):
    """Colour, marker and line style of a variant, in matplotlib's terms."""

    colour: str
    marker: str
    line: str


def looks(labels: Sequence[str], reference: str | None) -> dict[str, Look]:
    """Give each label its look: eight colour-blind-safe colours, which repeat with other markers and lines.

    Args:
        labels: All variants.
        reference: The one to draw in black.
    """
    colours = [to_hex(c) for k, c in enumerate(sns.color_palette("colorblind", 10)) if k not in (7, 8)]
    others = [label for label in sorted(labels) if label != reference]
    found = {
        label: Look(colours[k % 8], "osD^vPX*"[(k + k // 8) % 8], ("-", "--", ":", "-.")[k // 8 % 4])
        for k, label in enumerate(others)
    }
    return found | ({reference: Look(REFERENCE, "o", "-")} if reference is not None else {})


def save(figure: Figure, formats: Iterable[str] = SCREEN, dpi: int = 130) -> Drawn:
    """Return the figure as bytes by format, without a date or random ids.

    Args:
        figure: The figure.
        formats: Formats, from `FORMATS`.
        dpi: Pixels per inch.
    """
    made = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")  # a missing letter is drawn as a box
        for name in formats:
            file = io.BytesIO()
            figure.savefig(file, format=name, dpi=dpi, metadata=UNDATED[name])
            made[name] = file.getvalue()
            figure.set_layout_engine("none")  # the first format's layout, which takes as long as drawing, serves all
    return made


def canvas(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, independent of pyplot's state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
