"""MK-UNet: inverted residual blocks with depthwise convolutions of several sizes at once: 0.3 M parameters.

References:
    Rahman and Marculescu 2025, MK-UNet: Multi-kernel Lightweight CNN for Medical Image Segmentation, arXiv 2509.18493.
    Code: SLDGroup/MK-UNet, as stored in lepotatoguy/MK-UNet, mkunet_network.py, MK_UNet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.attention import ChannelAttention, SpatialAttention
from unetzoo.standalone.common import AnySize, odd, whole, wholes

REDUCTIONS = (4, 8, 16, 16, 16)  # of the channel attention of each level, finest first


def conv_norm(c_in: int, c_out: int, kernel: int = 1, groups: int = 1, *, bias: bool = False) -> nn.Sequential:
    """Return a convolution that keeps the map's size, and batch norm."""
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, groups=groups, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


class MultiKernelBlock(nn.Module):
    """1x1 convolution to more channels, sum of depthwise convolutions, 1x1 convolution back, and a shortcut (MKIR).

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernels: Sides of the depthwise kernels.
        expansion: Factor of the channels inside.
    """

    def __init__(self, c_in: int, c_out: int, kernels: Sequence[int], expansion: int) -> None:
        super().__init__()
        inner = expansion * c_in
        self.expand = conv_norm(c_in, inner).append(nn.ReLU6())
        self.depthwise = nn.ModuleList(conv_norm(inner, inner, k, inner).append(nn.ReLU6()) for k in kernels)
        self.shuffle = nn.ChannelShuffle(math.gcd(inner, c_out))
        self.reduce = conv_norm(inner, c_out)
        self.shortcut = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        expanded = self.expand(x)
        first, *others = (conv(expanded) for conv in self.depthwise)
        return self.shortcut(x) + self.reduce(self.shuffle(sum(others, start=first)))


class GroupedGate(nn.Module):
    """Attention gate whose convolutions see two channels each (grouped attention gate, GAG)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(1, channels // 2)
        groups = math.gcd(channels, few)
        self.of_up, self.of_skip = (conv_norm(channels, few, 3, groups, bias=True) for _ in range(2))
        self.weigh = conv_norm(few, 1, bias=True).append(nn.Sigmoid())

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        return skip * self.weigh(F.relu(self.of_up(up) + self.of_skip(skip)))


class MKUNet(AnySize):
    """Five `MultiKernelBlock`s, each pooled, and five more with attention, each enlarged; gated skips are added.

    The spatial attention is one for all levels. The sizes T, S, M and L of the code are width 4, 8, 32 and 64, with 8
    for the last of ``multiples`` in T and L.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the finest level.
        multiples: Channels of the five levels over ``width``.
        kernels: Sides of the depthwise kernels, odd numbers.
        expansion: Factor of the channels inside a block.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 32

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 16,
        multiples: Sequence[int] = (1, 2, 4, 6, 10),
        kernels: Sequence[int] = (1, 3, 5),
        expansion: int = 2,
    ) -> None:
        super().__init__()
        whole(width=width, expansion=expansion)
        wholes(len(REDUCTIONS), multiples=multiples)
        wholes(kernels=kernels)
        for side in kernels:
            odd(kernels=side)
        channels = [m * width for m in multiples]

        def block(c_in: int, c_out: int) -> MultiKernelBlock:
            return MultiKernelBlock(c_in, c_out, kernels, expansion)

        self.encoder = nn.ModuleList(block(c_in, c) for c_in, c in pairwise((in_channels, *channels)))
        self.decoder = nn.ModuleList(block(c, c_out) for c_out, c in pairwise((channels[0], *channels)))
        self.by_channel = nn.ModuleList(
            ChannelAttention(c, reduction=r) for c, r in zip(channels, REDUCTIONS, strict=True)
        )
        self.by_pixel = SpatialAttention(channels[0])
        self.gates = nn.ModuleList(GroupedGate(c) for c in channels[:-1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.head = nn.Conv2d(channels[0], num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for block in self.encoder:
            x = F.max_pool2d(block(x), 2)
            skips.append(x)
        skips.pop()
        for i in reversed(range(len(self.decoder))):
            x = self.decoder[i](self.by_pixel(self.by_channel[i](x)))
            x = F.relu(F.interpolate(x, scale_factor=2.0, mode="bilinear"))
            if i:
                x = x + self.gates[i - 1](x, skips[i - 1])
        return self.head(x)
