"""What the generated worlds share: a random stream per key, smooth fields, curves and anti-aliased strokes.

Images have one of two shapes while they are drawn, (size, size) or (3, size, size); lengths are px. Every world takes
``difficulty`` in [0, 1] and draws the same scene at each: only contrast, noise and what hides things change.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]
Classes = NDArray[np.int64]

REFERENCE_AREA = 128 * 128  # px; all counts in the worlds are for this area


class Drawn(NamedTuple):
    """One item: image float32 (C, H, W) in [0, 1], mask int64 (H, W), instance labels int32 (H, W) where natural."""

    image: NDArray[np.float32]
    mask: Classes
    instances: Labels | None = None


def generator(seed: int, key: str, size: int) -> np.random.Generator:
    """The random stream of one item, a function of its arguments alone."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(key.encode()), size]))


def ease(difficulty: float, factor: float) -> float:
    """What to multiply contrasts by (and divide noise by): ``factor`` at 0, exactly 1 at 0.5, 1 / ``factor`` at 1."""
    return factor ** (1 - 2 * difficulty)


def waves(rng: np.random.Generator, size: int, wavelength: tuple[float, float], count: int) -> Array:
    """A smooth random field (size, size) of about unit variance; wavelengths in px."""
    grid = np.arange(size)
    k = 2 * np.pi / rng.uniform(*wavelength, count)
    direction, phase = rng.uniform(0, 2 * np.pi, (2, count))
    rows = np.exp(1j * (np.outer(grid, k * np.sin(direction)) + phase))
    columns = np.exp(1j * np.outer(k * np.cos(direction), grid))
    return (rows @ columns).real * np.sqrt(2 / count)


def curve(
    rng: np.random.Generator, start: ArrayLike, heading: float, length: float, bend: float, step: float = 0.5
) -> Array:
    """Points (n, 2) of rows and columns along a smooth curve, ``step`` px apart.

    The heading (radians, 0 = along a row) turns with a curvature that is itself smooth and random, of deviation
    ``bend`` in radians per px.
    """
    n = max(3, int(length / step))
    knots = rng.normal(0, bend, max(2, round(length / 15)) + 1)
    turning = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(knots)), knots)
    angle = heading + np.cumsum(turning) * step
    return np.asarray(start) + np.cumsum(np.stack([np.sin(angle), np.cos(angle)], 1), axis=0) * step


def stroke(canvas: Array, points: Array, radius: ArrayLike, value: ArrayLike = 1.0, soft: float = 1.0) -> None:
    """Draw onto ``canvas`` (H, W), by maximum, discs at points (n, 2) that lie close enough to make a line.

    ``radius`` and ``value`` are numbers or (n,); the edge falls linearly over ``soft`` px, half of it on each side.
    """
    radius, value = (np.broadcast_to(np.asarray(v, np.float64), len(points))[:, None] for v in (radius, value))
    reach = int(np.ceil(radius.max() + soft / 2))
    offsets = np.moveaxis(np.mgrid[-reach : reach + 1, -reach : reach + 1], 0, -1).reshape(-1, 2)
    pixels = np.round(points).astype(int)[:, None] + offsets  # (n, window, 2)
    distance = np.hypot(*np.moveaxis(pixels - points[:, None], -1, 0))
    cover = value * np.clip((radius - distance) / soft + 0.5, 0, 1)
    seen = (cover > 0) & (pixels >= 0).all(-1) & (pixels < canvas.shape).all(-1)
    np.maximum.at(canvas, tuple(pixels[seen].T), cover[seen])


def box(size: int, centre: Array, turn: float, half: tuple[float, float]) -> tuple[Array, Array, Array]:
    """A rectangle around ``centre`` (row, column), turned by ``turn`` radians.

    Three fields (size, size): px inwards from its outline, and px along its own two axes.
    """
    rows, columns = np.arange(size)[:, None] - centre[0], np.arange(size) - centre[1]
    u = rows * np.cos(turn) - columns * np.sin(turn)
    v = rows * np.sin(turn) + columns * np.cos(turn)
    return np.minimum(half[0] - abs(u), half[1] - abs(v)), u, v


def sensor(rng: np.random.Generator, scene: Array, blur: float, noise: float) -> NDArray[np.float32]:
    """The recorded image (C, H, W) of a scene (H, W) or (C, H, W) in [0, 1]: blur in px, noise, 8 bits."""
    scene = scene if scene.ndim == 3 else scene[None]
    sharp = ndimage.gaussian_filter(scene, (0, blur, blur), truncate=3)
    recorded = sharp + noise * rng.standard_normal(scene.shape)
    return (np.round(np.clip(recorded, 0, 1) * 255) / 255).astype(np.float32)
