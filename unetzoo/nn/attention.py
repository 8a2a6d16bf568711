"""Attention: ``attention(channels)`` multiplies a map (N, C, H, W) by weights in [0, 1] computed from the map itself.

Modules that squeeze the channels by a reduction keep at least 4 of them, so that narrow networks do not depend on a
single ReLU; all but `ChannelAttention`, which follows published code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: a weight per channel, computed from the means of all channels.

    Args:
        channels: Channels of the map.
        reduction: Factor by which the hidden layer is narrower.

    References:
        Hu et al. 2017, arXiv 1709.01507.
    """

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
        """Map (N, C, H, W) to the same shape."""
        return x * self.weigh(x)


class ConcurrentSqueezeExcite(nn.Module):
    """Concurrent spatial and channel squeeze-and-excitation (scSE): the sum of a map weighted by channel and by pixel.

    Args:
        channels: Channels of the map; the reduction of the channel weights is 2.

    References:
        Roy et al. 2018, arXiv 1803.02579.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.by_channel = SqueezeExcite(channels, reduction=2)
        self.by_pixel = nn.Sequential(nn.Conv2d(channels, 1, kernel_size=1, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return self.by_channel(x) + x * self.by_pixel(x)


class SpatialAttention(nn.Module):
    """A weight per pixel: a 7x7 convolution of the mean and the maximum over channels (the second half of CBAM).

    Args:
        channels: Channels of the map; any number will do.

    References:
        CBAM, Woo et al. 2018, arXiv 1807.06521.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        maps = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * self.conv(maps).sigmoid()


class ChannelAttention(nn.Module):
    """A weight per channel from mean and maximum through one shared network without biases (the first half of CBAM).

    Args:
        channels: Channels of the map.
        reduction: Factor by which the hidden layer of the shared network is narrower; it keeps at least one channel.

    References:
        Woo et al. 2018, arXiv 1807.06521.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        few = max(1, channels // reduction)
        self.shared = nn.Sequential(
            nn.Conv2d(channels, few, kernel_size=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(few, channels, kernel_size=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        mean, highest = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
        return x * (self.shared(mean) + self.shared(highest)).sigmoid()


class CBAM(nn.Module):
    """Channel attention from mean and maximum through one shared network, followed by `SpatialAttention`.

    Args:
        channels: Channels of the map.
        reduction: Factor by which the hidden layer of the shared network is narrower.

    References:
        Woo et al. 2018, arXiv 1807.06521.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        few = max(4, channels // reduction)
        self.shared = nn.Sequential(
            nn.Conv2d(channels, few, kernel_size=1), nn.ReLU(inplace=True), nn.Conv2d(few, channels, kernel_size=1)
        )
        self.by_pixel = SpatialAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        mean, highest = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
        return self.by_pixel(x * (self.shared(mean) + self.shared(highest)).sigmoid())
