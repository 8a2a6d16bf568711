"""The generator of `defects`: brushed metal and woven cloth under inspection; many images show nothing wrong.

- **Rare.** About every other image has an empty mask; where there is a defect, it covers a few per cent at most.
- **Context.** A line along the brushing or the weave is sound, however strong; the same line across it is a scratch.
  Stains are no stronger than the uneven light, only smaller. Which way the material runs differs between images.
- **Localisation.** Scratches are 1 to 3 px wide, pits 2 to 5 px.
"""

from __future__ import annotations

import numpy as np

from unetzoo.data.drawing import Array, Drawn, box, curve, ease, generator, sensor, stroke, waves

VERSION = 1
"""Raise it whenever the same arguments give another image: records of other versions do not compare."""

SOUND = 0.5  # share of images without a defect
CONTRAST = 0.19
GRAIN_LINES = 9  # mean number of strong lines along the brushing


def draw_defects(seed: int, key: str, *, size: int, difficulty: float) -> Drawn:
    """One image (1, size, size); class 1 is the defect."""
    rng = generator(seed, key, size)
    contrast = CONTRAST * ease(difficulty, 1.7)
    heading, metal = rng.uniform(0, np.pi), rng.random() < 0.5
    scene = rng.uniform(0.4, 0.6) + 0.07 * waves(rng, size, (70, 220), 6)
    scene += _brushed(rng, size, heading) if metal else _woven(rng, size, heading)
    cover, depth = np.zeros((size, size)), np.zeros((size, size))
    if rng.random() >= SOUND:
        for _ in range(rng.integers(1, 5)):
            (_scratch, _pits, _stain)[rng.choice(3, p=(0.45, 0.25, 0.3))](rng, cover, depth, heading)
        if not (cover >= 0.5).any():  # it fell outside
            _pits(rng, cover, depth, heading)
    scene += contrast * depth
    return Drawn(sensor(rng, scene, rng.uniform(0.4, 0.7), 0.03), (cover >= 0.5).astype(np.int64))


def _across(size: int, heading: float) -> Array:
    """px across the direction ``heading`` (size, size)."""
    return np.arange(size)[:, None] * np.cos(heading) - np.arange(size) * np.sin(heading)


def _brushed(rng: np.random.Generator, size: int, heading: float) -> Array:
    """Fine grain along one direction, with some strong lines in it, and a sheen (size, size)."""
    across = _across(size, heading) + 0.4 * waves(rng, size, (60, 150), 4)
    along = _across(size, heading + np.pi / 2)
    profile = rng.normal(0, 1, 4 * size)
    grain = np.interp(across, np.linspace(-1.5 * size, 1.5 * size, len(profile)), profile)
    grain *= 0.7 + 0.3 * np.sin(along / rng.uniform(9, 25) + 3 * np.sin(across))
    for _ in range(rng.poisson(GRAIN_LINES)):
        where, centre, reach = rng.uniform(-size, size), rng.uniform(-size, size), rng.uniform(15, 60)
        line = np.clip(1.2 - abs(across - where), 0, 1) / (1 + np.exp((abs(along - centre) - reach) / 2))
        grain += rng.uniform(2, 4.5) * rng.choice((-1, 1)) * line
    return 0.03 * grain


def _woven(rng: np.random.Generator, size: int, heading: float) -> Array:
    """Plain weave (size, size): two sets of threads, over and under in turn, of uneven strength."""
    pitch = rng.uniform(4.5, 7.5)
    u = _across(size, heading) / pitch + 0.12 * waves(rng, size, (30, 80), 6)
    v = _across(size, heading + np.pi / 2) / pitch + 0.12 * waves(rng, size, (30, 80), 6)
    over = (np.floor(u) + np.floor(v)) % 2 == 0
    strengths = rng.normal(1, 0.25, (2, 512))
    warp = strengths[0][np.floor(u).astype(int) % 512] * np.sin(np.pi * (u % 1))
    weft = strengths[1][np.floor(v).astype(int) % 512] * np.sin(np.pi * (v % 1))
    return 0.14 * (np.where(over, warp, 0.85 * weft) - 0.6)


def _sign(rng: np.random.Generator) -> float:
    return rng.choice((-1, 1)) * rng.uniform(0.7, 1.2)


def _scratch(rng: np.random.Generator, cover: Array, depth: Array, heading: float) -> None:
    """A bent line across the material's direction, thin at its ends."""
    turn = heading + rng.choice((-1, 1)) * rng.uniform(0.45, np.pi / 2)
    size = len(cover)
    points = curve(rng, rng.uniform(0.15, 0.85, 2) * size, turn, rng.uniform(25, 80), 0.02)
    shape = np.zeros_like(cover)
    stroke(shape, points, rng.uniform(0.8, 1.6) * np.sin(np.linspace(0.25, np.pi - 0.25, len(points))) ** 0.5)
    _add(cover, depth, shape, 1.2 * _sign(rng))


def _pits(rng: np.random.Generator, cover: Array, depth: Array, heading: float) -> None:
    """A cluster of dark pits."""
    size, count = len(cover), rng.integers(3, 9)
    shape = np.zeros_like(cover)
    places = np.clip(rng.uniform(0.1, 0.9, 2) * size + rng.normal(0, 7, (count, 2)), 1, size - 2)
    stroke(shape, places, rng.uniform(1.0, 2.4, count))
    _add(cover, depth, shape, -1.4 * rng.uniform(0.8, 1.2))


def _stain(rng: np.random.Generator, cover: Array, depth: Array, heading: float) -> None:
    """A faint patch of irregular outline, soft at the edge."""
    size = len(cover)
    _, u, v = box(size, rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0, np.pi), (1, 1))
    inside = rng.uniform(6, 13) - np.hypot(u, v / rng.uniform(1, 1.7)) + 2 * waves(rng, size, (14, 35), 10)
    _add(cover, depth, 1 / (1 + np.exp(-inside / 0.7)), 0.8 * _sign(rng))


def _add(cover: Array, depth: Array, shape: Array, strength: float) -> None:
    np.maximum(cover, shape, out=cover)
    depth += strength * shape
