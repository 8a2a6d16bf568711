"""Detectors of results that are too bad, too good or too equal to be believed; each returns a `Flag` or None.

A flag is not a verdict: it states in numbers what is odd, and the report shows it in red. The inputs are simple types,
so that a detector can be tested without training: ``matrices`` maps the key of an image to its confusion matrix (K, K)
int64 with the truth in rows (`unetzoo.metrics.overlap`), curves are those of a record, ``foreground`` holds class
indices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from unetzoo.data.folders.thumbnails import Similar
from unetzoo.records.parts import Flag, Try

if TYPE_CHECKING:
    from torch import Tensor

SAME_SCORE = 1e-6  # scores closer than this are equal
LEAST_FALL = 0.01  # a training loss that ends less than 1 % below its start has not moved
MARGIN, ERRORS, LEAST_IMAGES = 0.05, 2.0, 3  # validation above training: least Dice, standard errors, images per split
SIZE_MARGIN = 0.1  # middles alone above middles within their images: least Dice


def flags(
    matrices: Mapping[str, Tensor],
    foreground: Sequence[int],
    class_names: Sequence[str],
    *,
    predictions: Mapping[str, str] | None = None,
    truths: Mapping[str, str] | None = None,
    train_curve: Sequence[tuple[int, float]] = (),
    val_curve: Sequence[tuple[int, float, float | None]] = (),
    train_dice: Sequence[float | None] = (),
    val_dice: Sequence[float | None] = (),
    alone: Mapping[str, Tensor] | None = None,
    within: Mapping[str, Tensor] | None = None,
    crop: int = 0,
    both_empty: str = "exclude",
    tries: Sequence[Try] = (),
) -> list[Flag]:
    """Run all detectors on one trial; those whose input is left out find nothing.

    Args:
        matrices: Key of each test image -> its confusion matrix (K, K).
        foreground: Indices of the foreground classes.
        class_names: Names of all classes.
        predictions: Key of each test image -> hash of the predicted class map.
        truths: Key of each test image -> hash of the mask.
        train_curve: (step, training loss) of a record.
        val_curve: (step, validation loss, validation Dice) of a record.
        train_dice: Mean foreground Dice of each whole training image that was checked, in eval mode with the chosen
            weights.
        val_dice: The same of the validation images.
        alone: Confusion matrices (K, K) of the middles of training images, each given to the network alone.
        within: The same of the same pixels in the predictions of the whole images.
        crop: Side of a middle, and of a training crop, in pixels.
        both_empty: How the policy scores a class that is neither true nor predicted, "exclude" or "perfect".
        tries: The learning rates that were tried.

    Returns:
        The flags that were raised.
    """
    found = [
        constant(matrices, class_names),
        same_prediction(matrices, predictions or {}, truths or {}),
        trivial_score(matrices, foreground, class_names, both_empty),
        training_never_moved(train_curve),
        validation_never_moved(val_curve),
        validation_above_training(train_dice, val_dice),
        size_dependent(alone or {}, within or {}, crop, foreground, both_empty),
        rate_at_edge(tries),
    ]
    return [flag for flag in found if flag is not None]


def constant(matrices: Mapping[str, Tensor], class_names: Sequence[str]) -> Flag | None:
    """Flag a single class predicted at every labelled pixel of every image although the truth has others."""
    if not matrices:
        return None
    total = sum(matrices.values())
    predicted, true = (total.sum(axis).nonzero().flatten().tolist() for axis in (0, 1))  # type: ignore[union-attr]
    if len(predicted) != 1 or true == predicted:
        return None
    images = f"all {len(matrices)} test images" if len(matrices) > 1 else "the one test image"
    others = int(total.sum() - total[predicted[0]].sum())  # type: ignore[union-attr,index]
    share = others / int(total.sum())  # type: ignore[union-attr]
    text = f"{class_names[predicted[0]]!r} is predicted at every pixel of {images}, and {share:.2%} of them are not"
    return Flag(kind="constant", text=text)


def same_prediction(
    matrices: Mapping[str, Tensor], predictions: Mapping[str, str], truths: Mapping[str, str]
) -> Flag | None:
    """Flag images that have the same predicted map and different masks.

    Maps of a single class do not count: images in which nothing is found have equal maps although the data flow is
    correct, and `constant` covers the case that all of them do.
    """
    groups: dict[str, list[str]] = {}
    for key, digest in predictions.items():
        if int((matrices[key].sum(0) > 0).sum()) > 1:
            groups.setdefault(digest, []).append(key)
    same = [keys for keys in groups.values() if len({truths[key] for key in keys}) > 1]
    if not same:
        return None
    worst = max(same, key=len)
    shown = ", ".join(repr(key) for key in worst[:3]) + (", ..." if len(worst) > 3 else "")
    count = sum(len(keys) for keys in same)
    return Flag(
        kind="same-prediction",
        text=f"{count} of {len(predictions)} test images share their predicted map with another whose mask differs: "
        f"{shown}",
    )


def trivial_score(
    matrices: Mapping[str, Tensor], foreground: Sequence[int], class_names: Sequence[str], both_empty: str = "exclude"
) -> Flag | None:
    """Flag a mean foreground Dice that predicting one class everywhere on the same masks would reach to within 1e-6.

    The trivial score follows from the row sums. 0/0 is scored by ``both_empty`` of the policy, so that the score equals
    the one in the report's table.
    """
    if not matrices:
        return None
    import torch

    stacked = torch.stack(list(matrices.values()))
    score = _mean_dice(stacked, foreground, both_empty)
    background = [c for c in range(stacked.shape[-1]) if c not in foreground][:1]  # all of them score alike
    for label in (*background, *foreground):
        trivial = torch.zeros_like(stacked)
        trivial[:, :, label] = stacked.sum(-1)
        if abs(score - (other := _mean_dice(trivial, foreground, both_empty))) <= SAME_SCORE:  # False for NaN
            what = "all background" if label in background else f"all {class_names[label]!r}"
            text = f"the mean foreground Dice {score:.6f} is that of predicting {what} ({other:.6f})"
            return Flag(kind="trivial-score", text=text)
    return None


def _mean_dice(matrices: Tensor, foreground: Sequence[int], both_empty: str) -> float:
    """Return the mean over images of the mean Dice over foreground classes, without NaN."""
    from unetzoo.metrics.overlap import dice, settle

    return float(settle(dice(matrices), matrices, both_empty)[:, list(foreground)].nanmean(dim=1).nanmean())


def training_never_moved(curve: Sequence[tuple[int, float]]) -> Flag | None:
    """Flag a training loss that ends less than 1 % below where it began.

    Compares the last point of the curve with the first, each a mean over the steps since the previous point, so the
    curve needs two points.
    """
    if len(curve) < 2:
        return None
    (begin, first), (end, last) = curve[0], curve[-1]
    if last <= first - LEAST_FALL * abs(first):  # true for a loss of 0 as well, which cannot fall
        return None
    text = (
        f"the training loss is {last:.4g} at step {end} and was {first:.4g} at step {begin}: it has not fallen by 1 %"
    )
    return Flag(kind="loss-never-moved", text=text)


def validation_never_moved(curve: Sequence[tuple[int, float, float | None]]) -> Flag | None:
    """Flag a validation loss, or a Dice below 1, that is equal to within 1e-6 at all of two or more points."""
    if len(curve) < 2:
        return None
    losses, scores = [loss for _, loss, _ in curve], [score for _, _, score in curve if score is not None]
    for what, values in (("loss", losses), ("Dice", scores if len(scores) == len(curve) and min(scores) < 1 else [])):
        if values and max(values) - min(values) <= SAME_SCORE:
            steps = f"all {len(curve)} points, steps {curve[0][0]} to {curve[-1][0]}"
            text = f"the validation {what} is {values[0]:.6g} at {steps}"
            return Flag(kind="validation-never-moved", text=text)
    return None


def validation_above_training(train: Sequence[float | None], validation: Sequence[float | None]) -> Flag | None:
    """Flag validation images that score higher than training images by over 0.05 Dice and two standard errors.

    The standard error is that of a difference of two means over images; each split needs three images. Such a gap
    suggests a leak, or a split that is not random.

    References:
        Welch 1947, doi 10.1093/biomet/34.1-2.28
    """
    ours, theirs = ([v for v in values if v is not None and not math.isnan(v)] for values in (train, validation))
    if min(len(ours), len(theirs)) < LEAST_IMAGES:
        return None
    gap = float(np.mean(theirs) - np.mean(ours))
    error = math.sqrt(np.var(ours, ddof=1) / len(ours) + np.var(theirs, ddof=1) / len(theirs))
    if gap <= MARGIN or gap <= ERRORS * error:
        return None
    text = (
        f"validation Dice {np.mean(theirs):.3f} ({len(theirs)} images) is {gap:.3f} above training Dice "
        f"{np.mean(ours):.3f} ({len(ours)} images), {'' if error == 0 else f'{gap / error:.1f} standard errors'}"
    )
    return Flag(kind="validation-above-training", text=text.rstrip(", "))


def size_dependent(
    alone: Mapping[str, Tensor], within: Mapping[str, Tensor], crop: int, foreground: Sequence[int], both_empty: str
) -> Flag | None:
    """Flag crops that score over 0.1 Dice and two standard errors higher alone than within their whole images.

    More of the image should help. Where it harms as much, what the network computes depends on the size of its input,
    as where instance norm has few pixels at the coarsest level. The standard error is that of paired differences.
    """
    pairs = [
        (_mean_dice(alone[key][None], foreground, both_empty), _mean_dice(m[None], foreground, both_empty))
        for key, m in within.items()
    ]
    both = np.array([pair for pair in pairs if not any(map(math.isnan, pair))])
    if len(both) < LEAST_IMAGES:
        return None
    gaps = both[:, 0] - both[:, 1]
    if gaps.mean() <= max(SIZE_MARGIN, ERRORS * gaps.std(ddof=1) / math.sqrt(len(gaps))):
        return None
    by_itself, in_image = both.mean(axis=0)
    text = (
        f"{crop}x{crop} px of {len(both)} training images score a Dice of {by_itself:.3f} alone and {in_image:.3f} "
        "within the whole image: the network depends on the size of its input; try larger crops or fewer levels"
    )
    return Flag(kind="size-dependent", text=text)


def rate_at_edge(tries: Sequence[Try]) -> Flag | None:
    """Flag a chosen learning rate that is the smallest or the largest of those tried: one beyond may be better."""
    rates = sorted(one.lr for one in tries)
    chosen = next((one.lr for one in tries if one.chosen), None)
    if chosen is None or chosen not in (rates[0], rates[-1]):
        return None
    which, beyond = ("largest", "larger") if chosen == rates[-1] else ("smallest", "smaller")
    text = f"the chosen learning rate {chosen:g} is the {which} of {len(rates)} tried; a {beyond} one may be better"
    return Flag(kind="rate-at-edge", text=text)


def duplicates_flag(pairs: Sequence[Similar]) -> Flag | None:
    """Return one flag for the pairs that `unetzoo.data.leaks.near_duplicates` found, or None if there are none."""
    if not pairs:
        return None
    split, key, other, other_key, similarity = pairs[0]
    count = (
        f"{len(pairs)} pairs of images in two splits are" if len(pairs) > 1 else "one pair of images in two splits is"
    )
    text = f"{count} nearly equal: {key!r} in {split} and {other_key!r} in {other} correlate with {similarity:.3f}"
    return Flag(kind="near-duplicates", text=text)
