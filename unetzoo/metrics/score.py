"""Scores of a test set: from logits or class maps to the score fields of a record."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unetzoo.errors import UnetzooError
from unetzoo.metrics import overlap
from unetzoo.metrics.calibration import Calibration
from unetzoo.metrics.policy import OVERLAP, SURFACE, Scoring
from unetzoo.metrics.surface import surface_scores

if TYPE_CHECKING:
    from unetzoo.metrics.isbi import IsbiScores


class Scores:
    """Accumulator of the scores of a test set: `add` every image once, then read `result`.

    Surface metrics are computed for foreground classes only, because the outline of the background is that of the
    objects again. Other classes have no such entry (an entry of ``None`` means 0/0).

    The attribute ``matrices`` has each image's confusion matrix, (K, K) int64 on the CPU, rows = truth; ``hashes`` and
    ``truths`` have a hash of each predicted and each true class map.

    Args:
        class_names: Names of the K classes.
        foreground: Indices of the foreground classes.
        ignore_index: Value of mask pixels that are not scored; None if there are none.
        scoring: The policy.

    Raises:
        UnetzooError: If ``scoring.isbi`` is not a class.
    """

    def __init__(
        self, class_names: Sequence[str], foreground: Sequence[int], ignore_index: int | None, scoring: Scoring
    ) -> None:
        self.class_names, self.foreground = tuple(class_names), tuple(foreground)
        self.ignore_index, self.scoring = ignore_index, scoring
        self.matrices: dict[str, Tensor] = {}
        self._surfaces: dict[str, np.ndarray] = {}  # key -> (metrics, K), NaN for background
        self._calibration: Calibration | None = Calibration(scoring.ece_bins)
        self._separator = scoring.separator(class_names)
        self._isbi: IsbiScores | None = None
        if self._separator is not None:
            from unetzoo.metrics.isbi import IsbiScores  # loads scikit-image

            self._isbi = IsbiScores()
        self.hashes: dict[str, str] = {}
        self.truths: dict[str, str] = {}

    def add(self, key: str, logits: Tensor, target: Tensor) -> None:
        """Add one image.

        Args:
            key: Name of the image.
            logits: Logits, (K, H, W), on any device.
            target: True class map, (H, W), on any device.

        Raises:
            UnetzooError: If the shapes do not fit or the key was added before.
            ArithmeticError: If a logit is NaN or infinite.
        """
        if logits.shape != (len(self.class_names), *target.shape):
            raise UnetzooError(
                f"{key}: logits {tuple(logits.shape)} do not fit {len(self.class_names)} classes and a mask "
                f"{tuple(target.shape)}"
            )
        logits, target = logits.detach().cpu(), target.cpu()
        probability = None if self._separator is None else logits.double().softmax(dim=0)[self._separator].numpy()
        self._add(key, logits.argmax(dim=0), target, probability)
        if self._calibration is not None:
            self._calibration.add(logits, target, self.ignore_index)

    def add_map(self, key: str, prediction: Tensor, target: Tensor) -> None:
        """Add one image for which there are no probabilities; the result will have no calibration.

        Args:
            key: Name of the image.
            prediction: Predicted class map, (H, W).
            target: True class map, (H, W).

        Raises:
            UnetzooError: If the shapes differ or the key was added before.
        """
        if prediction.shape != target.shape:
            raise UnetzooError(
                f"{key}: a prediction {tuple(prediction.shape)} does not fit a mask {tuple(target.shape)}"
            )
        self._add(key, prediction.cpu(), target.cpu())
        self._calibration = None

    def _add(self, key: str, prediction: Tensor, target: Tensor, probability: np.ndarray | None = None) -> None:
        if key in self.matrices:
            raise UnetzooError(f"image {key!r} is scored twice; add each image once")
        self.matrices[key] = overlap.confusion(prediction, target, len(self.class_names), self.ignore_index)
        predicted, truth = prediction.numpy(), target.numpy()
        counted = truth != self.ignore_index  # all pixels if ignore_index is None
        surfaces = np.full((len(SURFACE), len(self.class_names)), np.nan)
        for c in self.foreground if counted.any() else ():
            of_class = surface_scores((predicted == c) & counted, truth == c, self.scoring)
            surfaces[:, c] = [of_class[metric] for metric in SURFACE]
        self._surfaces[key] = surfaces
        if self._isbi is not None:
            self._isbi.add(key, predicted == self._separator, truth == self._separator, counted, probability)
        self.hashes[key], self.truths[key] = _hash(predicted), _hash(truth)

    def result(self) -> dict[str, Any]:
        """Return the score fields of `unetzoo.records.parts.Result`.

        ``undefined``, ``missed`` (true, no pixel hit) and ``false_alarms`` (predicted, not true) count images for every
        class; ``penalised`` (one side is empty, so that the distances are the policy's penalty) counts them for
        foreground classes. Scores are rounded to six decimals after the means are taken.

        Raises:
            UnetzooError: If no image was added.
        """
        if not self.matrices:
            raise UnetzooError("no image was scored")
        stacked = torch.stack(list(self.matrices.values()))
        surfaces = np.stack(list(self._surfaces.values()), axis=1)
        scores = self._overlaps(stacked) | dict(zip(SURFACE, surfaces, strict=True))  # metric -> (images, K)
        pooled = self._overlaps(stacked.sum(0))
        foreground = {m: _rounded(mean_foreground(s, self.foreground)) for m, s in scores.items()}
        brier, ece = (c.brier(), c.ece()) if (c := self._calibration) else (math.nan, math.nan)

        names = dict(enumerate(self.class_names))
        marked = {c: names[c] for c in self.foreground}
        taken = {m: names if m in OVERLAP else marked for m in scores}  # metric -> class -> its name
        true, predicted, hit = stacked.sum(-1), stacked.sum(-2), stacked.diagonal(dim1=-2, dim2=-1)

        def count(images: Tensor, classes: dict[int, str] = names) -> dict[str, int]:
            return {n: int(images[:, c].sum()) for c, n in classes.items()}

        return {
            "dice": foreground["dice"],
            "iou": foreground["iou"],
            "per_class": {
                n: {m: _rounded(_mean(s[:, c])) for m, s in scores.items() if c in taken[m]} for c, n in names.items()
            },
            "pooled": {n: {m: _rounded(s[c]) for m, s in pooled.items()} for c, n in names.items()},
            "per_image": {
                key: {m: {n: _rounded(s[i, c]) for c, n in taken[m].items()} for m, s in scores.items()}
                for i, key in enumerate(self.matrices)
            },
            "undefined": count((true == 0) & (predicted == 0)),
            "missed": count((true > 0) & (hit == 0)),
            "foreground": foreground,
            "calibration": {"brier": _rounded(brier), "ece": _rounded(ece)},
            "false_alarms": count((true == 0) & (predicted > 0)),
            "penalised": count((true == 0) != (predicted == 0), marked),
            "isbi": _all_rounded(self._isbi.means()) if self._isbi else {},
            "isbi_images": {key: _all_rounded(s) for key, s in self._isbi.images.items()} if self._isbi else {},
            "policy": self.scoring.describe(),
            "predictions": _digest(self.hashes),
        }

    def _overlaps(self, matrices: Tensor) -> dict[str, np.ndarray]:
        """Return each overlap metric, (..., K), of confusion matrices (..., K, K) under the policy."""
        rule = self.scoring.both_empty
        return {m: overlap.settle(getattr(overlap, m)(matrices), matrices, rule).numpy() for m in OVERLAP}


def _hash(classes: np.ndarray) -> str:
    raw = np.ascontiguousarray(classes, dtype="<i4").tobytes()
    return hashlib.sha256(f"{classes.shape}\0".encode() + raw).hexdigest()[:16]


def _digest(hashes: dict[str, str]) -> str:
    text = "\n".join(f"{key}\0{hashes[key]}" for key in sorted(hashes))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def mean_foreground(scores: np.ndarray, foreground: Sequence[int]) -> float:
    """Compute the mean over images of each image's mean over foreground classes, leaving out NaN.

    Args:
        scores: Scores, (images, K).
        foreground: Indices of the foreground classes.

    Returns:
        The mean; NaN if all scores are NaN.
    """
    return _mean(np.array([_mean(image[list(foreground)]) for image in scores]))


def _mean(scores: np.ndarray) -> float:
    """Return the mean of all values that are not NaN; NaN, without a warning, if there are none."""
    kept = scores[~np.isnan(scores)]
    return float(kept.mean()) if kept.size else math.nan


def _all_rounded(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: _rounded(score) for name, score in scores.items()}


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
