"""DoubleU-Net: a U-Net on VGG-19, whose mask weighs the image for a second U-Net.

References:
    Jha et al. 2020, DoubleU-Net: A Deep Convolutional Neural Network for Medical Image Segmentation, arXiv 2006.04868.
    Code: DebeshJha/2020-CBMS-DoubleU-Net, doubleunet_pytorch.py, build_doubleunet.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.attention import SqueezeExcite
from unetzoo.nn.blocks import spatial
from unetzoo.standalone.common import AnySize, whole

VGG19 = ((1, 2), (2, 2), (4, 4), (8, 4), (8, 4))  # channels over ``width``, and convolutions, of each level


def layer(c_in: int, c_out: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """Build a convolution without bias that keeps the size, batch norm and ReLU.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernel: Side of the kernel, 1 or 3.
        dilation: Dilation of the convolution.
    """
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2 * dilation, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


def block(c_in: int, c_out: int) -> nn.Sequential:
    """Build two layers and squeeze-and-excitation with reduction 8."""
    return nn.Sequential(layer(c_in, c_out), layer(c_out, c_out), SqueezeExcite(c_out, reduction=8))


def vgg_level(c_in: int, c_out: int, count: int) -> nn.Sequential:
    """Build ``count`` 3x3 convolutions, each with a ReLU, as in VGG."""
    convs = (nn.Conv2d(c_out if i else c_in, c_out, 3, padding=1) for i in range(count))
    return nn.Sequential(*(module for conv in convs for module in (conv, nn.ReLU(inplace=True))))


class Pyramid(nn.Module):
    """Atrous spatial pyramid: means over quarters of the map, and dilations 1, 6, 12 and 18 (arXiv 1706.05587)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(2), layer(c_in, c_out, 1))
        self.branches = nn.ModuleList(layer(c_in, c_out, 3 if d > 1 else 1, d) for d in (1, 6, 12, 18))
        self.fuse = layer(5 * c_out, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.interpolate(self.pooled(x), size=spatial(x), mode="bilinear", align_corners=True)
        return self.fuse(torch.cat([pooled, *(branch(x) for branch in self.branches)], dim=1))


class Decoder(nn.Module):
    """Bilinear upsampling, concatenation with the skips, and a block, from the coarsest skip to the finest.

    Args:
        c_below: Channels of the map below.
        skips: Channels of all skips of each level together, coarsest first.
        channels: Channels of each level's block, coarsest first.
    """

    def __init__(self, c_below: int, skips: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            block(a + skip, c) for a, skip, c in zip((c_below, *channels), skips, channels, strict=False)
        )

    def forward(self, x: Tensor, *pyramids: Sequence[Tensor]) -> Tensor:
        """Return the finest map, for the map below and pyramids of skips, coarsest first."""
        for level, *skips in zip(self.blocks, *pyramids, strict=True):
            up = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
            x = level(torch.cat((up, *skips), dim=1))
        return x


class DoubleUNet(AnySize):
    """Two U-Nets in a row; the second sees the image times the first one's mask, and the skips of both encoders.

    The mask is the sigmoid of the logits; with several classes, one minus the probability of the first.
    ``forward_all`` returns the logits of the second network and the first, both of the image's size.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of VGG's finest level, an even number; the second network has half of it.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 16

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 64) -> None:
        super().__init__()
        whole(2, width=width)
        first = [width * multiple for multiple, _ in VGG19]
        second = [width // 2 * 2**i for i in range(4)]
        self.vgg = nn.ModuleList(
            vgg_level(a, b, count) for a, b, (_, count) in zip((in_channels, *first), first, VGG19, strict=False)
        )
        self.first_pyramid = Pyramid(first[-1], width)
        self.first_decoder = Decoder(width, first[-2::-1], second[::-1])
        self.encoder = nn.ModuleList(block(a, b) for a, b in zip((in_channels, *second), second, strict=False))
        self.second_pyramid = Pyramid(second[-1], width)
        both = [a + b for a, b in zip(first, second, strict=False)]
        self.second_decoder = Decoder(width, both[::-1], second[::-1])
        self.heads = nn.ModuleList(nn.Conv2d(second[0], num_classes, 1) for _ in range(2))

    def logits(self, x: Tensor) -> Tensor:
        return self.scales(x)[0]

    def scales(self, x: Tensor) -> list[Tensor]:
        image, first = x, []
        for level in self.vgg:
            x = level(F.max_pool2d(x, 2) if first else x)
            first.insert(0, x)
        x, *first = first
        coarse = self.heads[0](self.first_decoder(self.first_pyramid(x), first))
        mask = coarse.sigmoid() if coarse.shape[1] == 1 else 1 - coarse.softmax(dim=1)[:, :1]
        x, second = image * mask, []
        for level in self.encoder:
            x = level(x)
            second.insert(0, x)
            x = F.max_pool2d(x, 2)
        return [self.heads[1](self.second_decoder(self.second_pyramid(x), first, second)), coarse]
