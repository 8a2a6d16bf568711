"""Dice and IoU from confusion matrices.

Conventions: a matrix counts pixels of one image (rows = truth, columns = prediction; torchmetrics'
``multiclass_confusion_matrix``), ignored pixels left out. Per class, Dice = 2TP / (2TP + FP + FN) and
IoU = TP / (TP + FP + FN). A class that is neither in the truth nor in the prediction gives 0/0 = NaN, which
means leave out and the caller counts (as torchmetrics' ``dice_score`` does since 1.8); a miss and a false alarm give 0.
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
    hit, total = _counts(matrix)
    return 2 * hit / total


def iou(matrix: Tensor) -> Tensor:
    """(..., K) IoU (Jaccard index) per class of confusion matrices (..., K, K); NaN where 0/0."""
    hit, total = _counts(matrix)
    return hit / (total - hit)


def _counts(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """TP and 2TP + FP + FN per class, in float64."""
    matrix = matrix.to(torch.float64)
    return matrix.diagonal(dim1=-2, dim2=-1), matrix.sum(-1) + matrix.sum(-2)
