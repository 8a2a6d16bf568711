"""The looks of every figure: fonts, colours, the canvas, and bytes that do not depend on the day."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

RC: Any = {
    **sns.axes_style("whitegrid"),
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same letters on every machine
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.edgecolor": "#888888",
    "grid.color": "#e6e6e6",
    "text.parse_math": False,  # a '$' in a name is a dollar
    "svg.hashsalt": "unetzoo",
    "svg.fonttype": "path",
    "figure.dpi": 100,
}
REFERENCE = "#111111"
BASELINE = "#8c6d31"


class Look(NamedTuple):
    colour: str
    marker: str
    line: str


def looks(labels: Sequence[str], reference: str | None) -> dict[str, Look]:
    """Label -> colour, marker, line. Eight colour-blind-safe colours, then the next marker and line."""
    colours = [to_hex(c) for k, c in enumerate(sns.color_palette("colorblind", 10)) if k not in (7, 8)]
    others = [label for label in sorted(labels) if label != reference]
    found = {
        label: Look(colours[k % 8], "osD^vPX*"[(k + k // 8) % 8], ("-", "--", ":", "-.")[k // 8 % 4])
        for k, label in enumerate(others)
    }
    return found | ({reference: Look(REFERENCE, "o", "-")} if reference is not None else {})


def save(figure: Figure, dpi: int = 130) -> tuple[bytes, bytes]:
    """The figure as (PNG, SVG) bytes; no date, no random ids."""
    png, svg = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")  # a box instead of the letter
        figure.savefig(png, format="png", dpi=dpi)
        figure.savefig(svg, format="svg", dpi=dpi, metadata={"Date": None})
    return png.getvalue(), svg.getvalue()


def canvas(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
