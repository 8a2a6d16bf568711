"""Random masks of a known convention are read exactly, or a question or an error names what is uncertain."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from support.data_folders import look, picture, save
from unetzoo.data.folders.mask_conventions import voc_colours
from unetzoo.data.folders.reading import Values

SHAPE = (24, 30)
VOC = sorted(voc_colours() - {0})


@dataclass
class Drawn:
    """Masks of a convention.

    Attributes:
        name: The convention.
        masks: Stored values, with colours as 0xrrggbb.
        truth: Meaning of each stored value: 0 for background, -1 for void, or a positive number that values of one
            class share.
    """

    name: str
    masks: list[np.ndarray]
    truth: dict[int, int] = field(default_factory=dict)


@st.composite
def conventions(draw: st.DrawFn) -> Drawn:
    name = draw(st.sampled_from(["0/1", "0/255", "indices", "gaps", "palette", "colours", "ids", "cropped ids"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(4, 7))
    void = draw(st.booleans()) and name not in ("0/1", "0/255")
    if name in ("0/1", "0/255"):
        value = 1 if name == "0/1" else 255
        cut = draw(st.sampled_from([0.1, 0.4, 0.7, 0.95]))
        masks = [np.where(rng.random(SHAPE) < cut, value, 0) for _ in range(count)]
        return Drawn(name, masks, {0: 0, value: 1})
    if name.endswith("ids"):
        sizes = [int(n) for n in rng.integers(1, draw(st.sampled_from([4, 8, 16])), count)]
        sizes[:2] = [1, 3]
        firsts = [1 if name == "ids" else int(rng.integers(2, 200)) for _ in range(count)]
        masks = [_objects(rng, size, first) for size, first in zip(sizes, firsts, strict=True)]
        truth = {0: 0} | {int(v): 1 for mask in masks for v in np.unique(mask) if v}
    else:
        number = draw(st.integers(2, 6))
        top = {"indices": number, "gaps": 150, "palette": 20, "colours": len(VOC)}[name]
        ids = 1 + rng.choice(top, number, replace=False) if name != "indices" else 1 + np.arange(number)
        stored = [VOC[i - 1] if name == "colours" else int(i) for i in ids]
        masks = [_regions(rng, stored) for _ in range(count)]
        truth = {0: 0} | {value: k + 1 for k, value in enumerate(stored)}
    if void:
        value = 0xE0E0C0 if name == "colours" else 255
        if name in ("ids", "cropped ids", "indices", "gaps"):
            value = draw(st.sampled_from([255, 65535, -1]))
        for mask in masks:
            mask[: rng.integers(1, 4)] = value
        truth[value] = -1
    present = {int(v) for mask in masks for v in np.unique(mask)}
    return Drawn(name, masks, {v: meaning for v, meaning in truth.items() if v in present})


def _objects(rng: np.random.Generator, count: int, first: int) -> np.ndarray:
    """Return squares that may touch, numbered from ``first``."""
    mask = np.zeros(SHAPE, np.int64)
    for k, place in enumerate(rng.permutation(20)[:count]):
        row, column = 4 + 5 * (place // 5), 6 * (place % 5)
        mask[row : row + rng.integers(3, 6), column : column + rng.integers(4, 7)] = first + k
    return mask


def _regions(rng: np.random.Generator, stored: list[int]) -> np.ndarray:
    """Return a mask with two to nine rectangles, each of a random class."""
    mask = np.zeros(SHAPE, np.int64)
    for value in rng.choice(stored, rng.integers(2, 10)):
        row, column = rng.integers(3, 18), rng.integers(0, 24)
        mask[row : row + rng.integers(3, 8), column : column + rng.integers(3, 12)] = value
    return mask


def write(root: Path, drawn: Drawn) -> None:
    shutil.rmtree(root, ignore_errors=True)
    for i, mask in enumerate(drawn.masks):
        save(root / "images" / f"a{i}.png", picture(i, SHAPE))
        path = root / "masks" / f"a{i}.png"
        path.parent.mkdir(exist_ok=True)
        if drawn.name == "colours":
            save(path, np.dstack([mask >> 16, mask >> 8 & 255, mask & 255]).astype(np.uint8))
        elif drawn.name == "palette":
            image = Image.fromarray(mask.astype(np.uint8)).convert("P")
            image.putpalette([c for v in range(255) for c in (v, 255 - v, v // 2)] + [0xE0, 0xE0, 0xC0])
            image.putdata(mask.ravel().tolist())
            image.save(path)
        else:
            np.save(path.with_suffix(".npy"), mask.astype(np.int32))


def holds(root: Path, drawn: Drawn) -> None:
    write(root, drawn)
    found = look(root, compare=False)
    if errors := [finding for finding in found.errors if "same image" not in finding.text]:
        assert any(f"masks/a{i}." in errors[0].text or f"{root / 'masks'}:" in errors[0].text for i in range(7)), errors
        return
    if found.questions:
        assert all(question.answers for question in found.questions)
        return
    reading = found.reading
    assert reading is not None
    stored = np.array(sorted(drawn.truth))
    index, known = Values.of(reading).classes(stored)
    assert known.all()
    scored = {i for i, c in enumerate(reading.classes) if c.foreground}
    classes: dict[int, int] = {}
    for value, i in zip(stored.tolist(), index.tolist(), strict=True):
        meaning = drawn.truth[value]
        assert (i == reading.ignore_index) == (meaning == -1), (drawn.name, value, reading)
        if meaning >= 0:
            assert (i in scored) == (meaning > 0), (drawn.name, value, reading)
            assert classes.setdefault(i, meaning) == meaning, (drawn.name, value, reading)
    assert len(classes) == len(set(classes.values())), (drawn.name, reading)


common = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@settings(max_examples=200, **common)
@given(drawn=conventions())
def test_masks_of_a_convention_are_read_exactly_or_asked_about(tmp_path: Path, drawn: Drawn) -> None:
    holds(tmp_path / "data", drawn)


@pytest.mark.nightly
@settings(max_examples=2000, **common)
@given(drawn=conventions())
def test_masks_of_a_convention_are_read_exactly_or_asked_about_at_length(tmp_path: Path, drawn: Drawn) -> None:
    holds(tmp_path / "data", drawn)
