"""labelme annotation files: polygons, rectangles, circles and pasted masks, rasterised by pixel centres."""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.folders.coco import check_points
from unetzoo.data.folders.drawn import Patch, crop
from unetzoo.data.folders.files import MOST_PIXELS, Stored, read_stored
from unetzoo.data.folders.json_file import read_json
from unetzoo.errors import UnetzooError

AREAS = ("polygon", "rectangle", "rotation", "circle", "mask")
LINES = ("line", "linestrip", "point", "points")


@dataclass(slots=True)
class LabelmeShape:
    """The shapes of one object: those with equal label and ``group_id``, or a single one.

    Attributes:
        label: The object in words.
        category: Its label.
        crowd: False, as labelme has no crowd regions.
        parts: Kind, points (N, 2) and pasted pixels, if any, of each shape.
    """

    label: str
    category: str
    crowd: bool = False
    parts: list[tuple[str, np.ndarray, np.ndarray | None]] = field(default_factory=list)

    def draw(self, height: int, width: int) -> Patch | None:
        """Return the pixels of the object, or None if it covers none.

        Raises:
            UnetzooError: If a point lies far outside the image.
        """
        patches = []
        for kind, points, pasted in self.parts:
            check_points(points, height, width)
            if pasted is not None:
                patch = _paste(points, pasted, height, width)
            elif kind == "circle":
                patch = fill_circle(points[0], float(np.hypot(*(points[1] - points[0]))), height, width)
            else:
                patch = fill_polygon(_corners(points) if kind == "rectangle" else points, height, width)
            if patch is not None:
                patches.append(patch)
        if len(patches) < 2:
            return patches[0] if patches else None
        whole = np.zeros((height, width), bool)
        for top, left, pixels in patches:
            whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] |= pixels
        return crop(whole)


def _corners(points: np.ndarray) -> np.ndarray:
    """Return the corners of a rectangle given by two opposite ones; four points are kept."""
    if len(points) != 2:
        return points
    (x0, y0), (x1, y1) = points
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def fill_polygon(points: np.ndarray, height: int, width: int) -> Patch | None:
    """Return the pixels whose centres lie in a polygon, by the even-odd rule.

    Pixel (row, column) covers [column, column + 1) x [row, row + 1), so that its centre is at x = column + 0.5,
    y = row + 0.5. A centre on a left or upper edge is inside, one on a right or lower edge is not: of two polygons that
    share an edge, one has it.

    Args:
        points: Corners (N, 2), x and y.
        height: Height of the image.
        width: Width of the image.
    """
    low, high = points[:, 1].min(), points[:, 1].max()
    top, bottom = (int(np.clip(np.ceil(y - 0.5), 0, height)) for y in (low, high))
    flips = np.zeros((bottom - top, width + 1), np.int64)  # edges to the left of a centre, once summed along a row
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 > y1:
            (x0, y0), (x1, y1) = (x1, y1), (x0, y0)
        first, last = (int(np.clip(np.ceil(y - 0.5), top, bottom)) for y in (y0, y1))
        rows = np.arange(first, last)
        if len(rows):
            x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            flips[rows - top, np.clip(np.ceil(x - 0.5), 0, width).astype(int)] += 1
    return crop(np.cumsum(flips, axis=1)[:, :width] % 2 == 1, top)


def fill_circle(centre: np.ndarray, radius: float, height: int, width: int) -> Patch | None:
    """Return the pixels whose centres are at most a radius away.

    Args:
        centre: The centre, x and y.
        radius: The radius in px.
        height: Height of the image.
        width: Width of the image.
    """
    x, y = np.arange(width) + 0.5 - centre[0], np.arange(height) + 0.5 - centre[1]
    return crop(x[None] ** 2 + y[:, None] ** 2 <= radius**2)


def _paste(points: np.ndarray, pixels: np.ndarray, height: int, width: int) -> Patch | None:
    """Return a pasted mask whose first pixel is at the first point, cut at the border of the image."""
    left, top = (round(float(n)) for n in points[0])
    part = pixels[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
    return crop(part, max(0, top), max(0, left))


@dataclass
class Labelme:
    """The content of a labelme file.

    Attributes:
        path: The file.
        image_path: Value of ``imagePath``, '' if there is none.
        embedded: True if ``imageData`` holds the image.
        size: Height and width, or None if they are not given.
        shapes: The objects.
        skipped: Shapes without an area, in words.
    """

    path: Path
    image_path: str
    embedded: bool
    size: tuple[int, int] | None
    shapes: list[LabelmeShape]
    skipped: list[str]


def read_labelme(path: Path) -> Labelme:
    """Read a labelme file.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        UnetzooError: If the file cannot be read or a shape is malformed.
    """
    content = read_json(path)
    shapes, name = content.get("shapes"), content.get("imagePath") or ""
    if not isinstance(shapes, list) or not isinstance(name, str):
        raise UnetzooError(f"{path}: is no labelme file: it needs a list 'shapes' and a text 'imagePath'")
    objects, skipped = _objects(path, shapes)
    return Labelme(path, name, bool(content.get("imageData")), _stated_size(path, content), objects, skipped)


def _stated_size(path: Path, content: dict[str, Any]) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if height is None and width is None:
        return None
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        raise UnetzooError(f"{path}: imageHeight = {height!r}, imageWidth = {width!r}; positive numbers are needed")
    if height * width > MOST_PIXELS:
        raise UnetzooError(f"{path}: {height}x{width} is more than {MOST_PIXELS:,} pixels; cut it into tiles")
    return height, width


def _objects(path: Path, shapes: Sequence[Any]) -> tuple[list[LabelmeShape], list[str]]:
    """Return the objects of a file, and the shapes that have no area.

    Raises:
        UnetzooError: If a shape is malformed.
    """
    objects: list[LabelmeShape] = []
    groups: dict[tuple[str, Any], LabelmeShape] = {}
    skipped = []
    for number, shape in enumerate(shapes):
        at = f"shape {number}"
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"].strip():
            raise UnetzooError(f"{path}: {at} needs a label")
        name, kind = shape["label"].strip(), shape.get("shape_type") or "polygon"
        if not name.isprintable():
            raise UnetzooError(f"{path}: {at}: label {name!r} is not printable text; rename it")
        points = _points(path, at, shape.get("points"))
        if kind in LINES or (kind in ("polygon", "rotation") and len(points) < 3):
            skipped.append(f"{at} ({name!r}) is a {kind} of {len(points)} point{'s' * (len(points) != 1)}")
            continue
        if kind not in AREAS:
            raise UnetzooError(
                f"{path}: {at}: shape_type = {str(kind)!r} is unknown; known: {', '.join(AREAS + LINES)}"
            )
        if (kind in ("circle", "mask") and len(points) != 2) or (kind == "rectangle" and len(points) not in (2, 4)):
            raise UnetzooError(f"{path}: {at}: a {kind} of {len(points)} points; it needs 2")
        part = kind, points, _pasted(path, at, shape, points) if kind == "mask" else None
        group = shape.get("group_id")
        if isinstance(group, int | str) and (name, group) in groups:
            groups[name, group].parts.append(part)
            continue
        objects.append(LabelmeShape(at, name, parts=[part]))
        if isinstance(group, int | str):
            groups[name, group] = objects[-1]
    return objects, skipped


def _points(path: Path, at: str, given: Any) -> np.ndarray:
    """Return points (N, 2), float64.

    Raises:
        UnetzooError: If they are no list of [x, y].
    """
    try:
        points = np.array(given)
    except ValueError:
        points = np.array(None)
    if given == []:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf" or not np.isfinite(points).all():
        raise UnetzooError(f"{path}: {at}: points = {str(given)[:40]}; a list of [x, y] is needed")
    return points.astype(np.float64)


def _pasted(path: Path, at: str, shape: dict[str, Any], points: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask that is pasted into its box.

    Raises:
        UnetzooError: If it cannot be decoded or its size is not that of the box.
    """
    pixels = _decode(f"{path}: {at}: mask", shape.get("mask")).pixels
    height, width = (round(abs(float(points[1, axis] - points[0, axis]))) + 1 for axis in (1, 0))
    if pixels.shape != (1, height, width):
        raise UnetzooError(
            f"{path}: {at}: mask is {pixels.shape[1]}x{pixels.shape[2]}, but its box is {height}x{width} px"
        )
    return pixels[0] != 0


def embedded_image(path: Path) -> Stored:
    """Return the image that a labelme file holds.

    Args:
        path: The file.

    Raises:
        UnetzooError: If it holds none, or one that cannot be read.
    """
    stored = _decode(f"{path}: imageData", read_json(path).get("imageData"))
    return replace(stored, format=f"{stored.format} in JSON")


def _decode(at: str, text: Any) -> Stored:
    """Return the image in a base64 text. It goes through a file, so that it is decoded like any other.

    Raises:
        UnetzooError: If it cannot be read; the text begins with ``at``.
    """
    try:
        data = base64.b64decode(text, validate=False)
    except (TypeError, ValueError, binascii.Error):
        raise UnetzooError(f"{at}: is not base64 text of an image") from None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image"
        file.write_bytes(data)
        try:
            return read_stored(file)
        except UnetzooError as error:
            raise UnetzooError(f"{at}: {str(error).removeprefix(f'{file}: ')}") from None
