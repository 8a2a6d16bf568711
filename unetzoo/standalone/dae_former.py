"""DAE-Former: a U-shaped transformer of efficient attention over tokens and over channels.

References:
    Azad et al. 2022, DAE-Former: Dual Attention-guided Efficient Transformer for Medical Image Segmentation,
        arXiv 2212.13504.
    Code: xmindflow/DAEFormer, networks/DAEFormer.py, DAEFormer.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.tokens import Expand, fitting_heads
from unetzoo.standalone.common import AnySize, whole
from unetzoo.standalone.missformer import MULTIPLES, MixFFN, init_xavier


def efficient(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Compute attention whose cost is linear in the tokens: softmax of queries and keys apart (arXiv 1812.01243).

    Args:
        query: Queries (N, L, C), normalised over their channels.
        key: Keys (N, L, C), normalised over the tokens.
        value: Values (N, L, D).

    Returns:
        The attended values, (N, L, D).
    """
    return query.softmax(dim=2) @ (key.softmax(dim=1).transpose(1, 2) @ value)


class TokenAttention(nn.Module):
    """`efficient` self-attention of (N, L, C), of one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(efficient(self.query(x), self.key(x), self.value(x)))


class ChannelAttention(nn.Module):
    """Attention among the channels of each head of (N, L, C), by the cosine of two channels' tokens.

    Args:
        channels: Channels of input and output.
        heads: Number of heads, each with a factor of its own on the cosines; must divide ``channels``.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.project = nn.Linear(channels, 3 * channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        heads = len(self.temperature)
        query, key, value = (y.transpose(1, 2).unflatten(1, (heads, -1)) for y in self.project(x).chunk(3, dim=-1))
        cosines = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(2, 3)
        attended = (cosines * self.temperature).softmax(dim=-1) @ value
        # (N, heads, C / heads, L): the code puts the channels of a head apart, next to those of the other heads.
        return self.out(attended.permute(0, 3, 1, 2).flatten(2))


class DualBlock(nn.Module):
    """`ChannelAttention`, `MixFFN`, `TokenAttention` and another `MixFFN`, each after a norm and with a shortcut."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm_channels, self.norm_tokens = nn.LayerNorm(channels), nn.LayerNorm(channels)
        # A head of one channel would attend to nothing but itself.
        self.channels = ChannelAttention(channels, fitting_heads(channels, max(1, min(heads, channels // 2))))
        self.tokens = TokenAttention(channels)
        self.first, self.second = (nn.Sequential(nn.LayerNorm(channels), MixFFN(channels)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        size = x.shape[1:3]
        x = x + self.channels(self.norm_channels(x).flatten(1, 2)).unflatten(1, size)
        x = x + self.first(x)
        x = x + self.tokens(self.norm_tokens(x).flatten(1, 2)).unflatten(1, size)
        return x + self.second(x)


class CrossSkip(nn.Module):
    """The decoder's tokens seen through the skip's attention, added to both concatenated, and a `MixFFN`.

    Queries and keys are the skip's tokens, values the decoder's; one norm serves both.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.out = nn.Sequential(nn.Linear(channels, 2 * channels), nn.LayerNorm(2 * channels))
        self.think = nn.Sequential(nn.LayerNorm(2 * channels), MixFFN(2 * channels, expansion=2))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map tokens (N, H, W, C) and a skip of this shape to (N, H, W, 2 * C)."""
        size = x.shape[1:3]
        value, seen = (self.norm(y).flatten(1, 2) for y in (x, skip))
        x = torch.cat((x, skip), dim=-1) + self.out(efficient(seen, seen, value)).unflatten(1, size)
        return x + self.think(x)


class DAEFormer(AnySize):
    """Four levels of two `DualBlock`s, overlapping patches down, patch expanding up, three `CrossSkip`s.

    Level i has ``width * (1, 2, 5, 8)[i]`` channels and stride ``4 * 2**i``.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        heads: Heads of the attention among channels, or as many as divide a level's channels into two or more each.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 32

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 64, heads: int = 8) -> None:
        super().__init__()
        whole(width=width, heads=heads)
        c = [m * width for m in MULTIPLES]

        def blocks(channels: int) -> nn.Sequential:
            return nn.Sequential(*(DualBlock(channels, heads) for _ in range(2)))

        self.embed = nn.ModuleList(
            nn.Conv2d(a, b, 3 if i else 7, stride=2 if i else 4, padding=1 if i else 3)
            for i, (a, b) in enumerate(itertools.pairwise((in_channels, *c)))
        )
        self.encoder = nn.ModuleList(nn.Sequential(nn.LayerNorm(b), blocks(b), nn.LayerNorm(b)) for b in c)
        up = [max(1, b // 2) for b in c]
        self.ups = nn.ModuleList(Expand(c[i + 1], up[i + 1]) for i in range(3))
        self.match = nn.ModuleList(nn.Linear(up[i + 1], c[i]) for i in range(3))
        self.skips = nn.ModuleList(CrossSkip(c[i]) for i in range(3))
        self.decoder = nn.ModuleList(nn.Sequential(nn.Linear(2 * c[i], c[i]), blocks(c[i])) for i in range(3))
        self.last = Expand(width, width, 4)
        self.head = nn.Conv2d(width, num_classes, 1)
        for part in (self.ups, self.match, self.skips, self.decoder, self.last, self.head):
            part.apply(init_xavier)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for embed, level in zip(self.embed, self.encoder, strict=True):
            pyramid.append(level(embed(x).permute(0, 2, 3, 1)))
            x = pyramid[-1].permute(0, 3, 1, 2)
        x = pyramid[-1]
        for i in reversed(range(3)):
            x = self.decoder[i](self.skips[i](self.match[i](self.ups[i](x)), pyramid[i]))
        return self.head(self.last(x).permute(0, 3, 1, 2))
