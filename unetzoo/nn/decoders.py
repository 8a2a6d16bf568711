"""Decoder: a pyramid (finest first) folded back to maps to be supervised, finest first; ``channels`` are theirs.

The first map has the finest level's size. `unetzoo.nn.full_scale` has the decoder of UNet 3+.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import Part

Align = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class DecoderStage(nn.Module):
    """Up, align, skip, block: from level i + 1 to level i, where maps of ``c_skip`` channels together wait."""

    def __init__(
        self,
        c_below: int,
        c_up: int,
        c_skip: int,
        c_out: int,
        *,
        up: Part,
        skip: Part,
        block: Part,
        align: Align,
    ) -> None:
        super().__init__()
        self.up = up(c_below, c_up)
        self.skip = skip(c_skip, c_up)
        self.block = block(self.skip.out_channels, c_out)
        self.align = align

    def forward(self, below: Tensor, *skips: Tensor) -> Tensor:
        waiting = skips[0] if len(skips) == 1 else torch.cat(skips, dim=1)
        return self.block(self.skip(*self.align(waiting, self.up(below, skips[0]))))


class ChainDecoder(nn.Module):
    """The U-Net's decoder: one stage per level, from the bottleneck up; its maps are those of all levels above.

    ``pyramid`` are the encoder's channels, finest first; the Up into level i gives ``up_channels[i]`` and that level's
    block, ``blocks[i]``, gives ``channels[i]``.
    """

    def __init__(
        self,
        pyramid: Sequence[int],
        up_channels: Sequence[int],
        channels: Sequence[int],
        *,
        up: Part,
        skip: Part,
        blocks: Sequence[Part],
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
        decoded = [pyramid[-1]]
        for stage, skip in zip(reversed(self.stages), reversed(pyramid[:-1]), strict=True):
            decoded.insert(0, stage(decoded[0], skip))
        return decoded[:-1]


class NestedDecoder(nn.Module):
    """UNet++'s: stages X(i, j) in every level i above the bottleneck, j from 1 (Zhou et al. 2018, arXiv 1807.10165).

    X(i, j) takes X(i, 0) .. X(i, j-1) as skips and X(i+1, j-1) from below. Its maps are those of the finest level,
    the last stage's first. Arguments as of `ChainDecoder`; X(i, j) has ``channels[i]``, X(i, 0) the pyramid's own.
    """

    def __init__(
        self,
        pyramid: Sequence[int],
        up_channels: Sequence[int],
        channels: Sequence[int],
        *,
        up: Part,
        skip: Part,
        blocks: Sequence[Part],
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
        stages = iter(self.stages)
        levels = [[level] for level in pyramid]
        for column in self.columns:
            for i in range(len(levels) - column):
                levels[i].append(next(stages)(levels[i + 1][column - 1], *levels[i]))
        return levels[0][:0:-1]
