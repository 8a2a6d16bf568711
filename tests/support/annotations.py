"""Small folders with COCO and labelme annotations for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 24, 32
CATEGORIES = ((3, "cat"), (18, "dog"))


def save_image(path: Path, seed: int, height: int = HEIGHT, width: int = WIDTH) -> None:
    """Write an RGB image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(1, 255, (height, width, 3), dtype=np.uint8)).save(path)


def box(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    """Return a rectangle as a COCO polygon."""
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def annotation(image: Any, category: Any, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0, **more}


def image_entry(key: Any, name: str, height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    return {"id": key, "file_name": name, "height": height, "width": width}


def write_coco(
    path: Path,
    images: Sequence[Any],
    annotations: Sequence[Any],
    categories: Sequence[tuple[Any, Any]] = CATEGORIES,
) -> None:
    """Write a COCO file, numbering the annotations that have no id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbered = [{"id": i, **a} if isinstance(a, dict) else a for i, a in enumerate(annotations)]
    names = [{"id": key, "name": name, "supercategory": "none"} for key, name in categories]
    content = {"info": {}, "images": images, "annotations": numbered, "categories": names}
    path.write_text(json.dumps(content), encoding="utf-8")


def coco_set(root: Path, path: str, folder: str, count: int = 8, start: int = 0) -> None:
    """Write images and a COCO file; each image has a dog and, on top, a cat, but every fourth has nothing."""
    images, annotations = [], []
    for i in range(start, start + count):
        save_image(root / folder / f"p{i}.png", i)
        images.append(image_entry(i, f"p{i}.png"))
        if i % 4 != 3:
            annotations.append(annotation(i, 3, [box(4, 4, 9 + i % 5, 9)]))
            annotations.append(annotation(i, 18, [box(2, 2, 20, 20)]))
    write_coco(root / path, images, annotations)


def shape(label: str, points: Any, kind: str | None = "polygon", **more: Any) -> dict[str, Any]:
    given = {} if kind is None else {"shape_type": kind}
    return {"label": label, "points": points, "group_id": None, "flags": {}, **given, **more}


def write_labelme(path: Path, image: str, shapes: Sequence[Any], **changes: Any) -> None:
    """Write a labelme file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content: Mapping[str, Any] = {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def labelme_set(root: Path, annotations: str = ".", images: str = ".", count: int = 8, start: int = 0) -> None:
    """Write images and labelme files, each with a rectangle of a dog and a polygon of a cat."""
    for i in range(start, start + count):
        save_image(root / images / f"p{i}.png", i)
        shapes = [
            shape("dog", [[2, 2], [20, 20]], "rectangle"),
            shape("cat", [[4, 4], [9 + i % 5, 4], [9 + i % 5, 9], [4, 9]]),
        ]
        write_labelme(root / annotations / f"p{i}.json", f"p{i}.png", shapes)
