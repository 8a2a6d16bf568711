"""UNet 3+ (Huang et al. 2020, arXiv 2004.08790): every decoder level sees every scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import Part, spatial

Resize = Callable[..., Tensor]


class FullScaleStage(nn.Module):
    """One layer a scale, each to ``c_cat`` channels at this level's size; concatenated, finest first, and fused.

    ``channels`` are those of all maps, finest first, of which number ``level`` has this level's size.
    """

    def __init__(self, channels: Sequence[int], level: int, c_cat: int, *, layer: Part, fuse: Part, resize: Resize):
        super().__init__()
        self.level, self.resize = level, resize
        self.layers = nn.ModuleList(layer(c, c_cat) for c in channels)
        self.fuse = fuse(c_cat * len(channels), c_cat * len(channels))

    def forward(self, *maps: Tensor) -> Tensor:
        size = spatial(maps[self.level])
        finer = [_pool(x, self.level - i, size) for i, x in enumerate(maps[: self.level])]
        coarser = [self.resize(x, size=size) for x in maps[self.level + 1 :]]
        same = [*finer, maps[self.level], *coarser]
        return self.fuse(torch.cat([layer(x) for layer, x in zip(self.layers, same, strict=True)], dim=1))


class FullScaleDecoder(nn.Module):
    """A `FullScaleStage` per level: encoder maps of its own and finer levels, decoder maps of the coarser.

    Its maps are those of all levels, the bottleneck last. ``pyramid`` are the encoder's channels; each stage gives
    ``c_cat`` times their number.
    """

    def __init__(self, pyramid: Sequence[int], c_cat: int, *, layer: Part, fuse: Part, resize: Resize) -> None:
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
        maps = list(pyramid)
        for i in reversed(range(len(self.stages))):
            maps[i] = self.stages[i](*pyramid[: i + 1], *maps[i + 1 :])
        return maps


def _pool(x: Tensor, levels: int, size: tuple[int, int]) -> Tensor:
    """Maxima of 2**levels x 2**levels pixels, cut to ``size``, which on the way down may have been rounded off."""
    h, w = spatial(x)
    pooled = F.max_pool2d(x, (min(2**levels, h), min(2**levels, w)), ceil_mode=True)
    return pooled[..., : size[0], : size[1]]
