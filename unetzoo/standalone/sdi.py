"""The decoder of U-Net v2 and VM-UNet V2: each skip is the product of all levels' maps.

References:
    Peng et al. 2023, U-Net v2: Rethinking the Skip Connections of U-Net for Medical Image Segmentation,
        arXiv 2311.17791.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.attention import ChannelAttention, SpatialAttention
from unetzoo.nn.blocks import spatial

TIMES = 4  # by which the logits of each level are enlarged


class Weighed(nn.Module):
    """CBAM without biases, then a 1x1 convolution and batch norm to few channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.by_channel, self.by_pixel = ChannelAttention(c_in), SpatialAttention(c_in)
        self.reduce = nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        return self.reduce(self.by_pixel(self.by_channel(x)))


class Infusion(nn.Module):
    """Semantics and detail infusion: the product of a 3x3 convolution of each level's map, in one level's size (SDI).

    Args:
        channels: Channels of all maps.
        level: The level whose size the result has, 0 being the finest.
        levels: Number of levels.
    """

    def __init__(self, channels: int, level: int, levels: int) -> None:
        super().__init__()
        self.level = level
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(levels))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        size, product = spatial(maps[self.level]), torch.ones_like(maps[self.level])
        for level, (conv, x) in enumerate(zip(self.convs, maps, strict=True)):
            if level < self.level:
                x = F.avg_pool2d(x, 2 ** (self.level - level))
            elif level > self.level:
                x = F.interpolate(x, size=size, mode="bilinear", align_corners=True)
            product = product * conv(x)
        return product


class SDIDecoder(nn.Module):
    """Levels weighed and cut to few channels, infused into one another, joined by transposed convolutions and sums.

    Args:
        channels: Channels of each level's map, finest first; each level has half the size of the one before.
        few: Channels inside.
        num_classes: Channels of the logits.
        heads: Levels that have logits.
    """

    def __init__(self, channels: Sequence[int], few: int, num_classes: int, heads: Collection[int]) -> None:
        super().__init__()
        levels = len(channels)
        self.weigh = nn.ModuleList(Weighed(c, few) for c in channels)
        self.infuse = nn.ModuleList(Infusion(few, level, levels) for level in range(levels))
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(few, few, 4, stride=2, padding=1, bias=False) for _ in range(levels - 1)
        )
        self.heads = nn.ModuleDict({str(level): nn.Conv2d(few, num_classes, 1) for level in sorted(heads)})

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the logits of the levels with a head, finest first, each of four times the size of its map."""
        few = [weigh(x) for weigh, x in zip(self.weigh, maps, strict=True)]
        skips = [infuse(few) for infuse in self.infuse]
        decoded = [skips.pop()]
        for up, skip in zip(reversed(self.ups), reversed(skips), strict=True):
            decoded.insert(0, up(decoded[0]) + skip)
        logits = (head(decoded[int(level)]) for level, head in self.heads.items())
        return [F.interpolate(y, scale_factor=float(TIMES), mode="bilinear", align_corners=False) for y in logits]
