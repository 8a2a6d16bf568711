"""Losses on logits (N, K, H, W) and masks (N, H, W); ignored pixels count for nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_dice_loss(logits: Tensor, target: Tensor, ignore_index: int | None = None, smooth: float = 1.0) -> Tensor:
    """1 - mean over classes of (2 sum(p g) + s) / (sum(p) + sum(g) + s), sums over the whole batch.

    p = softmax of the logits, g = one-hot truth (Milletari et al. 2016, arXiv 1606.04797, with p and g unsquared;
    Drozdzal et al. 2016, arXiv 1608.04117). ``smooth`` keeps an absent class from dividing by zero.
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
    """Pixel-wise softmax cross-entropy, mean over the pixels that count, in float32.

    With ``weights`` (N, H, W) each pixel's term is multiplied by its own (arXiv 1505.04597, equation 1) and the mean is
    still over pixels, not over weights.
    """
    void = -100 if ignore_index is None else ignore_index
    pixels = F.cross_entropy(
        logits.float(), target, ignore_index=void, reduction="none" if weights is not None else "sum"
    )
    total = pixels if weights is None else (pixels * weights).sum()
    return total / (target != void).sum().clamp_min(1)  # an all-void crop gives 0, not NaN


def cross_entropy_dice(
    logits: Tensor, target: Tensor, ignore_index: int | None = None, weights: Tensor | None = None
) -> Tensor:
    """`cross_entropy` plus soft Dice, in float32 (Isensee et al. 2021, doi 10.1038/s41592-020-01008-z)."""
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
    """Mean loss over all supervised scales; coarser logits are interpolated to the target's size."""
    losses = []
    for logits in outputs:
        if logits.shape[-2:] != target.shape[-2:]:
            logits = F.interpolate(logits, size=target.shape[-2:], mode="bilinear", align_corners=False)
        losses.append(loss(logits, target, ignore_index, weights))
    return torch.stack(losses).mean()
