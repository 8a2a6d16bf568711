"""Bottleneck: ``bottleneck(channels)`` follows the coarsest block and keeps size and channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import MakeModule


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, dilated 3x3 and image-wide pooling side by side, then 1x1.

    The pooled branch has a convolution without a norm, because batch norm cannot normalise its one value per channel.

    Args:
        channels: Channels of the map.
        dilated: The 3x3 layer, called as ``dilated(c_in, c_out, dilation=r, padding=r)``.
        pointwise: The 1x1 layer.
        rates: Dilations of the 3x3 layers, one each.

    References:
        DeepLab v3, Chen et al. 2017, arXiv 1706.05587, figure 5.
    """

    def __init__(
        self, channels: int, *, dilated: MakeModule, pointwise: MakeModule, rates: tuple[int, ...] = (6, 12, 18)
    ) -> None:
        super().__init__()
        few = max(1, channels // 4)
        self.branches = nn.ModuleList(
            [pointwise(channels, few), *(dilated(channels, few, dilation=r, padding=r) for r in rates)]
        )
        self.pooled = nn.Conv2d(channels, few, kernel_size=1)
        self.fuse = pointwise(few * (len(rates) + 2), channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        pooled = self.pooled(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        return self.fuse(torch.cat([*(branch(x) for branch in self.branches), pooled], dim=1))


class SelfAttention(nn.Module):
    """Multi-head self-attention among the pixels of a map.

    Args:
        channels: Channels of the map. There is one head per 32 channels, or the next smaller number that divides them.

    References:
        Vaswani et al. 2017, arXiv 1706.03762.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        most = max(1, channels // 32)
        self.heads = next(h for h in range(most, 0, -1) if channels % h == 0)
        self.project = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H * W, C) to the same shape."""
        query, key, value = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """Self-attention and an MLP of two layers, each after a norm and with a shortcut.

    Args:
        channels: Channels of the map.

    References:
        ViT, Dosovitskiy et al. 2020, arXiv 2010.11929, section 3.1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(channels), SelfAttention(channels))
        self.think = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H * W, C) to the same shape."""
        x = x + self.attend(x)
        return x + self.think(x)


class Transformer(nn.Module):
    """Two transformer layers over the pixels of the coarsest map.

    A depthwise 3x3 convolution encodes the positions, so that the map may have any size.

    Args:
        channels: Channels of the map.

    References:
        Positional encoding: Chu et al. 2021, arXiv 2102.10882.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.positions = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels)
        self.layers = nn.Sequential(TransformerLayer(channels), TransformerLayer(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x + self.positions(x)
        return self.layers(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[-2:])
