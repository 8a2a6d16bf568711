"""Rolling-Unet: MLPs on rolled channels beside depthwise convolutions, at the coarser levels.

References:
    Liu et al. 2024, Rolling-Unet: Revitalizing MLP's Ability to Efficiently Extract Long-Distance Dependencies for
        Medical Image Segmentation, AAAI 2024, doi 10.1609/aaai.v38i4.28173.
    Code: Jiaoyang45/Rolling-Unet, archs.py, Rolling_Unet_S and Rolling_Unet_M.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import ConvNormAct, DoubleConv
from unetzoo.nn.norms import PixelLayerNorm
from unetzoo.standalone.common import AnySize, fraction, init_by_fan_out, whole, wholes
from unetzoo.standalone.unext import ChannelLinear

Layer = partial(ConvNormAct, conv=partial(nn.Conv2d, kernel_size=3, padding=1), norm=nn.BatchNorm2d, act=nn.ReLU)


def rolled(x: Tensor, dim: int, sign: int = 1) -> Tensor:
    """Move channel i of (N, C, H, W) by i pixels along ``dim``, around the border.

    Args:
        x: The map.
        dim: 2 or 3.
        sign: 1, or -1 for the other direction.
    """
    at, channels = (torch.arange(x.shape[axis], device=x.device) for axis in (dim, 1))
    place = (at - sign * channels[:, None]) % (at[-1] + 1)  # (C, side); the side as a tensor, for exporters
    index = place[:, :, None] if dim == 2 else place[:, None, :]
    return x.gather(dim, index.expand_as(x))


class RollingMLP(nn.Module):
    """Two pairs of linear layers on rolled maps, and a separable convolution; both joined by a linear layer.

    The first pair rolls along the columns and then along the rows, the second backwards along the rows and then along
    the columns.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.ModuleList(ChannelLinear(channels, channels) for _ in range(2))
        self.second = nn.ModuleList(ChannelLinear(channels, channels) for _ in range(2))
        self.norm = PixelLayerNorm(2 * channels)
        self.join = ChannelLinear(2 * channels, channels)
        self.local = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
            nn.BatchNorm2d(channels),
        )
        self.out = ChannelLinear(2 * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        drop = self.dropout
        one = drop(F.gelu(self.first[0](rolled(x, 2))))
        two = drop(F.gelu(self.second[0](rolled(x, 3, -1))))
        one, two = drop(self.first[1](rolled(one, 3))), drop(self.second[1](rolled(two, 2)))
        far = drop(self.join(self.norm(torch.cat((one + x, two + x), dim=1)))) + x
        return drop(self.out(torch.cat((far, self.local(x)), dim=1)))


class Embed(nn.Module):
    """3x3 convolution, GELU and a norm of each pixel (feature incentive block)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(c_in, c_out, 3, padding=1), PixelLayerNorm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.gelu(self.conv(x)))


def enlarge(x: Tensor) -> Tensor:
    """Interpolate (N, C, H, W) bilinearly to twice the size."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class RollingUNet(AnySize):
    """Three levels of double convolutions, two of `RollingMLP`, and back; skips are added.

    Level i has ``width * multiples[i]`` channels; the head sees half of ``width``.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level where its multiple is 1: 16 or 32 for the networks S and M.
        multiples: Five numbers, finest first.
        dropout: Probability of dropout in the bottleneck's MLP: 0.1 or 0.2 for S and M.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 16

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        multiples: Sequence[int] = (1, 2, 4, 8, 16),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        whole(width=width)
        wholes(5, multiples=multiples)
        fraction(dropout=dropout)
        c = [width * multiple for multiple in multiples]
        last = max(1, width // 2)

        def back(c_in: int, c_out: int) -> nn.Module:
            return DoubleConv(c_in, c_out, layer=Layer, c_mid=c_in)

        def level(c_in: int, c_out: int, dropout: float) -> nn.Sequential:
            return nn.Sequential(Embed(c_in, c_out), RollingMLP(c_out, dropout), PixelLayerNorm(c_out))

        self.convs = nn.ModuleList(
            DoubleConv(a, b, layer=Layer) for a, b in zip((in_channels, *c), c[:3], strict=False)
        )
        self.coarse = level(c[2], c[3], 0.0)
        self.bottleneck = nn.Sequential(level(c[3], c[4], dropout), Embed(c[4], c[3]))
        self.coarse_up = nn.Sequential(RollingMLP(c[3], 0.0), PixelLayerNorm(c[3]))
        self.reduce = Layer(c[3], c[2])
        self.back = nn.ModuleList((back(c[0], last), back(c[1], c[0]), back(c[2], c[1])))
        for module in (self.coarse, self.bottleneck, self.coarse_up):
            module.apply(init_by_fan_out)
        self.head = nn.Conv2d(last, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for conv in self.convs:
            pyramid.append(conv(x))
            x = F.max_pool2d(pyramid[-1], 2)
        skip = self.coarse(x)
        x = self.coarse_up(enlarge(self.bottleneck(F.max_pool2d(skip, 2))) + skip)
        x = enlarge(self.reduce(x)) + pyramid[2]
        for level in (2, 1):
            x = enlarge(self.back[level](x)) + pyramid[level - 1]
        return self.head(self.back[0](x))
