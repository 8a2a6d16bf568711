"""Metrics of outlines: surface Dice (NSD), HD95, ASSD and boundary IoU of two masks.

Conventions: the edge of a mask are its pixels with a 4-neighbour outside it, and everything beyond the image's border
is outside (an object that touches the border has an edge there). Distances run between centres of edge pixels,
Euclidean, in the unit of ``spacing``. These are MONAI's (``compute_hausdorff_distance(percentile=95)``,
``compute_average_surface_distance(symmetric=True)``, ``compute_surface_dice``, all without sub-voxels). Every edge
pixel counts once, whatever length of outline it stands for.
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
    """From each edge pixel of one mask to the nearest of the other; neither array is empty."""

    to_truth: np.ndarray  # one a predicted edge pixel, float64
    to_prediction: np.ndarray  # one a true edge pixel, float64

    def hd95(self) -> float:
        """The larger of the two directed 95th percentiles (linearly interpolated)."""
        return float(max(np.percentile(self.to_truth, 95), np.percentile(self.to_prediction, 95)))

    def assd(self) -> float:
        """Mean over the edge pixels of both masks, pooled: the longer outline weighs more."""
        return float(np.concatenate([self.to_truth, self.to_prediction]).mean())

    def nsd(self, tolerance: float) -> float:
        """Share of both masks' edge pixels within ``tolerance``, itself included (Nikolov et al., arXiv 1809.04430)."""
        within = tolerance * (1 + 1e-9)  # 3 * 0.1 is 0.30000000000000004 and yet within 0.3
        return float((np.concatenate([self.to_truth, self.to_prediction]) <= within).mean())


def surface_distances(
    prediction: np.ndarray, truth: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)
) -> SurfaceDistances:
    """Distances between the edges of two boolean masks (H, W). Raises `UnetzooError` where one of them is empty."""
    if not (prediction.any() and truth.any()):
        raise UnetzooError("distances between surfaces need two masks that are not empty")
    prediction, truth = _crop(prediction, truth)
    edges = [mask ^ np.asarray(binary_erosion(mask)) for mask in (prediction, truth)]
    to_prediction, to_truth = (np.asarray(distance_transform_edt(~edge, sampling=spacing)) for edge in edges)
    return SurfaceDistances(to_truth[edges[0]], to_prediction[edges[1]])


def boundary_iou(prediction: np.ndarray, truth: np.ndarray, share: float = 0.02) -> float:
    """IoU of the inner rims of two boolean masks (H, W); NaN where both are empty (Cheng et al., arXiv 2103.16562).

    The rim is what ``d`` erosions by a 3x3 square take away, beyond the image's border being outside; ``d`` is
    ``share`` of the image's diagonal in pixels, rounded, at least 1.
    """
    width = max(1, round(share * math.hypot(*truth.shape)))
    if not (prediction.any() or truth.any()):
        return math.nan
    rims = [_rim(mask, width) for mask in _crop(prediction, truth)]
    return float((rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum())


def diagonal(shape: tuple[int, ...], spacing: tuple[float, float] = (1.0, 1.0)) -> float:
    """Length of the diagonal of an image (H, W): more than any distance between the centres of two of its pixels."""
    return math.hypot(shape[0] * spacing[0], shape[1] * spacing[1])


def surface_scores(prediction: np.ndarray, truth: np.ndarray, scoring: Scoring) -> dict[str, float]:
    """Metric -> score of two boolean masks (H, W) under the policy; NaN where it leaves an empty pair out."""
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
    """The masks' common bounding box: exact, for what lies beyond it is outside them, like what is beyond the image."""
    union = np.logical_or.reduce(masks)
    box = tuple(slice(i[0], i[-1] + 1) for i in (np.flatnonzero(union.any(axis)) for axis in (1, 0)))
    return [mask[box] for mask in masks]


def _rim(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of the mask within ``width`` steps (of 8 neighbours) of its outside."""
    depth = np.asarray(distance_transform_cdt(np.pad(mask, 1), metric="chessboard"))[1:-1, 1:-1]
    return mask & (depth <= width)
