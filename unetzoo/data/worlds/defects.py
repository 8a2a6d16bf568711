"""The generated data set `defects`: brushed metal and woven cloth under inspection, often without a defect.

- **Rarity.** About half of the images have an empty mask; where there is a defect, it covers a few per cent.
- **Context.** Lines along the brushing or the weave are sound, lines across it are scratches; the direction of the
  material differs between images. A dried drop leaves a closed rim 28 to 65 px across. All of it is a stain, its
  interior too, where a small window sees only a faint shade, weaker than most of the uneven light. Wiped drops leave
  open arcs of such rims, which are sound. Sound marks are weaker than defects, at difficulty 1 only slightly.
- **Localisation.** Scratches are 1 to 3 px wide, pits 2 to 5 px.
"""

from __future__ import annotations

import numpy as np

from unetzoo.data.worlds.drawing import Array, Drawn, box, curve, ease, generator, sensor, stroke, waves

VERSION = 4
"""Raise it whenever the same arguments give a different image: records of different versions are not comparable."""

SOUND = 0.5  # share of images without a defect
CONTRAST = 0.34
LINES, WIPES = 8, 1.5  # mean numbers of sound marks: strong lines along the material, open arcs
LINE, WIPE = (0.06, 0.14), 0.12  # strength of these marks


def draw_defects(seed: int, key: str, *, size: int, difficulty: float) -> Drawn:
    """Draw an image (1, size, size); class 1 is the defect.

    Args:
        seed: Seed of the data set.
        key: Key of the item.
        size: Side of the image in px.
        difficulty: In [0, 1]; changes contrast alone.
    """
    rng = generator(seed, key, size)
    contrast = CONTRAST * ease(difficulty, 1.5)
    heading, metal = rng.uniform(0, np.pi), rng.random() < 0.5
    scene = rng.uniform(0.38, 0.62) + 0.05 * waves(rng, size, (70, 220), 6)
    scene += _brushed(rng, size, heading) if metal else _woven(rng, size, heading)
    scene += _lines(rng, size, heading) + WIPE * _wipes(rng, size)
    cover, depth = np.zeros((size, size)), np.zeros((size, size))
    if rng.random() >= SOUND:
        kind, most = ((_scratch, 3), (_pits, 1), (_stain, 2))[rng.choice(3, p=(0.3, 0.1, 0.6))]
        for _ in range(rng.integers(most) + 1):
            kind(rng, cover, depth, heading)
        if not (cover >= 0.5).any():  # all of it fell outside the image
            _pits(rng, cover, depth, heading)
    scene += contrast * depth
    return Drawn(sensor(rng, scene, rng.uniform(0.4, 0.7), 0.03), (cover >= 0.5).astype(np.int64))


def _across(size: int, heading: float) -> Array:
    """Return the position (size, size) in px across the direction ``heading``."""
    return np.arange(size)[:, None] * np.cos(heading) - np.arange(size) * np.sin(heading)


def _brushed(rng: np.random.Generator, size: int, heading: float) -> Array:
    """Return fine grain (size, size) along one direction."""
    across = _across(size, heading) + 0.4 * waves(rng, size, (60, 150), 4)
    along = _across(size, heading + np.pi / 2)
    profile = rng.normal(0, 1, 4 * size)
    grain = np.interp(across, np.linspace(-1.5 * size, 1.5 * size, len(profile)), profile)
    return 0.02 * grain * (0.7 + 0.3 * np.sin(along / rng.uniform(9, 25) + 3 * np.sin(across)))


def _woven(rng: np.random.Generator, size: int, heading: float) -> Array:
    """Return a plain weave (size, size): two sets of threads of uneven strength, over and under in turn."""
    pitch = rng.uniform(4.5, 7.5)
    u = _across(size, heading) / pitch + 0.12 * waves(rng, size, (30, 80), 6)
    v = _across(size, heading + np.pi / 2) / pitch + 0.12 * waves(rng, size, (30, 80), 6)
    over = (np.floor(u) + np.floor(v)) % 2 == 0
    strengths = rng.normal(1, 0.25, (2, 512))
    warp = strengths[0][np.floor(u).astype(int) % 512] * np.sin(np.pi * (u % 1))
    weft = strengths[1][np.floor(v).astype(int) % 512] * np.sin(np.pi * (v % 1))
    return 0.1 * (np.where(over, warp, 0.85 * weft) - 0.6)


def _lines(rng: np.random.Generator, size: int, heading: float) -> Array:
    """Return strong lines (size, size) along the material: brush marks, thick threads."""
    depth = np.zeros((size, size))
    for _ in range(rng.poisson(LINES)):
        depth += rng.choice((-1, 1)) * rng.uniform(*LINE) * _line(rng, size, heading, 0.001)
    return depth


def _line(rng: np.random.Generator, size: int, heading: float, bend: float) -> Array:
    """Return a line (size, size) that is thin at its ends."""
    points = curve(rng, rng.uniform(0.05, 0.95, 2) * size, heading, rng.uniform(25, 80), bend)
    shape = np.zeros((size, size))
    stroke(shape, points, rng.uniform(0.8, 1.5) * np.sin(np.linspace(0.25, np.pi - 0.25, len(points))) ** 0.5)
    return shape


def _wipes(rng: np.random.Generator, size: int) -> Array:
    """Return the rims (size, size) of drops that were wiped away: about a third of each is left."""
    depth = np.zeros((size, size))
    for _ in range(rng.poisson(WIPES)):
        inside, turn = _drop(rng, size)
        part = 1 / (1 + np.exp(12 * (rng.uniform(0, 0.6) - np.cos(turn))))
        depth += _sign(rng) * part * _rim(inside)
    return depth


def _drop(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Return the distance (size, size) in px inwards from a drop's irregular outline, and the angle around it."""
    _, u, v = box(size, rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0, 2 * np.pi), (1, 1))
    inside = rng.uniform(14, 24) - np.hypot(u, v / rng.uniform(1, 1.4)) + 1.5 * waves(rng, size, (18, 45), 10)
    return inside, np.arctan2(v, u)


def _rim(inside: Array) -> Array:
    return 0.8 * np.exp(-0.5 * ((inside - 0.8) / 1.0) ** 2)


def _sign(rng: np.random.Generator) -> float:
    return rng.choice((-1, 1)) * rng.uniform(0.6, 1.0)


def _scratch(rng: np.random.Generator, cover: Array, depth: Array, heading: float) -> None:
    """Draw a line across the direction of the material."""
    turn = heading + rng.choice((-1, 1)) * rng.uniform(0.6, np.pi / 2)
    _add(cover, depth, _line(rng, len(cover), turn, 0.01), _sign(rng))


def _pits(rng: np.random.Generator, cover: Array, depth: Array, heading: float) -> None:
    """Draw a cluster of dark pits."""
    size, count = len(cover), rng.integers(3, 9)
    shape = np.zeros_like(cover)
    places = np.clip(rng.uniform(0.1, 0.9, 2) * size + rng.normal(0, 7, (count, 2)), 1, size - 2)
    stroke(shape, places, rng.uniform(1.0, 2.4, count))
    _add(cover, depth, shape, -rng.uniform(0.8, 1.2))


def _stain(rng: np.random.Generator, cover: Array, depth: Array, heading: float) -> None:
    """Draw the mark of a dried drop: a closed rim and a faint interior."""
    inside, _ = _drop(rng, len(cover))
    strength = _sign(rng)
    np.maximum(cover, np.clip(inside + 0.5, 0, 1), out=cover)
    depth += strength * (_rim(inside) + 0.2 * np.clip(inside + 0.5, 0, 1))


def _add(cover: Array, depth: Array, shape: Array, strength: float) -> None:
    np.maximum(cover, shape, out=cover)
    depth += strength * shape
