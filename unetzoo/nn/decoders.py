"""Decoder: a pyramid (finest first) folded back to maps of the finest level's size, finest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from unetzoo.nn.blocks import Part

Align = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class DecoderStage(nn.Module):
    """Up, align, skip, block: from level i + 1 to level i."""

    def __init__(
        self, c_below: int, c_up: int, c_skip: int, *, up: Part, skip: Part, block: Part, align: Align
    ) -> None:
        super().__init__()
        self.up = up(c_below, c_up)
        self.skip = skip(c_skip, c_up)
        self.block = block(self.skip.out_channels, c_skip)
        self.align = align

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        return self.block(self.skip(*self.align(skip, self.up(below))))


class ChainDecoder(nn.Module):
    """The U-Net's decoder: one stage per level, from the bottleneck up.

    ``channels`` are the pyramid's, finest first; ``up_channels[i]`` is what the Up into level i gives.
    """

    def __init__(
        self,
        channels: Sequence[int],
        up_channels: Sequence[int],
        *,
        up: Part,
        skip: Part,
        block: Part,
        align: Align,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            DecoderStage(c_below, c_up, c_skip, up=up, skip=skip, block=block, align=align)
            for c_below, c_up, c_skip in zip(channels[1:], up_channels, channels[:-1], strict=True)
        )

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        decoded = [pyramid[-1]]
        for stage, skip in zip(reversed(self.stages), reversed(pyramid[:-1]), strict=True):
            decoded.insert(0, stage(decoded[0], skip))
        return decoded[:-1]
