"""The scores of a test set: class maps and logits in, the score fields of a record out."""

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
    """Add every image of the test set once, then ask for `result`.

    Surface metrics are taken of the ``foreground`` classes alone: the outline of the background is that of the
    objects once more. Elsewhere a class has no such entry (``None`` is for 0/0). ``matrices`` holds each image's
    confusion matrix (K, K), int64, rows = truth, on the CPU; ``hashes`` and
    ``truths`` hold a hash of each predicted and each true class map.

    Raises `UnetzooError` where ``scoring.isbi`` names no class.
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
        """One image: logits (K, H, W) and class map (H, W), on any device.

        Raises `UnetzooError` where the shapes do not fit or the key was added before, and `ArithmeticError` where
        logits are NaN.
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
        """One image of a predictor without probabilities: class maps (H, W). There will be no calibration."""
        if prediction.shape != target.shape:
            raise UnetzooError(
                f"{key}: a prediction {tuple(prediction.shape)} does not fit a mask {tuple(target.shape)}"
            )
        self._add(key, prediction.cpu(), target.cpu())
        self._calibration = None

    def _add(self, key: str, prediction: Tensor, target: Tensor, probability: np.ndarray | None = None) -> None:
        if key in self.matrices:
            raise UnetzooError(f"image {key!r} is scored twice")
        self.matrices[key] = overlap.confusion(prediction, target, len(self.class_names), self.ignore_index)
        predicted, truth = prediction.numpy(), target.numpy()
        counted = truth != self.ignore_index  # all of them where ignore_index is None
        surfaces = np.full((len(SURFACE), len(self.class_names)), np.nan)
        for c in self.foreground:
            of_class = surface_scores((predicted == c) & counted, truth == c, self.scoring)
            surfaces[:, c] = [of_class[metric] for metric in SURFACE]
        self._surfaces[key] = surfaces
        if self._isbi is not None:
            self._isbi.add(key, predicted == self._separator, truth == self._separator, counted, probability)
        self.hashes[key], self.truths[key] = _hash(predicted), _hash(truth)

    def result(self) -> dict[str, Any]:
        """The fields of `unetzoo.records.record.Result` that are scores. Raises `UnetzooError` before the first image.

        ``undefined``, ``missed`` (true, no pixel of it hit) and ``false_alarms`` (predicted, not true) count images for
        every class; ``penalised`` (one side empty, so that the distances are the policy's penalty) for the foreground.
        Scores are rounded to six digits after their means are taken.
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
        """Metric -> (..., K) of matrices (..., K, K), by the policy where a class is neither true nor predicted."""
        rule = self.scoring.both_empty
        return {m: overlap.settle(getattr(overlap, m)(matrices), matrices, rule).numpy() for m in OVERLAP}


def _hash(classes: np.ndarray) -> str:
    raw = np.ascontiguousarray(classes, dtype="<i4").tobytes()
    return hashlib.sha256(f"{classes.shape}\0".encode() + raw).hexdigest()[:16]


def _digest(hashes: dict[str, str]) -> str:
    text = "\n".join(f"{key}\0{hashes[key]}" for key in sorted(hashes))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def mean_foreground(scores: np.ndarray, foreground: Sequence[int]) -> float:
    """Mean over images of the mean over foreground classes of (images, K) scores; NaN left out, NaN if all is."""
    return _mean(np.array([_mean(image[list(foreground)]) for image in scores]))


def _mean(scores: np.ndarray) -> float:
    """Mean of what is not NaN; NaN (and no warning) where nothing is left."""
    kept = scores[~np.isnan(scores)]
    return float(kept.mean()) if kept.size else math.nan


def _all_rounded(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: _rounded(score) for name, score in scores.items()}


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
