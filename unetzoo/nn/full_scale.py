"""Decoder of UNet 3+ (Huang et al. 2020, arXiv 2004.08790), in which every level reads maps of every scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import MakeModule, spatial

Resize = Callable[..., Tensor]


class FullScaleStage(nn.Module):
    """One level of the decoder: brings the map of each scale to this level's size, concatenates and fuses them.

    Args:
        channels: Channels of the maps of all scales, finest first.
        level: Index of the map that already has this level's size.
        c_cat: Channels to which each map is reduced before the concatenation.
        layer: The layer that reduces each map.
        fuse: The Block on the concatenation, from and to ``c_cat * len(channels)`` channels.
        resize: Function that enlarges a coarser map, called as ``resize(x, size=(H, W))``.
    """

    def __init__(
        self, channels: Sequence[int], level: int, c_cat: int, *, layer: MakeModule, fuse: MakeModule, resize: Resize
    ):
        super().__init__()
        self.level, self.resize = level, resize
        self.layers = nn.ModuleList(layer(c, c_cat) for c in channels)
        self.fuse = fuse(c_cat * len(channels), c_cat * len(channels))

    def forward(self, *maps: Tensor) -> Tensor:
        """Map the maps of all scales, finest first, to (N, c_cat * scales, H, W) in this level's size."""
        size = spatial(maps[self.level])
        finer = [_pool(x, self.level - i, size) for i, x in enumerate(maps[: self.level])]
        coarser = [self.resize(x, size=size) for x in maps[self.level + 1 :]]
        same = [*finer, maps[self.level], *coarser]
        return self.fuse(torch.cat([layer(x) for layer, x in zip(self.layers, same, strict=True)], dim=1))


class FullScaleDecoder(nn.Module):
    """A `FullScaleStage` per level, which reads encoder maps of this and finer levels and decoder maps of coarser ones.

    The decoder returns the maps of all levels, the bottleneck last. Those of the stages have ``c_cat * len(pyramid)``
    channels.

    Args:
        pyramid: Channels of the encoder's levels, finest first.
        c_cat: Channels to which each stage reduces the map of a scale.
        layer: The layer that reduces a map.
        fuse: The Block of each stage.
        resize: Function that enlarges a coarser map, called as ``resize(x, size=(H, W))``.

    References:
        UNet 3+, Huang et al. 2020, arXiv 2004.08790.
    """

    def __init__(
        self, pyramid: Sequence[int], c_cat: int, *, layer: MakeModule, fuse: MakeModule, resize: Resize
    ) -> None:
        super().__init__()
        depth = len(pyramid)
        self.channels = (*[c_cat * depth] * (depth - 1), pyramid[-1])
        self.stages = nn.ModuleList(
            FullScaleStage(
                (*pyramid[: i + 1], *self.channels[i + 1 :]), i, c_cat, layer=layer, fuse=fuse, resize=resize
            )
            for i in range(depth - 1)
        )

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        """Map a pyramid of maps (N, C, H, W), finest first, to the maps of all levels, finest first."""
        maps = list(pyramid)
        for i in reversed(range(len(self.stages))):
            maps[i] = self.stages[i](*pyramid[: i + 1], *maps[i + 1 :])
        return maps


def _pool(x: Tensor, levels: int, size: tuple[int, int]) -> Tensor:
    """Return the maxima of squares of 2**levels pixels, cut to ``size``, which the encoder may have rounded down."""
    h, w = spatial(x)
    pooled = F.max_pool2d(x, (min(2**levels, h), min(2**levels, w)), ceil_mode=True)
    return pooled[..., : size[0], : size[1]]
