"""The generated data set `vessels`: trees of thin vessels as in a red-free image or an angiogram of the retina.

- **Context.** Vessels are dark in the photograph and bright in the angiogram; nerve fibres, as wide and as strong as
  thin vessels, are the reverse and belong to the background. The two can be told apart where a vessel joins a thick
  one or the disc, not in a small window. Along their course vessels fade until they are barely visible.
- **Localisation.** Most vessels are 1 to 3 px wide.
- **Imaging.** A bright disc, a dark spot, mottled ground and shading exceed the contrast of thin vessels.
"""

from __future__ import annotations

import numpy as np

from unetzoo.data.worlds.drawing import REFERENCE_AREA, Array, Drawn, curve, ease, generator, sensor, stroke, waves

VERSION = 1
"""Raise it whenever the same arguments give a different image: records of different versions are not comparable."""

TRUNKS, TRUNK_RADIUS, LEAST_RADIUS = (4, 6), (1.7, 2.7), 0.62  # px
SEGMENTS = 110  # at most
FIBRES, FIBRE_LENGTH = 22, (15.0, 50.0)  # mean number, px
CONTRAST = 0.22  # of a vessel with a radius of 2 px; thinner ones have less


def draw_vessels(seed: int, key: str, *, size: int, difficulty: float) -> Drawn:
    """Draw an image (1, size, size); class 1 is the vessel.

    Args:
        seed: Seed of the data set.
        key: Key of the item.
        size: Side of the image in px.
        difficulty: In [0, 1]; changes contrast and noise.
    """
    rng = generator(seed, key, size)
    disc = rng.uniform(0.05, 0.95, 2) * size
    cover, dark = np.zeros((size, size)), np.zeros((size, size))
    _grow(rng, disc, cover, dark)
    contrast, noise = ease(difficulty, 1.4), 0.03 / ease(difficulty, 1.4)
    dark *= np.clip(0.85 + 0.4 * waves(rng, size, (18, 50), 12), 0.3, 1.2)
    fibres = _fibres(rng, size) * (cover < 0.1)  # vessels lie in front of them
    scene = _ground(rng, size, disc) + rng.choice((-1, 1)) * contrast * (dark - fibres)
    return Drawn(sensor(rng, scene, rng.uniform(0.5, 0.7), noise), (cover >= 0.5).astype(np.int64))


def _grow(rng: np.random.Generator, disc: Array, cover: Array, dark: Array) -> None:
    """Draw trees that leave the disc onto ``cover`` (share of vessel) and ``dark`` (light absorbed)."""
    size, count = len(cover), int(rng.integers(*TRUNKS, endpoint=True))
    inwards = np.arctan2(*(size / 2 - disc))  # most of the image lies there
    headings = inwards + np.linspace(-2.2, 2.2, count) + rng.normal(0, 0.25, count)
    # The cubes of the radii add up at a fork (Murray 1926, doi 10.1073/pnas.12.3.207), less those that leave the plane.
    grown = [(disc, h, rng.uniform(*TRUNK_RADIUS)) for h in headings]
    for _ in range(round(SEGMENTS * max(1, size * size / REFERENCE_AREA))):
        if not grown:
            return
        start, heading, radius = grown.pop(0)
        points = curve(rng, start, heading, rng.uniform(8, 20) + 5 * radius, 0.05)
        tip = radius * 0.92
        radii = np.linspace(radius, tip, len(points))
        stroke(cover, points, radii)
        stroke(dark, points, radii, _depth(radii))
        end = points[-1]
        if not (-8 < end[0] < size + 8 and -8 < end[1] < size + 8):
            continue
        along = np.arctan2(*(points[-1] - points[-3]))
        share, side = rng.uniform(0.15, 0.5), rng.choice((-1, 1))
        for part, turn in ((1 - share, -0.35 * side), (share, 0.9 * side)):
            child = tip * part ** (1 / 3)
            if child >= LEAST_RADIUS:
                grown.append((end, along + turn * rng.uniform(0.6, 1.3), child))


def _depth(radius: Array | float) -> Array:
    return CONTRAST * np.clip(np.asarray(radius) / 2, 0.42, 1.1)


def _fibres(rng: np.random.Generator, size: int) -> Array:
    """Return the light (size, size) that nerve fibres absorb or reflect."""
    canvas = np.zeros((size, size))
    for _ in range(rng.poisson(FIBRES * size * size / REFERENCE_AREA)):
        radius = rng.uniform(LEAST_RADIUS, 1.3)
        points = curve(rng, rng.uniform(0, size, 2), rng.uniform(0, 7), rng.uniform(*FIBRE_LENGTH), 0.05)
        stroke(canvas, points, radius, _depth(radius) * rng.uniform(0.7, 1.1))
    return canvas


def _ground(rng: np.random.Generator, size: int, disc: Array) -> Array:
    """Return the retina (size, size) without vessels: bright disc, dark spot, mottling, shading."""
    rows, columns = np.mgrid[:size, :size]

    def spot(centre: Array, radius: float, edge: float) -> Array:
        return 1 / (1 + np.exp((np.hypot(rows - centre[0], columns - centre[1]) - radius) / edge))

    towards = np.arctan2(*(size / 2 - disc)) + rng.normal(0, 0.3)
    fovea = disc + rng.uniform(55, 75) * np.array([np.sin(towards), np.cos(towards)])
    ground = rng.uniform(0.45, 0.55) + 0.07 * waves(rng, size, (60, 200), 6) + 0.018 * waves(rng, size, (6, 16), 24)
    ground += rng.uniform(0.2, 0.3) * spot(disc, rng.uniform(8, 11), 1.2) - 0.12 * spot(fovea, 9, 4)
    return ground * (1 - 0.35 * (np.hypot(rows / size - 0.5, columns / size - 0.5) ** 2))
