"""Scores of the ISBI 2012 challenge, which measure how well boundaries separate objects; NumPy arrays in, floats out.

Sources: Arganda-Carreras et al. 2015 (doi 10.3389/fnana.2015.00142) and the program that the challenge published (Fiji,
``trainableSegmentation.metrics``: ``getMaximalVRandAfterThinning`` and related methods). All maps are (H, W).

- *Segments* are the 4-connected components of the interior, in truth and prediction. The interior is every pixel that
  is not boundary.
- *Thinning*: the prediction's segments grow into its boundaries, at equal speed, until a line of at most about one
  pixel lies between two of them. This is a 4-connected watershed of a constant map, as in Fiji. The truth is not
  thinned.
- *Foreground-restricted*: pixels that are boundary in the truth are left out. A remaining pixel that is boundary in the
  thinned prediction is a segment of its own.
- Let p_ij be the share of pixels in segment i of the prediction and j of the truth, s_i and t_j its sums, and I and H
  mutual information and entropy (the paper's section on scoring; alpha = 1/2):
  Rand: split = sum p_ij^2 / sum t_j^2, merge = sum p_ij^2 / sum s_i^2; V_rand their harmonic mean.
  Information: split = I / H(s), merge = I / H(t); V_info their harmonic mean, 2 I / (H(s) + H(t)).
  The split score falls if an object is cut, the merge score if objects are fused. A pixel counts as a pair with
  itself, which scikit-image's ``adapted_rand_error`` leaves out; the difference is of the order of one over the size of
  the objects.
- *Pixel error* is the share of wrong pixels, boundary against interior. The challenge's table shows another quantity:
  1 - the F-score of the interior, from counts summed over all images.
- *Warping error*: see `unetzoo.metrics.warping`.
- *Best over thresholds*: the challenge binarised the probability map at several thresholds, averaged over images at
  each, and took the best average. So there is one threshold for all images, chosen on the test set itself. Here a pixel
  is boundary if its probability is at least 0.1, 0.2, ... 0.9; Fiji also tries 0 and 1, where everything or almost
  nothing is boundary.

Conventions where the paper leaves the choice open: an image without interior in the truth has no score (NaN). A
prediction without interior has no segments, so each of its pixels is a segment of its own (Fiji: all are one segment).
0/0 is perfect: I / H is 1 if H is 0, so one object predicted as one object has V_info 1 (Fiji: 0). Ignored pixels are
treated as if they were outside the image: no segment covers them or passes through them.
"""

from __future__ import annotations

import math

import numpy as np
from skimage.metrics import contingency_table
from skimage.segmentation import watershed

from unetzoo.metrics.policy import ISBI, ISBI_BEST
from unetzoo.metrics.warping import components, warp

THRESHOLDS = tuple(k / 10 for k in range(1, 10))


def segments(interior: np.ndarray) -> np.ndarray:
    """Return the labels of the 4-connected components of ``interior``, from 1; 0 elsewhere.

    Args:
        interior: Bool map, (H, W).
    """
    return components(interior, 1)


def thinned(labels: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
    """Return the segments grown over the pixels labelled 0, up to a line between two of them.

    Args:
        labels: Segments, (H, W); 0 is boundary.
        counted: Bool map (H, W) of the pixels over which segments may grow; None is all of them.
    """
    flat = np.zeros(labels.shape, np.uint8)
    return watershed(flat, labels, connectivity=1, mask=counted, watershed_line=True)


def rand_and_information(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Compute V_rand and V_info with their split and merge scores; the formulas are in the docstring of this module.

    Args:
        labels: Predicted segments, (H, W); every pixel that is 0 counts as a segment of its own.
        truth: True segments, (H, W); pixels that are 0 are left out.

    Returns:
        Six scores from 0 to 1, 1 is perfect; all are NaN if ``truth`` is 0 everywhere.

    References:
        Arganda-Carreras et al. 2015, doi 10.3389/fnana.2015.00142.
    """
    foreground = truth > 0
    if not foreground.any():
        return dict.fromkeys(ISBI[:6], math.nan)
    found, true = labels[foreground].astype(np.intp), truth[foreground]
    alone = found == 0
    found[alone] = found.max() + 1 + np.arange(alone.sum())
    table = contingency_table(true, found).tocoo()
    counts = (table.data, np.bincount(table.col, table.data), np.bincount(table.row, table.data))
    shares = [c / len(true) for c in counts]  # exact: a single segment has share 1 and entropy 0
    squares, squares_found, squares_true = (float(p @ p) for p in shares)
    joint, of_found, of_true = (float(-(p[p > 0] @ np.log(p[p > 0]))) for p in shares)
    mutual = max(0.0, of_found + of_true - joint)  # rounding may leave it a hair below 0
    scores = (
        2 * squares / (squares_found + squares_true),
        squares / squares_true,
        squares / squares_found,
        _share(2 * mutual, of_found + of_true),
        _share(mutual, of_found),
        _share(mutual, of_true),
    )
    return dict(zip(ISBI[:6], (min(1.0, s) for s in scores), strict=True))


def _share(part: float, whole: float) -> float:
    """Return ``part / whole``, or 1 if the whole is 0, because then nothing is missing."""
    return part / whole if whole > 0 else 1.0


def image_scores(boundary: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None) -> dict[str, float]:
    """Compute all scores of one image.

    Args:
        boundary: Prediction, bool (H, W), True on boundaries.
        truth: Truth, bool (H, W), True on boundaries.
        counted: Bool map (H, W) of the pixels that are not ignored; None is all of them.

    Returns:
        Name -> score, NaN if the image has none. ``v_rand``, ``v_info`` and their ``_split`` and ``_merge`` are from 0
        to 1, 1 is perfect. ``pixel_error``, ``warping_error`` and ``split_merge_error`` (only mergers and splits) are
        shares of the pixels, 0 is perfect. ``rand_error`` is 1 - V_rand without thinning.
    """
    counted = np.ones(truth.shape, bool) if counted is None else counted
    interior, true_interior = counted & ~boundary, counted & ~truth
    found, true = segments(interior), segments(true_interior)
    warped = warp(true_interior, interior, counted)
    pixels = int(counted.sum())
    wrong = {
        "pixel_error": interior ^ true_interior,
        "warping_error": warped.left,
        "split_merge_error": warped.mergers | warped.splits,
    }
    return {
        **rand_and_information(thinned(found, counted), true),
        "rand_error": 1 - rand_and_information(found, true)["v_rand"],
        **{name: float(where.sum()) / pixels if pixels else math.nan for name, where in wrong.items()},
    }


class IsbiScores:
    """Accumulator of the scores of a test set: `add` every image, then read `means` and ``images``."""

    def __init__(self) -> None:
        self.images: dict[str, dict[str, float]] = {}  # key -> score -> value for the class map
        self._at: list[list[dict[str, float]]] = []  # image -> threshold -> scores
        self._counts: list[np.ndarray] = []  # image -> (thresholds, 2): hits and errors of the interior

    def add(
        self,
        key: str,
        boundary: np.ndarray,
        truth: np.ndarray,
        counted: np.ndarray,
        probability: np.ndarray | None = None,
    ) -> None:
        """Add one image.

        Args:
            key: Name of the image.
            boundary: Prediction, bool (H, W), True on boundaries.
            truth: Truth, bool (H, W), True on boundaries.
            counted: Bool map (H, W) of the pixels that are not ignored.
            probability: Predicted probability of boundary, (H, W), for the best over thresholds; optional.
        """
        self.images[key] = image_scores(boundary, truth, counted)
        if probability is None:
            return
        cuts = [probability >= threshold for threshold in THRESHOLDS]
        self._at.append([image_scores(cut, truth, counted) for cut in cuts])
        self._counts.append(
            np.array([((counted & ~(cut | truth)).sum(), (counted & (cut ^ truth)).sum()) for cut in cuts])
        )

    def means(self) -> dict[str, float]:
        """Return the mean of every score over images, and the best such means over thresholds.

        At least one image must have been added. The best over thresholds are ``v_rand_max``, ``v_info_max`` and the
        three errors that the challenge had at first: ``rand_error_min``, ``pixel_f_error_min`` (1 - F-score) and
        ``split_merge_error_min`` (its warping error). They are NaN unless all images had probabilities.
        """
        best = dict.fromkeys(ISBI_BEST, math.nan)
        if len(self._at) == len(self.images):
            curves = [_means(list(images)) for images in zip(*self._at, strict=True)]  # threshold -> score -> mean
            hits, errors = np.sum(self._counts, axis=0).T
            found = (
                max(curve["v_rand"] for curve in curves),
                max(curve["v_info"] for curve in curves),
                min(curve["rand_error"] for curve in curves),
                min(1 - _share(2 * h, 2 * h + e) for h, e in zip(hits.tolist(), errors.tolist(), strict=True)),
                min(curve["split_merge_error"] for curve in curves),
            )
            best = dict(zip(ISBI_BEST, found, strict=True))
        return {**_means(list(self.images.values())), **best}


def _means(images: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each score over the images that have it, NaN if none has."""
    known = {name: [scores[name] for scores in images if not math.isnan(scores[name])] for name in images[0]}
    return {name: sum(values) / len(values) if values else math.nan for name, values in known.items()}
