"""The grid of predictions: its size, and what is left out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.records import load, record
from unetzoo.report import predictions
from unetzoo.report.predictions import draw_predictions, left_out


def sampled(folder: Path, labels: list[str], side: int = 96) -> Any:
    """Return tables of records with one test image of noise each, whose files are in ``folder``."""
    (folder / "records" / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, top in (("image", 256), ("truth", 2), ("prediction", 2)):
        pixels = rng.integers(0, top, (side, side), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "records" / "images" / f"{name}.png")
    files = {name: f"images/{name}.png" for name in ("image", "truth", "prediction")}
    return load(*(record(label, 0, samples=[{"key": "slice_0", **files}]) for label in labels))


def test_the_first_variants_alone_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(predictions, "MOST_VARIANTS", 2)
    labels = ["unet", "unet_b", "unet_c"]
    t = sampled(tmp_path, labels)
    drawn = draw_predictions(t.models, tmp_path, labels)
    assert drawn == draw_predictions([r for r in t.models if r.trial["model"]["label"] != "unet_c"], tmp_path, labels)
    assert left_out(t.models, labels) == " Shown: the first 2 of 3 variants."
    assert left_out(t.models, labels[:2]) == ""


def test_sizes_that_cannot_fit_are_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    labels = ["unet", "unet_b"]
    t = sampled(tmp_path, labels)
    sides = (96, 64, 48, 32, 16)
    monkeypatch.setattr(predictions, "SIDES", sides)
    alone = []
    for side in sides:
        monkeypatch.setattr(predictions, "SIDES", (side,))
        alone.append(draw_predictions(t.models, tmp_path, labels))
    sizes = [max(map(len, both.values())) for both in alone if both]
    monkeypatch.setattr(predictions, "SIDES", sides)
    monkeypatch.setattr(predictions, "LIMIT", sizes[3] + 1)
    grid, drawn = predictions._grid, []
    monkeypatch.setattr(predictions, "_grid", lambda *a: drawn.append(a) or grid(*a))
    expected = next(both for both, size in zip(alone, sizes, strict=True) if size < sizes[3] + 1)
    assert draw_predictions(t.models, tmp_path, labels) == expected
    assert len(drawn) < len(sides)
