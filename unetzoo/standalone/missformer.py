"""MISSFormer: a U-Net of transformer blocks, its skips bridged by another transformer.

References:
    Huang et al. 2021, MISSFormer: An Effective Medical Image Segmentation Transformer, arXiv 2109.07162.
    Code: ZhifangDeng/MISSFormer, networks/MISSFormer.py, MISSFormer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unetzoo.errors import UnetzooError
from unetzoo.nn.tokens import Expand, ReducedAttention, attend
from unetzoo.standalone.common import AnySize, one_of, whole

MULTIPLES = (1, 2, 5, 8)  # channels of each level over ``width``, and its heads
REDUCTIONS = (8, 4, 2, 1)  # factors by which the map for a level's keys and values is smaller
FFNS = ("mix_skip", "mix", "plain")


def on_map(conv: nn.Module, x: Tensor) -> Tensor:
    """Apply a convolution to (N, H, W, C) and return its result in the same layout."""
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class MixFFN(nn.Module):
    """Linear layer to several times the channels, depthwise 3x3 convolution, GELU, linear layer back.

    Args:
        channels: Channels of input and output.
        kind: "mix_skip" adds the convolution's input to it and normalises the sum (the paper's Enhanced Mix-FFN); "mix"
            does not (SegFormer's); "plain" has no convolution.
        expansion: Channels between the two linear layers over ``channels``.
    """

    def __init__(self, channels: int, kind: str = "mix_skip", *, expansion: int = 4) -> None:
        super().__init__()
        inner = expansion * channels
        self.kind = kind
        self.first = nn.Linear(channels, inner)
        self.conv = nn.Sequential() if kind == "plain" else nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.norm = nn.LayerNorm(inner) if kind == "mix_skip" else nn.Identity()
        self.last = nn.Sequential(nn.GELU(), nn.Linear(inner, channels))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = on_map(self.conv, x)
        return self.last(self.norm(x + y) if self.kind == "mix_skip" else y)


class Block(nn.Module):
    """`ReducedAttention` and `MixFFN` on (N, H, W, C), each after a norm and with a shortcut."""

    def __init__(self, channels: int, heads: int, reduction: int, ffn: str) -> None:
        super().__init__()
        self.norm, self.attend = nn.LayerNorm(channels), ReducedAttention(channels, heads, reduction)
        self.think = nn.Sequential(nn.LayerNorm(channels), MixFFN(channels, ffn))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[1:3]
        x = x + self.attend(self.norm(x).flatten(1, 2), size).unflatten(1, size)
        return x + self.think(x)


class BridgeLayer(nn.Module):
    """Attention among the tokens of several levels, all cut to ``width`` channels, then a `MixFFN` for each level.

    A token of (H, W, m * width) becomes m tokens in a row. Keys and values see the finer levels reduced to the coarsest
    level's grid. A reduced map is cut channel by channel, so its m tokens have other channels than those of the
    queries, as in the authors' code.

    Args:
        width: Channels of a token.
        multiples: Channels m of each level as a multiple of ``width``, finest first.
    """

    def __init__(self, width: int, multiples: tuple[int, ...]) -> None:
        super().__init__()
        self.width, self.multiples = width, multiples
        self.norm = nn.LayerNorm(width)
        self.query, self.project = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.reduce = nn.ModuleList(
            nn.Conv2d(m * width, m * width, 2 ** (len(multiples) - 1 - i), stride=2 ** (len(multiples) - 1 - i))
            for i, m in enumerate(multiples[:-1])
        )
        self.norm_reduced = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.norm_ffn = nn.LayerNorm(width)
        self.ffns = nn.ModuleList(MixFFN(m * width) for m in multiples)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Return the bridged levels for levels (N, H, W, m * width), finest first."""
        levels = [x + y for x, y in zip(levels, self._attend([self._cut(self.norm, x) for x in levels]), strict=True)]
        return [x + ffn(self._cut(self.norm_ffn, x)) for x, ffn in zip(levels, self.ffns, strict=True)]

    def _cut(self, layer: nn.Module, x: Tensor) -> Tensor:
        """Apply a layer to the tokens of ``width`` channels into which (N, H, W, m * width) is cut."""
        return layer(x.unflatten(-1, (-1, self.width))).flatten(-2)

    def _attend(self, levels: list[Tensor]) -> list[Tensor]:
        tokens = [x.reshape(len(x), -1, self.width) for x in levels]
        reduced = [
            reduce(x.permute(0, 3, 1, 2)).reshape(len(x), self.width, -1).transpose(1, 2)
            for reduce, x in zip(self.reduce, levels, strict=False)
        ]
        seen = self.norm_reduced(torch.cat([*reduced, tokens[-1]], dim=1))
        key, value = self.project(seen).chunk(2, dim=-1)
        together = self.out(attend(self.query(torch.cat(tokens, dim=1)), key, value, heads=1))
        parts = together.split([x.shape[1] for x in tokens], dim=1)
        return [part.reshape(x.shape) for part, x in zip(parts, levels, strict=True)]


class MISSFormer(AnySize):
    """Four levels of two `Block`s, overlapping patches down, patch expanding up, `BridgeLayer`s on the skips.

    Level i has ``width * (1, 2, 5, 8)[i]`` channels, stride ``4 * 2**i`` and 1, 2, 5 or 8 heads.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        ffn: Kind of `MixFFN` in the blocks: "mix_skip", or "mix" or "plain" (ablations of the paper).
        bridge_layers: Number of `BridgeLayer`s, 0 for none (an ablation of the paper).
        bridge_levels: Number of the coarsest levels that are bridged, 1 to 4 (an ablation of the paper).

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 32

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 64,
        ffn: str = "mix_skip",
        bridge_layers: int = 4,
        bridge_levels: int = 4,
    ) -> None:
        super().__init__()
        whole(width=width, bridge_levels=bridge_levels)
        whole(0, bridge_layers=bridge_layers)
        if bridge_levels > len(MULTIPLES):
            raise UnetzooError(f"option bridge_levels = {bridge_levels}: must be at most {len(MULTIPLES)}")
        one_of(FFNS, ffn=ffn)
        channels = [m * width for m in MULTIPLES]

        def blocks(i: int) -> nn.Sequential:
            return nn.Sequential(*(Block(channels[i], MULTIPLES[i], REDUCTIONS[i], ffn) for _ in range(2)))

        self.embed = nn.ModuleList(
            nn.Conv2d(c_in, c, 3 if i else 7, stride=2 if i else 4, padding=1 if i else 3)
            for i, (c_in, c) in enumerate(zip((in_channels, *channels), channels, strict=False))
        )
        self.norm_embedded = nn.ModuleList(nn.LayerNorm(c) for c in channels)
        self.encoder = nn.ModuleList(blocks(i) for i in range(4))
        self.norm_encoded = nn.ModuleList(nn.LayerNorm(c) for c in channels)
        self.bridged = bridge_levels
        self.bridge = nn.Sequential(*(BridgeLayer(width, MULTIPLES[-bridge_levels:]) for _ in range(bridge_layers)))
        up = [max(1, c // 2) for c in channels]
        self.ups = nn.ModuleList(Expand(channels[i + 1], up[i + 1]) for i in range(3))
        self.fuse = nn.ModuleList(nn.Linear(up[i + 1] + channels[i], channels[i]) for i in range(3))
        self.decoder = nn.ModuleList(blocks(i) for i in range(3))
        self.last = Expand(width, width, 4)
        self.head = nn.Conv2d(width, num_classes, 1)
        for module in (self.ups, self.fuse, self.decoder, self.last, self.head):
            module.apply(init_xavier)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for embed, norm, blocks, norm_out in zip(
            self.embed, self.norm_embedded, self.encoder, self.norm_encoded, strict=True
        ):
            tokens = norm_out(blocks(norm(embed(x).permute(0, 2, 3, 1))))
            pyramid.append(tokens)
            x = tokens.permute(0, 3, 1, 2)
        pyramid[-self.bridged :] = self.bridge(pyramid[-self.bridged :])
        x = pyramid[-1]
        for i in reversed(range(3)):
            x = self.decoder[i](self.fuse[i](torch.cat((self.ups[i](x), pyramid[i]), dim=-1)))
        return self.head(self.last(x).permute(0, 3, 1, 2))


def init_xavier(module: nn.Module) -> None:
    """Initialise a layer as the authors' decoder: Xavier-uniform weights, biases 0."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
