"""UTNet: a residual U-Net with attention to a reduced map in encoder and decoder.

References:
    Gao et al. 2021, UTNet: A Hybrid Transformer Architecture for Medical Image Segmentation, arXiv 2107.00781.
    Code: yhygao/UTNet, model/utnet.py, UTNet.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import exporting, spatial
from unetzoo.nn.tokens import fitting_heads, offset_index
from unetzoo.standalone.common import AnySize, fraction, one_of, whole, wholes

DEPTH = 5


def interpolate(x: Tensor, size: Sequence[int]) -> Tensor:
    """Interpolate (N, C, h, w) bilinearly to ``size``, with aligned corners.

    Args:
        x: Map (N, C, h, w).
        size: Height and width of the result.
    """
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=True)


def norm_act(channels: int) -> nn.Sequential:
    """Return batch norm and ReLU."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class Block(nn.Module):
    """Two 3x3 layers, norm and ReLU first, and a shortcut: a 1x1 layer of the same kind where the channels change."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            norm_act(c_in),
            nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
            norm_act(c_out),
            nn.Conv2d(c_out, c_out, 3, padding=1, bias=False),
        )
        self.shortcut = nn.Sequential()
        if c_in != c_out:
            self.shortcut = nn.Sequential(norm_act(c_in), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


def separable(c_in: int, c_out: int) -> nn.Sequential:
    """Return a depthwise 3x3 and a 1x1 convolution without biases."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_in, 3, padding=1, groups=c_in, bias=False), nn.Conv2d(c_in, c_out, 1, bias=False)
    )


class Attention(nn.Module):
    """Attention of every pixel of (N, C, H, W) to a map reduced to ``side`` x ``side`` (paper, section 2.2).

    Keys and values come from the map itself or, with ``c_below``, from the coarser one (N, c_below, h, w).

    Args:
        channels: Channels of the map.
        heads: Number of heads; must divide ``channels``.
        side: Pixels to a side of the reduced map.
        reduce: "interpolate" or "maxpool".
        relative: Add a learnt bias per head and offset; a pixel has the position of the cell of the reduced map in
            which it lies.
        dropout: Probability of dropout on the weights and on the result.
        c_below: Channels of the coarser map, 0 for self-attention.
    """

    index: Tensor

    def __init__(
        self, channels: int, heads: int, side: int, reduce: str, relative: bool, dropout: float, c_below: int = 0
    ) -> None:
        super().__init__()
        self.heads, self.side, self.reduce, self.dropout = heads, side, reduce, dropout
        if c_below:
            self.query = separable(channels, channels)
            self.project = separable(c_below, 2 * channels)
        else:
            self.query = None
            self.project = separable(channels, 3 * channels)
        self.table = None
        if relative:
            self.table = nn.Parameter(0.02 * torch.randn((2 * side - 1) ** 2, heads))
            self.register_buffer("index", offset_index(side), persistent=False)
        self.out = nn.Sequential(separable(channels, channels), nn.Dropout(dropout))

    def forward(self, x: Tensor, below: Tensor | None = None) -> Tensor:
        """Map x (N, C, H, W) to (N, C, H, W); keys and values come from ``below`` (N, c_below, h, w) if it is given."""
        h, w = spatial(x)
        if self.query is not None and below is not None:
            query, (key, value) = self.query(x), self.project(below).chunk(2, dim=1)
        else:
            query, key, value = self.project(x).chunk(3, dim=1)
        query, key, value = (self._heads(y) for y in (query, self._reduced(key), self._reduced(value)))
        bias = None if self.table is None else self._bias(self.table, h, w) * query.shape[-1] ** -0.5
        dropout = self.dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
        return self.out(x.permute(0, 3, 1, 2).flatten(1, 2).unflatten(2, (h, w)))

    def _reduced(self, x: Tensor) -> Tensor:
        size = (self.side, self.side)
        if not exporting() and spatial(x) == size:
            return x
        return interpolate(x, size) if self.reduce == "interpolate" else F.adaptive_max_pool2d(x, size)

    def _heads(self, x: Tensor) -> Tensor:
        """Split (N, C, H, W) into (N, heads, H * W, C / heads); a head has every ``heads``-th channel."""
        return x.flatten(2).unflatten(1, (-1, self.heads)).permute(0, 2, 3, 1)

    def _bias(self, table: Tensor, h: int, w: int) -> Tensor:
        rows, columns = (torch.arange(size, device=table.device) * self.side // size for size in (h, w))
        grid = table[self.index].unflatten(0, (self.side, self.side))
        return grid[rows][:, columns].flatten(0, 1).movedim(-1, 0)


class Think(nn.Module):
    """Norm, ReLU and 1x1 convolution after an attention, with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(norm_act(channels), nn.Conv2d(channels, channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)


class AttentionBlock(nn.Module):
    """Self-attention after a norm, and `Think`, each with a shortcut."""

    def __init__(self, channels: int, *options: object) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.BatchNorm2d(channels), Attention(channels, *options))  # type: ignore[arg-type]
        self.think = Think(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.think(x + self.attend(x))


class AttentionUp(nn.Module):
    """Attention of the skip to the coarser map, to which that map is added interpolated; then the skip and a block."""

    def __init__(self, c_below: int, channels: int, *options: object) -> None:
        super().__init__()
        self.norm_below = nn.BatchNorm2d(c_below)
        self.norm_skip = nn.BatchNorm2d(channels)
        self.project = nn.Conv2d(c_below, channels, 1)
        self.attend = Attention(channels, *options, c_below)  # type: ignore[arg-type]
        self.think = Think(channels)
        self.block = Block(2 * channels, channels)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Map ``below`` (N, c_below, h, w) and ``skip`` (N, C, H, W) to (N, C, H, W)."""
        up = interpolate(self.project(below), spatial(skip))
        x = self.think(self.attend(self.norm_skip(skip), self.norm_below(below)) + up)
        return self.block(torch.cat((x, skip), dim=1))


class Up(nn.Module):
    """Bilinear interpolation and 1x1 convolution, concatenated after the skip; two blocks."""

    def __init__(self, c_below: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(c_below, channels, 1)
        self.blocks = nn.Sequential(Block(2 * channels, channels), Block(channels, channels))

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Map ``below`` (N, c_below, h, w) and ``skip`` (N, C, H, W) to (N, C, H, W)."""
        return self.blocks(torch.cat((skip, interpolate(self.project(below), spatial(skip))), dim=1))


class UTNet(AnySize):
    """Five levels of blocks, pooled by 2, with attention to reduced maps.

    Level i has ``width * 2**i`` channels. With ``deep_supervision``, ``forward_all`` also returns the logits of the
    three coarser stages, at the image's size.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        levels: Levels with attention, 0 being the finest (varied in the paper's ablations).
        blocks: Attention blocks of the levels 1 to 4; level 0 has one.
        heads: Heads of each attention, or as many as divide the channels.
        side: Pixels to a side of the reduced maps (varied in the paper's ablations).
        reduce: Reduction of keys and values: "interpolate" or "maxpool" (varied in the paper's ablations).
        relative: Use relative positions; False is an ablation of the paper.
        decoder_attention: Use attention in the decoder too; False is an ablation of the paper.
        deep_supervision: Supervise the three coarser stages too.
        dropout: Probability of dropout in every attention.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 2 ** (DEPTH - 1)
    least = 2 * multiple  # one pixel alone leaves batch norm nothing to normalise

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        levels: Sequence[int] = (1, 2, 3, 4),
        blocks: Sequence[int] = (1, 1, 1, 1),
        heads: int = 4,
        side: int = 8,
        reduce: str = "interpolate",
        relative: bool = True,
        decoder_attention: bool = True,
        deep_supervision: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        whole(width=width, heads=heads, side=side)
        wholes(4, blocks=blocks)
        one_of(("interpolate", "maxpool"), reduce=reduce)
        fraction(dropout=dropout)
        if not isinstance(levels, list | tuple) or any(type(i) is not int or not 0 <= i < DEPTH for i in levels):
            raise UnetzooError(f"option levels = {levels!r}: must be a list of whole numbers from 0 to {DEPTH - 1}")
        channels = [width * 2**i for i in range(DEPTH)]

        def options(i: int) -> tuple[object, ...]:
            return fitting_heads(channels[i], heads), side, reduce, relative, dropout

        def level(i: int) -> nn.Sequential:
            first = Block(channels[i - 1] if i else in_channels, channels[i])
            if i not in levels:
                return nn.Sequential(first, Block(channels[i], channels[i]))
            count = blocks[i - 1] if i else 1
            return nn.Sequential(first, *(AttentionBlock(channels[i], *options(i)) for _ in range(count)))

        self.encoder = nn.ModuleList(level(i) for i in range(DEPTH))
        self.decoder = nn.ModuleList(
            AttentionUp(channels[i + 1], channels[i], *options(i))
            if i in levels and decoder_attention
            else Up(channels[i + 1], channels[i])
            for i in range(DEPTH - 1)
        )
        self.head = nn.Conv2d(width, num_classes, 1)
        self.side_heads = nn.ModuleList(nn.Conv2d(c, num_classes, 1) for c in channels[1:-1] if deep_supervision)

    def logits(self, x: Tensor) -> Tensor:
        return self.head(self._decoded(x)[0])

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the logits (N, num_classes, H, W) of the supervised stages, finest first."""
        h, w = spatial(x)
        x = self.fit(x)
        finest, *coarser = self._decoded(x)
        sides = [interpolate(head(y), spatial(x)) for head, y in zip(self.side_heads, coarser, strict=False)]
        return [logits[..., :h, :w] for logits in (self.head(finest), *sides)]

    def _decoded(self, x: Tensor) -> list[Tensor]:
        """Return the map of each stage of the decoder, finest first."""
        pyramid: list[Tensor] = []
        for i, level in enumerate(self.encoder):
            x = level(F.max_pool2d(x, 2) if i else x)
            pyramid.append(x)
        decoded = [pyramid.pop()]
        for stage, skip in zip(reversed(self.decoder), reversed(pyramid), strict=True):
            decoded.insert(0, stage(decoded[0], skip))
        return decoded[:-1]
