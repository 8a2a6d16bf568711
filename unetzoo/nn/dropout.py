"""Dropout that torch has not: ``drop(p)``, active in training mode alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial


class DropBlock(nn.Module):
    """Squares of a channel set to zero, the rest scaled up to the same sum (Ghiasi et al. 2018, arXiv 1810.12890).

    A fraction ``p`` is dropped, in squares of ``block_size`` pixels, or of the odd size that fits a smaller map.
    torchvision's refuses maps on which the square would be even.
    """

    def __init__(self, p: float, block_size: int = 7) -> None:
        super().__init__()
        self.p, self.block_size = p, block_size

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        n, c, (h, w) = *x.shape[:2], spatial(x)
        size = (min(self.block_size, h, w) - 1) // 2 * 2 + 1
        free_h, free_w = h - size + 1, w - size + 1
        seeds = torch.rand(n, c, free_h, free_w, device=x.device) < self.p * h * w / (size**2 * free_h * free_w)
        keep = 1 - F.max_pool2d(F.pad(seeds.to(x.dtype), [size - 1] * 4), size, stride=1)
        return x * keep * (keep.numel() / keep.sum(dtype=torch.float32).clamp_min(1)).to(x.dtype)


class DropPath(nn.Module):
    """Whole images of (N, ...) set to zero with chance ``p``, the others scaled up: a residual branch is skipped.

    Stochastic depth (Huang et al. 2016, arXiv 1603.09382).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        kept = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.p
        return x * (kept.to(x.dtype) / (1 - self.p))
