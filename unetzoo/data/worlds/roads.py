"""The generated data set `roads`: colour images of land from above, with buildings, roads and water.

- **Context.** A flat roof has the colour of a road or a paved yard, and the size of the yard; a shadow on one side and
  a lit edge on the other, up to 14 px away, distinguish it. Water is as dark and green as some woods, which have no
  shore. Tracks are not roads.
- **Localisation.** Lanes are 3 px wide, houses may stand 2 px apart, and trees hide parts of both.
- **Imaging.** Every image has its own light, haze and colours, and clouds shade parts of it.
"""

from __future__ import annotations

import numpy as np

from unetzoo.data.worlds.drawing import (
    REFERENCE_AREA,
    Array,
    Classes,
    Drawn,
    Mask,
    box,
    curve,
    ease,
    generator,
    sensor,
    stroke,
    waves,
)

VERSION = 2
"""Raise it whenever the same arguments give a different image: records of different versions are not comparable."""

CLASSES = ("open land", "building", "road", "water")
BUILDING, ROAD, WATER = 1, 2, 3
HOUSES, HALLS, YARDS, WOODS, TREES, TRACKS = 12, 8, 5, 2.5, 30, 2.5  # mean numbers
SOIL = np.array([(0.36, 0.46, 0.25), (0.55, 0.52, 0.32), (0.44, 0.38, 0.28), (0.30, 0.42, 0.22)])  # RGB of fields
ASPHALT, TILES = np.array((0.52, 0.51, 0.52)), np.array((0.60, 0.36, 0.28))
DEEP, LEAVES = np.array((0.20, 0.30, 0.27)), np.array((0.17, 0.27, 0.13))


def draw_roads(seed: int, key: str, *, size: int, difficulty: float) -> Drawn:
    """Draw an image (3, size, size); the classes are ``CLASSES``.

    Args:
        seed: Seed of the data set.
        key: Key of the item.
        size: Side of the image in px.
        difficulty: In [0, 1]; changes contrast, noise and shadows.
    """
    rng = generator(seed, key, size)
    scale, clear = size * size / REFERENCE_AREA, ease(difficulty, 1.6)
    mask = np.zeros((size, size), np.int64)
    scene = _fields(rng, size)
    grain = waves(rng, size, (3, 9), 40)

    for water in (False, True):  # woods first, under the water; they look like it, but have no shore
        for _ in range(rng.poisson(WOODS * scale) if not water else rng.binomial(2, 0.55)):
            _pool(rng, scene, mask, water, clear)
    for _ in range(rng.poisson(TRACKS * scale)):
        points = curve(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), rng.uniform(30, 90), 0.01)
        _blend(scene, _line(size, points, rng.uniform(0.7, 1.3)) * (mask != WATER), ASPHALT * rng.uniform(0.85, 1.05))
    for _ in range(rng.poisson(YARDS * scale)):
        inside, *_ = box(size, rng.uniform(0, size, 2), rng.uniform(0, 7), (rng.uniform(9, 18), rng.uniform(8, 14)))
        _blend(scene, np.clip(inside, 0, 1) * (mask != WATER), _grey(rng))
    turn = rng.uniform(0, np.pi)
    roads = _roads(rng, size, turn)
    _blend(scene, roads, _grey(rng))
    mask[roads >= 0.5] = ROAD
    _buildings(rng, scene, mask, turn, clear)
    _trees(rng, scene, mask, rng.poisson(TREES * scale))
    scene = scene + 0.035 * grain / clear * (mask != WATER)
    light = 1 + 0.13 * waves(rng, size, (60, 200), 6) / clear
    haze = rng.uniform(0, 0.2)
    scene = scene * light * rng.normal(1, 0.03, 3)[:, None, None] * (1 - haze) + 0.7 * haze
    return Drawn(sensor(rng, scene * rng.uniform(0.8, 1.15), rng.uniform(0.5, 0.8), 0.025 / clear), mask)


def _blend(scene: Array, cover: Array, colour: Array) -> None:
    """Blend a colour (3,) into the scene (3, H, W) by ``cover`` (H, W) in [0, 1]."""
    scene += cover * (colour[:, None, None] - scene)


def _grey(rng: np.random.Generator) -> Array:
    """Return a colour of asphalt, concrete and flat roofs alike."""
    return ASPHALT * rng.uniform(0.8, 1.2) + rng.normal(0, 0.015, 3)


def _line(size: int, points: Array, radius: float) -> Array:
    canvas = np.zeros((size, size))
    stroke(canvas, points, radius)
    return canvas


def _fields(rng: np.random.Generator, size: int) -> Array:
    """Return fields (3, size, size): convex pieces of different colours, some ploughed."""
    sites = rng.uniform(-0.1, 1.1, (rng.integers(4, 9), 2)) * size
    rows, columns = np.mgrid[:size, :size]
    bend = 3 * waves(rng, size, (60, 120), 4)
    which = np.argmin([np.hypot(rows - y + bend, columns - x) for y, x in sites], axis=0)
    colours = SOIL[rng.integers(0, len(SOIL), len(sites))] + rng.normal(0, 0.025, (len(sites), 3))
    furrows = np.zeros((size, size))
    for i in range(len(sites)):
        angle, wavelength = rng.uniform(0, np.pi), rng.uniform(3.5, 6)
        along = rows * np.sin(angle) + columns * np.cos(angle)
        furrows += rng.choice((0, 0.03), p=(0.6, 0.4)) * np.sin(2 * np.pi * along / wavelength) * (which == i)
    return np.moveaxis(colours[which], -1, 0) + furrows


def _pool(rng: np.random.Generator, scene: Array, mask: Classes, water: bool, clear: float) -> None:
    """Draw a pond with a pale shore, a river with banks, or a wood that is as dark but has neither."""
    size = len(mask)
    if water and rng.random() < 0.4:
        heading = rng.uniform(0, 2 * np.pi)
        start = size / 2 - size * np.array([np.sin(heading), np.cos(heading)]) + rng.normal(0, size / 5, 2)
        points, width = curve(rng, start, heading, 2.2 * size, 0.015), rng.uniform(3, 8)
        cover, edge = _line(size, points, width), _line(size, points, width + 2)
    else:
        y, x = rng.uniform(0, size, 2)
        rows, columns = np.arange(size)[:, None] - y, np.arange(size) - x
        inside = rng.uniform(10, 26) - np.hypot(rows, columns) + 5 * waves(rng, size, (25, 60), 8)
        cover, edge = np.clip(inside + 0.5, 0, 1), np.clip(inside + 2.5, 0, 1)
    if water:
        _blend(scene, edge * min(1, 0.7 * clear), np.array((0.62, 0.58, 0.46)))
        mask[cover >= 0.5] = WATER
    _blend(scene, cover * (mask != WATER if not water else 1), DEEP * rng.uniform(0.8, 1.25))


def _roads(rng: np.random.Generator, size: int, turn: float) -> Array:
    """Return a network of roads (size, size): one or two main roads across the image, with side streets."""
    canvas = np.zeros((size, size))
    for i in range(rng.integers(1, 3)):
        heading = turn + i * rng.uniform(1.2, 1.9)
        start = rng.uniform(0.25, 0.75, 2) * size - size * np.array([np.sin(heading), np.cos(heading)])
        points = curve(rng, start, heading, 2.4 * size, 0.006)
        stroke(canvas, points, rng.uniform(2.2, 4.2))
        for _ in range(rng.integers(2, 6)):
            k = rng.integers(len(points) // 5, 4 * len(points) // 5)
            along = np.arctan2(*(points[k + 1] - points[k])) + rng.choice((-1, 1)) * rng.normal(np.pi / 2, 0.15)
            stroke(canvas, curve(rng, points[k], along, rng.uniform(25, 80), 0.008), rng.uniform(1.3, 2.2))
    return canvas


def _buildings(rng: np.random.Generator, scene: Array, mask: Classes, turn: float, clear: float) -> None:
    """Draw houses with pitched roofs and halls with flat ones, a gap apart, with shadows of one sun."""
    size = len(mask)
    scale, sun = size * size / REFERENCE_AREA, rng.uniform(0, 2 * np.pi)
    taken: Mask = mask > 0
    for kind in [True] * rng.poisson(HALLS * scale) + [False] * rng.poisson(HOUSES * scale):
        half = (rng.uniform(9, 18), rng.uniform(8, 14)) if kind else (rng.uniform(4, 7.5), rng.uniform(3, 5.5))
        centre = rng.uniform(0, size, 2)
        angle = turn + rng.choice((0, np.pi / 2)) + rng.normal(0, 0.06)
        inside, u, v = box(size, centre, angle, half)
        if (taken & (inside > -2)).any():
            continue
        height = rng.uniform(3, 5)
        shade, *_ = box(size, centre + height * np.array([np.sin(sun), np.cos(sun)]), angle, half)
        scene *= 1 - min(0.7, 0.5 * clear) * np.clip(shade + 0.5, 0, 1) * (inside < 0)
        roof = _grey(rng) if kind or rng.random() < 0.4 else TILES * rng.uniform(0.75, 1.2) + rng.normal(0, 0.02, 3)
        _blend(scene, np.clip(inside + 0.5, 0, 1), roof)
        facing = (inside > -0.5) & (inside < 1.5) & ((u * _toward(u, sun) + v * _toward(v, sun)) < 0)
        scene += 0.16 * clear * facing
        if not kind:
            scene += 0.06 * np.sign(v) * (inside > 0)  # the side of the ridge that faces the light
        mask[inside > 0] = BUILDING
        taken |= inside > 0


def _toward(axis: Array, sun: float) -> float:
    """Return the component of a rectangle's axis that points away from the sun."""
    down, right = axis[1, 0] - axis[0, 0], axis[0, 1] - axis[0, 0]
    return float(down * np.sin(sun) + right * np.cos(sun))


def _trees(rng: np.random.Generator, scene: Array, mask: Classes, count: int) -> None:
    """Draw crowns that hide the ground; the mask keeps the roads and roofs under them."""
    size = len(mask)
    groves, lone = rng.uniform(0, size, (4, 2)), rng.random(count) < 0.4
    places = np.where(
        lone[:, None],
        rng.uniform(0, size, (count, 2)),
        groves[rng.integers(4, size=count)] + rng.normal(0, 16, (count, 2)),
    )
    pixels = np.clip(places, 0, size - 1).astype(int)
    places = places[mask[tuple(pixels.T)] != WATER]
    radius, shade = rng.uniform(1.2, 3.2, len(places)), rng.uniform(0.7, 1.5, len(places))
    crowns, shades = np.zeros((2, size, size))
    if len(places):
        stroke(crowns, places, radius)
        stroke(shades, places, radius + 1, shade)
    scene += crowns * (LEAVES[:, None, None] * shades - scene)
