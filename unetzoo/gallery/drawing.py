"""A network's topology as a small drawing: time from left to right, resolution from top to bottom.

A box is a part as it ran, larger with more channels, in the colour of its top-level module; a line is data passed from
one part to another. A pale column behind a box spans the levels that the part uses internally.
"""

from __future__ import annotations

from math import log2

from markupsafe import escape

from unetzoo.gallery.measured import Box, Topology
from unetzoo.report.words import short

WIDTH, HEIGHT = 220, 84  # px
MARGIN, PAD = 6.0, 8.0
COLOURS = ("#1f85c7", "#de8f05", "#029e73", "#cc78bc", "#d55e00", "#56b4e9", "#ca9161", "#949494")  # colour-blind-safe
GREY = "#8a929c"  # visible on white and on black
ROW = 20.0  # px per level if there is room
APART = 0.6  # least distance in levels between boxes of one column
MANY = 60  # number of lines from which they are drawn thinner
WIDEST = 10.0  # log2 of the number of channels from which boxes stop growing


def draw_topology(topology: Topology) -> str:
    """Return an SVG of `WIDTH` x `HEIGHT` px, without a style sheet: it looks the same in a page and as a file."""
    levels = _levels(topology.boxes)
    columns = _columns(topology, levels)
    bows = {edge: _bow(edge, columns, levels) for edge in topology.edges}
    highest, deepest = min(levels), max(*levels, *(level for box in topology.boxes for level in box.inside))
    top = PAD + max((bow for (a, _), bow in bows.items() if levels[a] - highest < APART), default=0)
    row = min(ROW, (HEIGHT - PAD - top) / max(1.0, deepest - highest))
    top = max(top, (HEIGHT - row * (deepest - highest)) / 2)
    step = (WIDTH - 2 * MARGIN) / max(columns)
    x = [MARGIN + step * column for column in columns]
    y = [top + row * (level - highest) for level in levels]
    lines = "".join(_line(x[a], y[a], x[b], y[b], bow) for (a, b), bow in bows.items())
    drawn = [f'<path d="{lines}" fill="none" stroke="{GREY}" stroke-width="{0.8 if len(bows) < MANY else 0.5}"/>']
    largest = max(3.0, min(13.0, 0.8 * row))
    colours = _colours(topology.boxes)
    for i, box in enumerate(topology.boxes):
        size = largest * (0.34 + 0.66 * min(1.0, log2(max(1, box.channels)) / WIDEST))
        width = min(0.62 * size, 0.66 * step)
        ends = [y[i], *(top + row * (level - highest) for level in box.inside)]
        if box.inside:
            height = max(ends) - min(ends) + size
            drawn.append(_rectangle(x[i], (max(ends) + min(ends)) / 2, width, height, colours[i], ' opacity=".28"'))
        if i in (0, len(topology.boxes) - 1):
            drawn.append(f'<circle cx="{x[i]:.1f}" cy="{y[i]:.1f}" r="2" fill="{GREY}">{_title(box)}</circle>')
        else:
            drawn.append(_rectangle(x[i], y[i], width, size, colours[i], "", _title(box)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f"{''.join(drawn)}</svg>"
    )


def _levels(boxes: list[Box]) -> list[float]:
    """Return the level of each box; a vector is placed below the coarsest map."""
    coarsest = max((box.level for box in boxes if box.level is not None), default=0.0)
    return [coarsest + 1 if box.level is None else box.level for box in boxes]


def _columns(topology: Topology, levels: list[float]) -> list[int]:
    """Place each box in the earliest column after its inputs where its row is free; the logits come last."""
    columns: list[int] = []
    for i, level in enumerate(levels):
        column = 1 + max((columns[a] for a, b in topology.edges if b == i), default=-1)
        if i == len(levels) - 1:
            column = 1 + max(columns)
        while any(columns[j] == column and abs(levels[j] - level) < APART for j in range(i)):
            column += 1
        columns.append(column)
    return columns


def _bow(edge: tuple[int, int], columns: list[int], levels: list[float]) -> float:
    """Return the height in px of a line's arc over the boxes between its ends; 0 if there are none in its row."""
    a, b = edge
    between = (
        columns[a] < column < columns[b] and abs(level - levels[a]) < APART
        for column, level in zip(columns, levels, strict=True)
    )
    level_with = abs(levels[a] - levels[b]) < APART
    return 4.0 + 10 * (columns[b] - columns[a]) / max(columns) if level_with and any(between) else 0.0


def _line(x1: float, y1: float, x2: float, y2: float, bow: float) -> str:
    if bow:
        rise = 4 / 3 * bow  # control points must rise this far for the cubic to rise by ``bow``
        return f"M{x1:.1f} {y1:.1f}C{x1 + 3:.1f} {y1 - rise:.1f} {x2 - 3:.1f} {y2 - rise:.1f} {x2:.1f} {y2:.1f}"
    middle = (x1 + x2) / 2
    return f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"


def _rectangle(x: float, y: float, width: float, height: float, fill: str, more: str = "", inner: str = "") -> str:
    corner = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {corner} rx="1" fill="{fill}"{more}>{inner}</rect>'


def _title(box: Box) -> str:
    return f"<title>{escape(short(box.name, 80))}: {box.channels} channels</title>"


def _colours(boxes: list[Box]) -> list[str]:
    modules = list(dict.fromkeys(box.name.partition(".")[0] for box in boxes[1:-1]))
    return [GREY, *(COLOURS[modules.index(box.name.partition(".")[0]) % len(COLOURS)] for box in boxes[1:-1]), GREY]
