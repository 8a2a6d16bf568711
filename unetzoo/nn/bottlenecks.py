"""Bottleneck: ``bottleneck(channels)`` after the coarsest block; size and channels stay."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import Part


class ASPP(nn.Module):
    """1x1, three dilated 3x3 and image-wide pooling side by side, then 1x1 (DeepLab v3, arXiv 1706.05587, figure 5).

    ``dilated(c_in, c_out, dilation=..., padding=...)`` and ``pointwise`` are layers. The pooled branch has a bare
    convolution: its one value per channel leaves batch norm nothing to normalise.
    """

    def __init__(self, channels: int, *, dilated: Part, pointwise: Part, rates: tuple[int, ...] = (6, 12, 18)) -> None:
        super().__init__()
        few = max(1, channels // 4)
        self.branches = nn.ModuleList(
            [pointwise(channels, few), *(dilated(channels, few, dilation=r, padding=r) for r in rates)]
        )
        self.pooled = nn.Conv2d(channels, few, kernel_size=1)
        self.fuse = pointwise(few * (len(rates) + 2), channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooled(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        return self.fuse(torch.cat([*(branch(x) for branch in self.branches), pooled], dim=1))


class SelfAttention(nn.Module):
    """Multi-head attention among the pixels of (N, H*W, C) (Vaswani et al. 2017, arXiv 1706.03762)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        most = max(1, channels // 32)
        self.heads = next(h for h in range(most, 0, -1) if channels % h == 0)
        self.project = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """Attention and a network of two layers, each after a norm and with a shortcut (arXiv 2010.11929, section 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(channels), SelfAttention(channels))
        self.think = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(x)
        return x + self.think(x)


class Transformer(nn.Module):
    """Two transformer layers over the pixels of the coarsest map.

    Positions come from a depthwise 3x3 convolution (Chu et al. 2021, arXiv 2102.10882), so that any size will do.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.positions = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels)
        self.layers = nn.Sequential(TransformerLayer(channels), TransformerLayer(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.positions(x)
        return self.layers(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[-2:])
