"""ResUNet (Zhang et al. 2018, arXiv 1711.10684) and ResUNet++ (Jha et al. 2019, arXiv 1911.07067).

As rishikksh20/ResUnet has them: full pre-activation, 3x3 convolutions with batch norm as shortcuts, strides in blocks.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.grid.parts import parts
from unetzoo.grid.spec import UNetSpec
from unetzoo.nn.decoders import ChainDecoder
from unetzoo.nn.encoders import PlainEncoder
from unetzoo.nn.skips import ConcatSkip, pad_to_skip
from unetzoo.nn.unet import UNet
from unetzoo.standalone.common import whole

Conv3x3 = partial(nn.Conv2d, kernel_size=3, padding=1)


def resunet(in_channels: int, num_classes: int, *, width: int = 64, depth: int = 4, up: str = "transposed") -> UNet:
    """Any image (N, in_channels, H, W) to logits (N, num_classes, H, W); ``up`` as in `UNetSpec`, channels kept.

    Raises `UnetzooError` on a ``width``, ``depth`` or ``up`` that the grid refuses, or that needs other channels.
    """
    spec = UNetSpec.from_mapping({"width": width, "depth": depth, "up": up, "up_width": "kept"}, "resunet")
    channels = spec.channels
    return UNet(
        PlainEncoder(
            in_channels, channels, blocks=[Stem, *[partial(PreActBlock, stride=2)] * (depth - 1)], down=nn.Identity
        ),
        ChainDecoder(
            channels,
            channels[1:],
            channels[:-1],
            up=parts(spec)["up"][up],
            skip=partial(ConcatSkip, up_first=True),
            blocks=[PreActBlock] * (depth - 1),
            align=pad_to_skip,
        ),
        nn.Conv2d(channels[0], num_classes, kernel_size=1),
    )


class NormActConv(nn.Sequential):
    """Batch norm, ReLU, 3x3 convolution."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1) -> None:
        super().__init__(nn.BatchNorm2d(c_in), nn.ReLU(), Conv3x3(c_in, c_out, stride=stride))


class PreActBlock(nn.Module):
    """Two layers, norm and activation first, plus a convolution with norm; ``stride`` 2 halves, rounding up."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(NormActConv(c_in, c_out, stride=stride), NormActConv(c_out, c_out))
        self.shortcut = nn.Sequential(Conv3x3(c_in, c_out, stride=stride), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


class Stem(nn.Module):
    """The first block, on the image as it is."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(Conv3x3(c_in, c_out), NormActConv(c_out, c_out))
        self.shortcut = Conv3x3(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


class SqueezeExcite(nn.Module):
    """A weight per channel, without biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(1, channels // 16)
        self.weigh = nn.Sequential(
            nn.Linear(channels, few, bias=False), nn.ReLU(), nn.Linear(few, channels, bias=False), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weigh(x.mean(dim=(2, 3)))[..., None, None]


class ASPP(nn.Module):
    """Three dilated convolutions side by side, each with ReLU and then batch norm, and a 1x1 one."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(c_in, c_out, kernel_size=3, padding=rate, dilation=rate), nn.ReLU(), nn.BatchNorm2d(c_out)
            )
            for rate in (6, 12, 18)
        )
        self.fuse = nn.Conv2d(3 * c_out, c_out, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(torch.cat([branch(x) for branch in self.branches], dim=1))


class Attention(nn.Module):
    """Weighs the coarse map pixel by pixel by its agreement with the finer encoder map, pooled (not 0 to 1)."""

    def __init__(self, c_skip: int, c_below: int) -> None:
        super().__init__()
        self.see_skip = NormActConv(c_skip, c_below)
        self.see_below = NormActConv(c_below, c_below)
        self.weigh = nn.Sequential(nn.BatchNorm2d(c_below), nn.ReLU(), nn.Conv2d(c_below, 1, kernel_size=1))

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        pooled = F.max_pool2d(self.see_skip(skip), 2, ceil_mode=True)  # rounds up as the strides do
        return below * self.weigh(pooled + self.see_below(below))


class ResUNetPPStage(nn.Module):
    """Attention, bilinear interpolation, concatenation (upsampled first), block."""

    def __init__(self, c_below: int, c_skip: int, c_out: int) -> None:
        super().__init__()
        self.attend = Attention(c_skip, c_below)
        self.block = PreActBlock(c_below + c_skip, c_out)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        up = F.interpolate(self.attend(skip, below), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.block(torch.cat(pad_to_skip(skip, up)[::-1], dim=1))


class ResUNetPP(nn.Module):
    """Any image (N, in_channels, H, W) to logits (N, num_classes, H, W)."""

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 32) -> None:
        super().__init__()
        whole(width=width)
        a, b, c, d, e = (width * 2**i for i in range(5))
        self.stem = Stem(in_channels, a)
        self.encoder = nn.ModuleList(
            nn.Sequential(SqueezeExcite(c_in), PreActBlock(c_in, 2 * c_in, stride=2)) for c_in in (a, b, c)
        )
        self.bridge = ASPP(d, e)
        self.decoder = nn.ModuleList([ResUNetPPStage(e, c, d), ResUNetPPStage(d, b, c), ResUNetPPStage(c, a, b)])
        self.out = ASPP(b, a)
        self.head = nn.Conv2d(a, num_classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.stem(x)]
        for level in self.encoder:
            skips.append(level(skips[-1]))
        x = self.bridge(skips.pop())
        for stage in self.decoder:
            x = stage(x, skips.pop())
        return self.head(self.out(x))
