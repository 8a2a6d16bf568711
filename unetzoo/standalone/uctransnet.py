"""UCTransNet: a U-Net whose skips are fused by attention among channels.

References:
    Wang et al. 2021, UCTransNet: Rethinking the Skip Connections in U-Net from a Channel-wise Perspective with
        Transformer, arXiv 2109.04335.
    Code: McGregorWwww/UCTransNet, nets/UCTransNet.py, UCTransNet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import ConvNormAct, DoubleConv, spatial
from unetzoo.nn.tokens import MLP, Positions
from unetzoo.standalone.common import AnySize, fraction, whole

STRIDE = 16  # pixels to a token, at every level
LEVELS = 4  # those with a skip


def layer(c_in: int, c_out: int) -> nn.Module:
    """Return a 3x3 convolution with bias, batch norm and ReLU."""
    return ConvNormAct(c_in, c_out, conv=nn.Conv2d, norm=nn.BatchNorm2d, act=nn.ReLU, kernel_size=3, padding=1)


def norms(channels: Sequence[int]) -> nn.ModuleList:
    """Return a layer norm for each number of channels."""
    return nn.ModuleList(nn.LayerNorm(c, eps=1e-6) for c in channels)


class ChannelAttention(nn.Module):
    """Attention of each level's channels (N, L, C_i) to all levels' (N, L, C), for the same number L of tokens at each.

    Scores are instance-normed over a head's C_i x C before the softmax. Heads have all channels and are averaged.

    Args:
        channels: Channels C_i of each level; they sum to C.
        heads: Number of heads.
        dropout: Probability of dropout on the weights and on the result.
    """

    def __init__(self, channels: Sequence[int], heads: int, dropout: float) -> None:
        super().__init__()

        def each_head(c: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Linear(c, c, bias=False) for _ in range(heads))

        self.queries = nn.ModuleList(each_head(c) for c in channels)
        self.keys, self.values = each_head(sum(channels)), each_head(sum(channels))
        self.out = nn.ModuleList(nn.Linear(c, c, bias=False) for c in channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, levels: list[Tensor], together: Tensor) -> list[Tensor]:
        """Return what each level (N, L, C_i) attends to in ``together`` (N, L, C), in the shape of the levels."""
        keys, values = (torch.stack([head(together) for head in heads], dim=1) for heads in (self.keys, self.values))
        attended: list[Tensor] = []
        for x, queries, out in zip(levels, self.queries, self.out, strict=True):
            query = torch.stack([head(x) for head in queries], dim=1)  # type: ignore[union-attr]
            scores = query.transpose(2, 3) @ keys / math.sqrt(together.shape[-1])  # (N, heads, C_i, C)
            scores = torch.instance_norm(
                scores, None, None, None, None, True, 0.0, 1e-5, torch.backends.cudnn.enabled
            )  # torch.nn's instance norm refuses a single value
            x = self.dropout(scores.softmax(dim=-1)) @ values.transpose(2, 3)
            attended.append(self.dropout(out(x.mean(dim=1).transpose(1, 2))))
        return attended


class Layer(nn.Module):
    """`ChannelAttention` and an `MLP` for each level, after norms and with shortcuts."""

    def __init__(self, channels: Sequence[int], heads: int, dropout: float) -> None:
        super().__init__()
        self.norms = norms(channels)
        self.norm_together = nn.LayerNorm(sum(channels), eps=1e-6)
        self.attend = ChannelAttention(channels, heads, dropout)
        self.think = nn.ModuleList(nn.Sequential(nn.LayerNorm(c, eps=1e-6), MLP(c)) for c in channels)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Map the tokens (N, L, C_i) of each level to tokens of the same shape."""
        normed = [norm(x) for norm, x in zip(self.norms, levels, strict=True)]
        attended = self.attend(normed, self.norm_together(torch.cat(levels, dim=-1)))
        levels = [x + y for x, y in zip(levels, attended, strict=True)]
        return [x + think(x) for think, x in zip(self.think, levels, strict=True)]


class ChannelTransformer(nn.Module):
    """Channel-wise cross fusion transformer (CCT): `Layer`s on skips as tokens of 16x16 pixels, added to the skips.

    Args:
        channels: Channels of the levels whose skips are fused.
        strides: Strides of these levels.
        layers: Number of `Layer`s.
        heads: Heads of each layer.
        side: Tokens to a side of the grid on which positions are learnt.
        dropout: Probability of dropout in every layer.
    """

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], layers: int, heads: int, side: int, dropout: float
    ) -> None:
        super().__init__()
        self.patches = [STRIDE // stride for stride in strides]
        self.embed = nn.ModuleList(nn.Conv2d(c, c, p, stride=p) for c, p in zip(channels, self.patches, strict=True))
        self.positions = nn.ModuleList(Positions(side, c) for c in channels)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(*(Layer(channels, heads, dropout) for _ in range(layers)))
        self.norms = norms(channels)
        self.back = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, 1), nn.BatchNorm2d(c), nn.ReLU(inplace=True)) for c in channels
        )

    def forward(self, skips: list[Tensor]) -> list[Tensor]:
        """Return the fused skips, of the same shapes (N, C_i, H_i, W_i)."""
        embedded = [embed(x) for embed, x in zip(self.embed, skips, strict=True)]
        h, w = spatial(embedded[0])
        levels = [
            self.dropout(x.flatten(2).transpose(1, 2) + positions(h, w))
            for positions, x in zip(self.positions, embedded, strict=True)
        ]
        levels = [norm(x) for norm, x in zip(self.norms, self.layers(levels), strict=True)]
        maps = [x.transpose(1, 2).unflatten(2, (h, w)) for x in levels]
        maps = [F.interpolate(x, scale_factor=float(p)) for x, p in zip(maps, self.patches, strict=True)]
        return [skip + back(x) for skip, back, x in zip(skips, self.back, maps, strict=True)]


class ChannelGate(nn.Module):
    """Channel-wise cross attention (CCA): the skip's channels weighed by its mean and the coarser map's, then ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.see_skip = nn.Linear(channels, channels)
        self.see_up = nn.Linear(channels, channels)

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Weigh ``skip`` (N, C, H, W) by itself and by ``up`` (N, C, H, W)."""
        weight = (self.see_skip(skip.mean(dim=(2, 3))) + self.see_up(up.mean(dim=(2, 3)))) / 2
        return F.relu(skip * weight.sigmoid()[..., None, None])


class UCTransNet(AnySize):
    """U-Net of five levels whose four skips pass `ChannelTransformer` and then each a `ChannelGate`.

    There is one layer at the finest level, and two elsewhere; upsampling is to the nearest neighbour. Positions are
    learnt for images of ``image_size`` and interpolated to others.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        levels: Levels whose skips pass the transformer, 1 being the finest; an empty list leaves it out. Fewer than
            four are ablations of the paper.
        layers: Layers of the transformer (varied in the paper's ablations).
        heads: Heads of the transformer (varied in the paper's ablations).
        cca: False leaves the gates out (an ablation of the paper).
        image_size: Pixels to a side of the images for which positions are learnt.
        dropout: Probability of dropout in the transformer.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = STRIDE
    least = 2 * STRIDE  # one pixel alone leaves batch norm nothing to normalise

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 64,
        levels: Sequence[int] = (1, 2, 3, 4),
        layers: int = 4,
        heads: int = 4,
        cca: bool = True,
        image_size: int = 224,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        whole(width=width, layers=layers, heads=heads)
        whole(STRIDE, image_size=image_size)
        fraction(dropout=dropout)
        good = isinstance(levels, list | tuple) and all(type(i) is int and 1 <= i <= LEVELS for i in levels)
        if not good or len(set(levels)) < len(levels):
            raise UnetzooError(f"option levels = {levels!r}: must be a list of distinct whole numbers from 1 to 4")
        self.levels = sorted(i - 1 for i in levels)
        channels = [width * 2**i for i in range(LEVELS)]
        below = [*channels[1:], channels[-1]]
        self.encoder = nn.ModuleList(
            [
                layer(in_channels, width),
                *(DoubleConv(a, b, layer=layer) for a, b in zip(channels, below, strict=True)),
            ]
        )
        self.cct = None
        if self.levels:
            chosen, strides = [channels[i] for i in self.levels], [2**i for i in self.levels]
            self.cct = ChannelTransformer(chosen, strides, layers, heads, image_size // STRIDE, dropout)
        self.gates = nn.ModuleList(ChannelGate(c) for c in channels if cca)
        self.decoder = nn.ModuleList(
            DoubleConv(2 * c, c_out, layer=layer) for c, c_out in zip(channels, (width, *channels), strict=False)
        )
        self.head = nn.Conv2d(width, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for i, level in enumerate(self.encoder):
            x = level(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        x = skips.pop()
        if self.cct is not None:
            for i, skip in zip(self.levels, self.cct([skips[i] for i in self.levels]), strict=True):
                skips[i] = skip
        for i in reversed(range(LEVELS)):
            x = F.interpolate(x, scale_factor=2.0)
            skip = self.gates[i](skips[i], x) if self.gates else skips[i]
            x = self.decoder[i](torch.cat((skip, x), dim=1))
        return self.head(x)
