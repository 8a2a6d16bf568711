"""U-Lite: axial depthwise convolutions, each with a 1x1 convolution.

References:
    Dinh et al. 2023, 1M parameters are enough? A lightweight CNN-based model for medical image segmentation,
        arXiv 2306.16103.
    Code: duong-db/U-Lite, model/ULite.py, ULite.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.standalone.common import AnySize, odd, whole


class AxialDepthwise(nn.Module):
    """Sum of the input and a depthwise convolution along each axis."""

    def __init__(self, channels: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        conv = partial(nn.Conv2d, channels, channels, groups=channels, dilation=dilation, padding="same")
        self.rows, self.columns = conv(kernel_size=(kernel, 1)), conv(kernel_size=(1, kernel))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.rows(x) + self.columns(x)


class Bottleneck(nn.Module):
    """A quarter of the channels and axial convolutions of it with dilations 1, 2, 3; norm, 1x1 convolution, GELU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(1, channels // 4)
        self.squeeze = nn.Conv2d(channels, few, 1)
        self.branches = nn.ModuleList(AxialDepthwise(few, 3, dilation) for dilation in (1, 2, 3))
        self.expand = nn.Sequential(nn.BatchNorm2d(4 * few), nn.Conv2d(4 * few, channels, 1), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return self.expand(torch.cat([x, *(branch(x) for branch in self.branches)], dim=1))


class ULite(AnySize):
    """Five levels down and up; skips are concatenated behind the upsampled map.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level; doubled at each coarser one.
        kernel: Length of the axial convolutions, an odd number of pixels.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 32

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 16, kernel: int = 7) -> None:
        super().__init__()
        whole(width=width)
        odd(kernel=kernel)
        c = [width * 2**i for i in range(6)]
        self.first = nn.Conv2d(in_channels, c[0], 7, padding=3)
        self.encoder = nn.ModuleList(nn.Sequential(AxialDepthwise(a, kernel), nn.BatchNorm2d(a)) for a in c[:-1])
        self.widen = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(c))
        self.bottleneck = Bottleneck(c[-1])
        self.decoder = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a + b, a, 1), nn.BatchNorm2d(a), AxialDepthwise(a, kernel), nn.Conv2d(a, a, 1), nn.GELU()
            )
            for a, b in pairwise(c)
        )
        self.head = nn.Conv2d(c[0], num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        x, pyramid = self.first(x), []
        for level, widen in zip(self.encoder, self.widen, strict=True):
            pyramid.append(level(x))
            x = F.gelu(F.max_pool2d(widen(pyramid[-1]), 2))
        x = self.bottleneck(x)
        for level, skip in zip(reversed(self.decoder), reversed(pyramid), strict=True):
            x = level(torch.cat((F.interpolate(x, scale_factor=2.0), skip), dim=1))
        return self.head(x)
