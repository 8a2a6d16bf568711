"""Encoder: from an image (N, C, H, W) to a pyramid, finest level first; the last level is the bottleneck."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from unetzoo.nn.blocks import MakeModule


class PlainEncoder(nn.Module):
    """The U-Net's encoder: a Block per level and a Down between levels; level i has stride 2**i.

    Args:
        in_channels: Channels of the image.
        channels: Output channels of each level, finest first.
        blocks: The Block of each level.
        down: The Down between all levels.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], *, blocks: Sequence[MakeModule], down: MakeModule
    ) -> None:
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
        """Map (N, in_channels, H, W) to the pyramid: a list of maps (N, channels[i], H / 2**i, W / 2**i)."""
        pyramid = []
        for level in self.levels:
            x = level(x)
            pyramid.append(x)
        return pyramid
