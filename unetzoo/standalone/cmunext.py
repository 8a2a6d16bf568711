"""CMUNeXt: large depthwise kernels, inverted bottlenecks and fused skips.

References:
    Tang et al. 2023, CMUNeXt: An Efficient Medical Image Segmentation Network based on Large Kernel and Skip Fusion,
        arXiv 2308.01239.
    Code: FengheTan9/CMUNeXt, network/CMUNeXt.py, CMUNeXt.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import ConvNormAct
from unetzoo.standalone.common import AnySize, odd, whole, wholes


def act_norm(c_in: int, c_out: int, kernel: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, GELU, batch norm."""
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, groups=groups)
    return nn.Sequential(conv, nn.GELU(), nn.BatchNorm2d(c_out))


def layer(c_in: int, c_out: int) -> nn.Module:
    """3x3 convolution, batch norm, ReLU."""
    return ConvNormAct(c_in, c_out, conv=nn.Conv2d, norm=nn.BatchNorm2d, act=nn.ReLU, kernel_size=3, padding=1)


class Mixer(nn.Module):
    """Depthwise convolution with a shortcut, then 1x1 convolutions to four times the channels and back."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = act_norm(channels, channels, kernel, groups=channels)
        self.bottleneck = nn.Sequential(act_norm(channels, 4 * channels), act_norm(4 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.bottleneck(self.depthwise(x) + x)


class CMUNeXt(AnySize):
    """Five levels of `Mixer`s, 2x2 max pooling and bilinear upsampling.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level where its multiple is 1.
        multiples: Level i has ``width * multiples[i]`` channels; five numbers, finest first.
        depths: Mixers of each level.
        kernels: Kernel size of each level's mixers, odd numbers of pixels.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 16

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 16,
        multiples: Sequence[int] = (1, 2, 8, 10, 16),
        depths: Sequence[int] = (1, 1, 1, 3, 1),
        kernels: Sequence[int] = (3, 3, 7, 7, 7),
    ) -> None:
        super().__init__()
        whole(width=width)
        wholes(5, multiples=multiples, depths=depths, kernels=kernels)
        for kernel in kernels:
            odd(kernels=kernel)
        c = [width * multiple for multiple in multiples]
        ins = [c[0], *c[:-1]]
        self.first = layer(in_channels, c[0])
        self.encoder = nn.ModuleList(
            nn.Sequential(*(Mixer(a, kernel) for _ in range(depth)), layer(a, b))
            for a, b, depth, kernel in zip(ins, c, depths, kernels, strict=True)
        )
        self.up = nn.ModuleList(layer(c[i + 1], c[i]) for i in range(4))
        # The paper's skip fusion: a grouped convolution of each of the two maps, then 1x1 convolutions of both.
        self.fuse = nn.ModuleList(
            nn.Sequential(act_norm(2 * a, 2 * a, 3, groups=2), act_norm(2 * a, 4 * a), act_norm(4 * a, a))
            for a in c[:-1]
        )
        self.head = nn.Conv2d(c[0], num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        x, pyramid = self.first(x), []
        for i, level in enumerate(self.encoder):
            x = level(F.max_pool2d(x, 2) if i else x)
            pyramid.append(x)
        pyramid.pop()
        for up, fuse, skip in zip(reversed(self.up), reversed(self.fuse), reversed(pyramid), strict=True):
            x = up(F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False))
            x = fuse(torch.cat((skip, x), dim=1))
        return self.head(x)
