"""Trivial predictors, reference rows of every suite: a network that does not beat them has learnt nothing.

All of them decide pixel by pixel, see the train split alone, and give the same class maps for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError, nearest

Predictor = Callable[[np.ndarray], np.ndarray]
"""An image (C, H, W) float32 in [0, 1] to its class map (H, W) int64."""

VERSION = 1  # raised whenever one of them would predict something else
PIXELS = 100_000  # at most so many training pixels are drawn for the regression
RIDGE = 1e-4  # weight decay of the regression: keeps separable classes finite, of no consequence otherwise


@dataclass(frozen=True)
class Baseline:
    label: str
    note: str
    fit: Callable[[SegmentationDataset, int], Predictor]  # (data set, seed)


def fit(name: str, dataset: SegmentationDataset, seed: int = 0) -> Predictor:
    """The predictor of a baseline's name. Raises `UnetzooError` on an unknown name and on a train split without
    a labelled pixel.
    """
    if name not in BASELINES:
        raise UnetzooError(f"unknown baseline {name!r}; {nearest(name, BASELINES)}")
    return BASELINES[name].fit(dataset, seed)


def _fit_background(dataset: SegmentationDataset, seed: int) -> Predictor:
    return _constant(_outer_classes(dataset)[0])


def _fit_foreground(dataset: SegmentationDataset, seed: int) -> Predictor:
    return _constant(_outer_classes(dataset)[1])


def _constant(label: int) -> Predictor:
    def predict(image: np.ndarray) -> np.ndarray:
        return np.full(image.shape[1:], label, np.int64)

    return predict


def _fit_otsu(dataset: SegmentationDataset, seed: int) -> Predictor:
    """Which side of the threshold is foreground: the one with the higher Dice, mean over the training images."""
    background, foreground = _outer_classes(dataset)
    scores: list[tuple[float, float]] = []
    for key in dataset.splits["train"]:
        image, mask = dataset.read(key)
        if (bright := _above_otsu(image)) is not None:
            known = _labelled(mask, dataset)
            truth = mask[known] == foreground
            scores.append((_dice(bright[known], truth), _dice(~bright[known], truth)))
    # An image without the class scores 0 on both sides: it does not vote.
    means = np.mean(scores, axis=0) if scores else (0.0, 0.0)
    wanted = bool(means[0] >= means[1])

    def predict(image: np.ndarray) -> np.ndarray:
        bright = _above_otsu(image)
        if bright is None:
            return np.full(image.shape[1:], background, np.int64)
        return np.where(bright == wanted, foreground, background).astype(np.int64)

    return predict


def _above_otsu(image: np.ndarray) -> np.ndarray | None:
    """(H, W) bool: above the threshold of the channels' mean; None where that is constant."""
    from skimage.filters import threshold_otsu

    grey = image.mean(axis=0)
    return grey > threshold_otsu(grey) if grey.min() < grey.max() else None


def _dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    return 2 * int((prediction & truth).sum()) / max(1, int(prediction.sum()) + int(truth.sum()))


def _fit_logistic(dataset: SegmentationDataset, seed: int) -> Predictor:
    """Softmax regression of the class on the channel values, every class weighted alike.

    Weighted, because the headline is Dice: unweighted, a rare class that the channels hardly tell apart is never
    predicted at all, and the row repeats "all background" (vessels of CHASE_DB1: Dice 0.00 unweighted, 0.20
    weighted; ISBI 2012: 0.47 and 0.55). Where a class is rare and the colours tell much it costs a little (CamVid:
    0.18 and 0.15).
    """
    pixels, labels = _sample(dataset, seed)
    classes, targets = np.unique(labels, return_inverse=True)
    mean, deviation = pixels.mean(axis=0), np.maximum(pixels.std(axis=0), 1e-6)
    weight, bias = _regress((pixels - mean) / deviation, targets, len(classes))
    weight = weight / deviation  # standardisation folded in: (K, C)
    bias = bias - weight @ mean

    def predict(image: np.ndarray) -> np.ndarray:
        logits = np.tensordot(weight, image.astype(np.float64), axes=1) + bias[:, None, None]
        return classes[logits.argmax(axis=0)]

    return predict


def _regress(features: np.ndarray, targets: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, C) and biases (K,) from float64 features (N, C): a convex problem, begun at zero."""
    import torch
    from torch.nn import functional as F

    x, y = torch.from_numpy(features), torch.from_numpy(targets)
    balance = 1 / torch.bincount(y, minlength=classes).double()
    weight = torch.zeros(classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=200, tolerance_grad=1e-5, tolerance_change=1e-7, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        ridge = RIDGE * (weight.square().sum() + bias.square().sum())
        loss = F.cross_entropy(F.linear(x, weight, bias), y, weight=balance) + ridge
        loss.backward()
        return loss

    with torch.inference_mode(False), torch.enable_grad():
        optimizer.step(closure)  # type: ignore[arg-type]
    return weight.detach().numpy(), bias.detach().numpy()


def _sample(dataset: SegmentationDataset, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Channel values (N, C) float64 and classes (N,) of at most `PIXELS` labelled training pixels, drawn evenly."""
    keys = dataset.splits["train"]
    sizes = [int(_labelled(dataset.read(key)[1], dataset).sum()) for key in keys]
    total = sum(sizes)
    if not total:
        raise _unlabelled(dataset)
    drawn = np.arange(total)
    if total > PIXELS:
        drawn = np.sort(np.random.default_rng(seed).choice(total, PIXELS, replace=False, shuffle=False))
    pixels, labels, start = [], [], 0
    for key, size in zip(keys, sizes, strict=True):  # a second reading, so that no more than one image is held
        image, mask = dataset.read(key)
        here = drawn[np.searchsorted(drawn, start) : np.searchsorted(drawn, start + size)] - start
        places = np.flatnonzero(_labelled(mask, dataset))[here]
        pixels.append(image.reshape(len(image), -1)[:, places].T.astype(np.float64))
        labels.append(mask.ravel()[places])
        start += size
    return np.concatenate(pixels), np.concatenate(labels)


def _outer_classes(dataset: SegmentationDataset) -> tuple[int, int]:
    """The background class and the foreground class that fill most training pixels.

    A data set whose classes are all foreground has no background; then it is the most frequent class.
    """
    info = dataset.info
    counts = np.zeros(info.classes, np.int64)
    for key in dataset.splits["train"]:
        mask = dataset.read(key)[1]
        counts += np.bincount(mask[_labelled(mask, dataset)], minlength=info.classes)
    if not counts.any():
        raise _unlabelled(dataset)
    outside = [c for c in range(info.classes) if c not in info.foreground] or list(range(info.classes))
    background, foreground = (max(among, key=lambda c: counts[c]) for among in (outside, sorted(info.foreground)))
    return background, foreground


def _labelled(mask: np.ndarray, dataset: SegmentationDataset) -> np.ndarray:
    ignored = dataset.info.ignore_index
    return np.ones(mask.shape, bool) if ignored is None else mask != ignored


def _unlabelled(dataset: SegmentationDataset) -> UnetzooError:
    return UnetzooError(f"data set {dataset.info.name!r}: every pixel of the train split is ignored")


BASELINES = {
    "baseline_background": Baseline("all background", "every pixel is the most frequent background", _fit_background),
    "baseline_foreground": Baseline("all foreground", "every pixel is the most frequent foreground", _fit_foreground),
    "baseline_otsu": Baseline(
        "otsu",
        "each image's own threshold (Otsu 1979, doi 10.1109/TSMC.1979.4310076) on the mean over channels; the train "
        "split decides which side is the most frequent foreground class",
        _fit_otsu,
    ),
    "baseline_logistic": Baseline(
        "logistic regression",
        f"the class of a pixel from its own channel values: softmax regression on up to {PIXELS:,} training pixels, "
        "classes weighted alike",
        _fit_logistic,
    ),
}
