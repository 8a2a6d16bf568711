"""A cache of large COCO files, as arrays: every trial opens its data anew, and parsing the text again takes long."""

from __future__ import annotations

import hashlib
import io
import json
from array import array
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from unetzoo._util.atomic import write_atomic
from unetzoo._util.cache import cache_folder
from unetzoo.data.folders.coco import Coco, CocoImage, CocoShape, pycocotools, read_coco
from unetzoo.errors import UnetzooError

LEAST = 2**20  # bytes of a file from which it is cached
VERSION = 1  # to be raised when a file would be parsed to something else


def open_coco(path: Path) -> Coco:
    """Return the content of a COCO file, of which nothing may be changed; see `read_coco`.

    Args:
        path: The file.

    Raises:
        UnetzooError: If it cannot be read as a COCO file, or pycocotools is missing.
    """
    pycocotools(path)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(LEAST):
                digest.update(chunk)
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
    digest.update(f"{VERSION}:{path}".encode(errors="surrogateescape"))  # remarks name the path
    return _open(path, digest.hexdigest()[:24], path.stat().st_size >= LEAST)


@lru_cache(maxsize=3)  # train, val and test
def _open(path: Path, digest: str, large: bool) -> Coco:
    file = cache_folder() / f"coco-{digest}.npz"
    if large and (known := _load(file, path)) is not None:
        return known
    coco = read_coco(path)
    if large and not coco.errors:
        with suppress(OSError):  # a cache that cannot be written only costs time
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, _to_bytes(coco))
    return coco


def _to_bytes(coco: Coco) -> bytes:
    """Return a sound COCO file as an ``.npz``: numbers as arrays, and the rest as JSON."""
    shapes = [(at, shape) for at, key in enumerate(coco.images) for shape in coco.shapes.get(key, [])]
    categories = {name: at for at, name in enumerate(coco.categories.values())}
    rest = {
        "images": [(image.id, image.file_name, *image.size) for image in coco.images.values()],
        "categories": list(coco.categories.items()),
        "unused": coco.unused,
        "warnings": coco.warnings,
        "labels": [shape.label for _, shape in shapes],
        "sizes": [shape.size for _, shape in shapes],
        "texts": [shape.counts if isinstance(shape.counts, str) else None for _, shape in shapes],
    }
    polygons = [polygon for _, shape in shapes for polygon in shape.polygons]
    runs = [shape.counts if isinstance(shape.counts, array) else array("q") for _, shape in shapes]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        rest=np.frombuffer(json.dumps(rest).encode(), np.uint8),
        image=np.array([at for at, _ in shapes], np.int64),
        category=np.array([categories[shape.category] for _, shape in shapes], np.int64),
        crowd=np.array([shape.crowd for _, shape in shapes], bool),
        polygon_ends=_ends([len(shape.polygons) for _, shape in shapes]),
        point_ends=_ends([len(polygon) for polygon in polygons]),
        points=np.frombuffer(b"".join(polygon.tobytes() for polygon in polygons), np.float64),
        run_ends=_ends([len(run) for run in runs]),
        runs=np.frombuffer(b"".join(run.tobytes() for run in runs), np.int64),
    )
    return buffer.getvalue()


def _ends(lengths: Sequence[int]) -> np.ndarray:
    """Return where each of several parts begins in a whole, and the end of the last."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(lengths, np.int64))])


def _load(file: Path, path: Path) -> Coco | None:
    """Return the content in a file of the cache; None if there is none, or it is damaged."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
        rest = json.loads(arrays["rest"].tobytes())
        images = {key: CocoImage(key, name, (height, width)) for key, name, height, width in rest["images"]}
        coco = Coco(path, images, dict(rest["categories"]), rest["unused"], warnings=rest["warnings"])
        keys, names = list(coco.images), list(coco.categories.values())
        points = [array("d", arrays["points"][a:b].tobytes()) for a, b in pairwise(arrays["point_ends"].tolist())]
        polygons = [points[a:b] for a, b in pairwise(arrays["polygon_ends"].tolist())]
        runs = [array("q", arrays["runs"][a:b].tobytes()) for a, b in pairwise(arrays["run_ends"].tolist())]
        for at, (image, category, crowd) in enumerate(
            zip(arrays["image"].tolist(), arrays["category"].tolist(), arrays["crowd"].tolist(), strict=True)
        ):
            size, counts = rest["sizes"][at], rest["texts"][at]
            if size is not None and counts is None:
                counts = runs[at]
            size = (size[0], size[1]) if size is not None else None
            shape = CocoShape(rest["labels"][at], names[category], crowd, polygons[at], counts, size)
            coco.shapes.setdefault(keys[image], []).append(shape)
        return coco
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, BadZipFile):
        return None
