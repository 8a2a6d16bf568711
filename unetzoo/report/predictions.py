"""Grid of test images: input, truth and the prediction of each variant, with errors in colour."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Patch
from PIL import Image

from unetzoo._util.language import _
from unetzoo.records.fields import class_names, foreground, image_score, label_of, seed_of
from unetzoo.records.parts import Sample
from unetzoo.records.record import Record
from unetzoo.report.style import RC, SCREEN, Drawn, canvas, save
from unetzoo.report.words import short

IMAGES = 3
COLUMNS = 8
MOST_VARIANTS = 3 * COLUMNS - 2  # three rows of panels for each image
SIDES = (208, 160, 128, 96, 72)  # pixels of an image's longer side
LIMIT = 480_000  # bytes per file
IGNORED = 255
BACKGROUND, GREY, FALSE_POSITIVE, FALSE_NEGATIVE, WRONG_CLASS = (
    "#f4f4f1",
    "#9a9a9a",
    "#E69F00",
    "#0072B2",
    "#CC79A7",
)
GREENS = ("#b9e4d4", "#00523b")  # the foreground classes, first and last
RGB = tuple[float, float, float]
Grid = npt.NDArray[np.uint8]
Panel = tuple[str, Grid | None]  # title, RGB or grey pixels


def draw_predictions(
    records: list[Record], folder: Path, order: list[str], formats: Iterable[str] = SCREEN
) -> Drawn | None:
    """Draw the grid of the first `MOST_VARIANTS`, with images small enough for files below ``LIMIT`` bytes.

    Args:
        records: Records of models; of each label the one with the lowest seed is shown.
        folder: Output folder of the run, which has the samples' files.
        order: Labels, in the order of the panels.
        formats: Formats to draw; those of screens are drawn in any case, as their size decides on the images'.

    Returns:
        The plot by format, or None without samples.
    """
    shown = shown_variants(records, order)[:MOST_VARIANTS]
    keys = list(dict.fromkeys(s.key for r in shown for s in r.samples))[:IMAGES]
    if not keys:
        return None
    sides, made, formats = list(SIDES), dict[str, bytes](), dict.fromkeys([*SCREEN, *formats])
    while sides:
        side = sides.pop(0)
        panels = [_panels(shown, key, folder, side) for key in keys]
        with mpl.rc_context(RC):
            made = _grid(panels, shown[0], formats)
        if max(len(made[name]) for name in SCREEN) < LIMIT:
            break
        rest = len(made["svg"]) - _image_bytes(panels)  # of the SVG, at any size of the images
        sizes = {s: _image_bytes([_panels(shown, key, folder, s) for key in keys]) for s in sides}
        sides = [s for s in sides if s == sides[-1] or rest + sizes[s] < LIMIT]
    return made


def shown_variants(records: list[Record], order: list[str]) -> list[Record]:
    """Return the record of each label that has samples with the lowest seed, in this order of labels."""
    best: dict[str, Record] = {}
    for record in sorted(records, key=lambda r: (label_of(r), seed_of(r), r.id)):
        if record.status == "ok" and record.samples:
            best.setdefault(label_of(record), record)
    return [best[label] for label in order if label in best]


def left_out(records: list[Record], order: list[str]) -> str:
    """Say how many variants with samples are not in the grid; nothing if all are."""
    known = len(shown_variants(records, order))
    if known <= MOST_VARIANTS:
        return ""
    return shown_first(MOST_VARIANTS, known)


def shown_first(n: int, known: int) -> str:
    """Say that a plot shows the first variants alone."""
    return _(" Shown: the first {n} of {all} variants.", n=n, all=known)


def _panels(records: list[Record], key: str, folder: Path, side: int) -> list[Panel]:
    """Return the panels of one image: input, truth and the prediction of each variant."""
    samples = {label_of(r): next((s for s in r.samples if s.key == key), None) for r in records}
    first = next(s for s in samples.values() if s is not None)
    truth = read_picture(folder, first.truth, side, mask=True)
    return [
        (f"input {short(key, 12)}", read_picture(folder, first.image, side, mask=False)),
        ("truth", None if truth is None else paint(truth, truth, records[0])),
        *(_variant(record, samples[label_of(record)], key, folder, side) for record in records),
    ]


def _variant(record: Record, sample: Sample | None, key: str, folder: Path, side: int) -> Panel:
    score = image_score(record, key)
    title = f"{short(label_of(record), 18)}\n" + ("no Dice" if score is None else f"Dice {score:.3f}")
    truth = read_picture(folder, sample.truth, side, mask=True) if sample else None
    guess = read_picture(folder, sample.prediction, side, mask=True) if sample else None
    if truth is None or guess is None or truth.shape != guess.shape:
        return title, None
    return title, paint(truth, guess, record)


def _image_bytes(panels: list[list[Panel]]) -> int:
    """Return the size of the images of all panels inside an SVG, to within a few bytes each."""
    total = 0
    for _title, pixels in (panel for some in panels for panel in some):
        if pixels is not None:
            file = io.BytesIO()
            Image.fromarray(pixels).convert("RGBA").save(file, format="png")
            total += len(file.getvalue()) * 4 // 3
    return total


def _grid(panels: list[list[Panel]], record: Record, formats: Iterable[str]) -> Drawn:
    """Draw the panels of each image, with a key to the colours for data like that of ``record``."""
    columns = min(len(panels[0]), COLUMNS)
    deep = -(-len(panels[0]) // columns)  # rows of panels for one image
    shapes = [pixels.shape for _title, pixels in panels[0][1:] if pixels is not None]
    height, width = shapes[0][:2] if shapes else (1, 1)
    patches = [Patch(facecolor=colour, edgecolor="#cccccc", label=text) for text, colour in legend(record)]
    wide = 0.6 + 0.085 * max(len(str(patch.get_label())) for patch in patches)  # inches of the longest entry
    across = max(1, min(len(patches), int(1.62 * columns / wide)))
    panels_high = (0.38 + 1.58 * min(2.0, height / width)) * deep * len(panels)
    figure = canvas(1.62 * columns, panels_high + 0.3 + 0.2 * -(-len(patches) // across))
    axes = figure.subplots(deep * len(panels), columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for row, some in enumerate(panels):
        for ax, (title, pixels) in zip(axes[row * deep : (row + 1) * deep].flat, some, strict=False):
            _show(ax, pixels, title)
    figure.legend(handles=patches, loc="outside lower center", ncols=across, frameon=False, fontsize=9)
    return save(figure, formats, 110)


def _show(ax: Axes, pixels: Grid | None, title: str) -> None:
    ax.set_title(title, fontsize=8.5)
    if pixels is None:
        ax.text(0.5, 0.5, "no picture\n(file missing)", ha="center", va="center", fontsize=8, color="#8a2b00")
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        return
    ax.imshow(pixels, cmap="gray", interpolation="none")


def read_picture(folder: Path, name: str, side: int, mask: bool) -> Grid | None:
    """Read a PNG, named relative to the records folder, at most ``side`` px a side; None if it cannot be shown."""
    path = (folder / "records" / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        return None
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image if mask or image.mode in ("L", "RGB") else image.convert("RGB"))
    except (OSError, ValueError, SyntaxError):  # Pillow raises SyntaxError for a broken PNG
        return None
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    if pixels.dtype != np.uint8 or (mask and pixels.ndim != 2):
        return None
    height, width = pixels.shape[:2]
    ratio = min(1.0, side / max(height, width))
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    how = Image.Resampling.NEAREST if mask else Image.Resampling.BOX
    return np.asarray(Image.fromarray(pixels).resize(size, how))


def _foreground_indices(record: Record) -> list[int]:
    names, counted = class_names(record), foreground(record)
    return [k for k, name in enumerate(names) if counted is None or name in counted] or [1]


def _class_colours(record: Record) -> dict[int, RGB]:
    """Map the foreground classes to shades of green; a single class gets a medium one."""
    indices = _foreground_indices(record)
    light, dark = (np.asarray(to_rgb(c)) for c in GREENS)
    shades = [(1 - s) * light + s * dark for s in (np.linspace(0, 1, len(indices)) if indices[1:] else [0.55])]
    return {k: (float(c[0]), float(c[1]), float(c[2])) for k, c in zip(indices, shades, strict=True)}


def paint(truth: Grid, guess: Grid, record: Record) -> Grid:
    """Colour a prediction: correct pixels by class, wrong ones by kind of error, ignored ones grey.

    Args:
        truth: Class indices (H, W).
        guess: Predicted class indices (H, W).
        record: Gives the foreground classes and the ignored index.

    Returns:
        RGB (H, W, 3), uint8.
    """
    colours = _class_colours(record)
    true, found = np.isin(truth, list(colours)), np.isin(guess, list(colours))
    rgb = np.empty((*truth.shape, 3))
    rgb[:] = to_rgb(BACKGROUND)
    for index, colour in colours.items():
        rgb[(truth == index) & (guess == index)] = colour
    rgb[found & ~true] = to_rgb(FALSE_POSITIVE)
    rgb[true & ~found] = to_rgb(FALSE_NEGATIVE)
    rgb[true & found & (truth != guess)] = to_rgb(WRONG_CLASS)
    ignored = record.data.get("ignore_index")
    rgb[(truth == IGNORED) | (truth == (IGNORED if ignored is None else ignored))] = to_rgb(GREY)
    return np.round(255 * rgb).astype(np.uint8)


def legend(record: Record) -> list[tuple[str, str]]:
    """Return what the colours of painted predictions mean, for data like that of ``record``: (text, colour)."""
    names, colours = class_names(record), _class_colours(record)
    named = {k: short(names[k], 18) if k < len(names) else _("class {n}", n=k) for k in colours}
    correct = [(_("{name}, correct", name=named[k]), colours[k]) for k in list(colours)[:6]]
    shown: list[tuple[str, str | RGB]] = [*correct]
    if len(names) > len(colours) or not names:
        shown += [(_("false positive"), FALSE_POSITIVE), (_("false negative"), FALSE_NEGATIVE)]
    if len(colours) > 1:
        shown.append((_("wrong class"), WRONG_CLASS))
    shown.append((_("ignored"), GREY))
    return [(text, to_hex(colour)) for text, colour in shown]
