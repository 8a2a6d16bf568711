"""Kinds of dropout that torch lacks: ``drop(p)``, active only in training mode."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial


class DropBlock(nn.Module):
    """DropBlock: sets squares of each channel to zero and divides the rest by the share of values kept.

    On maps smaller than the square its side is the largest odd number that fits; torchvision's ``DropBlock2d`` raises
    an exception where the side would be even.

    Args:
        p: Fraction of the values to drop.
        block_size: Side of a square in pixels.

    References:
        Ghiasi et al. 2018, arXiv 1810.12890.
    """

    def __init__(self, p: float, block_size: int = 7) -> None:
        super().__init__()
        self.p, self.block_size = p, block_size

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if not self.training:
            return x
        n, c, (h, w) = *x.shape[:2], spatial(x)
        size = (min(self.block_size, h, w) - 1) // 2 * 2 + 1
        free_h, free_w = h - size + 1, w - size + 1
        seeds = torch.rand(n, c, free_h, free_w, device=x.device) < self.p * h * w / (size**2 * free_h * free_w)
        keep = 1 - F.max_pool2d(F.pad(seeds.to(x.dtype), [size - 1] * 4), size, stride=1)
        return x * keep * (keep.numel() / keep.sum(dtype=torch.float32).clamp_min(1)).to(x.dtype)


class DropPath(nn.Module):
    """Stochastic depth: sets a residual branch to zero for randomly chosen images and scales up the others.

    Args:
        p: Probability that the branch is dropped for an image.

    References:
        Huang et al. 2016, arXiv 1603.09382.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, ...) to the same shape."""
        if not self.training or not self.p:
            return x
        kept = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.p
        return x * (kept.to(x.dtype) / (1 - self.p))
