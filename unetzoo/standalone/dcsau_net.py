"""DCSAU-Net: a wide first layer and split-attention blocks throughout.

References:
    Xu et al. 2022, DCSAU-Net: A Deeper and More Compact Split-Attention U-Net for Medical Image Segmentation,
        arXiv 2202.00972.
    Code: xq141839/DCSAU-Net, pytorch_dcsaunet/DCSAU_Net.py, Model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.nn.skips import pad_to_skip
from unetzoo.standalone.common import AnySize, whole


class PrimaryFeatures(nn.Module):
    """Primary feature conservation (PFC): 7x7 convolution, depthwise 7x7 with a shortcut, 1x1 convolution.

    Each convolution is followed by ReLU and then batch norm.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()

        def layer(c_in: int, kernel: int, groups: int = 1) -> nn.Sequential:
            conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, groups=groups)
            return nn.Sequential(conv, nn.ReLU(inplace=True), nn.BatchNorm2d(c_out))

        self.first = layer(c_in, 7)
        self.depthwise = layer(c_out, 7, groups=c_out)
        self.pointwise = layer(c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.pointwise(self.depthwise(x) + x)


class SplitAttention(nn.Module):
    """Two halves, the second with one more 3x3 convolution, weighed channel by channel (paper, figure 3).

    From ResNeSt (arXiv 2004.08955) with radix 2.

    Args:
        channels: Channels of input and output, an even number.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(channels // 2, 32)

        def conv(c_out: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(channels, c_out, 3, padding=1, groups=2, bias=False),
                nn.BatchNorm2d(c_out),
                nn.ReLU(inplace=True),
            )

        self.split = conv(2 * channels)
        self.deepen = conv(channels)
        self.attend = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.BatchNorm2d(squeezed),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, 2 * channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.split(x).chunk(2, dim=1)
        second = self.deepen(second + first)
        weights = self.attend(first + second).unflatten(1, (2, -1)).softmax(dim=1)
        return weights[:, 0] * first + weights[:, 1] * second


class CSABlock(nn.Module):
    """ResNet bottleneck around `SplitAttention`: (N, c_in, H, W) to (N, 4 * planes, H, W).

    Args:
        c_in: Channels of the input.
        planes: Channels inside the bottleneck, an even number.
        smooth: Average over 3x3 pixels after the attention.
        project: Use a 1x1 convolution as shortcut; if False, ``c_in`` must be ``4 * planes``.
    """

    def __init__(self, c_in: int, planes: int, *, smooth: bool, project: bool) -> None:
        super().__init__()
        c_out = 4 * planes
        self.body = nn.Sequential(
            nn.Conv2d(c_in, planes, 1, bias=False),
            nn.BatchNorm2d(planes),
            nn.ReLU(inplace=True),
            SplitAttention(planes),
            # As in ResNeSt, a stage's first block averages, but the authors' code gives that no stride.
            nn.AvgPool2d(3, stride=1, padding=1) if smooth else nn.Identity(),
            nn.Conv2d(planes, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        shortcut = (nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out)) if project else ()
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def stage(c_in: int, planes: int, *, smooth: bool = True, project: bool = True) -> nn.Sequential:
    """Build two `CSABlock`s, which give 4 * planes channels, with convolutions initialised by their fan-out.

    Args:
        c_in: Channels of the input.
        planes: Channels inside the bottlenecks, an even number.
        smooth: Average over 3x3 pixels in the first block.
        project: Use a 1x1 convolution as the first block's shortcut.
    """
    blocks = nn.Sequential(
        CSABlock(c_in, planes, smooth=smooth, project=project),
        CSABlock(4 * planes, planes, smooth=False, project=False),
    )
    for module in blocks.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=math.sqrt(2 / (math.prod(module.kernel_size) * module.out_channels)))
    return blocks


class DCSAUNet(AnySize):
    """`PrimaryFeatures`, four `stage`s down and four up; bilinear upsampling with aligned corners.

    Batch norm follows a global average, so training needs batches of at least two images.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level; the planes of the split-attention blocks are rounded to even numbers.

    Raises:
        UnetzooError: If ``width`` is not a positive whole number.
    """

    least = 16  # smaller images have nothing left to pool at the fourth level

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 64) -> None:
        super().__init__()
        whole(width=width)

        def planes(over_width: float) -> int:
            return max(2, 2 * round(width * over_width / 2))

        self.first = PrimaryFeatures(in_channels, width)
        # Channels are listed finest first; the last stage keeps those of the one above it.
        down = [planes(1 / 2), planes(1), planes(2), planes(2)]
        skips = [width, *(4 * p for p in down[:3])]
        self.encoder = nn.ModuleList(
            stage(c_in, p, smooth=i > 0, project=i < 3) for i, (c_in, p) in enumerate(zip(skips, down, strict=True))
        )
        up = [planes(1 / 4), planes(1 / 4), planes(1 / 2), planes(1)]
        below = [*(4 * p for p in up[1:]), 4 * down[3]]
        self.decoder = nn.ModuleList(
            stage(s + b, p, smooth=i > 0) for i, (s, b, p) in enumerate(zip(skips, below, up, strict=True))
        )
        self.head = nn.Conv2d(4 * up[0], num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid = [self.first(x)]
        for block in self.encoder:
            pyramid.append(block(F.max_pool2d(pyramid[-1], 2)))
        x = pyramid.pop()
        for block, skip in zip(reversed(self.decoder), reversed(pyramid), strict=True):
            h, w = spatial(x)
            x = F.interpolate(x, size=(2 * h, 2 * w), mode="bilinear", align_corners=True)
            x = block(torch.cat(pad_to_skip(skip, x), dim=1))
        return self.head(x)
