"""FCBFormer: a transformer's features at a quarter of the image's size beside a convolutional network at its full size.

References:
    Sanderson and Matuszewski 2022, FCN-Transformer Feature Fusion for Polyp Segmentation, arXiv 2208.08352.
    Code: ESandML/FCBFormer, Models/models.py, FCBFormer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.standalone.common import AnySize, whole
from unetzoo.standalone.timm_levels import TimmLevels

MULTIPLES = (1, 1, 2, 2, 4, 4)  # channels of each level of the convolutional branch over ``width``
GROUPS = 32


def normed(c_in: int, c_out: int, groups: int) -> nn.Sequential:
    """Return group norm, SiLU and a 3x3 convolution; as many of the groups as divide the channels."""
    return nn.Sequential(nn.GroupNorm(math.gcd(groups, c_in), c_in), nn.SiLU(), nn.Conv2d(c_in, c_out, 3, padding=1))


class ResidualBlock(nn.Module):
    """Two layers of `normed`, and a shortcut that is a 1x1 convolution where the channels change (the paper's RB)."""

    def __init__(self, c_in: int, c_out: int, groups: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(normed(c_in, c_out, groups), normed(c_out, c_out, groups))
        self.shortcut = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + self.shortcut(x)


def two_blocks(c_in: int, c_out: int, groups: int) -> nn.Sequential:
    """Return two `ResidualBlock`s, of which the first changes the channels."""
    return nn.Sequential(ResidualBlock(c_in, c_out, groups), ResidualBlock(c_out, c_out, groups))


class TransformerBranch(nn.Module):
    """Four levels of an encoder, cut to equal channels, enlarged to the finest and joined from the coarsest on.

    Args:
        channels: Channels of the encoder's levels, finest first.
        few: Channels of the result.
        groups: Groups of the norms.
    """

    def __init__(self, channels: Sequence[int], few: int, groups: int) -> None:
        super().__init__()
        self.emphasise = nn.ModuleList(two_blocks(c, few, groups) for c in channels)
        self.join = nn.ModuleList(two_blocks(2 * few, few, groups) for _ in channels[1:])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        size = spatial(maps[0])
        *finer, x = (F.interpolate(e(y), size=size) for e, y in zip(self.emphasise, maps, strict=True))
        for join, y in zip(reversed(self.join), reversed(finer), strict=True):
            x = join(torch.cat((y, x), dim=1))
        return x


class EncoderLevel(nn.Module):
    """A 3x3 convolution and two `ResidualBlock`s; returns the map after each of the three.

    Args:
        first: The convolution.
        c_out: Channels of both blocks.
        groups: Groups of the norms.
    """

    def __init__(self, first: nn.Conv2d, c_out: int, groups: int) -> None:
        super().__init__()
        self.first, self.blocks = first, two_blocks(first.out_channels, c_out, groups)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [self.first(x)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps


class DecoderLevel(nn.Module):
    """A `ResidualBlock` for each map of an `EncoderLevel`, the last one first.

    Args:
        c_up: Channels from the coarser level.
        skips: Channels of the encoder's maps, in the order in which they are read.
        c_out: Channels of all blocks.
        groups: Groups of the norms.
    """

    def __init__(self, c_up: int, skips: Sequence[int], c_out: int, groups: int) -> None:
        super().__init__()
        up = (c_up, *[c_out] * (len(skips) - 1))
        self.blocks = nn.ModuleList(ResidualBlock(c + skip, c_out, groups) for c, skip in zip(up, skips, strict=True))

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> Tensor:
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            x = block(torch.cat((x, skip), dim=1))
        return x


class ConvolutionalBranch(nn.Module):
    """A U-Net of residual blocks whose decoder reads three maps of each level.

    Args:
        in_channels: Channels of the image.
        channels: Channels of each level, finest first.
        groups: Groups of the norms.
    """

    def __init__(self, in_channels: int, channels: Sequence[int], groups: int) -> None:
        super().__init__()
        given = [channels[0], *channels[:-1]]  # channels with which each level begins
        below = [*channels[1:], channels[-1]]
        firsts = [nn.Conv2d(in_channels, channels[0], 3, padding=1)]
        firsts += [nn.Conv2d(c, c, 3, stride=2, padding=1) for c in channels[:-1]]
        self.encoder = nn.ModuleList(EncoderLevel(f, c, groups) for f, c in zip(firsts, channels, strict=True))
        self.middle = two_blocks(channels[-1], channels[-1], groups)
        self.decoder = nn.ModuleList(
            DecoderLevel(c_up, (c, c, c_in), c, groups) for c_up, c, c_in in zip(below, channels, given, strict=True)
        )
        self.ups = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for c in channels[1:])

    def forward(self, x: Tensor) -> Tensor:
        levels: list[list[Tensor]] = []
        for level in self.encoder:
            levels.append(level(x))
            x = levels[-1][-1]
        x = self.middle(x)
        for i in reversed(range(len(levels))):
            x = self.decoder[i](x, levels[i])
            if i:
                x = self.ups[i - 1](F.interpolate(x, size=spatial(levels[i - 1][-1])))
        return x


class FCBFormer(AnySize):
    """`TransformerBranch` on an encoder and `ConvolutionalBranch` on the image, side by side, then two blocks.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of a timm model or of a Mix Transformer with maps of strides 4, 8, 16 and 32.
        width: Channels of the convolutional branch at the image's size, and groups of all norms, at most 32; the
            transformer's branch has twice as many.
        pretrained: Weights of the encoder, as `create_model` takes them: True for timm's ImageNet weights, with which
            the paper starts, or a file.

    Raises:
        UnetzooError: If an option is out of range, or if the weights cannot be loaded.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        encoder: str = "pvt_v2_b3",
        width: int = 32,
        pretrained: bool | str = False,
    ) -> None:
        super().__init__()
        whole(width=width)
        groups, few = min(GROUPS, width), 2 * width
        self.encoder = TimmLevels(encoder, in_channels, pretrained=pretrained)
        self.multiple = math.lcm(self.encoder.multiple, 2 ** (len(MULTIPLES) - 1))
        self.transformer = TransformerBranch(self.encoder.channels, few, groups)
        self.convolutional = ConvolutionalBranch(in_channels, [m * width for m in MULTIPLES], groups)
        self.head = nn.Sequential(two_blocks(few + width, few, groups), nn.Conv2d(few, num_classes, 1))

    def logits(self, x: Tensor) -> Tensor:
        coarse = F.interpolate(self.transformer(self.encoder(x)), size=spatial(x))
        return self.head(torch.cat((coarse, self.convolutional(x)), dim=1))
