"""Evaluation of a model on whole images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from unetzoo.data.base import DatasetInfo
from unetzoo.metrics.overlap import confusion, dice, settle
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.losses import cross_entropy_dice

Items = Iterable[tuple[str, tuple[Tensor, Tensor]]]
"""Keys, each with its image (C, H, W) and mask (H, W)."""


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    items: Items,
    info: DatasetInfo,
    memory_format: torch.memory_format,
    hooks: TrainingHooks | None = None,
    phase: str = "test",
    keep: Callable[[str, Tensor, Tensor], None] | None = None,
) -> tuple[float, dict[str, Tensor]]:
    """Evaluate a model on whole images, one at a time.

    The loss is `cross_entropy_dice` whatever loss the model was trained with, so that losses of models are comparable.

    Args:
        model: A `SameSize` set up by Fabric.
        items: Pairs of key and (image (C, H, W), mask (H, W)).
        info: Description of the data set.
        memory_format: Memory format of the images.
        hooks: Sign of life, clock and lock; none by default.
        phase: Name of the phase for the clock.
        keep: Called with each image's key, logits (K, H, W) and mask (H, W); optional.

    Returns:
        The mean loss, and key -> confusion matrix (K, K).
    """
    hooks = hooks or TrainingHooks()
    model.eval()
    device = next(model.parameters()).device
    losses, matrices = [], {}
    for key, (image, mask) in items:
        hooks.beat()
        with hooks.turn(phase):
            image = image[None].to(device).contiguous(memory_format=memory_format)
            mask = mask[None].to(device)
            logits = model(image)[0]
            losses.append(float(cross_entropy_dice(logits, mask, info.ignore_index)))
            matrices[key] = confusion(logits.argmax(dim=1)[0], mask[0], info.classes, info.ignore_index).cpu()
            if keep is not None:
                keep(key, logits[0].float(), mask[0])
    return sum(losses) / len(losses), matrices


def evaluate_middles(
    model: nn.Module,
    items: Items,
    side: int,
    info: DatasetInfo,
    memory_format: torch.memory_format,
    hooks: TrainingHooks | None = None,
    phase: str = "test",
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Evaluate a model on whole images, and on the middle of each as a part of its image and alone.

    The two differ by what the image around it does, which is much if a network depends on the size of its input.

    Args:
        model: A `SameSize` set up by Fabric.
        items: Pairs of key and (image (C, H, W), mask (H, W)).
        side: Side of the middle in pixels; images that are no larger have none.
        info: Description of the data set.
        memory_format: Memory format of the images.
        hooks: Sign of life, clock and lock; none by default.
        phase: Name of the phase for the clock.

    Returns:
        Key -> confusion matrix (K, K) of the whole image, of the middle within it, and of the middle alone.
    """
    within: dict[str, Tensor] = {}
    middles: list[tuple[str, tuple[Tensor, Tensor]]] = []

    def cut(items: Items) -> Items:
        for key, (image, mask) in items:
            if max(mask.shape) > side:
                middles.append((key, (_middle(image, side).clone(), _middle(mask, side).clone())))  # frees the rest
            yield key, (image, mask)

    def keep(key: str, logits: Tensor, mask: Tensor) -> None:
        if max(mask.shape) > side:
            predicted, true = _middle(logits.argmax(dim=0), side), _middle(mask, side)
            within[key] = confusion(predicted, true, info.classes, info.ignore_index).cpu()

    whole = evaluate(model, cut(items), info, memory_format, hooks, phase, keep)[1]
    alone = evaluate(model, middles, info, memory_format, hooks, phase)[1] if middles else {}
    return whole, within, alone


def _middle(x: Tensor, side: int) -> Tensor:
    top, left = (max(0, (length - side) // 2) for length in x.shape[-2:])
    return x[..., top : top + side, left : left + side]


def image_dice(matrices: dict[str, Tensor], info: DatasetInfo, both_empty: str = "exclude") -> list[float]:
    """Return the mean foreground Dice of each image that has one.

    Args:
        matrices: Key -> confusion matrix (K, K).
        info: Description of the data set.
        both_empty: The policy for classes that are neither true nor predicted.
    """
    stacked = torch.stack(list(matrices.values()))
    scores = settle(dice(stacked), stacked, both_empty)[:, list(info.foreground)].nanmean(dim=1)
    return [value for value in scores.tolist() if not math.isnan(value)]


def mean_dice(matrices: Tensor, info: DatasetInfo, both_empty: str = "exclude") -> float | None:
    """Return the mean over images of each image's mean foreground Dice; None if no image has one.

    Args:
        matrices: Confusion matrices, (images, K, K).
        info: Description of the data set.
        both_empty: The policy for classes that are neither true nor predicted.
    """
    return mean_foreground(settle(dice(matrices), matrices, both_empty), info)


def mean_foreground(scores: Tensor, info: DatasetInfo) -> float | None:
    """Compute the mean over images of each image's mean over foreground classes, leaving out NaN.

    Args:
        scores: Scores, (images, K).
        info: Description of the data set.

    Returns:
        The mean; None if all scores are NaN.
    """
    value = float(scores[:, list(info.foreground)].nanmean(dim=1).nanmean())
    return None if math.isnan(value) else value
