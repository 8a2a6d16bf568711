"""Common post-processing of binary masks, and the threshold that is best on validation images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_fill_holes, label

from unetzoo.errors import UnetzooError

Mask = npt.NDArray[np.bool_]
EVERY = np.ones((3, 3), dtype=bool)  # diagonal neighbours belong to one component
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 20))


def components(mask: Mask) -> tuple[npt.NDArray[np.int32], int]:
    """Return the 8-connected components of a mask, numbered from 1, and their number.

    Args:
        mask: bool (H, W).
    """
    numbered = np.empty(mask.shape, np.int32)
    return numbered, int(label(mask, EVERY, numbered))  # type: ignore[arg-type]


def largest_component(mask: Mask) -> Mask:
    """Keep the component with the most pixels; of several the first, from the top left.

    Args:
        mask: bool (H, W).
    """
    numbered, _ = components(mask)
    sizes = np.bincount(numbered.ravel())
    return mask & (numbered == 1 + int(sizes[1:].argmax())) if len(sizes) > 1 else mask.copy()


def fill_holes(mask: Mask) -> Mask:
    """Fill the holes of a mask: background that is not connected, by sides, with the border of the image.

    Args:
        mask: bool (H, W).
    """
    return np.asarray(binary_fill_holes(mask), dtype=bool)


def without_small(mask: Mask, smallest: int) -> Mask:
    """Remove components of fewer than ``smallest`` pixels.

    Args:
        mask: bool (H, W).
        smallest: Pixels of the smallest component that stays.
    """
    numbered, _ = components(mask)
    kept = np.bincount(numbered.ravel()) >= smallest
    return mask & kept[numbered]


def best_threshold(
    images: Iterable[tuple[npt.NDArray[np.floating], Mask]], thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """Return the threshold of a probability with the highest mean Dice; of equals, the nearest to 0.5.

    Args:
        images: Probability of the foreground (H, W) and true mask of each validation image.
        thresholds: Thresholds to try, between 0 and 1; a pixel is foreground if its probability is above.

    Raises:
        UnetzooError: If no image has foreground, true or predicted, so that Dice is undefined for all.
    """
    scores = []
    for probability, truth in images:
        predicted = probability[None] > np.asarray(thresholds)[:, None, None]
        total = predicted.sum((1, 2)) + truth.sum()
        hit = (predicted & truth).sum((1, 2))
        scores.append(np.divide(2 * hit, total, out=np.full(len(thresholds), np.nan), where=total > 0))
    table = np.array(scores)
    if not np.isfinite(table).any():
        raise UnetzooError("no validation image has foreground, so no threshold can be chosen; add images with some")
    counted = np.isfinite(table)
    mean = np.where(counted, table, 0).sum(0) / np.maximum(counted.sum(0), 1)
    highest = [t for t, score in zip(thresholds, mean, strict=True) if score >= mean.max() - 1e-12]
    return min(highest, key=lambda t: (abs(t - 0.5), t))
