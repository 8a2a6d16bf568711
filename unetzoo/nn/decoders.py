"""Decoder: from a pyramid, finest level first, to the maps that the heads read, finest first.

The first map has the size of the finest level; ``channels`` are the channels of the maps. `unetzoo.nn.full_scale` has
the decoder of UNet 3+.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import MakeModule

Align = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class DecoderStage(nn.Module):
    """One step of a decoder from level i + 1 to level i: Up, align, Skip, Block.

    Args:
        c_below: Channels of the map from level i + 1.
        c_up: Channels of the upsampled map.
        c_skip: Channels of all skipped maps of level i together.
        c_out: Output channels.
        up: The Up, called as ``up(c_below, c_up)``.
        skip: The Skip, called as ``skip(c_skip, c_up)``.
        block: The Block.
        align: Function of the skipped and the upsampled map that returns both in the same size.
    """

    def __init__(
        self,
        c_below: int,
        c_up: int,
        c_skip: int,
        c_out: int,
        *,
        up: MakeModule,
        skip: MakeModule,
        block: MakeModule,
        align: Align,
    ) -> None:
        super().__init__()
        self.up = up(c_below, c_up)
        self.skip = skip(c_skip, c_up)
        self.block = block(self.skip.out_channels, c_out)
        self.align = align

    def forward(self, below: Tensor, *skips: Tensor) -> Tensor:
        """Map (N, c_below, H, W) and skipped maps (N, C, H', W') to (N, c_out, H'', W'')."""
        skipped = skips[0] if len(skips) == 1 else torch.cat(skips, dim=1)
        return self.block(self.skip(*self.align(skipped, self.up(below, skips[0]))))


class ChainDecoder(nn.Module):
    """The U-Net's decoder: one stage per level from the bottleneck up, which returns the map of every stage.

    Args:
        pyramid: Channels of the encoder's levels, finest first.
        up_channels: Output channels of the Up into each level above the bottleneck.
        channels: Output channels of the Block of each level above the bottleneck.
        up: The Up of all stages.
        skip: The Skip of all stages.
        blocks: The Block of each level above the bottleneck.
        align: Function of the skipped and the upsampled map that returns both in the same size.
    """

    def __init__(
        self,
        pyramid: Sequence[int],
        up_channels: Sequence[int],
        channels: Sequence[int],
        *,
        up: MakeModule,
        skip: MakeModule,
        blocks: Sequence[MakeModule],
        align: Align,
    ) -> None:
        super().__init__()
        self.channels = tuple(channels)
        below = (*channels[1:], pyramid[-1])
        self.stages = nn.ModuleList(
            DecoderStage(*widths, up=up, skip=skip, block=block, align=align)
            for *widths, block in zip(below, up_channels, pyramid[:-1], channels, blocks, strict=True)
        )

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        """Map a pyramid of maps (N, C, H, W), finest first, to the map of every level above the bottleneck."""
        decoded = [pyramid[-1]]
        for stage, skip in zip(reversed(self.stages), reversed(pyramid[:-1]), strict=True):
            decoded.insert(0, stage(decoded[0], skip))
        return decoded[:-1]


class NestedDecoder(nn.Module):
    """The decoder of UNet++: nodes X(i, j), j from 1, in every level i above the bottleneck.

    X(i, 0) is level i of the pyramid. X(i, j) reads X(i, 0) to X(i, j - 1) as skips and X(i + 1, j - 1) from below. The
    decoder returns the maps X(0, j) of the finest level, the largest j first.

    Args:
        pyramid: Channels of the encoder's levels, finest first.
        up_channels: Output channels of the Up into each level above the bottleneck.
        channels: Output channels of the Blocks of each level above the bottleneck.
        up: The Up of all nodes.
        skip: The Skip of all nodes.
        blocks: The Block of each level above the bottleneck.
        align: Function of the skipped and the upsampled map that returns both in the same size.

    References:
        Zhou et al. 2018, arXiv 1807.10165.
    """

    def __init__(
        self,
        pyramid: Sequence[int],
        up_channels: Sequence[int],
        channels: Sequence[int],
        *,
        up: MakeModule,
        skip: MakeModule,
        blocks: Sequence[MakeModule],
        align: Align,
    ) -> None:
        super().__init__()
        self.channels = (channels[0],) * len(channels)
        self.columns = range(1, len(pyramid))
        self.stages = nn.ModuleList()
        for column in self.columns:
            below = pyramid[1:] if column == 1 else channels[1:]
            for i in range(len(channels) + 1 - column):
                widths = (below[i], up_channels[i], pyramid[i] + (column - 1) * channels[i], channels[i])
                self.stages.append(DecoderStage(*widths, up=up, skip=skip, block=blocks[i], align=align))

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        """Map a pyramid of maps (N, C, H, W), finest first, to the maps of the finest level, the last node's first."""
        stages = iter(self.stages)
        levels = [[level] for level in pyramid]
        for column in self.columns:
            for i in range(len(levels) - column):
                levels[i].append(next(stages)(levels[i + 1][column - 1], *levels[i]))
        return levels[0][:0:-1]
