"""Brier score and expected calibration error over all pixels of many images, without ignored pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Calibration:
    """Accumulator of Brier score and expected calibration error, in float64 on the CPU.

    Every pixel of every image has the same weight.

    - Brier score: the mean over pixels of the sum over classes of (probability - truth)^2, from 0 to 2. This is
      scikit-learn's ``brier_score_loss`` with ``scale_by_half=False``; its binary score is half of that.
    - Expected calibration error (ECE): the sum over bins of (share of pixels) * |accuracy - mean confidence|, where
      confidence is the probability of the predicted class. Bins have equal width and include their upper edge;
      torchmetrics' ``multiclass_calibration_error(norm="l1")`` includes the lower edge instead and puts confidences of
      exactly 1 in a bin of their own. Elsewhere the two are equal.

    Args:
        bins: Number of bins of the expected calibration error.

    References:
        Brier score: Brier 1950, Monthly Weather Review 78, 1-3. ECE: Guo et al. 2017, arXiv 1706.04599, equation 3.
    """

    def __init__(self, bins: int = 15) -> None:
        self._upper_edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:]
        self._sums = torch.zeros(3, bins, dtype=torch.float64)  # sums of pixels, confidences, correct pixels
        self._squares = 0.0

    def add(self, logits: Tensor, target: Tensor, ignore_index: int | None = None) -> None:
        """Add one image.

        Args:
            logits: Logits of the K classes, (K, H, W).
            target: True class map, (H, W).
            ignore_index: Value of pixels in ``target`` that are not scored; None if there are none.

        Raises:
            ArithmeticError: If a probability is NaN because a logit is NaN or infinite.
        """
        logits, target = logits.detach().cpu(), target.cpu()
        counted = torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target != ignore_index
        logits, target = logits[:, counted], target[counted][None]  # (K, pixels), (1, pixels)
        probabilities = logits.double().softmax(dim=0)
        if probabilities.isnan().any():
            raise ArithmeticError("a logit is NaN or infinite")
        confidence = probabilities.amax(dim=0)
        correct = (logits.argmax(dim=0) == target[0]).double()
        bins = torch.bucketize(confidence, self._upper_edges).clamp(max=len(self._upper_edges) - 1)
        for row, weight in zip(self._sums, (torch.ones_like(confidence), confidence, correct), strict=True):
            row += torch.bincount(bins, weight, minlength=len(row))
        errors = probabilities.scatter_add(0, target, -torch.ones_like(target, dtype=torch.float64))
        self._squares += float(errors.square().sum())

    def brier(self) -> float:
        """Return the Brier score, 0 to 2, 0 is perfect; NaN if there are no pixels."""
        pixels = float(self._sums[0].sum())
        return self._squares / pixels if pixels else math.nan

    def ece(self) -> float:
        """Return the expected calibration error, 0 to 1, 0 is perfect; NaN if there are no pixels."""
        pixels, confidence, correct = self._sums
        return float((correct - confidence).abs().sum() / pixels.sum())
