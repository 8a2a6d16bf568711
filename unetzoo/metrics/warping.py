"""Warping error: the disagreement that remains after the truth was deformed without a change of its topology.

The truth is warped towards the prediction by flipping *simple* points: pixels whose flip does not join, split, create
or delete any object or hole. The warping error is the share of pixels that still disagree. A boundary may be shifted at
no cost, but a gap in a boundary, or a boundary too many, costs.

Conventions are those of the ISBI 2012 challenge's own program (Fiji, ``trainableSegmentation.metrics.WarpingError``):

- Figure: the interior, 4-connected. Ground: the boundaries, 8-connected. Everything outside the image is boundary.
- A point is simple if its 3x3 neighbourhood has one component of figure and one of ground next to it (topological
  numbers T4 = T8 = 1).
- No mask limits how far a boundary may move. An ignored pixel is boundary in both maps and never flips.
- A pixel that still disagrees is a *merger* if its flip would join objects and a *split* if its flip would break one;
  other flips create or delete a hole or an object. The challenge counted only mergers and splits, so a map that is all
  boundary has an error of 0. Here the two are exact. Fiji finds a merger by other objects among all eight neighbours,
  so it also counts some that touch at a corner.

The result depends on the order of the flips. Fiji goes by the confidence of the prediction, `warp` by the parity of
rows and columns, so the two agree closely but not to the pixel, and a rotated image may differ by a few pixels.

References:
    Jain et al. 2010, doi 10.1109/CVPR.2010.5539950. Simple points: Bertrand and Malandain 1994, Pattern Recognition
    Letters 15, 169-175.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.measure import label

RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))  # clockwise; bit k of a code is RING[k]


def components(mask: np.ndarray, connectivity: int) -> np.ndarray:
    """Return the labels of the connected components of a map, from 1; 0 elsewhere.

    Args:
        mask: Bool map, (H, W).
        connectivity: 1: pixels are connected by sides; 2: also by corners.
    """
    return np.asarray(label(mask, connectivity=connectivity))


def _components_beside(code: int) -> tuple[int, int]:
    """Return T4 of the figure and T8 of the ground: components that touch the centre of a 3x3 patch, without it."""
    patch = np.zeros((3, 3), bool)
    for bit, (y, x) in enumerate(RING):
        patch[1 + y, 1 + x] = code >> bit & 1
    ground = ~patch
    ground[1, 1] = False
    sides = components(patch, 1)[[0, 1, 1, 2], [1, 0, 2, 1]]  # a corner alone does not touch the centre
    return len(set(sides.tolist()) - {0}), int(components(ground, 2).max())


BESIDE = np.array([_components_beside(code) for code in range(256)])  # code of the eight neighbours -> (T4, T8)
SIMPLE = (BESIDE == 1).all(axis=1)  # code -> whether the centre is a simple point; its own value does not matter


@dataclass(frozen=True)
class Warping:
    """Result of warping, as bool maps (H, W)."""

    warped: np.ndarray  # the truth's interior after warping
    left: np.ndarray  # pixels where it still differs from the prediction's
    mergers: np.ndarray  # those of ``left`` on a boundary that the prediction lacks, with an object on each side
    splits: np.ndarray  # those of ``left`` in interior that the prediction lacks and that holds an object together


def warp(truth: np.ndarray, prediction: np.ndarray, counted: np.ndarray | None = None) -> Warping:
    """Warp the interior of the truth towards that of the prediction.

    Pixels are grouped by the parity of row and column. In each of the four groups in turn all pixels that are simple
    and disagree flip at once, until a round flips none. That equals flipping them one by one: two pixels of a group are
    at least two rows or columns apart, so neither lies in the other's 3x3 neighbourhood, which alone decides whether it
    is simple. Every flip ends a disagreement for good, so the rounds end.

    Args:
        truth: Interior of the truth, bool (H, W).
        prediction: Interior of the prediction, bool (H, W).
        counted: Bool map (H, W) of the pixels that may flip; None is all of them.
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
    """Return the eight neighbours of n pixels as bits, (n,)."""
    codes = np.zeros(len(rows), np.intp)
    for bit, (y, x) in enumerate(RING):
        codes |= interior[rows + y, columns + x].astype(np.intp) << bit
    return codes


def _classified(interior: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two bool arrays (n,): pixels whose flip alone would join objects, and those where it would break one.

    The flip of a boundary pixel joins the objects next to it. The flip of an interior pixel with T4 branches of its
    object around it adds T4 - 1 objects, less one for each ground component beyond the first that it connects, because
    the Euler numbers must add up. So it breaks the object if fewer ground components than branches meet at it.
    """
    objects, grounds = components(interior, 1), components(~interior, 2)
    inside = interior[rows, columns]
    beside = _distinct([objects[rows + y, columns + x] for y, x in RING if not (y and x)])
    around = _distinct([grounds[rows + y, columns + x] for y, x in RING])
    branches = BESIDE[_codes(interior, rows, columns), 0]
    return ~inside & (beside > 1), inside & (around > 0) & (branches > around)


def _distinct(labels: list[np.ndarray]) -> np.ndarray:
    """Return the number of different labels above 0 that each of n pixels meets, (n,), from k arrays (n,) of labels."""
    ordered = np.sort(np.stack(labels), axis=0)
    new = np.diff(ordered, axis=0, prepend=0) > 0
    return new.sum(axis=0)
