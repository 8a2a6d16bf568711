"""Encoder: an image (N, C, H, W) to a pyramid, finest first; its last level is the bottleneck."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from unetzoo.nn.blocks import Part


class PlainEncoder(nn.Module):
    """A block per level with a Down between levels: level i has ``channels[i]`` and stride 2**i."""

    def __init__(self, in_channels: int, channels: Sequence[int], *, blocks: Sequence[Part], down: Part) -> None:
        super().__init__()
        self.channels = tuple(channels)
        inputs = (in_channels, *channels)[: len(channels)]
        self.levels = nn.ModuleList()
        for i, (c_in, c_out, block) in enumerate(zip(inputs, channels, blocks, strict=True)):
            level = nn.Sequential()
            if i:
                level.add_module("down", down(c_in))
            level.add_module("block", block(c_in, c_out))
            self.levels.append(level)

    def forward(self, x: Tensor) -> list[Tensor]:
        pyramid = []
        for level in self.levels:
            x = level(x)
            pyramid.append(x)
        return pyramid
