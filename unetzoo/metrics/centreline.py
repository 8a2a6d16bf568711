"""Measures of thin structures: the Dice of centrelines (clDice) and the width along a centreline."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def skeleton(mask: Mask) -> Mask:
    """Return the centrelines of a mask, one pixel wide, by the thinning of Zhang (skimage's ``skeletonize``).

    Args:
        mask: bool (H, W).
    """
    from skimage.morphology import skeletonize

    return np.asarray(skeletonize(np.ascontiguousarray(mask, dtype=bool)), dtype=bool)


def cldice(prediction: Mask, truth: Mask) -> float:
    """Compute clDice, the harmonic mean of topology precision and topology sensitivity.

    Precision is the share of the predicted centreline that lies in the true mask, sensitivity the share of the true
    centreline that lies in the predicted mask. It ignores how wide a structure is drawn, and drops where one breaks.

    Args:
        prediction: Predicted mask, bool (H, W).
        truth: True mask, bool (H, W).

    Returns:
        The score from 0 to 1; 0 if one mask is empty, NaN if both are.

    References:
        Shit et al. 2021, arXiv 2003.07311, equations 1 and 2.

    Examples:
        >>> truth = np.zeros((9, 12), dtype=bool)
        >>> truth[3:6] = True
        >>> broken = truth.copy()
        >>> broken[:, 6:] = False
        >>> cldice(truth, truth), round(cldice(broken, truth), 2)
        (1.0, 0.71)
    """
    if not (prediction.any() or truth.any()):
        return math.nan
    if not (prediction.any() and truth.any()):
        return 0.0
    precision = float(truth[skeleton(prediction)].mean())
    sensitivity = float(prediction[skeleton(truth)].mean())
    total = precision + sensitivity
    return 2 * precision * sensitivity / total if total else 0.0


def widths(mask: Mask) -> npt.NDArray[np.float64]:
    """Return the width of the structures of a mask at each pixel of their centrelines, in px.

    It is twice the distance from the centreline to the nearest pixel outside, minus 1, so a line of one pixel has
    width 1; beyond the border of the image is outside.

    Args:
        mask: bool (H, W).
    """
    from scipy.ndimage import distance_transform_edt

    padded = np.pad(mask, 1)
    distance = np.asarray(distance_transform_edt(padded))[1:-1, 1:-1]
    return 2 * distance[skeleton(mask)] - 1


def thin_pixels(mask: Mask, width: float) -> Mask:
    """Return the pixels of structures that are at most ``width`` px wide: what an opening by a wider disc removes.

    Args:
        mask: bool (H, W).
        width: Width in px.
    """
    from scipy.ndimage import distance_transform_edt

    radius = (width + 1) / 2
    core = np.asarray(distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1] > radius
    if not core.any():
        return mask.copy()
    return mask & (np.asarray(distance_transform_edt(~core)) > radius)


def recall_by_width(prediction: Mask, truth: Mask, edges: tuple[float, ...]) -> list[tuple[int, int]]:
    """Count the pixels of the true centreline and those that are predicted, by the width of the true structure.

    Args:
        prediction: Predicted mask, bool (H, W).
        truth: True mask, bool (H, W).
        edges: Ascending upper bounds of width in px; a last class has all that is wider.

    Returns:
        (hit, all) for each class of width.
    """
    line = skeleton(truth)
    classes = np.searchsorted(np.array(edges), widths(truth))
    hit = prediction[line]
    return [(int(hit[classes == k].sum()), int((classes == k).sum())) for k in range(len(edges) + 1)]
