"""Conversion of official layouts without one mask per image to ``images/`` and ``masks/``, once after a download."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw

from unetzoo.errors import UnetzooError

SIDE = 256  # px, of those fluorescence images of the Data Science Bowl that are of one kind
DARK = 128  # their mean grey value is below this


def nuclei_found(root: Path) -> list[Path]:
    """Return the images in the layout of the 2018 Data Science Bowl.

    Images are ``<id>/images/<id>.png``, beside masks ``<id>/masks/*.png``.
    """
    return [p for base in (root / "stage1_train", root) for p in sorted(base.glob("*/images/*.png"))]


def merge_nuclei(root: Path) -> int:
    """Merge the masks of single nuclei into one 16-bit mask of instance ids per image.

    Only images of one kind are taken: 256x256, grey, dark (fluorescence). Ids follow the sorted file names, and where
    two nuclei overlap, the later one gets the pixel.

    Args:
        root: Folder of the official files.

    Returns:
        The number of images.
    """
    with _Staged(root) as (images, masks):
        for path in nuclei_found(root):
            with Image.open(path) as file:
                rgb = np.asarray(file.convert("RGB"))
            grey = bool((rgb == rgb[..., :1]).all())
            if rgb.shape[:2] != (SIDE, SIDE) or not grey or rgb.mean() >= DARK:
                continue
            ids = np.zeros(rgb.shape[:2], np.uint16)
            for number, nucleus in enumerate(sorted((path.parent.parent / "masks").glob("*.png")), start=1):
                with Image.open(nucleus) as file:
                    ids[np.asarray(file.convert("L")) > 0] = number
            shutil.copyfile(path, images / path.name)
            Image.fromarray(ids).save(masks / path.name)
    return _count(root)


TAPUSCORPUS = {"AN-96AP_1*": "AN96AP_", "12148-btv1b525062185": "btv1b525062185_"}  # the parts made for a segmenter


def pages_found(root: Path) -> list[tuple[Path, str]]:
    """Return the pages of the Tapuscorpus, ``data/<corpus>/<page>.jpg`` beside ALTO files, and their keys."""
    found = []
    for base in (root, *(p for p in sorted(root.iterdir()) if p.is_dir())):
        for folder, prefix in TAPUSCORPUS.items():
            pages = sorted((base / "data").glob(f"{folder}/*.jpg"))
            found += [(p, prefix + p.stem) for p in pages if p.with_suffix(".xml").is_file()]
    return found


def draw_lines(root: Path) -> int:
    """Draw masks that are 255 inside the polygon of every text line.

    Args:
        root: Folder of the official files.

    Returns:
        The number of pages.
    """
    with _Staged(root) as (images, masks):
        for path, key in pages_found(root):
            with Image.open(path) as file:
                size = file.size
            mask = Image.new("L", size)
            draw = ImageDraw.Draw(mask)
            for polygon in _line_polygons(path.with_suffix(".xml")):
                draw.polygon(polygon, fill=255)
            shutil.copyfile(path, images / f"{key}.jpg")
            mask.save(masks / f"{key}.png")
    return _count(root)


def _line_polygons(path: Path) -> Iterator[list[tuple[float, float]]]:
    """Yield the outlines, in px, of the text lines in an ALTO file (version 4: ``TextLine/Shape/Polygon``, POINTS).

    Raises:
        UnetzooError: If it is not an ALTO file, or has a DOCTYPE.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text:  # entities can expand without bound; ALTO needs none
            raise UnetzooError(f"{path}: has a DOCTYPE, which ALTO files do not need; refused")
        tree = ElementTree.fromstring(text)  # noqa: S314
        for line in tree.iter():
            if line.tag.rpartition("}")[2] == "TextLine":
                for polygon in (e for e in line.iter() if e.tag.rpartition("}")[2] == "Polygon"):
                    numbers = [float(v) for v in polygon.get("POINTS", "").replace(",", " ").split()]
                    yield list(zip(numbers[::2], numbers[1::2], strict=True))
    except (ElementTree.ParseError, UnicodeDecodeError, ValueError) as error:
        raise (
            error if isinstance(error, UnetzooError) else UnetzooError(f"{path}: is not an ALTO file: {error}")
        ) from None


class _Staged:
    """A context in which ``images/`` and ``masks/`` appear below the root only when both are complete."""

    def __init__(self, root: Path) -> None:
        self._root, self._staging = root, root / ".preparing"

    def __enter__(self) -> tuple[Path, Path]:
        shutil.rmtree(self._staging, ignore_errors=True)
        folders = self._staging / "images", self._staging / "masks"
        for folder in folders:
            if (self._root / folder.name).exists():
                raise UnetzooError(f"{self._root / folder.name}: already exists; move it away")
            folder.mkdir(parents=True)
        return folders

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            for name in ("masks", "images"):
                (self._staging / name).rename(self._root / name)
        shutil.rmtree(self._staging, ignore_errors=True)


def _count(root: Path) -> int:
    return sum(1 for _ in (root / "images").iterdir())
