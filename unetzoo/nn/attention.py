"""Attention: ``attention(channels)`` weighs a map (N, C, H, W) by what it computes from it, 0 to 1.

What squeezes the channels by a reduction keeps at least 4, so that narrow networks do not hang on a single ReLU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """A weight per channel from its mean over the image (SE, Hu et al. 2017, arXiv 1709.01507)."""

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        few = max(4, channels // reduction)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, few, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(few, channels, kernel_size=1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weigh(x)


class ConcurrentSqueezeExcite(nn.Module):
    """scSE: channel attention with reduction 2 plus a weight per pixel, summed (Roy et al. 2018, arXiv 1803.02579)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.by_channel = SqueezeExcite(channels, reduction=2)
        self.by_pixel = nn.Sequential(nn.Conv2d(channels, 1, kernel_size=1, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.by_channel(x) + x * self.by_pixel(x)


class SpatialAttention(nn.Module):
    """A weight per pixel: 7x7 convolution of the mean and the maximum over channels (CBAM's second half)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        maps = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * self.conv(maps).sigmoid()


class CBAM(nn.Module):
    """Channel attention from mean and maximum by one shared network, then `SpatialAttention` (arXiv 1807.06521)."""

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        few = max(4, channels // reduction)
        self.shared = nn.Sequential(
            nn.Conv2d(channels, few, kernel_size=1), nn.ReLU(inplace=True), nn.Conv2d(few, channels, kernel_size=1)
        )
        self.by_pixel = SpatialAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        mean, highest = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
        return self.by_pixel(x * (self.shared(mean) + self.shared(highest)).sigmoid())
