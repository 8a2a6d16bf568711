"""Small folders of images and masks for tests, and helpers to inspect them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from unetzoo.cli.main import app
from unetzoo.data.folders.check import Check, check, find_source

SHAPE = (40, 50)
COUNT = 8
VOID = [(slice(0, 2), slice(None)), (slice(2, 4), slice(0, 20))]  # two strips at the edge that hold no disc


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def picture(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return smooth noise, so that the thumbnails of two pictures differ."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 7), dtype=np.uint8)
    grey = np.asarray(Image.fromarray(coarse).resize(shape[1::-1], Image.Resampling.BICUBIC))
    noisy = np.clip(grey.astype(int) + rng.integers(-9, 9, grey.shape), 1, 254).astype(np.uint8)
    return noisy if len(shape) == 2 else np.dstack([noisy, noisy // 2, 255 - noisy])


def disc(seed: int, value: int = 1, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return a mask with one disc of about a tenth of the pixels."""
    row, column = np.random.default_rng(seed).integers(12, 28, 2)
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.where((y - row) ** 2 + (x - column) ** 2 < 64, value, 0).astype(np.uint8)


def make_folder(root: Path) -> Path:
    """Write eight RGB images a0 to a7 with 0/255 masks."""
    for i in range(COUNT):
        save(root / "images" / f"a{i}.png", picture(i, (*SHAPE, 3)))
        save(root / "masks" / f"a{i}.png", disc(i, 255))
    return root


def look(path: Path, **options: Any) -> Check:
    return check(find_source(path), **options)


def texts(checked: Check, severity: str | None = None) -> list[str]:
    return [f.text for f in checked.findings if severity in (None, f.severity)]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["data", "check", *arguments])


def values(found: Check) -> list[tuple[list[int | str], bool]]:
    assert found.reading is not None
    return [(c.values, c.foreground) for c in found.reading.classes]


def share(found: Check, index: int) -> float:
    assert found.shares is not None
    total = sum(found.shares.pixels.values())
    return float(total[index] / total.sum())  # type: ignore[index,union-attr]


def sizes(found: Check) -> list[int]:
    return [len(found.layout.splits[split]) for split in ("train", "val", "test")]


def mask_of(root: Path, i: int) -> Path:
    return root / "masks" / f"a{i}.png"


def image_of(root: Path, i: int) -> Path:
    return root / "images" / f"a{i}.png"


def void_in(mask: np.ndarray, value: int = 255) -> np.ndarray:
    mask = mask.copy()
    for strip in VOID:
        mask[strip] = value
    return mask


def objects(count: int, first: int = 1) -> np.ndarray:
    """Return a mask with ``count`` squares that do not touch, numbered from ``first``."""
    mask = np.zeros(SHAPE, np.uint8)
    for k in range(count):
        row, column = divmod(k, 7)
        mask[2 + 7 * row : 7 + 7 * row, 2 + 7 * column : 7 + 7 * column] = first + k
    return mask


def kinds(found: Check) -> list[str]:
    return [question.kind for question in found.questions]
