"""Trivial predictors, the reference rows of every suite: a network that does not beat them has learnt nothing.

Each decides pixel by pixel, from the pixel's value or its place, sees the train split alone, and gives the same class
maps for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError, nearest

Predictor = Callable[[np.ndarray], np.ndarray]
"""A function from an image (C, H, W), float32 in [0, 1], to its class map (H, W), int64."""

VERSION = 1  # to be raised whenever a baseline would predict something else; a new one changes no other
PLACES = 16  # cells of the position prior along each side of an image
PIXELS = 100_000  # upper limit on the training pixels drawn for the regression
RIDGE = 1e-4  # weight decay of the regression: keeps the weights of separable classes finite, negligible otherwise


@dataclass(frozen=True)
class Baseline:
    """A trivial predictor.

    Attributes:
        label: Its label in reports.
        note: One line that says how it predicts, for reports.
        fit: Function of a data set and a seed that returns the predictor.
    """

    label: str
    note: str
    fit: Callable[[SegmentationDataset, int], Predictor]


def fit(name: str, dataset: SegmentationDataset, seed: int = 0) -> Predictor:
    """Fit a baseline to the train split.

    Args:
        name: A key of `BASELINES`.
        dataset: The data set; only its train split is read.
        seed: Seed of the pixels drawn for the regression; the other baselines do not use it.

    Returns:
        The fitted predictor.

    Raises:
        UnetzooError: If the name is unknown or the train split has no labelled pixel.
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
    """Choose the side of the threshold that is foreground by the higher Dice, averaged over the training images."""
    background, foreground = _outer_classes(dataset)
    scores: list[tuple[float, float]] = []
    for key in dataset.splits["train"]:
        image, mask = dataset.read(key)
        if (bright := _above_otsu(image)) is not None:
            known = _labelled(mask, dataset)
            truth = mask[known] == foreground
            scores.append((_dice(bright[known], truth), _dice(~bright[known], truth)))
    # An image without the class scores 0 on both sides, so it does not vote.
    means = np.mean(scores, axis=0) if scores else (0.0, 0.0)
    wanted = bool(means[0] >= means[1])

    def predict(image: np.ndarray) -> np.ndarray:
        bright = _above_otsu(image)
        if bright is None:
            return np.full(image.shape[1:], background, np.int64)
        return np.where(bright == wanted, foreground, background).astype(np.int64)

    return predict


def _above_otsu(image: np.ndarray) -> np.ndarray | None:
    """Return the pixels above Otsu's threshold of the channels' mean, (H, W) bool; None if that mean is constant."""
    from skimage.filters import threshold_otsu

    grey = image.mean(axis=0)
    return grey > threshold_otsu(grey) if grey.min() < grey.max() else None


def _dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    return 2 * int((prediction & truth).sum()) / max(1, int(prediction.sum()) + int(truth.sum()))


def _fit_logistic(dataset: SegmentationDataset, seed: int) -> Predictor:
    """Fit a softmax regression of the class on the channel values, with all classes weighted equally.

    The classes are weighted because the headline score is Dice: without weights, a rare class that the channels
    hardly distinguish is never predicted, and the row repeats "all background" (vessels of CHASE_DB1: Dice 0.00
    unweighted, 0.20 weighted; ISBI 2012: 0.47 and 0.55). If a class is rare and the colours are informative, the
    weights cost a little (CamVid: 0.18 and 0.15).
    """
    pixels, labels = _sample(dataset, seed)
    classes, targets = np.unique(labels, return_inverse=True)
    mean, deviation = pixels.mean(axis=0), np.maximum(pixels.std(axis=0), 1e-6)
    weight, bias = _regress((pixels - mean) / deviation, targets, len(classes))
    weight = weight / deviation  # (K, C), with the standardisation folded in
    bias = bias - weight @ mean

    def predict(image: np.ndarray) -> np.ndarray:
        logits = np.tensordot(weight, image.astype(np.float64), axes=1) + bias[:, None, None]
        return classes[logits.argmax(axis=0)]

    return predict


def _regress(features: np.ndarray, targets: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (K, C) and biases (K,) for float64 features (N, C); the problem is convex and starts at zero."""
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


def _fit_position(dataset: SegmentationDataset, seed: int) -> Predictor:
    """Count the classes in every cell of a grid over the image, and choose one class for each cell.

    A class that is rare everywhere never has the majority of a cell. So the most frequent class is not what is
    predicted: each foreground class has a threshold, the frequency from which predicting it gives the highest Dice over
    all training pixels, and the class that is farthest above its threshold, as a ratio, is predicted (CHASE_DB1: Dice
    0.00 by majority, 0.24 by thresholds; CamVid: 0.25 and 0.29).
    """
    info = dataset.info
    counts = np.zeros((PLACES * PLACES, info.classes))
    for key in dataset.splits["train"]:
        mask = dataset.read(key)[1]
        known = _labelled(mask, dataset)
        places = _places(mask.shape)[known] * info.classes + mask[known]
        counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)
    if not counts.any():
        raise _unlabelled(dataset)
    sizes = counts.sum(axis=1, keepdims=True)
    shares = np.where(sizes > 0, counts / np.maximum(sizes, 1), counts.sum(axis=0) / counts.sum())
    foreground = np.array(sorted(info.foreground))
    others = np.setdiff1d(np.arange(info.classes), foreground)
    thresholds = np.array([_best_threshold(shares[:, c], counts[:, c], sizes[:, 0]) for c in foreground])
    ratios = shares[:, foreground] / thresholds
    chosen = foreground[ratios.argmax(axis=1)]
    if others.size:
        chosen = np.where(ratios.max(axis=1) >= 1, chosen, others[shares[:, others].argmax(axis=1)])

    def predict(image: np.ndarray) -> np.ndarray:
        return chosen[_places(image.shape[1:])]

    return predict


def _places(shape: tuple[int, ...]) -> np.ndarray:
    """Return the cell of the position prior's grid in which each pixel lies, (H, W)."""
    rows, columns = (np.arange(size) * PLACES // size for size in shape)
    return rows[:, None] * PLACES + columns


def _best_threshold(shares: np.ndarray, hits: np.ndarray, sizes: np.ndarray) -> float:
    """Return the share from which calling a cell foreground gives the highest Dice; infinity if no pixel is.

    Args:
        shares: Share of the class in each cell.
        hits: Pixels of the class in each cell.
        sizes: Pixels in each cell.
    """
    if not hits.any():
        return np.inf
    order = np.argsort(-shares, kind="stable")
    dice = 2 * np.cumsum(hits[order]) / (np.cumsum(sizes[order]) + hits.sum())
    ordered = shares[order]
    dice[:-1][ordered[:-1] == ordered[1:]] = 0  # a threshold does not part cells of equal shares
    return float(ordered[dice.argmax()])


def _sample(dataset: SegmentationDataset, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw up to `PIXELS` labelled training pixels uniformly; return channel values (N, C) float64 and classes (N,)."""
    keys = dataset.splits["train"]
    sizes = [int(_labelled(dataset.read(key)[1], dataset).sum()) for key in keys]
    total = sum(sizes)
    if not total:
        raise _unlabelled(dataset)
    drawn = np.arange(total)
    if total > PIXELS:
        drawn = np.sort(np.random.default_rng(seed).choice(total, PIXELS, replace=False, shuffle=False))
    pixels, labels, start = [], [], 0
    for key, size in zip(keys, sizes, strict=True):  # read a second time, so that only one image is in memory
        image, mask = dataset.read(key)
        here = drawn[np.searchsorted(drawn, start) : np.searchsorted(drawn, start + size)] - start
        places = np.flatnonzero(_labelled(mask, dataset))[here]
        pixels.append(image.reshape(len(image), -1)[:, places].T.astype(np.float64))
        labels.append(mask.ravel()[places])
        start += size
    return np.concatenate(pixels), np.concatenate(labels)


def _outer_classes(dataset: SegmentationDataset) -> tuple[int, int]:
    """Return the background class and the foreground class with the most training pixels.

    If all classes are foreground, the most frequent class stands in for the background.
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
    "baseline_position": Baseline(
        "position prior",
        f"the class of a pixel from its place alone: the classes' shares in {PLACES}x{PLACES} cells of the training "
        "images, above the threshold with the highest Dice on them",
        _fit_position,
    ),
}
