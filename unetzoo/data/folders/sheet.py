"""The contact sheet: a few images of each split with their classes overlaid, for a person to look at."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from unetzoo.data.base import SPLITS
from unetzoo.data.folders.check import Check
from unetzoo.data.folders.convert import read_instances, read_pair
from unetzoo.data.folders.reading import Pair, Reading
from unetzoo.errors import UnetzooError

NAME = "contact_sheet.png"
COLUMNS, ROWS = 4, 3
SIDE = 320  # px of a panel's longer side
WIDE = 1.6  # width over height from which an image is placed above its overlay, not beside it
OPACITY = 0.45
SINGLE = (0.84, 0.37, 0.0)  # colour of a single class, visible on dark ink, on tissue and on grey
VOID = (0.45, 0.45, 0.45)
LONGEST = 34  # characters of a key
LEGEND = 24  # classes with an entry in the legend


def contact_sheet(checked: Check) -> bytes | None:
    """Draw the contact sheet. Each panel is an image and, right of or below it, the image with its classes overlaid.

    Args:
        checked: Result of a check.

    Returns:
        A PNG, or None if nothing can be drawn.
    """
    if checked.reading is None:
        return None
    reading, pairs = checked.reading, checked.layout.pairing.pairs
    panels = []
    for split, key in choose(checked):
        try:
            panels.append((split, key, _panel(pairs[key], reading)))
        except UnetzooError:
            continue  # already among the findings
    if not panels:
        return None
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(4.2 * COLUMNS, 2.5 * rows + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(rows, COLUMNS, squeeze=False)).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (split, key, pixels) in zip(axes, panels, strict=False):
        axis.imshow(pixels, interpolation="nearest")
        short = key if len(key) <= LONGEST else f"{key[: LONGEST // 2 - 1]}…{key[-LONGEST // 2 :]}"
        axis.set_title(f"{split}: {short}", fontsize=9, parse_math=False)
    _legend(figure, reading)
    figure.suptitle(f"{reading.name}: the image, and its classes laid over it", fontsize=11, parse_math=False)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def choose(checked: Check) -> list[tuple[str, str]]:
    """Choose the panels: half from train, a quarter each from val and test, evenly spaced, avoiding empty masks.

    Args:
        checked: Result of a check.

    Returns:
        Split and key of each panel.
    """
    empty = set(checked.shares.empty if checked.shares else ())
    known = {item.key for item in checked.survey.items}
    chosen = []
    for split, count in zip(SPLITS, (6, 3, 3), strict=True):
        keys = [key for key in checked.layout.splits[split] if key in known]
        keys = [key for key in keys if key not in empty] or keys
        spread = sorted({round(i * (len(keys) - 1) / max(1, count - 1)) for i in range(count)}) if keys else []
        chosen += [(split, keys[i]) for i in spread]
    return chosen


def colours(reading: Reading) -> list[tuple[float, float, float] | None]:
    """Return the RGB colour of each class; None for the background, if one class alone is not foreground."""
    behind = [i for i, c in enumerate(reading.classes) if not c.foreground]
    count = len(reading.classes) - (len(behind) == 1)
    if count == 1:
        return [None if behind == [i] else SINGLE for i in range(len(reading.classes))]
    palette = iter(sns.color_palette("colorblind", count) if count <= 10 else sns.color_palette("husl", count))
    return [None if behind == [i] else next(palette) for i in range(len(reading.classes))]


def _panel(pair: Pair, reading: Reading) -> np.ndarray:
    """Return the image and its overlay in [0, 1], side by side (H, 2 W, 3), or stacked (2 H, W, 3) if wide."""
    image, mask = read_pair(pair, reading)
    step = max(1, -(-max(mask.shape) // SIDE))
    shown = np.repeat(image[:1], 3, axis=0) if len(image) < 3 else image[:3]
    picture, small = shown[:, ::step, ::step].transpose(1, 2, 0), mask[::step, ::step]
    over = picture.copy()
    void = [] if reading.ignore_index is None else [(reading.ignore_index, VOID)]
    for index, colour in [*enumerate(colours(reading)), *void]:
        if colour is not None:
            over[small == index] = (1 - OPACITY) * over[small == index] + OPACITY * np.array(colour)
            over[_edge(small == index)] = colour
    if reading.instances:
        ids = read_instances(pair, reading)[::step, ::step]
        over[_edge(ids) & (ids > 0)] = 1
    axis = 0 if picture.shape[1] > WIDE * picture.shape[0] else 1
    gap = np.ones((4, picture.shape[1], 3) if axis == 0 else (len(picture), 4, 3))
    return np.concatenate([picture, gap, over], axis=axis)


def _edge(regions: np.ndarray) -> np.ndarray:
    """Return the nonzero pixels of labels (H, W), or the True ones, whose right or lower neighbour differs."""
    edge = np.zeros(regions.shape, bool)
    edge[:-1] |= regions[1:] != regions[:-1]
    edge[:, :-1] |= regions[:, 1:] != regions[:, :-1]
    return edge & (regions > 0)


def _legend(figure: Figure, reading: Reading) -> None:
    handles: list[Patch] = []
    pairs: Sequence = list(zip(reading.classes, colours(reading), strict=True))
    for part, colour in pairs[:LEGEND]:
        label = part.name if colour is not None else f"{part.name} (not coloured)"
        handles.append(Patch(facecolor=colour or "none", edgecolor="#888888", label=label))
    if reading.ignore:
        handles.append(Patch(facecolor=VOID, edgecolor="#888888", label="void"))
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)), fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
