"""The generated data set `cells`: crowded, touching, blurred, unevenly lit, noisy cells.

Its difficulties are chosen so that each part of a U-Net has something to do:

- **Context.** A cell's interior is about as bright as the background beside it, sometimes brighter and
  sometimes darker; only a closed rim up to 40 px across gives it away. Open arcs with the same rim and
  out-of-focus ghosts with the same interior are background. A small window cannot tell them apart.
- **Localisation.** Touching cells keep a gap of about 2 px; some have protrusions, 2 px wide at the tip.
- **Imaging.** Shading and vignetting exceed the contrast of the cells, so no global threshold works. Blur
  that varies between and within images, shot noise, read noise and 8-bit quantisation are added.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetzoo.data.worlds.drawing import REFERENCE_AREA, Array, Drawn, Labels, Mask, ease, generator, waves

VERSION = 1
"""Raise it whenever the same arguments give a different image: records of different versions are not comparable."""

# Cells
RADIUS = (7.0, 19.0)  # px; the larger ones exceed the receptive field of a shallow network
COVERAGE = (0.34, 0.45)  # share of foreground at which no more cells are placed
COLONIES, SPREAD = 3, 26.0  # number of points that cells gather around, standard deviation in px
TRIES = 250  # candidates; far more than needed, only to bound the time
MIN_KEPT = 0.72  # least share of its area that a cell must keep beside its neighbours to be placed
MIN_AREA = 60  # px
GAP = np.ones((5, 5), bool)  # dilation by 2 px: the gap between instances
ROUND = np.hypot(*np.mgrid[-3:4, -3:4]) < 3.3  # opening with this disc rounds the edges that neighbours cut
# Distractors
GHOSTS, ARCS, FIBRES, DEBRIS = 6, 8, 4, 8  # mean numbers
FIBRE_RADIUS, DEBRIS_RADIUS = (25.0, 60.0), (0.8, 3.5)  # px; debris is smaller than any cell
# Appearance, in units of the mean intensity
RIM_WIDTH, RIM_DEPTH = 1.0, 0.8  # px: standard deviation of the membrane's profile, depth of its peak
RIM = (0.2, 0.6)
BODY = (-0.12, 0.16)  # interior relative to the background: either sign, often nearly zero
NUCLEUS = (-0.15, 0.2)


class Patch(NamedTuple):
    """A closed smooth outline, sampled in its bounding box: window, and (h, w) polar coordinates."""

    window: tuple[slice, slice]
    depth: Array  # px inwards from the outline, along the ray; negative outside
    rho: Array  # px from the centre
    ray: NDArray[np.complex128]  # direction from the centre, exp(1j * angle)


def draw_cells(seed: int, key: str, *, size: int, difficulty: float) -> Drawn:
    """Draw an image (1, size, size); class 1 is the cell, and the instances are the cells.

    Args:
        seed: Seed of the data set.
        key: Key of the item.
        size: Side of the image in px.
        difficulty: In [0, 1]; changes contrast alone.
    """
    rng = generator(seed, key, size)
    labels, nuclei = _place(rng, size)
    scene = np.where(labels > 0, _cells(rng, labels) + nuclei, _distractors(rng, size))
    scene += 0.03 * waves(rng, size, (5, 14), 24)  # texture of the whole field of view
    image = _camera(rng, scene * ease(difficulty, 1.6)).astype(np.float32)
    return Drawn(image[None], (labels > 0).astype(np.int64), labels)


def _outline(rng: np.random.Generator, y: float, x: float, radius: float, size: int, margin: float) -> Patch:
    """Return a perturbed ellipse around (y, x) px, on the pixels of its bounding box inside the image."""
    # Harmonic 2 elongates the outline, higher ones make it irregular; falling amplitudes keep it smooth.
    amplitude = rng.uniform(0, 1, 5) * (0.26, 0.11, 0.07, 0.04, 0.03)
    harmonics = amplitude * np.exp(1j * rng.uniform(0, 2 * np.pi, 5))
    reach = radius * (1 + amplitude.sum()) + margin
    top, left = (min(max(0, int(c - reach)), size - 1) for c in (y, x))
    bottom, right = (max(min(size, int(c + reach) + 2), 1) for c in (y, x))
    offset = (np.arange(left, right) - x) + 1j * (np.arange(top, bottom)[:, None] - y)
    rho = np.abs(offset)
    ray = offset / np.maximum(rho, 1e-6)
    series = np.polyval(harmonics[::-1], ray) * ray * ray  # harmonics 2 to 6
    return Patch((slice(top, bottom), slice(left, right)), radius * (1 + series.real) - rho, rho, ray)


def _place(rng: np.random.Generator, size: int) -> tuple[Labels, Array]:
    """Return labels (size, size) of crowded cells a gap apart, and the intensity that their nuclei add."""
    labels, nuclei = np.zeros((size, size), np.int32), np.zeros((size, size))
    blocked = np.zeros((size, size), bool)  # cells and the gap around them
    scale = size * size / REFERENCE_AREA
    colonies = rng.uniform(0, size, (max(1, round(COLONIES * scale)), 2))
    target, covered = rng.uniform(*COVERAGE) * size * size, 0
    for _ in range(max(1, round(TRIES * scale))):
        y, x = colonies[rng.integers(len(colonies))] + rng.normal(0, SPREAD, 2)
        if covered >= target or not (0 <= y < size and 0 <= x < size) or blocked[int(y), int(x)]:
            continue
        patch = _outline(rng, y, x, rng.uniform(*RADIUS), size, margin=12)
        body, free = patch.depth > 0, ~blocked[patch.window]
        kept = body & free
        if kept.sum() < MIN_KEPT * body.sum():
            continue
        # For this opening the outside of the image counts as cell, so that cells cut by the border keep their corners.
        eroded = ndimage.binary_erosion(kept, ROUND, border_value=1)
        core = np.asarray(ndimage.binary_dilation(eroded, ROUND), bool)
        if core.sum() < MIN_AREA:
            continue
        cell = _largest((core & kept | _protrusions(rng, patch)) & free)
        labels[patch.window][cell] = labels.max() + 1
        blocked[patch.window] |= ndimage.binary_dilation(cell, GAP)
        nuclei[patch.window] += _nucleus(rng, patch) * cell
        covered += int(cell.sum())
    return labels, nuclei


def _largest(mask: Mask) -> Mask:
    """Return the largest connected component of a non-empty mask (h, w)."""
    parts = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, output=parts)
    return parts == 1 + np.bincount(parts.ravel())[1:].argmax()


def _protrusions(rng: np.random.Generator, patch: Patch) -> Mask:
    """Return up to two thin arms (h, w), slightly bent and tapered, that leave the cell radially."""
    arms = np.zeros(patch.rho.shape, bool)
    for _ in range(rng.choice(3, p=(0.65, 0.2, 0.15))):
        turned = patch.rho * patch.ray * np.exp(1j * rng.uniform(0, 2 * np.pi))
        across = turned.imag + rng.uniform(-0.015, 0.015) * turned.real**2
        past = -patch.depth / rng.uniform(5, 12)  # 0 on the outline, 1 at the tip
        arms |= (abs(across) < 2.8 - 1.8 * np.sqrt(np.clip(past, 0, 1))) & (turned.real > 0) & (past < 1)
    return arms


def _nucleus(rng: np.random.Generator, patch: Patch) -> Array:
    """Return a soft blob (h, w) near the centre, brighter or darker than the cell, sometimes invisible."""
    inner = patch.depth / max(patch.depth.max(), 1.0)  # 1 at the centre, 0 on the outline
    return rng.uniform(*NUCLEUS) / (1 + np.exp((rng.uniform(0.4, 0.6) - inner) * 14))


def _cells(rng: np.random.Generator, labels: Labels) -> Array:
    """Return the intensity (size, size) of the cells' interiors and rims; meaningless outside the cells."""
    count, size = int(labels.max()) + 1, len(labels)
    body, rim = rng.uniform(*BODY, count), rng.uniform(*RIM, count)
    depth = np.asarray(ndimage.distance_transform_edt(labels), np.float64)
    return body[labels] + rim[labels] * _membrane(depth - 0.5) * _fading(rng, size)


def _membrane(depth: Array) -> Array:
    """Return the profile of a rim, 1 at its peak, over the depth in px."""
    return np.exp(-0.5 * ((depth - RIM_DEPTH) / RIM_WIDTH) ** 2)


def _fading(rng: np.random.Generator, size: int) -> Array:
    """Return the visibility (size, size) of rims along their course: parts are nearly out of focus."""
    return np.clip(0.9 + 0.3 * waves(rng, size, (20, 50), 12), 0.25, 1.3)


def _distractors(rng: np.random.Generator, size: int) -> Array:
    """Return the intensity (size, size) of the background: objects that look like cells in a small window."""
    canvas, fading = np.zeros((size, size)), _fading(rng, size)

    def some(count: int, radius: tuple[float, float], margin: float = 6) -> list[Patch]:
        """Return outlines anywhere, also just outside the image; their number varies around ``count``."""
        number = rng.poisson(count * size * size / REFERENCE_AREA)
        places = rng.uniform(-8, size + 8, (number, 2))
        return [_outline(rng, y, x, rng.uniform(*radius), size, margin) for y, x in places]

    for patch in some(GHOSTS, RADIUS, margin=12):
        canvas[patch.window] += _ghost(rng, patch)
    for patch in some(ARCS, RADIUS):  # about a third to a half of a cell's outline
        canvas[patch.window] += _open_rim(rng, patch, rng.uniform(-0.2, 0.6)) * fading[patch.window]
    for patch in some(FIBRES, FIBRE_RADIUS):
        canvas[patch.window] += _open_rim(rng, patch, rng.uniform(0.5, 0.9)) * fading[patch.window]
    for patch in some(DEBRIS, DEBRIS_RADIUS):
        canvas[patch.window] += rng.uniform(*RIM) * _membrane(patch.depth)
    return canvas


def _ghost(rng: np.random.Generator, patch: Patch) -> Array:
    """Return a cell of another focal plane (h, w): interior and nucleus, with a soft edge and no rim."""
    soft = 1 / (1 + np.exp(-patch.depth / rng.uniform(1.5, 3.0)))
    return 1.3 * rng.uniform(*BODY) * soft + _nucleus(rng, patch)


def _open_rim(rng: np.random.Generator, patch: Patch, least: float) -> Array:
    """Return an open rim (h, w), shaded on its inner side; drawn where cos(angle) > ``least``."""
    turn = (patch.ray * np.exp(1j * rng.uniform(0, 2 * np.pi))).real
    part = 1 / (1 + np.exp((least - turn) * 12))
    shade = rng.uniform(*BODY) * np.exp(-abs(patch.depth) / 5) * (patch.depth > 0)
    return part * (rng.uniform(*RIM) * _membrane(patch.depth) + shade)


def _camera(rng: np.random.Generator, scene: Array) -> Array:
    """Return the image (size, size) in [0, 1] that light, optics and sensor make of a scene around 0."""
    size = len(scene)
    sharp, soft = (ndimage.gaussian_filter(scene, s, truncate=3) for s in (rng.uniform(0.5, 0.8), 1.5))
    focus = np.clip(0.25 + 0.35 * waves(rng, size, (90, 200), 4), 0, 1)  # 1 is out of focus
    y, x = (np.arange(size) + 0.5) / size - rng.uniform(0.3, 0.7, (2, 1))
    vignette = 1 - rng.uniform(0.5, 1.1) * (y[:, None] ** 2 + x[None, :] ** 2)
    light = vignette * (1 + 0.16 * waves(rng, size, (70, 220), 6))
    signal = rng.uniform(0.38, 0.5) * np.clip(light, 0.2, None) * (1 + sharp + focus * (soft - sharp))
    photons = rng.uniform(400, 2000)  # at intensity 1; the shot noise is Gaussian to a good approximation
    deviation = np.sqrt(np.clip(signal, 0, None) / photons + 0.01**2)
    return np.round(np.clip(signal + deviation * rng.standard_normal(scene.shape), 0, 1) * 255) / 255
