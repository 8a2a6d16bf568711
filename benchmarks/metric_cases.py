"""Masks and logits on which libraries disagree, and the scores of each library; see metric_conventions.py."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sklearn.metrics as sk
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torchmetrics.classification import MulticlassCalibrationError, MulticlassPrecision
from torchmetrics.segmentation import DiceScore, HausdorffDistance, MeanIoU

from unetzoo.metrics.calibration import Calibration
from unetzoo.metrics.policy import Scoring
from unetzoo.metrics.score import Scores

warnings.simplefilter("ignore")  # the libraries warn about empty masks
import monai.metrics as mm  # noqa: E402

VOID = 255
BINS = 15


# --- masks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Class maps (N, H, W) of N images; class 0 is background."""

    words: str
    prediction: Tensor
    truth: Tensor
    classes: int = 2


def boxes(*places: tuple[int, int, int], shape: tuple[int, int] = (32, 32), value: int = 1) -> Tensor:
    """Return a class map (1, H, W) with squares.

    Args:
        places: (top, left, size) of each square, in px.
        shape: (H, W).
        value: Class of the squares.
    """
    mask = torch.zeros(1, *shape, dtype=torch.long)
    for top, left, size in places:
        mask[:, top : top + size, left : left + size] = value
    return mask


def cases() -> dict[str, Case]:
    """Return the masks to score, by name."""
    square, shifted, nothing = boxes((12, 12, 8)), boxes((12, 13, 8)), boxes()
    two = boxes((2, 2, 8)) + boxes((20, 20, 8), value=2)
    void = square.clone()
    void[:, :, 18:24] = VOID
    return {
        "perfect": Case("an 8x8 square, found exactly", square, square),
        "shift": Case("an 8x8 square, found 1 px to the right", shifted, square),
        "small": Case("a 2x2 square, found 1 px to the right", boxes((12, 13, 2)), boxes((12, 12, 2))),
        "large": Case("a 24x24 square, found 1 px to the right", boxes((4, 5, 24)), boxes((4, 4, 24))),
        "border": Case("an 8x8 square in the corner, found 1 px to the right", boxes((0, 1, 8)), boxes((0, 0, 8))),
        "speck": Case("an 8x8 square, found; and one false pixel far away", boxes((12, 12, 8), (1, 1, 1)), square),
        "wide": Case("32x64 px image: a square, found 16 px too far right", *wide()),
        "tall": Case("64x32 px image: a square, found 16 px too low", *(m.transpose(1, 2) for m in wide())),
        "miss": Case("an 8x8 square, nothing predicted", nothing, square),
        "false alarm": Case("an 8x8 square predicted, nothing there", square, nothing),
        "empty": Case("nothing there, nothing predicted", nothing, nothing),
        "hit and miss": Case(
            "two images: a square found 1 px to the right, a miss",
            torch.cat([shifted, nothing]),
            torch.cat([square, square]),
        ),
        "hit and false alarm": Case(
            "two images: a square found 1 px to the right, a false alarm",
            torch.cat([shifted, square]),
            torch.cat([square, nothing]),
        ),
        "sizes": Case(
            "two images: 24x24 found exactly, 2x2 found 1 px to the right",
            torch.cat([boxes((4, 4, 24)), boxes((12, 13, 2))]),
            torch.cat([boxes((4, 4, 24)), boxes((12, 12, 2))]),
        ),
        "absent class": Case("three classes and background, found exactly; the third is nowhere", two, two, classes=4),
        "void": Case("a square of which two columns are void; found 2 px too wide, in void only", *wider(square, void)),
    }


def wide() -> tuple[Tensor, Tensor]:
    """Return prediction and truth on an image twice as wide as high, 16 px apart."""
    return boxes((12, 24, 8), shape=(32, 64)), boxes((12, 8, 8), shape=(32, 64))


def wider(square: Tensor, void: Tensor) -> tuple[Tensor, Tensor]:
    """Return a prediction 2 px too wide, only into void pixels, and the truth with these void pixels."""
    prediction = square.clone()
    prediction[:, 12:20, 20:22] = 1
    return prediction, void


# --- libraries ----------------------------------------------------------------------------------------------------

NONE = "n/a"  # not offered


def ours(metric: str, case: Case) -> float:
    """Return unetzoo's score; NaN if there is nothing to average."""
    foreground = tuple(range(1, case.classes))
    names = [str(c) for c in range(case.classes)]
    scores = Scores(names, foreground, VOID, Scoring())
    for i, (prediction, truth) in enumerate(zip(case.prediction, case.truth, strict=True)):
        scores.add_map(str(i), prediction, truth)
    found = scores.result()["foreground"][metric]
    return math.nan if found is None else found


def scikit_learn(metric: str, case: Case) -> float | str:
    """Return scikit-learn's score, or `NONE`; void pixels are dropped beforehand."""
    if metric not in ("dice", "iou", "precision"):
        return NONE
    counted = case.truth != VOID
    function = {"dice": sk.f1_score, "iou": sk.jaccard_score, "precision": sk.precision_score}[metric]
    labels = list(range(1, case.classes))
    return float(function(case.truth[counted], case.prediction[counted], labels=labels, average="macro"))


def torchmetrics(metric: str, case: Case) -> float | str:
    """Return torchmetrics' score, or `NONE`."""
    k = case.classes
    if metric == "precision":
        found = MulticlassPrecision(k, average=None, ignore_index=VOID)(case.prediction, case.truth)
        return float(found[1:].mean())
    options = {"include_background": False, "input_format": "index"}
    if metric == "dice":
        library = DiceScore(k, average="macro", **options)
    elif metric == "iou":
        library = MeanIoU(k, **options)
    elif metric == "hd95":
        library = HausdorffDistance(k, **options)
    else:
        return NONE
    return NONE if (case.truth == VOID).any() else float(library(case.prediction, case.truth))


def monai(metric: str, case: Case) -> float:
    """Return MONAI's score."""
    prediction = channels(case.prediction, case.classes)
    truth = channels(case.truth, case.classes)  # a void pixel is in no channel
    options = {"include_background": False, "ignore_index": VOID}
    library = {
        "dice": lambda: mm.DiceMetric(**options),
        "iou": lambda: mm.MeanIoU(**options),
        "precision": lambda: mm.ConfusionMatrixMetric(metric_name="precision", compute_sample=True, **options),
        "hd95": lambda: mm.HausdorffDistanceMetric(percentile=95, **options),
        "assd": lambda: mm.SurfaceDistanceMetric(symmetric=True, **options),
        "nsd": lambda: mm.SurfaceDiceMetric([2.0] * (case.classes - 1), **options),
    }[metric]()
    library(prediction, truth)
    found = library.aggregate()
    return float(found[0] if isinstance(found, list) else found)


def channels(maps: Tensor, classes: int) -> Tensor:
    """Return class maps (N, H, W) one-hot, as (N, K, H, W); a void pixel is zero in all channels."""
    return one_hot(maps.clamp(max=classes), classes + 1)[..., :classes].permute(0, 3, 1, 2).float()


LIBRARIES: dict[str, Callable[[str, Case], float | str]] = {
    "scikit-learn": scikit_learn,
    "torchmetrics": torchmetrics,
    "MONAI": monai,
}
METRICS = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "hd95": "HD95 (px)",
    "assd": "ASSD (px)",
    "nsd": "NSD, tolerance 2 px",
}


# --- probabilities ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Soft:
    """Logits (1, K, H, W) and class maps (1, H, W)."""

    words: str
    logits: Tensor
    truth: Tensor


def soft_cases() -> dict[str, Soft]:
    """Return the logits to score, by name."""
    random = np.random.default_rng(0)
    truth = torch.from_numpy(random.integers(0, 3, (1, 32, 32)))
    logits = torch.from_numpy(random.normal(0, 1, (1, 3, 32, 32))) + 1.5 * channels(truth, 3)
    void = truth.clone()
    void[:, :8] = VOID
    binary = truth.clamp(max=1)
    odd = torch.arange(32).remainder(2).bool()[None, :, None]  # every other row
    right = ~odd | torch.from_numpy(random.random((1, 32, 32)) < 0.6)
    certain = channels(torch.where(right, binary, 1 - binary), 2).double()
    certain *= torch.where(odd, 40.0, 2.8)[:, None]  # confidences of exactly 1 and of 0.943: in one bin of 15
    return {
        "2 classes": Soft("two classes, random logits", logits[:, :2], binary),
        "3 classes": Soft("three classes, random logits", logits, truth),
        "void rows": Soft("the same three classes, a quarter of the image void", logits, void),
        "certain": Soft(
            "two classes; one half 0.943 sure and right, one half wholly sure and 60 % right", certain, binary
        ),
        "small logits": Soft("three classes, logits between 0 and 1", logits.sigmoid(), truth),
    }


def soft_ours(metric: str, case: Soft) -> float:
    """Return unetzoo's calibration score."""
    found = Calibration(BINS)
    found.add(case.logits[0], case.truth[0], VOID)
    return found.brier() if metric == "brier" else found.ece()


def soft_scikit_learn(metric: str, case: Soft) -> float | str:
    """Return scikit-learn's Brier score, or `NONE`; void pixels are dropped beforehand."""
    if metric == "ece":
        return NONE
    counted = case.truth.flatten() != VOID
    probabilities = case.logits.softmax(1).flatten(2)[0].T[counted].numpy()
    labels = list(range(case.logits.shape[1]))
    return float(sk.brier_score_loss(case.truth.flatten()[counted].numpy(), probabilities, labels=labels))


def soft_torchmetrics(metric: str, case: Soft) -> float | str:
    """Return torchmetrics' expected calibration error, or `NONE`."""
    if metric == "brier":
        return NONE
    library = MulticlassCalibrationError(case.logits.shape[1], BINS, norm="l1", ignore_index=VOID)
    return float(library(case.logits, case.truth))


def soft_monai(metric: str, case: Soft) -> float | str:
    """Return MONAI's expected calibration error, or `NONE`."""
    if metric == "brier" or (case.truth == VOID).any():
        return NONE
    library = mm.CalibrationErrorMetric(num_bins=BINS, right=True)
    library(case.logits.softmax(1).float(), channels(case.truth, case.logits.shape[1]))
    return float(library.aggregate())


SOFT_LIBRARIES: dict[str, Callable[[str, Soft], float | str]] = {
    "scikit-learn": soft_scikit_learn,
    "torchmetrics": soft_torchmetrics,
    "MONAI": soft_monai,
}
SOFT_METRICS = {"brier": "Brier score", "ece": f"Expected calibration error, {BINS} bins"}
