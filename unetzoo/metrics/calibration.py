"""Brier score and expected calibration error over all pixels of many images, ignored pixels left out."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Calibration:
    """Sums over pixels; every pixel of every image weighs the same. All in float64 on the CPU.

    Brier score: mean over pixels of the sum over classes of (probability - truth)^2, from 0 to 2 (Brier, 1950);
    scikit-learn's ``brier_score_loss`` with ``scale_by_half=False``. Its binary score is half of that.

    Expected calibration error: sum over bins of (share of pixels) * |accuracy - mean confidence|, where confidence is
    the probability of the predicted class, in ``bins`` bins of equal width that include their upper edge (Guo et al.
    2017, arXiv 1706.04599, eq. 3). torchmetrics' ``multiclass_calibration_error(norm="l1")`` includes the lower edge
    instead and puts confidences of exactly 1 in a bin of their own; elsewhere the two are equal.
    """

    def __init__(self, bins: int = 15) -> None:
        self._upper_edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:]
        self._sums = torch.zeros(3, bins, dtype=torch.float64)  # pixels, confidence, correct ones
        self._squares = 0.0

    def add(self, logits: Tensor, target: Tensor, ignore_index: int | None = None) -> None:
        """One image: logits (K, H, W) and class map (H, W). Raises `ArithmeticError` where a logit gives NaN."""
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
        """Brier score, lower is better; NaN before the first pixel."""
        pixels = float(self._sums[0].sum())
        return self._squares / pixels if pixels else math.nan

    def ece(self) -> float:
        """Expected calibration error, lower is better; NaN before the first pixel."""
        pixels, confidence, correct = self._sums
        return float((correct - confidence).abs().sum() / pixels.sum())
