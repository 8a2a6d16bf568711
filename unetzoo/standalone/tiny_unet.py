"""TinyU-Net: cascaded multi-receptive fields.

References:
    Chen et al. 2024, TinyU-Net: Lighter Yet Better U-Net with Cascaded Multi-receptive Fields,
        doi 10.1007/978-3-031-72114-4_60.
    Code: ChenJunren-Lab/TinyU-Net, TinyU-Net.py, TinyUNet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.standalone.common import AnySize, whole


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm with the authors' eps and momentum, GELU if ``act``."""

    def __init__(self, c_in: int, c_out: int, kernel: int, groups: int = 1, act: bool = True) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(c_out, eps=0.001, momentum=0.03),
            nn.GELU() if act else nn.Identity(),
        )


class CMRF(nn.Module):
    """Cascaded multi-receptive fields: every second channel passes depthwise 3x3 convolutions in a row.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        cascade: Steps of the cascade, the first of which is no convolution.
    """

    def __init__(self, c_in: int, c_out: int, cascade: int) -> None:
        super().__init__()
        c = max(1, c_out // (2 * cascade))
        self.reduce = ConvNorm(c_in, 2 * c, 1)
        self.cascade = nn.ModuleList(ConvNorm(c, c, 3, groups=c, act=False) for _ in range(cascade - 1))
        self.expand = ConvNorm(cascade * c, c_out, 1)
        self.residual = c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        kept, last = reduced[:, 0::2], reduced[:, 1::2]
        fields = [kept + last]
        for conv in self.cascade:
            last = conv(last)
            fields.append(last)
        out = self.expand(torch.cat(fields, dim=1))
        return x + out if self.residual else out


class TinyUNet(AnySize):
    """Four levels of `CMRF`, a max pool after each, and as many back, with bicubic upsampling.

    The coarsest map has no block of its own.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level; doubled at each coarser one.
        cascade: Steps of each cascade, at least 2.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 16

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 64, cascade: int = 8) -> None:
        super().__init__()
        whole(width=width)
        whole(2, cascade=cascade)
        channels = [width * 2**level for level in range(4)]
        self.encoder = nn.ModuleList(
            CMRF(c_in, c_out, cascade) for c_in, c_out in zip((in_channels, *channels), channels, strict=False)
        )
        below = (*channels[1:], channels[-1])
        self.decoder = nn.ModuleList(CMRF(b + c, c, cascade) for b, c in zip(below, channels, strict=True))
        self.head = nn.Conv2d(width, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for block in self.encoder:
            pyramid.append(block(x))
            x = F.max_pool2d(pyramid[-1], 2)
        for block, skip in zip(reversed(self.decoder), reversed(pyramid), strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="bicubic", align_corners=False)
            x = block(torch.cat((x, skip), dim=1))
        return self.head(x)
