"""The generated data set `lanes`: the road ahead as a car's camera sees it, with painted lane markings.

- **Context.** Bright streaks (sun between shadows, wet patches, guard rails, kerbs) are as bright and as wide as paint;
  only a marking follows the road to the vanishing point, its dashes in step with the others.
- **Localisation.** Markings are up to 11 px wide near the car and narrow to one pixel in the distance.
- **Imaging.** Paint is worn, shadows cross it, cars hide it, light and weather differ between images.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from unetzoo.data.worlds.drawing import Array, Drawn, curve, ease, generator, sensor, stroke, waves

VERSION = 2
"""Raise it whenever the same arguments give a different image: records of different versions are not comparable."""

PAINT = 0.30  # how much brighter than asphalt
FAR = 0.12  # share of the way from horizon to bonnet; markings beyond it are not labelled
STREAKS = 7  # mean number


class Ground(NamedTuple):
    """The road plane seen in perspective: fields (size, size), meaningful where ``t`` > 0."""

    t: Array  # 0 at the horizon, 1 at the bottom; the distance is 1 / t
    lateral: Array  # distance from the camera's path, in units of the image's width at the bottom
    pixel: Array  # width of a pixel, in the same units


def draw_lanes(seed: int, key: str, *, size: int, difficulty: float) -> Drawn:
    """Draw an image (3, size, size); class 1 is the lane marking.

    Args:
        seed: Seed of the data set.
        key: Key of the item.
        size: Side of the image in px.
        difficulty: In [0, 1]; changes contrast, noise and shadows.
    """
    rng = generator(seed, key, size)
    clear = ease(difficulty, 1.6)
    horizon, ground = _ground(rng, size)
    width = rng.uniform(0.5, 0.75)
    lanes, own = rng.integers(2, 4), rng.uniform(0.35, 0.65)
    edges = (np.arange(lanes + 1) - rng.integers(0, lanes) - own) * width  # lateral positions of the lines
    light = rng.uniform(0.75, 1.1)
    scene = _surroundings(rng, size, horizon, ground)
    road = _between(ground, edges[0] - 0.15, edges[-1] + 0.15)
    asphalt = rng.uniform(0.3, 0.42) * (1 + 0.06 * waves(rng, size, (20, 90), 10) + 0.05 * waves(rng, size, (3, 8), 30))
    _lay(scene, road, asphalt[None] * np.array((0.98, 1, 1.04))[:, None, None])
    _lay(scene, _streaks(rng, size, horizon) * road * 0.85, asphalt + min(clear, 1.3) * PAINT)
    paint = _markings(rng, ground, edges)
    wear = np.clip(0.8 + 0.4 * waves(rng, size, (6, 40), 16), 0.25, 1)
    tint = np.array((1, 0.97, rng.choice((0.95, 0.6))))[:, None, None]
    _lay(scene, paint * wear, (asphalt + min(clear, 1.5) * PAINT) * tint)
    rail = edges[0] - 0.15 - rng.uniform(0.02, 0.2) if rng.random() < 0.5 else edges[-1] + 0.15 + rng.uniform(0, 0.2)
    _lay(scene, _between(ground, rail - 0.02, rail + 0.02), np.full((3, 1, 1), rng.uniform(0.55, 0.75)))
    scene *= _shadows(rng, size, ground, clear)
    hidden = np.zeros((size, size))
    for _ in range(rng.integers(0, 3)):
        _car(rng, scene, hidden, ground, edges, horizon)
    mask = (paint >= 0.5) & (hidden < 0.5)
    scene = scene * light + rng.uniform(0, 0.06)
    return Drawn(sensor(rng, scene, rng.uniform(0.45, 0.7), 0.025 / clear), mask.astype(np.int64))


def _lay(scene: Array, cover: Array, colour: Array) -> None:
    """Blend a colour, anything that broadcasts to (3, H, W), into the scene by ``cover`` (H, W) in [0, 1]."""
    scene += cover * (colour - scene)


def _ground(rng: np.random.Generator, size: int) -> tuple[float, Ground]:
    """Return the horizon's row, and the plane below it, which bends to one side in the distance."""
    horizon, vanishing, bend = rng.uniform(0.25, 0.42) * size, rng.uniform(0.35, 0.65) * size, rng.normal(0, 0.13)
    rows, columns = np.mgrid[:size, :size] + 0.5
    t = (rows - horizon) / (size - horizon)
    safe = np.maximum(t, 1e-3)
    centre = vanishing + bend * size * (1 - np.clip(t, 0, 1)) ** 4 + (0.5 * size - vanishing) * safe
    return horizon, Ground(t, (columns - centre) / (safe * size), 1 / (safe * size))


def _between(ground: Ground, left: float, right: float) -> Array:
    """Return the share of each pixel (size, size) that lies between two lateral positions."""
    middle, half = (left + right) / 2, (right - left) / 2
    cover = np.clip((half - abs(ground.lateral - middle)) / ground.pixel + 0.5, 0, 1)
    return np.minimum(cover, np.maximum(2 * half / ground.pixel, 0)) * (ground.t > 0)


def _surroundings(rng: np.random.Generator, size: int, horizon: float, ground: Ground) -> Array:
    """Return the sky, a line of trees or houses, and the verge (3, size, size)."""
    up = np.clip((horizon - np.arange(size)[:, None]) / max(horizon, 1), 0, 1)
    sky = np.array((0.72, 0.78, 0.85)) * rng.uniform(0.85, 1.1)
    scene = sky[:, None, None] - np.array((0.28, 0.18, 0.02))[:, None, None] * up * rng.uniform(0, 1.2)
    scene = np.broadcast_to(scene, (3, size, size)).copy()
    scene += 0.04 * waves(rng, size, (30, 90), 8)
    steps = np.repeat(rng.uniform(0, 1, size // 6 + 1), 6)[:size]
    tops = 7 + 3 * waves(rng, size, (15, 60), 6)[0] if rng.random() < 0.6 else 4 + 12 * steps
    behind = (ground.t <= 0) & (horizon - np.arange(size)[:, None] < tops * size / 128)
    _lay(
        scene,
        behind.astype(np.float64),
        np.array((0.22, 0.29, 0.2))[:, None, None] * (1 + 0.25 * waves(rng, size, (3, 15), 30)),
    )
    verge = np.array([(0.33, 0.42, 0.22), (0.5, 0.46, 0.33), (0.45, 0.45, 0.44)][rng.integers(3)])
    texture = 1 + 0.1 * waves(rng, size, (3, 12), 30)
    _lay(scene, (ground.t > 0).astype(np.float64), verge[:, None, None] * texture)
    return scene


def _markings(rng: np.random.Generator, ground: Ground, edges: Array) -> Array:
    """Return the share of each pixel (size, size) that is paint: solid lines outside, dashes in step inside."""
    period, phase, half = rng.uniform(0.9, 1.5), rng.uniform(0, 1), rng.uniform(0.030, 0.042)
    distance = 1 / np.maximum(ground.t, 1e-3)
    dashes = ((distance / period + phase) % 1 < rng.uniform(0.4, 0.6)) & (ground.t > FAR)
    paint = np.zeros_like(ground.t)
    for i, edge in enumerate(edges):
        solid = i in (0, len(edges) - 1) or rng.random() < 0.15
        paint = np.maximum(paint, _between(ground, edge - half, edge + half) * ((ground.t > FAR) if solid else dashes))
    return paint


def _streaks(rng: np.random.Generator, size: int, horizon: float) -> Array:
    """Return light and wet streaks (size, size), as long and wide as dashes, that point anywhere."""
    canvas = np.zeros((size, size))
    for _ in range(rng.poisson(STREAKS)):
        y, x = rng.uniform(horizon, size), rng.uniform(0, size)
        near = (y - horizon) / (size - horizon)
        points = curve(rng, (y, x), rng.uniform(0, 2 * np.pi), (12 + 36 * near) * size / 128, 0.01)
        stroke(canvas, points, (0.5 + 4.0 * near) * size / 128, rng.uniform(0.6, 1))
    return canvas


def _shadows(rng: np.random.Generator, size: int, ground: Ground, clear: float) -> Array:
    """Return the share of the light (size, size) that reaches the ground under trees beside the road."""
    if rng.random() < 0.3:
        return np.ones((size, size))
    distance, side = np.clip(1 / np.maximum(ground.t, 0.03), 0, 30), rng.choice((-1, 1))
    field = np.sin(rng.uniform(2, 5) * distance + rng.uniform(0, 7)) + 0.8 * waves(rng, size, (10, 40), 12)
    field += side * np.clip(ground.lateral, -2, 2) * 0.8
    depth = rng.uniform(0.3, 0.6) / max(clear, 0.8)
    near = np.clip(4 * ground.t, 0, 1)  # distant shadows merge
    return 1 - depth * near / (1 + np.exp(np.clip(1.5 - 5 * field, -30, 30)))


def _car(rng: np.random.Generator, scene: Array, hidden: Array, ground: Ground, edges: Array, horizon: float) -> None:
    """Draw a car ahead in one of the lanes, seen from behind: body, window, lights, shadow."""
    size, lane = len(hidden), rng.integers(len(edges) - 1)
    t = rng.uniform(0.12, 0.5)
    row = int(horizon + t * (size - horizon))
    inside = np.flatnonzero(ground.lateral[row] > (edges[lane] + edges[lane + 1]) / 2)
    if not len(inside) or not 0 < inside[0] < size - 1:
        return
    half, x, colour = 0.36 * (edges[1] - edges[0]) * t * size, inside[0], rng.uniform(0.1, 0.7) + rng.normal(0, 0.08, 3)
    tall = 1.35 * half
    rows, columns = np.arange(size)[:, None] + 0.5 - row, np.arange(size) + 0.5 - x

    def part(top: float, bottom: float, left: float, right: float, what: ArrayLike) -> None:
        cover = ((rows >= -top) & (rows <= -bottom) & (columns >= left) & (columns <= right)) * 1.0
        _lay(scene, cover, np.broadcast_to(np.asarray(what, np.float64), 3)[:, None, None])
        np.maximum(hidden, cover, out=hidden)

    part(0.06 * tall, -0.1 * tall, -half, half, 0.08)
    part(0.65 * tall, 0.06 * tall, -half, half, colour)
    part(tall, 0.6 * tall, -0.78 * half, 0.78 * half, colour * 0.9)
    part(0.92 * tall, 0.62 * tall, -0.66 * half, 0.66 * half, (0.15, 0.18, 0.22))
    for side in (-0.82, 0.82):
        part(0.55 * tall, 0.38 * tall, (side - 0.15) * half, (side + 0.15) * half, (0.75, 0.12, 0.1))
