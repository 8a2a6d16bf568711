"""LV-UNet: MobileNetV3's first levels, then blocks of 1x1 convolutions whose activation looks at neighbouring pixels.

References:
    Jiang et al. 2024, LV-UNet: A Lightweight and Vanilla Model for Medical Image Segmentation, arXiv 2408.16886.
    Chen et al. 2023, VanillaNet: the Power of Minimalism in Deep Learning, arXiv 2305.12972 (the blocks).
    Code: juntaoJianggavin/LV-UNet, LV_UNet.py, LV_UNet.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import mobilenet_v3_large

from unetzoo.standalone.common import AnySize, at_least, whole

EPS = 1e-6  # of the batch norms
STEM = 16  # channels of MobileNetV3-Large's first layer
LEVELS = ((0, 1), (1, 3), (3, 6), (6, 10))  # layers of MobileNetV3 in each level, of strides 2 to 16
MULTIPLES = (1, 2, 3, 6)  # channels of the levels below over those of MobileNetV3's last


class SeriesActivation(nn.Module):
    """ReLU, a depthwise kernel and batch norm: a weighted sum of the neighbours' activations for each pixel.

    Args:
        channels: Channels of the map.
        reach: Number of pixels by which the kernel reaches to each side.
    """

    def __init__(self, channels: int, reach: int) -> None:
        super().__init__()
        side = 2 * reach + 1
        self.reach = reach
        self.weight = nn.Parameter(nn.init.trunc_normal_(torch.empty(channels, 1, side, side), std=0.02))
        self.norm = nn.BatchNorm2d(channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.conv2d(x.relu(), self.weight, padding=self.reach, groups=len(self.weight)))


class VanillaBlock(nn.Module):
    """Two 1x1 convolutions with a leaky ReLU between them, a change of size, and `SeriesActivation`.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        resize: Layer that halves or doubles the map.
        reach: See `SeriesActivation`.
        slope: Slope of the leaky ReLU; 1 makes both convolutions one linear map.
    """

    def __init__(self, c_in: int, c_out: int, resize: nn.Module, *, reach: int, slope: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(c_in, c_in, 1),
            nn.BatchNorm2d(c_in, eps=EPS),
            nn.LeakyReLU(slope),
            nn.Conv2d(c_in, c_out, 1),
            nn.BatchNorm2d(c_out, eps=EPS),
            resize,
            SeriesActivation(c_out, reach),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class LVUNet(AnySize):
    """Levels of MobileNetV3-Large down to stride 16, `VanillaBlock`s down to 128 and up again; skips are added.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of MobileNetV3's first layer, 16 in MobileNetV3-Large. torchvision rounds the channels of every
            layer to a multiple of 8.
        reach: Number of pixels by which an activation reaches to each side.
        slope: Slope of the activation between two 1x1 convolutions.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 128

    def __init__(
        self, in_channels: int, num_classes: int, *, width: int = STEM, reach: int = 1, slope: float = 0.0
    ) -> None:
        super().__init__()
        whole(width=width, reach=reach)
        at_least(0, slope=slope)
        mobile: Any = mobilenet_v3_large(width_mult=width / STEM).features
        channels: list[int] = [mobile[last - 1].out_channels for _, last in LEVELS]
        mobile[0][0] = stem = nn.Conv2d(in_channels, channels[0], 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out")
        self.mobile = nn.ModuleList(mobile[first:last] for first, last in LEVELS)
        below = [m * channels[-1] for m in MULTIPLES]

        def down(c_in: int, c_out: int) -> VanillaBlock:
            return VanillaBlock(c_in, c_out, nn.MaxPool2d(2), reach=reach, slope=slope)

        def up(c_in: int, c_out: int) -> VanillaBlock:
            return VanillaBlock(c_in, c_out, nn.Upsample(scale_factor=2.0, mode="bilinear"), reach=reach, slope=slope)

        self.downs = nn.ModuleList(down(c_in, c_out) for c_in, c_out in pairwise(below))
        self.ups = nn.ModuleList(up(c_in, c_out) for c_in, c_out in pairwise((*reversed(below), *channels[-2::-1])))
        self.head = nn.Sequential(up(channels[0], channels[0]), nn.Conv2d(channels[0], num_classes, 1))

    def logits(self, x: Tensor) -> Tensor:
        stem, *levels = self.mobile
        x = stem(x)
        skips: list[Tensor] = []
        for level in (*levels, *self.downs):
            x = level(x)
            skips.append(x)
        skips.pop()
        *joined, last = self.ups
        for up, skip in zip(joined, reversed(skips), strict=True):
            x = up(x) + skip
        return self.head(last(x))
