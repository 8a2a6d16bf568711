"""CMU-Net: ConvMixer in the bottleneck of a U-Net, gates of several scales on its skips.

References:
    Tang et al. 2022, CMU-Net: A Strong ConvMixer-based Medical Ultrasound Image Segmentation Network, arXiv 2210.13012.
    Code: FengheTan9/CMU-Net, src/network/CMUNet.py, CMUNet.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import ConvNormAct, DoubleConv
from unetzoo.nn.upsample import NearestLayerUp
from unetzoo.standalone.common import AnySize, odd, whole

Layer = partial(ConvNormAct, conv=partial(nn.Conv2d, kernel_size=3, padding=1), norm=nn.BatchNorm2d, act=nn.ReLU)


class Mixer(nn.Module):
    """Depthwise convolution with a shortcut, then a 1x1 convolution, each with GELU and batch norm (2201.09792)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()

        def layer(kernel: int, groups: int) -> nn.Sequential:
            conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=groups)
            return nn.Sequential(conv, nn.GELU(), nn.BatchNorm2d(channels))

        self.depthwise, self.pointwise = layer(kernel, channels), layer(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x) + x)


class ScalesGate(nn.Module):
    """x + x * gate, the gate from a 1x1, a 3x3 and a dilated 3x3 convolution (multi-scale attention gate)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convs = (
            nn.Conv2d(channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
        )
        self.scales = nn.ModuleList(nn.Sequential(conv, nn.BatchNorm2d(channels)) for conv in convs)
        self.vote = nn.Sequential(
            nn.ReLU(), nn.Conv2d(3 * channels, channels, 1), nn.BatchNorm2d(channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + x * self.vote(torch.cat([scale(x) for scale in self.scales], dim=1))


class CMUNet(AnySize):
    """U-Net of five levels with ``width * 2**i`` channels at level i, `Mixer`s at its bottom and gated skips.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        mixers: Number of `Mixer`s.
        kernel: Side of their kernels, an odd number of pixels.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 16

    def __init__(
        self, in_channels: int, num_classes: int, *, width: int = 64, mixers: int = 7, kernel: int = 7
    ) -> None:
        super().__init__()
        whole(width=width, mixers=mixers)
        odd(kernel=kernel)
        c = [width * 2**i for i in range(5)]
        double = partial(DoubleConv, layer=Layer)
        self.encoder = nn.ModuleList(double(a, b) for a, b in zip((in_channels, *c), c, strict=False))
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = nn.Sequential(*(Mixer(c[-1], kernel) for _ in range(mixers)))
        self.gates = nn.ModuleList(ScalesGate(a) for a in c[:-1])
        self.ups = nn.ModuleList(NearestLayerUp(b, a, layer=Layer) for a, b in pairwise(c))
        self.decoder = nn.ModuleList(double(2 * a, a) for a in c[:-1])
        self.head = nn.Conv2d(width, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for level in self.encoder:
            x = level(self.pool(x) if pyramid else x)
            pyramid.append(x)
        x = self.bottleneck(x)
        for i in reversed(range(len(self.decoder))):
            x = self.decoder[i](torch.cat((self.gates[i](pyramid[i]), self.ups[i](x)), dim=1))
        return self.head(x)
