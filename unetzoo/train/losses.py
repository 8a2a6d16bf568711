"""Losses on logits (N, K, H, W) and masks (N, H, W), without ignored pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_dice_loss(logits: Tensor, target: Tensor, ignore_index: int | None = None, smooth: float = 1.0) -> Tensor:
    """Compute soft Dice loss: 1 - mean over classes of (2 sum(p g) + s) / (sum(p) + sum(g) + s).

    p is the softmax of the logits and g the one-hot truth; the sums run over all pixels of the batch.

    Args:
        logits: Logits, (N, K, H, W).
        target: True classes, (N, H, W).
        ignore_index: Value of pixels in ``target`` that do not count; None if there are none.
        smooth: s, which prevents a division by zero for an absent class.

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
    return 1 - ((2 * overlap + smooth) / (total + smooth)).mean()


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
    logits: Tensor, target: Tensor, ignore_index: int | None = None, weights: Tensor | None = None
) -> Tensor:
    """Compute the sum of `cross_entropy` and `soft_dice_loss`, in float32.

    Args:
        logits: Logits, (N, K, H, W).
        target: True classes, (N, H, W).
        ignore_index: Value of pixels in ``target`` that do not count; None if there are none.
        weights: Weight of each pixel in the cross-entropy, (N, H, W); None is 1 everywhere.

    References:
        nnU-Net, Isensee et al. 2021, doi 10.1038/s41592-020-01008-z.
    """
    logits = logits.float()
    return cross_entropy(logits, target, ignore_index, weights) + soft_dice_loss(logits, target, ignore_index)


LOSSES = {"cross_entropy_dice": cross_entropy_dice, "cross_entropy": cross_entropy}


def supervised_loss(
    outputs: list[Tensor],
    target: Tensor,
    ignore_index: int | None,
    loss: Callable[..., Tensor] = cross_entropy_dice,
    weights: Tensor | None = None,
) -> Tensor:
    """Compute the mean loss over all supervised scales.

    Args:
        outputs: Logits of each scale, (N, K, H', W'); coarser ones are interpolated to the size of the target.
        target: True classes, (N, H, W).
        ignore_index: Value of pixels in ``target`` that do not count; None if there are none.
        loss: The loss of one scale, a function such as `cross_entropy_dice`.
        weights: Weight of each pixel, (N, H, W); optional.

    References:
        Deep supervision: Lee et al. 2014, arXiv 1409.5185.
    """
    losses = []
    for logits in outputs:
        if logits.shape[-2:] != target.shape[-2:]:
            logits = F.interpolate(logits, size=target.shape[-2:], mode="bilinear", align_corners=False)
        losses.append(loss(logits, target, ignore_index, weights))
    return torch.stack(losses).mean()
