"""ResUNet and ResUNet++, as in rishikksh20/ResUnet.

Blocks have full pre-activation, carry the strides, and have 3x3 convolutions with batch norm as shortcuts.

References:
    Zhang et al. 2018, Road Extraction by Deep Residual U-Net, arXiv 1711.10684 (ResUNet).
    Jha et al. 2019, ResUNet++: An Advanced Architecture for Medical Image Segmentation, arXiv 1911.07067.
    Code: rishikksh20/ResUnet, core/res_unet.py, ResUnet, and core/res_unet_plus.py, ResUnetPlusPlus.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.grid.parts import callables
from unetzoo.grid.spec import UNetSpec
from unetzoo.nn.decoders import ChainDecoder
from unetzoo.nn.encoders import PlainEncoder
from unetzoo.nn.skips import ConcatSkip, pad_to_skip
from unetzoo.nn.unet import UNet
from unetzoo.standalone.common import whole

Conv3x3 = partial(nn.Conv2d, kernel_size=3, padding=1)


def resunet(in_channels: int, num_classes: int, *, width: int = 64, depth: int = 4, up: str = "transposed") -> UNet:
    """Build the ResUNet, which maps images (N, in_channels, H, W) of any size to logits (N, num_classes, H, W).

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level; doubled at each coarser one.
        depth: Number of levels.
        up: Upsampling as in `UNetSpec`; it keeps the channels.

    Raises:
        UnetzooError: If the grid refuses ``width``, ``depth`` or ``up``, or if ``up`` cannot keep the channels.
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
            up=callables(spec)["up"][up],
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
    """Two `NormActConv`s, plus a convolution with batch norm as shortcut.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        stride: 2 halves the size, rounding up.
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(NormActConv(c_in, c_out, stride=stride), NormActConv(c_out, c_out))
        self.shortcut = nn.Sequential(Conv3x3(c_in, c_out, stride=stride), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


class Stem(nn.Module):
    """First block, which sees the image without norm and activation."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(Conv3x3(c_in, c_out), NormActConv(c_out, c_out))
        self.shortcut = Conv3x3(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: a weight for each channel, by linear layers without biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(1, channels // 16)
        self.weigh = nn.Sequential(
            nn.Linear(channels, few, bias=False), nn.ReLU(), nn.Linear(few, channels, bias=False), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weigh(x.mean(dim=(2, 3)))[..., None, None]


class ASPP(nn.Module):
    """Three dilated 3x3 convolutions side by side, each with ReLU and then batch norm, fused by a 1x1 convolution."""

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
    """Coarse map, each pixel weighed by its agreement with the finer encoder map, pooled; weights are not bounded."""

    def __init__(self, c_skip: int, c_below: int) -> None:
        super().__init__()
        self.see_skip = NormActConv(c_skip, c_below)
        self.see_below = NormActConv(c_below, c_below)
        self.weigh = nn.Sequential(nn.BatchNorm2d(c_below), nn.ReLU(), nn.Conv2d(c_below, 1, kernel_size=1))

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """Map ``skip`` (N, c_skip, H, W) and ``below`` (N, c_below, H / 2, W / 2), rounded up, to ``below`` weighed."""
        pooled = F.max_pool2d(self.see_skip(skip), 2, ceil_mode=True)  # rounds up as the strides do
        return below * self.weigh(pooled + self.see_below(below))


class ResUNetPPStage(nn.Module):
    """Attention, bilinear interpolation, concatenation (the upsampled map first) and a block."""

    def __init__(self, c_below: int, c_skip: int, c_out: int) -> None:
        super().__init__()
        self.attend = Attention(c_skip, c_below)
        self.block = PreActBlock(c_below + c_skip, c_out)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Map ``below`` (N, c_below, H / 2, W / 2), rounded up, and ``skip`` (N, c_skip, H, W) to (N, c_out, H, W)."""
        up = F.interpolate(self.attend(skip, below), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.block(torch.cat(pad_to_skip(skip, up)[::-1], dim=1))


class ResUNetPP(nn.Module):
    """ResUNet++: four levels with squeeze-and-excitation, `ASPP` at both ends of the decoder, attention in its stages.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level; doubled at each coarser one.

    Raises:
        UnetzooError: If ``width`` is not a positive whole number.
    """

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
        """Map images (N, in_channels, H, W) of any size to logits (N, num_classes, H, W)."""
        skips = [self.stem(x)]
        for level in self.encoder:
            skips.append(level(skips[-1]))
        x = self.bridge(skips.pop())
        for stage in self.decoder:
            x = stage(x, skips.pop())
        return self.head(self.out(x))
