"""Losses on logits (N, K, H, W) and masks (N, H, W), without ignored pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from unetzoo.train.recipe import Recipe


def soft_dice_loss(
    logits: Tensor,
    target: Tensor,
    ignore_index: int | None = None,
    smooth: float = 1.0,
    classes: Sequence[int] | None = None,
) -> Tensor:
    """Compute soft Dice loss: 1 - mean over classes of (2 sum(p g) + s) / (sum(p) + sum(g) + s).

    p is the softmax of the logits and g the one-hot truth; the sums run over all pixels of the batch.

    Args:
        logits: Logits, (N, K, H, W).
        target: True classes, (N, H, W).
        ignore_index: Value of pixels in ``target`` that do not count; None if there are none.
        smooth: s, which prevents a division by zero for an absent class.
        classes: Classes of the mean, such as the foreground; None: all.

    References:
        Milletari et al. 2016, arXiv 1606.04797, who square p and g in the denominator; without squares: Drozdzal et al.
        2016, arXiv 1608.04117.
    """
    probabilities = logits.softmax(dim=1)
    valid = torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target != ignore_index
    one_hot = F.one_hot(target.where(valid, 0), logits.shape[1]).movedim(-1, 1)
    keep = valid.unsqueeze(1)
    overlap = (probabilities * one_hot * keep).sum(dim=(0, 2, 3))
    total = ((probabilities + one_hot) * keep).sum(dim=(0, 2, 3))
    scores = (2 * overlap + smooth) / (total + smooth)
    return 1 - (scores if classes is None else scores[list(classes)]).mean()


def cross_entropy(
    logits: Tensor, target: Tensor, ignore_index: int | None = None, weights: Tensor | None = None
) -> Tensor:
    """Compute pixel-wise softmax cross-entropy: the mean of -w log p(true class) over the pixels that count.

    It is computed in float32. With weights the mean is still over pixels: the sum is divided by their number, not by
    the sum of the weights.

    Args:
        logits: Logits, (N, K, H, W).
        target: True classes, (N, H, W).
        ignore_index: Value of pixels in ``target`` that do not count; None if there are none.
        weights: Weight w of each pixel, (N, H, W); None is 1 everywhere.

    Returns:
        The loss, a scalar; 0 if no pixel counts.

    References:
        Ronneberger et al. 2015, arXiv 1505.04597, equation 1.
    """
    void = -100 if ignore_index is None else ignore_index
    pixels = F.cross_entropy(
        logits.float(), target, ignore_index=void, reduction="none" if weights is not None else "sum"
    )
    total = pixels if weights is None else (pixels * weights).sum()
    return total / (target != void).sum().clamp_min(1)  # 0, not NaN, if all pixels are ignored


def cross_entropy_dice(
    logits: Tensor,
    target: Tensor,
    ignore_index: int | None = None,
    weights: Tensor | None = None,
    classes: Sequence[int] | None = None,
) -> Tensor:
    """Compute the sum of `cross_entropy` and `soft_dice_loss`, in float32.

    Args:
        logits: Logits, (N, K, H, W).
        target: True classes, (N, H, W).
        ignore_index: Value of pixels in ``target`` that do not count; None if there are none.
        weights: Weight of each pixel in the cross-entropy, (N, H, W); None is 1 everywhere.
        classes: Classes of the soft Dice; None: all.

    References:
        nnU-Net, Isensee et al. 2021, doi 10.1038/s41592-020-01008-z.
    """
    logits = logits.float()
    overlap = soft_dice_loss(logits, target, ignore_index, classes=classes)
    return cross_entropy(logits, target, ignore_index, weights) + overlap


def loss_of(recipe: Recipe, foreground: Sequence[int]) -> Callable[..., Tensor]:
    """Return the loss of one scale that a recipe asks for.

    Args:
        recipe: The recipe.
        foreground: Indices of the foreground classes.
    """
    if recipe.loss == "cross_entropy":
        return cross_entropy
    return (
        partial(cross_entropy_dice, classes=foreground) if recipe.dice_classes == "foreground" else cross_entropy_dice
    )


def supervised_loss(
    outputs: list[Tensor],
    target: Tensor,
    ignore_index: int | None,
    loss: Callable[..., Tensor] = cross_entropy_dice,
    weights: Tensor | None = None,
    supervision: Literal["equal", "halved"] = "equal",
) -> Tensor:
    """Compute the mean loss over all supervised scales.

    Args:
        outputs: Logits of each scale, (N, K, H', W'); coarser ones are interpolated to the size of the target.
        target: True classes, (N, H, W).
        ignore_index: Value of pixels in ``target`` that do not count; None if there are none.
        loss: The loss of one scale, a function such as `cross_entropy_dice`.
        weights: Weight of each pixel, (N, H, W); optional.
        supervision: Weights of the scales in the mean: equal, or in proportion to their side, so halved with it.

    References:
        Deep supervision: Lee et al. 2014, arXiv 1409.5185; halved weights: nnU-Net, Isensee et al. 2021.
    """
    losses: list[Tensor] = []
    shares: list[float] = []
    for logits in outputs:
        shares.append(logits.shape[-2] / target.shape[-2])
        if logits.shape[-2:] != target.shape[-2:]:
            logits = F.interpolate(logits, size=target.shape[-2:], mode="bilinear", align_corners=False)
        losses.append(loss(logits, target, ignore_index, weights))
    if supervision == "halved":
        weighted = [share * loss for share, loss in zip(shares, losses, strict=True)]
        return torch.stack(weighted).sum() / sum(shares)
    return torch.stack(losses).mean()
