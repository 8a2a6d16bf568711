"""COCO annotation files: polygons and run lengths, rasterised by pycocotools."""

from __future__ import annotations

import importlib
import math
import warnings
from array import array
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.folders.drawn import Patch, crop
from unetzoo.data.folders.files import MOST_PIXELS
from unetzoo.data.folders.json_file import entries
from unetzoo.errors import UnetzooError

SECTIONS = ("images", "annotations", "categories")


def pycocotools(path: Path) -> Any:
    """Return the module ``pycocotools.mask``.

    Args:
        path: File to name in an error.

    Raises:
        UnetzooError: If pycocotools is not installed.
    """
    try:
        return importlib.import_module("pycocotools.mask")
    except ImportError:
        raise UnetzooError(
            f"{path}: COCO annotations need the package pycocotools: pip install 'unetzoo[coco]'"
        ) from None


@dataclass(slots=True)
class CocoShape:
    """An annotation of a COCO file.

    Attributes:
        label: The annotation in words.
        category: Name of its category.
        crowd: Value of ``iscrowd``.
        polygons: Coordinates x1, y1, x2, y2, ... of each polygon, whose union is the object.
        counts: Run lengths, compressed (str) or not, in place of polygons.
        size: Height and width that the run lengths state.
    """

    label: str
    category: str
    crowd: bool
    polygons: list[array[float]]
    counts: str | array[int] | None = None
    size: tuple[int, int] | None = None

    def draw(self, height: int, width: int) -> Patch | None:
        """Return the pixels of the object, as pycocotools decodes them, or None if it covers none.

        Raises:
            UnetzooError: If the run lengths do not fill the image, or a point lies far outside it.
        """
        coco = importlib.import_module("pycocotools.mask")
        if self.counts is None:
            if not self.polygons:
                return None
            check_points(np.concatenate(self.polygons).reshape(-1, 2), height, width)
            rle = coco.merge(coco.frPyObjects([polygon.tolist() for polygon in self.polygons], height, width))
        else:
            if self.size != (height, width):
                stated = "x".join(map(str, self.size or ()))
                raise UnetzooError(f"its run lengths are for {stated} px, but the image has {height}x{width}")
            counts = decompress(self.counts) if isinstance(self.counts, str) else self.counts.tolist()
            if min(counts, default=0) < 0 or sum(counts) != height * width:
                raise UnetzooError(f"its run lengths sum to {sum(counts)}, but the image has {height * width} pixels")
            rle = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy, about pycocotools
            return crop(coco.decode(rle).astype(bool))


def check_points(points: np.ndarray, height: int, width: int) -> None:
    """Check that no point lies further outside the image than the image is wide or high.

    Args:
        points: Points (N, 2), x and y.
        height: Height of the image.
        width: Width of the image.

    Raises:
        UnetzooError: If one does.
    """
    side = np.array([width, height])
    far = ((points < -side) | (points > 2 * side)).any(axis=1)
    if far.any():
        x, y = points[far][0].tolist()
        raise UnetzooError(f"the point ({x:g}, {y:g}) lies far outside the image of {height}x{width} px; correct it")


def decompress(text: str) -> list[int]:
    """Return the run lengths in COCO's compressed text: 5 bits a character, differences from the last but one run.

    pycocotools does not see that runs end early and returns pixels from uninitialised memory, so their sum is checked
    before it decodes.

    Args:
        text: The compressed run lengths.

    Raises:
        UnetzooError: If the text is malformed.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise UnetzooError(f"its run lengths hold {character!r}, which is no compressed number")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise UnetzooError("its run lengths end within a number")
    return counts


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image of a COCO file: its id, its file name, and its height and width."""

    id: Hashable
    file_name: str
    size: tuple[int, int]


@dataclass
class Coco:
    """The content of a COCO file.

    Attributes:
        path: The file.
        images: Images by id, in the order of the file.
        categories: Name of each category that has annotations, by id, in the order of the ids.
        unused: Names of categories without annotations.
        shapes: Annotations of each image id.
        errors: Mistakes that make the file unusable, by kind.
        warnings: Other remarks, by kind.
    """

    path: Path
    images: dict[Hashable, CocoImage] = field(default_factory=dict)
    categories: dict[Hashable, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    shapes: dict[Hashable, list[CocoShape]] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def error(self, kind: str, text: str) -> None:
        """Add a mistake."""
        self.errors.setdefault(kind, []).append(f"{self.path}: {text}")

    def warn(self, kind: str, text: str) -> None:
        """Add a remark."""
        self.warnings.setdefault(kind, []).append(f"{self.path}: {text}")


def read_coco(path: Path) -> Coco:
    """Read a COCO annotation file, entry by entry.

    Args:
        path: The file.

    Returns:
        Its content; mistakes in single entries are among its errors.

    Raises:
        UnetzooError: If pycocotools is missing, or the file is not JSON or has no images, annotations or categories.
    """
    pycocotools(path)
    coco = Coco(path)
    of_image: list[tuple[Hashable, Hashable, CocoShape]] = []
    annotation_ids: set[Hashable] = set()
    numbers: Counter[str] = Counter()
    for section, entry in entries(path, SECTIONS):
        number = f"{section}[{numbers[section]}]"
        numbers[section] += 1
        if not isinstance(entry, dict):
            coco.error(section, f"{number} is {str(entry)[:40]!r}; an object {{...}} is needed")
        elif section == "images":
            _add_image(coco, entry)
        elif section == "categories":
            _add_category(coco, entry)
        elif (found := _annotation(coco, entry, annotation_ids, number)) is not None:
            of_image.append(found)
    if not coco.images and not coco.errors:
        raise UnetzooError(f"{path}: lists no images; a COCO file has lists of {', '.join(SECTIONS)}")
    _attach(coco, of_image)
    return coco


def _id(entry: dict[str, Any], key: str) -> Hashable:
    """Return the id below a key, or None if it is missing or neither a whole number nor a text."""
    value = entry.get(key)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _add_image(coco: Coco, entry: dict[str, Any]) -> None:
    key, name = _id(entry, "id"), entry.get("file_name")
    size = entry.get("height"), entry.get("width")
    if key is None or not isinstance(name, str) or not name.strip():
        coco.error("images", f"image {str(entry)[:80]} needs an id and a file_name")
    elif not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in size):
        coco.error("images", f"image {name!r}: height = {size[0]} and width = {size[1]}; positive numbers are needed")
    elif size[0] * size[1] > MOST_PIXELS:  # type: ignore[operator]
        coco.error("images", f"image {name!r}: {size[0]}x{size[1]} is more than {MOST_PIXELS:,} pixels")
    elif key in coco.images:
        coco.error("duplicate id", f"images {coco.images[key].file_name!r} and {name!r} have the same id {key!r}")
    else:
        coco.images[key] = CocoImage(key, name, (size[0], size[1]))  # type: ignore[arg-type]


def _add_category(coco: Coco, entry: dict[str, Any]) -> None:
    key, name = _id(entry, "id"), entry.get("name")
    if key is None or not isinstance(name, str) or not name.strip() or not name.isprintable():
        coco.error("categories", f"category {str(entry)[:80]!r} needs an id and a printable name")
    elif coco.categories.get(key, name.strip()) != name.strip():
        coco.error("duplicate id", f"categories {coco.categories[key]!r} and {name!r} have the same id {key!r}")
    else:
        coco.categories[key] = name.strip()


def _annotation(
    coco: Coco, entry: dict[str, Any], known: set[Hashable], number: str
) -> tuple[Hashable, Hashable, CocoShape] | None:
    """Return the image id, the category id and the shape of an annotation, or None after a mistake."""
    key, image, category = (_id(entry, name) for name in ("id", "image_id", "category_id"))
    label = f"annotation {key!r}" if key is not None else number
    if image is None or category is None:
        coco.error("annotations", f"{label} needs an image_id and a category_id")
        return None
    if key is not None and key in known:
        coco.warn("duplicate id", f"{label} occurs twice; each is drawn")
    known.add(key)
    shape = CocoShape(label, "", bool(entry.get("iscrowd")), [])
    segmentation = entry.get("segmentation")
    if not segmentation:
        box = " (it has only a box)" if entry.get("bbox") else ""
        coco.error("no segmentation", f"{label} has no segmentation{box}; draw its outline or remove it")
        return None
    problem = _take_rle(shape, segmentation) if isinstance(segmentation, dict) else _take_polygons(shape, segmentation)
    if problem:
        coco.error("segmentation", f"{label}: {problem}")
        return None
    if shape.counts is None and len(shape.polygons) < len(segmentation):
        coco.warn("few points", f"{label} has a polygon with fewer than 3 points: not drawn")
    return image, category, shape


def _take_rle(shape: CocoShape, rle: dict[str, Any]) -> str:
    """Store run lengths in a shape; return what is wrong with them, or ''."""
    size, counts = rle.get("size"), rle.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)):
        return f"size = {str(size)[:40]} of its run lengths; [height, width] is needed"
    if isinstance(counts, list):
        try:
            counts = array("q", counts)
        except (TypeError, OverflowError):
            return "its run lengths hold something else than whole numbers"
    elif not isinstance(counts, str):
        return f"counts = {str(counts)[:40]}; a list of numbers or a text is needed"
    shape.size, shape.counts = (size[0], size[1]), counts
    return ""


def _take_polygons(shape: CocoShape, polygons: Any) -> str:
    """Store polygons of three points or more in a shape; return what is wrong with them, or ''."""
    if not isinstance(polygons, list) or not all(isinstance(polygon, list) for polygon in polygons):
        return f"segmentation = {str(polygons)[:40]}; [[x1, y1, x2, y2, x3, y3, ...], ...] is needed"
    for polygon in polygons:
        try:
            points = array("d", polygon)
        except (TypeError, OverflowError):
            points = array("d", [0])
        if len(points) % 2:
            return f"the polygon {str(polygon)[:40]} is not a list x1, y1, x2, y2, ... of numbers"
        if not math.isfinite(sum(points)):
            return "a polygon holds NaN or infinity"
        if len(points) >= 6:
            shape.polygons.append(points)
    return ""


def _attach(coco: Coco, annotations: list[tuple[Hashable, Hashable, CocoShape]]) -> None:
    """Give annotations to their images, and sort out the categories that are used."""
    used = set()
    for image, category, shape in annotations:
        if image not in coco.images:
            coco.error("image_id", f"{shape.label} has image_id {image!r}, which no image has; remove it")
        elif category not in coco.categories:
            coco.error("category_id", f"{shape.label} has category_id {category!r}, which no category has")
        else:
            used.add(category)
            shape.category = coco.categories[category]
            coco.shapes.setdefault(image, []).append(shape)
    ordered = sorted(coco.categories.items(), key=lambda item: (isinstance(item[0], str), item[0]))
    coco.categories = {key: name for key, name in ordered if key in used}
    coco.unused = [name for key, name in ordered if key not in used and name not in coco.categories.values()]


def image_entries(coco: Coco) -> Iterator[tuple[CocoImage, list[CocoShape]]]:
    """Yield each image and its annotations, of which it may have none.

    Args:
        coco: The content of a file.
    """
    for key, image in coco.images.items():
        yield image, coco.shapes.get(key, [])
