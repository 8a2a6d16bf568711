"""Dice, IoU, precision, recall and specificity from confusion matrices.

A confusion matrix counts the pixels of one image, or of many for pooled scores, without ignored pixels. Rows are the
truth, columns the prediction, as in torchmetrics' ``multiclass_confusion_matrix``. For each class:

- Dice = 2TP / (2TP + FP + FN), IoU = TP / (TP + FP + FN), precision = TP / (TP + FP), recall = TP / (TP + FN).
  A class that is neither in the truth nor in the prediction gives 0/0 = NaN, which the caller leaves out of means and
  counts (as torchmetrics' ``dice_score`` does since 1.8). A miss and a false alarm give 0, even where precision of an
  empty prediction or recall of an empty truth would be 0/0 (as scikit-learn's ``zero_division=0``).
- Specificity = TN / (TN + FP), NaN if the class is true at every pixel.

References:
    Dice 1945, doi 10.2307/1932409; Jaccard 1912, doi 10.1111/j.1469-8137.1912.tb05611.x. The documentation of
    torchmetrics (``multiclass_confusion_matrix``, ``dice_score``) and of scikit-learn
    (``precision_recall_fscore_support``).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix


def confusion(prediction: Tensor, target: Tensor, classes: int, ignore_index: int | None = None) -> Tensor:
    """Return the confusion matrix of one image, (K, K) int64; rows are the truth.

    Args:
        prediction: Predicted class map, (H, W).
        target: True class map, (H, W).
        classes: Number of classes K.
        ignore_index: Value of pixels in ``target`` that are not counted; None if there are none.

    Examples:
        >>> confusion(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]), classes=2)
        tensor([[1, 1],
                [0, 1]])
    """
    return multiclass_confusion_matrix(
        prediction, target, num_classes=classes, ignore_index=ignore_index, validate_args=False
    )


def dice(matrix: Tensor) -> Tensor:
    """Compute Dice = 2TP / (2TP + FP + FN) per class.

    Args:
        matrix: Confusion matrices, (..., K, K).

    Returns:
        Scores (..., K) from 0 to 1; NaN for a class that is neither true nor predicted.

    Examples:
        >>> matrix = torch.tensor([[5, 1], [1, 3]])
        >>> dice(matrix)[1].item()
        0.75
    """
    hit, true, predicted = _counts(matrix)
    return 2 * hit / (true + predicted)


def settle(scores: Tensor, matrix: Tensor, both_empty: str) -> Tensor:
    """Apply the policy for classes that are neither true nor predicted.

    Args:
        scores: Scores, (..., K).
        matrix: The confusion matrices of the scores, (..., K, K).
        both_empty: "perfect" sets the score of such a class to 1, unless every pixel is ignored; with any other value
            the scores stay as they are.

    Returns:
        Scores, (..., K).
    """
    if both_empty != "perfect":
        return scores
    labelled = matrix.sum((-2, -1)) > 0
    return scores.masked_fill(labelled[..., None] & (matrix.sum(-1) == 0) & (matrix.sum(-2) == 0), 1.0)


def iou(matrix: Tensor) -> Tensor:
    """Compute IoU (Jaccard index) = TP / (TP + FP + FN) per class.

    Args:
        matrix: Confusion matrices, (..., K, K).

    Returns:
        Scores (..., K) from 0 to 1; NaN for a class that is neither true nor predicted.

    Examples:
        >>> matrix = torch.tensor([[5, 1], [1, 3]])
        >>> iou(matrix)[1].item()
        0.6
    """
    hit, true, predicted = _counts(matrix)
    return hit / (true + predicted - hit)


def precision(matrix: Tensor) -> Tensor:
    """Compute precision = TP / (TP + FP) per class.

    Args:
        matrix: Confusion matrices, (..., K, K).

    Returns:
        Scores (..., K) from 0 to 1; 0 for a class that is true but not predicted, NaN for one that is neither.

    Examples:
        >>> matrix = torch.tensor([[5, 1], [1, 3]])
        >>> precision(matrix)[1].item()
        0.75
    """
    hit, true, predicted = _counts(matrix)
    return torch.where((predicted == 0) & (true > 0), 0.0, hit / predicted)


def recall(matrix: Tensor) -> Tensor:
    """Compute recall = TP / (TP + FN) per class.

    Args:
        matrix: Confusion matrices, (..., K, K).

    Returns:
        Scores (..., K) from 0 to 1; 0 for a class that is predicted but not true, NaN for one that is neither.

    Examples:
        >>> matrix = torch.tensor([[5, 1], [1, 3]])
        >>> recall(matrix)[1].item()
        0.75
    """
    hit, true, predicted = _counts(matrix)
    return torch.where((true == 0) & (predicted > 0), 0.0, hit / true)


def specificity(matrix: Tensor) -> Tensor:
    """Compute specificity = TN / (TN + FP) per class.

    Args:
        matrix: Confusion matrices, (..., K, K).

    Returns:
        Scores (..., K) from 0 to 1; NaN for a class that is true at every pixel.
    """
    hit, true, predicted = _counts(matrix)
    others = matrix.sum((-2, -1), dtype=torch.float64)[..., None] - true
    return (others - (predicted - hit)) / others


def _counts(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return TP, TP + FN and TP + FP per class, in float64."""
    matrix = matrix.to(torch.float64)
    return matrix.diagonal(dim1=-2, dim2=-1), matrix.sum(-1), matrix.sum(-2)
