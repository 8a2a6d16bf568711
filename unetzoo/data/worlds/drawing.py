"""Drawing tools of the generated data sets: one random stream per key, smooth fields, curves, anti-aliased strokes.

Images have one of two shapes while they are drawn, (size, size) or (3, size, size); lengths are in px. Every generator
takes a ``difficulty`` in [0, 1] and draws the same scene at each: only contrast, noise and occlusion change.
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

REFERENCE_AREA = 128 * 128  # px; the counts in the generators refer to this area


class Drawn(NamedTuple):
    """An item: image float32 (C, H, W) in [0, 1], mask int64 (H, W), instance labels int32 (H, W) if it has any."""

    image: NDArray[np.float32]
    mask: Classes
    instances: Labels | None = None


def generator(seed: int, key: str, size: int) -> np.random.Generator:
    """Return the random stream of an item, a function of the arguments alone.

    Args:
        seed: Seed of the data set.
        key: Key of the item.
        size: Side of the image in px.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(key.encode()), size]))


def ease(difficulty: float, factor: float) -> float:
    """Return the factor for contrasts (and the divisor for noise).

    Args:
        difficulty: In [0, 1].
        factor: Value at difficulty 0. At 0.5 it is exactly 1, at 1 it is 1 / ``factor``.
    """
    return factor ** (1 - 2 * difficulty)


def waves(rng: np.random.Generator, size: int, wavelength: tuple[float, float], count: int) -> Array:
    """Return a smooth random field (size, size) of about unit variance, as a sum of waves.

    Args:
        rng: Random stream.
        size: Side of the field in px.
        wavelength: Shortest and longest wavelength in px.
        count: Number of waves.
    """
    grid = np.arange(size)
    k = 2 * np.pi / rng.uniform(*wavelength, count)
    direction, phase = rng.uniform(0, 2 * np.pi, (2, count))
    rows = np.exp(1j * (np.outer(grid, k * np.sin(direction)) + phase))
    columns = np.exp(1j * np.outer(k * np.cos(direction), grid))
    return (rows @ columns).real * np.sqrt(2 / count)


def curve(
    rng: np.random.Generator, start: ArrayLike, heading: float, length: float, bend: float, step: float = 0.5
) -> Array:
    """Return points along a smooth random curve.

    Args:
        rng: Random stream.
        start: Row and column of the start.
        heading: Initial direction in radians, 0 along a row.
        length: Length in px.
        bend: Standard deviation of the curvature, itself smooth and random, in radians per px.
        step: Distance between points in px.

    Returns:
        Rows and columns (n, 2).
    """
    n = max(3, int(length / step))
    knots = rng.normal(0, bend, max(2, round(length / 15)) + 1)
    turning = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(knots)), knots)
    angle = heading + np.cumsum(turning) * step
    return np.asarray(start) + np.cumsum(np.stack([np.sin(angle), np.cos(angle)], 1), axis=0) * step


def stroke(canvas: Array, points: Array, radius: ArrayLike, value: ArrayLike = 1.0, soft: float = 1.0) -> None:
    """Draw a line onto a canvas, by maximum, as discs at points that lie close together.

    Args:
        canvas: Canvas (H, W), changed in place.
        points: Rows and columns (n, 2).
        radius: Radius in px, one for all or (n,).
        value: Value of the line, one for all or (n,).
        soft: Width in px over which the edge falls linearly, half of it on each side.
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
    """Return the geometry of a turned rectangle.

    Args:
        size: Side of the image in px.
        centre: Row and column of its centre.
        turn: Rotation in radians.
        half: Half of its two sides in px.

    Returns:
        Three fields (size, size): px inwards from its outline, and px along each of its own axes.
    """
    rows, columns = np.arange(size)[:, None] - centre[0], np.arange(size) - centre[1]
    u = rows * np.cos(turn) - columns * np.sin(turn)
    v = rows * np.sin(turn) + columns * np.cos(turn)
    return np.minimum(half[0] - abs(u), half[1] - abs(v)), u, v


def sensor(rng: np.random.Generator, scene: Array, blur: float, noise: float) -> NDArray[np.float32]:
    """Return the image (C, H, W) that a sensor records of a scene in [0, 1].

    Args:
        rng: Random stream.
        scene: Scene (H, W) or (C, H, W).
        blur: Standard deviation of the blur in px.
        noise: Standard deviation of the noise.

    Returns:
        The image, quantised to 8 bits, in [0, 1].
    """
    scene = scene if scene.ndim == 3 else scene[None]
    sharp = ndimage.gaussian_filter(scene, (0, blur, blur), truncate=3)
    recorded = sharp + noise * rng.standard_normal(scene.shape)
    return (np.round(np.clip(recorded, 0, 1) * 255) / 255).astype(np.float32)
