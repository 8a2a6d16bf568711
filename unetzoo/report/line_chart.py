"""Line charts as SVG inside a page: no picture, no script, and the colours of the page, light or dark."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from unetzoo._util.language import _

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 48, 410, 10, 190  # of the area of the lines
COLOURS = 8  # of the style sheet's classes l0 to l7

Points = Sequence[tuple[float, float]]


def line_chart(lines: Sequence[tuple[str, Points]], horizontal: str, vertical: str) -> Markup:
    """Return a chart; empty if no line has a point.

    Args:
        lines: (name, points) of each.
        horizontal: Title of the horizontal axis.
        vertical: Title of the vertical axis.
    """
    every = [point for _, points in lines for point in points]
    if not every:
        return Markup("")
    (x0, x1), (y0, y1) = (_range([p[axis] for p in every]) for axis in (0, 1))

    def place(x: float, y: float) -> str:
        return (
            f"{LEFT + (x - x0) / (x1 - x0) * (RIGHT - LEFT):.1f},{BOTTOM - (y - y0) / (y1 - y0) * (BOTTOM - TOP):.1f}"
        )

    parts = []
    for y in ticks(y0, y1):
        at = place(x0, y).partition(",")[2]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{float(at) + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in ticks(x0, x1):
        at = place(x, y0).partition(",")[0]
        parts.append(f'<text x="{at}" y="{BOTTOM + 15}" text-anchor="middle">{x:g}</text>')
    for k, (name, points) in enumerate(lines):
        shape = " ".join(place(x, y) for x, y in points)
        kind = f'class="line l{k % COLOURS}"'
        parts.append(f'<polyline {kind} points="{shape}"><title>{escape(name)}</title></polyline>')
        if len(points) == 1:
            x, y = shape.split(",")
            parts.append(f'<circle {kind} cx="{x}" cy="{y}" r="2.5"/>')
    parts.append(
        f'<text x="{(LEFT + RIGHT) / 2:g}" y="{HEIGHT - 6}" text-anchor="middle">{escape(horizontal)}</text>'
        f'<text transform="translate(11 {(TOP + BOTTOM) / 2:g}) rotate(-90)" text-anchor="middle">'
        f"{escape(vertical)}</text>"
    )
    label = escape(_("{vertical} against {horizontal}", vertical=vertical, horizontal=horizontal))
    return Markup(  # noqa: S704 (names are escaped above)
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers between two."""
    rough = (high - low) / 5
    place = 10.0 ** math.floor(math.log10(rough))
    step = next((n * place for n in (1, 2, 5) if n * place >= rough), 10 * place)
    return [float(f"{k * step:.12g}") for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    air = 0.05 * (high - low) or 0.05 * abs(low) or 1.0
    return low - air, high + air
