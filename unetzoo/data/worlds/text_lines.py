"""The generated data set `text_lines`: curved lines of handwriting, close enough to touch.

The mask marks the body of each line: the band between the baseline and the height of small letters, over words and the
gaps between them. It is not a property of the ink:

- **Context.** Ascenders, descenders, notes in the margin, ruling and ink that shows through from the other side look
  like the letters of the body; the position of the band follows from the course of a line and of its neighbours. Size,
  slant and slope differ between pages.
- **Localisation.** Bands are a few px high; the gap between two lines may be 1 px, and strokes cross it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from unetzoo.data.worlds.drawing import Array, Drawn, Labels, ease, generator, sensor, stroke, waves

VERSION = 1
"""Raise it whenever the same arguments give a different image: records of different versions are not comparable."""

HEIGHT = (4.5, 7.5)  # px of small letters
LEADING = (1.65, 2.4)  # distance between baselines, in heights
GAP = 1.0  # px of background kept on each side between two bands


def draw_text_lines(seed: int, key: str, *, size: int, difficulty: float) -> Drawn:
    """Draw part of a page (1, size, size); class 1 is the body of a text line, and the instances are the lines.

    Args:
        seed: Seed of the data set.
        key: Key of the item.
        size: Side of the image in px.
        difficulty: In [0, 1]; changes contrast and noise.
    """
    rng = generator(seed, key, size)
    height = rng.uniform(*HEIGHT)
    pen, slant = rng.uniform(0.5, 0.8) * (height / 6) ** 0.5, rng.uniform(-0.1, 0.6)
    ink, bands = _page(rng, size, height, pen, slant)
    behind, _ = _page(rng, size, height, pen, -slant)
    contrast = ease(difficulty, 1.35)
    paper = rng.uniform(0.72, 0.88) + 0.04 * waves(rng, size, (50, 200), 6) + 0.012 * waves(rng, size, (4, 12), 24)
    fading = np.clip(0.75 + 0.25 * waves(rng, size, (15, 60), 10), 0.3, 1)
    scene = paper - min(contrast * 0.42, 0.7) * ink * fading - 0.13 / contrast * behind[:, ::-1]
    if rng.random() < 0.4:  # ruled paper
        scene -= 0.08 * (np.arange(size)[:, None] % (height * rng.uniform(1.9, 2.7)) < 1)
    return Drawn(sensor(rng, scene, rng.uniform(0.5, 0.7), 0.04 / contrast), (bands > 0).astype(np.int64), bands)


def _page(rng: np.random.Generator, size: int, height: float, pen: float, slant: float) -> tuple[Array, Labels]:
    """Return the ink (size, size) in [0, 1], and the bands of its lines, numbered from 1."""
    ink, bands = np.zeros((size, size)), np.zeros((size, size), np.int32)
    written: list[Array] = []
    columns = np.arange(-20, size + 20, dtype=np.float64)
    slope, sag, wave = rng.normal(0, 0.07), rng.normal(0, 0.0014), rng.uniform(80, 200)
    course = slope * (columns - size / 2) + sag * (columns - size / 2) ** 2
    baseline, lowest = course - rng.uniform(0, 2) * height - abs(course).max(), np.full(size, -np.inf)
    while (baseline - abs(course).max()).min() < size + height:
        bend = rng.uniform(0, 1.2) * np.sin(columns * 2 * np.pi / wave + rng.uniform(0, 7))
        baseline = baseline + height * rng.uniform(*LEADING)
        line = baseline + bend
        left = rng.uniform(-15, 14) if rng.random() < 0.8 else rng.uniform(0, 0.3) * size
        right = size + 15 if rng.random() < 0.6 else rng.uniform(0.35, 1) * size
        written.append(_words(rng, columns, line, (left, right), height, slant))
        inside = (np.arange(size) >= left) & (np.arange(size) <= written[-1][:, 1].max())
        bottom = line[20 : 20 + size]
        top = np.maximum(bottom - height, lowest + 2 * GAP)  # where lines come too close, the later one yields
        rows = np.arange(size)[:, None]
        bands[(rows >= top) & (rows <= bottom) & inside] = bands.max() + 1
        lowest = np.where(inside, bottom, lowest)
    points = np.concatenate(written)
    stroke(ink, points, pen * (0.85 + 0.3 * np.sin(np.arange(len(points)) / 9)))  # pressure varies
    return ink, bands


def _words(
    rng: np.random.Generator, columns: Array, line: Array, extent: tuple[float, float], height: float, slant: float
) -> Array:
    """Return points (n, 2), rows and columns, of words that fill the extent of a baseline."""
    x, written = extent[0], []
    while x < extent[1]:
        path = _word(rng, int(rng.integers(2, 9)), height)
        path[:, 1] += x + slant * path[:, 0]
        if path[-1, 1] > extent[1] and written:
            break
        written.append(path)
        x = path[:, 1].max() + height * rng.uniform(0.7, 1.6)
    points = np.concatenate(written)
    points[:, 0] = np.interp(points[:, 1], columns, line) - points[:, 0]
    return points


def _word(rng: np.random.Generator, letters: int, height: float) -> Array:
    """Return the path of a word (n, 2), in px above the baseline and along it: joined loops and strokes."""
    knots: list[ArrayLike] = [(0.0, 0.0)]
    x = 0.0
    for _ in range(letters):
        width, kind = height * rng.uniform(0.55, 0.95), rng.random()
        top, bottom = height * rng.uniform(0.85, 1.05), 0.0
        if kind < 0.18:  # as in l, h, b
            top = height * rng.uniform(1.7, 2.2)
        elif kind < 0.32:  # as in g, y, p
            bottom = -height * rng.uniform(0.7, 1.1)
        if kind < 0.5:  # a loop
            shape = [(0.5, 0.45), (top, 0.75), (top * 0.9, 0.35), (bottom, 0.4), (0.1 * height, 0.95)]
        elif kind < 0.75:  # a bowl, as in a, o, e
            shape = [(0.6 * top, 0.85), (top, 0.5), (0.4 * top, 0.05), (0, 0.5), (0.7 * top, 0.9), (0, 1.0)]
        else:  # minims, as in n, m, u
            shape = [(top, 0.1), (0, 0.2), (top, 0.45), (0.9 * top, 0.6), (0, 0.75), (0.2 * top, 1.0)]
        knots += [(y, x + u * width) for y, u in shape]
        x += width
    return _smooth(np.array(knots))


def _smooth(knots: Array) -> Array:
    """Return points about 0.7 px apart along a Catmull-Rom spline through knots (n, 2)."""
    padded = np.concatenate([knots[:1], knots, knots[-1:]])
    counts = np.maximum(2, (np.hypot(*np.diff(knots, axis=0).T) * 1.4).astype(int))
    piece = np.repeat(np.arange(len(counts)), counts)
    t = ((np.arange(len(piece)) - (np.cumsum(counts) - counts)[piece]) / counts[piece])[:, None]
    p, q, r, s = (padded[piece + k] for k in range(4))
    return q + 0.5 * t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)))
