"""Surface metrics of two masks: surface Dice (NSD), HD95, ASSD and boundary IoU.

Conventions: the edge of a mask consists of its pixels with a 4-neighbour outside the mask. Everything beyond the border
of the image is outside, so an object that touches the border has an edge there. Distances are Euclidean, between the
centres of edge pixels, in the unit of ``spacing``. Every edge pixel counts once, however long the piece of outline that
it stands for.

References:
    The conventions of NSD, HD95 and ASSD are those of MONAI (``compute_surface_dice``,
    ``compute_hausdorff_distance(percentile=95)``, ``compute_average_surface_distance(symmetric=True)``, all without
    sub-voxels). Boundary IoU: Cheng et al. 2021, arXiv 2103.16562.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_cdt, distance_transform_edt

from unetzoo.errors import UnetzooError
from unetzoo.metrics.policy import DISTANCES, SURFACE, Scoring


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances from each edge pixel of one mask to the nearest edge pixel of the other; neither array is empty."""

    to_truth: np.ndarray  # for each predicted edge pixel, float64
    to_prediction: np.ndarray  # for each true edge pixel, float64

    def hd95(self) -> float:
        """Return the 95th percentile of the Hausdorff distance: the larger of the two directed percentiles.

        Percentiles are interpolated linearly.

        References:
            MONAI, ``compute_hausdorff_distance(percentile=95)``.
        """
        return float(max(np.percentile(self.to_truth, 95), np.percentile(self.to_prediction, 95)))

    def assd(self) -> float:
        """Return the average symmetric surface distance: the mean over the edge pixels of both masks.

        The pixels are pooled, so the longer outline has more weight.

        References:
            MONAI, ``compute_average_surface_distance(symmetric=True)``.
        """
        return float(np.concatenate([self.to_truth, self.to_prediction]).mean())

    def nsd(self, tolerance: float) -> float:
        """Return the normalised surface Dice: the share of both masks' edge pixels no farther than ``tolerance``.

        Args:
            tolerance: Distance in the unit of ``spacing``.

        References:
            Nikolov et al. 2018, arXiv 1809.04430.
        """
        within = tolerance * (1 + 1e-9)  # 3 * 0.1 = 0.30000000000000004 counts as within 0.3
        return float((np.concatenate([self.to_truth, self.to_prediction]) <= within).mean())


def surface_distances(
    prediction: np.ndarray, truth: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)
) -> SurfaceDistances:
    """Compute the distances between the edges of two masks.

    Args:
        prediction: Predicted mask, bool (H, W).
        truth: True mask, bool (H, W).
        spacing: Height and width of a pixel.

    Raises:
        UnetzooError: If one of the masks is empty.

    Examples:
        >>> truth, prediction = np.zeros((2, 8, 8), dtype=bool)
        >>> truth[2:5, 2:5] = prediction[2:5, 3:6] = True  # the same square, one pixel to the right
        >>> distances = surface_distances(prediction, truth)
        >>> distances.hd95(), distances.nsd(tolerance=1)
        (1.0, 1.0)
    """
    if not (prediction.any() and truth.any()):
        raise UnetzooError("a mask is empty; surface distances need two masks that are not empty")
    prediction, truth = _crop(prediction, truth)
    edges = [mask ^ np.asarray(binary_erosion(mask)) for mask in (prediction, truth)]
    to_prediction, to_truth = (np.asarray(distance_transform_edt(~edge, sampling=spacing)) for edge in edges)
    return SurfaceDistances(to_truth[edges[0]], to_prediction[edges[1]])


def boundary_iou(prediction: np.ndarray, truth: np.ndarray, share: float = 0.02) -> float:
    """Compute boundary IoU, the IoU of the inner rims of two masks.

    The rim of a mask is what ``d`` erosions by a 3x3 square remove, everything beyond the border of the image being
    outside; ``d`` is ``share`` times the diagonal of the image in pixels, rounded, and at least 1.

    Args:
        prediction: Predicted mask, bool (H, W).
        truth: True mask, bool (H, W).
        share: Width of the rim as a share of the image diagonal.

    Returns:
        The score from 0 to 1; NaN if both masks are empty.

    References:
        Cheng et al. 2021, arXiv 2103.16562.
    """
    width = max(1, round(share * math.hypot(*truth.shape)))
    if not (prediction.any() or truth.any()):
        return math.nan
    rims = [_rim(mask, width) for mask in _crop(prediction, truth)]
    return float((rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum())


def diagonal(shape: tuple[int, ...], spacing: tuple[float, float] = (1.0, 1.0)) -> float:
    """Return the diagonal of an image, which is longer than any distance between the centres of two pixels.

    Args:
        shape: (H, W) in pixels.
        spacing: Height and width of a pixel.
    """
    return math.hypot(shape[0] * spacing[0], shape[1] * spacing[1])


def surface_scores(prediction: np.ndarray, truth: np.ndarray, scoring: Scoring) -> dict[str, float]:
    """Compute all surface metrics of two masks under the policy.

    Args:
        prediction: Predicted mask, bool (H, W).
        truth: True mask, bool (H, W).
        scoring: The policy, which settles the scores of empty masks.

    Returns:
        Metric -> score; NaN if both masks are empty and the policy leaves such pairs out.
    """
    if not (prediction.any() or truth.any()):
        perfect = scoring.both_empty == "perfect"
        return {m: float(m not in DISTANCES) if perfect else math.nan for m in SURFACE}
    if not (prediction.any() and truth.any()):
        worst = diagonal(truth.shape, scoring.spacing)
        return {m: worst if m in DISTANCES else 0.0 for m in SURFACE}
    distances = surface_distances(prediction, truth, scoring.spacing)
    return {
        "nsd": distances.nsd(scoring.tolerance),
        "hd95": distances.hd95(),
        "assd": distances.assd(),
        "boundary_iou": boundary_iou(prediction, truth, scoring.boundary),
    }


def _crop(*masks: np.ndarray) -> list[np.ndarray]:
    """Crop masks to their common bounding box; the scores stay exact, since all beyond it is outside the masks."""
    union = np.logical_or.reduce(masks)
    box = tuple(slice(i[0], i[-1] + 1) for i in (np.flatnonzero(union.any(axis)) for axis in (1, 0)))
    return [mask[box] for mask in masks]


def _rim(mask: np.ndarray, width: int) -> np.ndarray:
    """Return the pixels of a mask within ``width`` steps, also diagonal ones, of its outside."""
    depth = np.asarray(distance_transform_cdt(np.pad(mask, 1), metric="chessboard"))[1:-1, 1:-1]
    return mask & (depth <= width)
