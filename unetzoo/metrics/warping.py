"""Warping error: what is left of the disagreement once the truth was deformed without a change of its topology.

Jain et al. 2010 (doi 10.1109/CVPR.2010.5539950): the truth is warped towards the prediction by flipping *simple*
points, pixels whose flip joins, splits, makes or deletes no object and no hole; the warping error is the share of
pixels that still disagree. A boundary may lie where it wants, but a gap in one, or one too many, costs.

Conventions, those of the ISBI 2012 challenge's own program (Fiji, ``trainableSegmentation.metrics.WarpingError``):

- Figure: the interior, 4-connected. Ground: the boundaries, 8-connected. Outside the image all is boundary.
- A point is simple where its 3x3 neighbourhood has one component of figure and one of ground beside it (topological
  numbers T4 = T8 = 1; Bertrand and Malandain 1994, Pattern Recognition Letters 15, 169-175).
- No mask limits how far a boundary may move. A void pixel is boundary in both maps and never flips.
- A pixel that is left is a *merger* where its flip would join objects, a *split* where its flip would break one; other
  flips make or delete a hole or an object. The challenge counted mergers and splits alone, so a map that is all
  boundary has an error of 0. Here the two are exact; Fiji tells a merger by other objects among all eight neighbours,
  so it also counts some that touch at a corner.

What is left depends on the order of the flips. Fiji goes by how sure the prediction is, `warp` by the parity of rows
and columns, so the two agree nearly and not to the pixel, and a turned image may differ by a few pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.measure import label

RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))  # once round; bit k of a code is RING[k]


def components(mask: np.ndarray, connectivity: int) -> np.ndarray:
    """Labels from 1 of the components of a bool map (H, W), 0 elsewhere; 1: connected by sides, 2: also by corners."""
    return np.asarray(label(mask, connectivity=connectivity))


def _components_beside(code: int) -> tuple[int, int]:
    """T4 of the figure and T8 of the ground: components that touch the centre of a 3x3 patch, itself left out."""
    patch = np.zeros((3, 3), bool)
    for bit, (y, x) in enumerate(RING):
        patch[1 + y, 1 + x] = code >> bit & 1
    ground = ~patch
    ground[1, 1] = False
    sides = components(patch, 1)[[0, 1, 1, 2], [1, 0, 2, 1]]  # a corner alone does not touch the centre
    return len(set(sides.tolist()) - {0}), int(components(ground, 2).max())


BESIDE = np.array([_components_beside(code) for code in range(256)])  # code of the eight neighbours -> (T4, T8)
SIMPLE = (BESIDE == 1).all(axis=1)  # code -> whether the centre, of either value, is a simple point


@dataclass(frozen=True)
class Warping:
    """Bool maps (H, W)."""

    warped: np.ndarray  # the truth's interior after warping
    left: np.ndarray  # where it still differs from the prediction's
    mergers: np.ndarray  # of ``left``: a boundary the prediction lacks, with an object on each side
    splits: np.ndarray  # of ``left``: interior the prediction lacks, which holds an object together


def warp(truth: np.ndarray, prediction: np.ndarray, counted: np.ndarray | None = None) -> Warping:
    """Warp the interior ``truth`` to the interior ``prediction``, bool (H, W); only ``counted`` pixels may flip.

    Pixels are taken by the parity of row and column: on each of the four sub-lattices in turn, all that are simple
    and disagree flip at once, until a round flips none. That equals flipping them one by one: two pixels of a
    sub-lattice are at least two rows or columns apart, so neither lies in the other's 3x3 neighbourhood, which is all
    that decides whether it is simple. Every flip ends a disagreement for good, so the rounds end.
    """
    if counted is not None:
        truth, prediction = truth & counted, prediction & counted
    now, target = np.pad(truth, 1), np.pad(prediction, 1)  # the frame is boundary in both
    wrong = np.argwhere(now != target)
    before = -1
    while len(wrong) != before:
        before = len(wrong)
        for parity in ((0, 0), (0, 1), (1, 0), (1, 1)):
            rows, columns = wrong[(wrong % 2 == parity).all(axis=1)].T
            simple = SIMPLE[_codes(now, rows, columns)]
            now[rows[simple], columns[simple]] ^= True
        wrong = wrong[now[tuple(wrong.T)] != target[tuple(wrong.T)]]
    mergers, splits = _classified(now, *wrong.T)
    maps = [np.zeros(now.shape, bool) for _ in range(3)]
    for drawn, which in zip(maps, (slice(None), mergers, splits), strict=True):
        drawn[tuple(wrong[which].T)] = True
    return Warping(*(m[1:-1, 1:-1] for m in (now, *maps)))


def _codes(interior: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(n,) the eight neighbours of n pixels as bits."""
    codes = np.zeros(len(rows), np.intp)
    for bit, (y, x) in enumerate(RING):
        codes |= interior[rows + y, columns + x].astype(np.intp) << bit
    return codes


def _classified(interior: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool each: whether the flip of this pixel, and of no other, would join objects, or break one.

    A boundary pixel joins the objects beside it. An interior pixel with T4 branches of its object around it makes
    T4 - 1 more of them, less one for every hole (or outside) beyond the first that it lets flow together: their
    Euler numbers must add up. So it breaks the object where fewer grounds than branches meet at it.
    """
    objects, grounds = components(interior, 1), components(~interior, 2)
    inside = interior[rows, columns]
    beside = _distinct([objects[rows + y, columns + x] for y, x in RING if not (y and x)])
    around = _distinct([grounds[rows + y, columns + x] for y, x in RING])
    branches = BESIDE[_codes(interior, rows, columns), 0]
    return ~inside & (beside > 1), inside & (around > 0) & (branches > around)


def _distinct(labels: list[np.ndarray]) -> np.ndarray:
    """(n,) how many different labels above 0 each of n pixels meets in k directions; k arrays (n,)."""
    ordered = np.sort(np.stack(labels), axis=0)
    new = np.diff(ordered, axis=0, prepend=0) > 0
    return new.sum(axis=0)
