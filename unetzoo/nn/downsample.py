"""Down: ``down(channels)`` halves height and width of (N, C, H, W) and keeps the channels.

A height or width of 1 stays 1, so that images down to 1x1 pass through any number of levels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial


class MaxPool(nn.Module):
    """2x2 max pooling with stride 2; an odd last row or column is dropped."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H // 2, W // 2)."""
        h, w = spatial(x)
        return F.max_pool2d(x, (min(2, h), min(2, w)))


class AveragePool(nn.Module):
    """2x2 average pooling with stride 2; an odd last row or column is dropped."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H // 2, W // 2)."""
        h, w = spatial(x)
        return F.avg_pool2d(x, (min(2, h), min(2, w)))


class StridedDown(nn.Conv2d):
    """3x3 convolution with stride 2; half of an odd size is rounded up.

    References:
        Springenberg et al. 2014, arXiv 1412.6806.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, kernel_size=3, stride=2, padding=1)


class BlurPool(nn.Module):
    """Anti-aliased max pooling: the 2x2 maximum at every pixel, then a 4x4 binomial blur with stride 2.

    The paper mirrors the border, which needs larger maps; here its pixels are repeated. An odd last row or column is
    dropped.

    References:
        Zhang 2019, arXiv 1904.11486.
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps).expand(channels, 1, 4, 4).clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H // 2, W // 2)."""
        h, w = spatial(x)
        highest = F.max_pool2d(x, (min(2, h), min(2, w)), stride=1)
        padded = F.pad(highest, (1, 2, 1, 2), mode="replicate")
        return F.conv2d(padded, self.kernel, stride=2, groups=x.shape[1])
