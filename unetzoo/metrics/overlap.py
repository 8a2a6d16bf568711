"""Dice, IoU, precision, recall and specificity from confusion matrices.

Conventions: a matrix counts pixels of one image, or of many for pooled scores (rows = truth, columns = prediction;
torchmetrics' ``multiclass_confusion_matrix``), ignored pixels left out. Per class:

- Dice = 2TP / (2TP + FP + FN), IoU = TP / (TP + FP + FN), precision = TP / (TP + FP), recall = TP / (TP + FN).
  A class that is neither in the truth nor in the prediction gives 0/0 = NaN, which means leave out and the caller
  counts (as torchmetrics' ``dice_score`` does since 1.8); a miss and a false alarm give 0, also where precision of an
  empty prediction or recall of an empty truth would be 0/0 (as scikit-learn's ``zero_division=0``).
- specificity = TN / (TN + FP), NaN where the class is true at every pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix


def confusion(prediction: Tensor, target: Tensor, classes: int, ignore_index: int | None = None) -> Tensor:
    """(K, K) int64 counts of class maps (H, W); rows are the truth."""
    return multiclass_confusion_matrix(
        prediction, target, num_classes=classes, ignore_index=ignore_index, validate_args=False
    )


def dice(matrix: Tensor) -> Tensor:
    """(..., K) Dice per class of confusion matrices (..., K, K); NaN where 0/0."""
    hit, true, predicted = _counts(matrix)
    return 2 * hit / (true + predicted)


def settle(scores: Tensor, matrix: Tensor, both_empty: str) -> Tensor:
    """Scores (..., K) of matrices (..., K, K) by the policy: 1 for a class neither true nor predicted if 'perfect'."""
    if both_empty != "perfect":
        return scores
    return scores.masked_fill((matrix.sum(-1) == 0) & (matrix.sum(-2) == 0), 1.0)


def iou(matrix: Tensor) -> Tensor:
    """(..., K) IoU (Jaccard index) per class of confusion matrices (..., K, K); NaN where 0/0."""
    hit, true, predicted = _counts(matrix)
    return hit / (true + predicted - hit)


def precision(matrix: Tensor) -> Tensor:
    """(..., K) precision per class of (..., K, K); 0 for a miss, NaN where nothing is true or predicted."""
    hit, true, predicted = _counts(matrix)
    return torch.where((predicted == 0) & (true > 0), 0.0, hit / predicted)


def recall(matrix: Tensor) -> Tensor:
    """(..., K) recall per class of (..., K, K); 0 for a false alarm, NaN where nothing is true or predicted."""
    hit, true, predicted = _counts(matrix)
    return torch.where((true == 0) & (predicted > 0), 0.0, hit / true)


def specificity(matrix: Tensor) -> Tensor:
    """(..., K) specificity per class of (..., K, K); NaN for a class that is true at every pixel."""
    hit, true, predicted = _counts(matrix)
    others = matrix.sum((-2, -1), dtype=torch.float64)[..., None] - true
    return (others - (predicted - hit)) / others


def _counts(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """TP, TP + FN and TP + FP per class, in float64."""
    matrix = matrix.to(torch.float64)
    return matrix.diagonal(dim1=-2, dim2=-1), matrix.sum(-1), matrix.sum(-2)
