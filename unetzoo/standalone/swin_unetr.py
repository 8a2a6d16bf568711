"""Swin UNETR in two dimensions, as in MONAI.

References:
    Hatamizadeh et al. 2022, Swin UNETR: Swin Transformers for Semantic Segmentation of Brain Tumors in MRI Images,
        arXiv 2201.01266.
    Code: MONAI 1.6.1, monai/networks/nets/swin_unetr.py, SwinUNETR.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.dropout import DropPath
from unetzoo.nn.norms import InstanceNorm
from unetzoo.nn.tokens import attend, fitting_heads, offset_index
from unetzoo.standalone.common import AnySize, fraction, whole, wholes
from unetzoo.standalone.dynunet import ResidualLayers, UpMerge

PATCH = 2  # pixels to a side of a token
LEVELS = 4
APART = -100.0  # bias between tokens that only shifting brings together


class WindowAttention(nn.Module):
    """Self-attention of (N, H, W, C) within windows, with a learnt bias per head and offset (arXiv 2103.14030).

    As in MONAI, maps are padded with zeros to whole windows, and the padding is tokens like any others. A side of at
    most ``window`` tokens is one window of its own size, whose n tokens take the biases of the full window's first n.

    Args:
        channels: Channels of input and output.
        heads: Number of heads; must divide ``channels``.
        window: Tokens to a side of a window.
        shift: Tokens by which the windows move, around the borders.
        dropout: Probability of dropout on the result.
    """

    index: Tensor

    def __init__(self, channels: int, heads: int, window: int, shift: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.project = nn.Linear(channels, 3 * channels)
        self.table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.normal_(self.table, std=0.02)  # the code truncates at 2, a hundred of those, which cuts nothing
        self.register_buffer("index", offset_index(window), persistent=False)
        self.out = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        h, w = sides = x.shape[1:3]
        window = [min(side, self.window) for side in sides]
        shift = [self.shift if side > self.window else 0 for side in sides]
        full = [(side + size - 1) // size * size for side, size in zip(sides, window, strict=True)]
        x = F.pad(x, (0, 0, 0, full[1] - w, 0, full[0] - h)).roll((-shift[0], -shift[1]), (1, 2))
        query, key, value = self.project(split(x, window)).chunk(3, dim=-1)
        n = window[0] * window[1]
        bias = self.table[self.index[:n, :n]].movedim(-1, 0)
        if any(shift):
            bias = bias + self.apart(full, window, shift)
        x = self.out(attend(query, key, value, self.heads, bias=bias))
        x = x.unflatten(1, (full[0] // window[0], -1)).unflatten(3, window)
        x = x.transpose(2, 3).flatten(1, 2).flatten(2, 3)
        return self.dropout(x.roll(shift, (1, 2))[:, :h, :w])

    def apart(self, full: Sequence[int], window: Sequence[int], shift: Sequence[int]) -> Tensor:
        """Return the bias (windows, 1, tokens, tokens) that keeps apart what only shifting brings together.

        It is `APART` between tokens that may not see each other, and 0 elsewhere.

        Args:
            full: Tokens to a side of the padded map, (H, W).
            window: Tokens to a side of a window.
            shift: Shift along each axis.
        """
        rows, columns = (
            torch.arange(size, device=self.table.device) >= size - by for size, by in zip(full, shift, strict=True)
        )
        labels = split((2 * rows[:, None] + columns)[None, :, :, None], window)[0].squeeze(-1)
        different = labels[:, None, :, None] != labels[:, None, None, :]
        return APART * different.to(self.table.dtype)


def split(x: Tensor, window: Sequence[int]) -> Tensor:
    """Cut (N, H, W, C) into windows: (N, windows, tokens, C).

    Args:
        x: Map (N, H, W, C).
        window: Tokens to a side of a window, (height, width); they divide H and W.
    """
    x = x.unflatten(2, (-1, window[1])).unflatten(1, (-1, window[0]))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class SwinLayer(nn.Module):
    """`WindowAttention` and a two-layer network on (N, H, W, C), each after a norm and with a shortcut."""

    def __init__(self, channels: int, heads: int, window: int, shift: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.attend = nn.Sequential(
            nn.LayerNorm(channels), WindowAttention(channels, heads, window, shift, dropout), DropPath(drop_path)
        )
        self.think = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * channels, channels),
            nn.Dropout(dropout),
            DropPath(drop_path),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(x)
        return x + self.think(x)


class Merge(nn.Module):
    """Patch merging: (N, H, W, C) to (N, H/2, W/2, 2C) by a norm and a linear layer on four neighbours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (N, H/2, row, W/2, column, C)
        return self.reduce(self.norm(x.permute(0, 1, 3, 4, 2, 5).flatten(3)))


class SwinUNETR(AnySize):
    """Tokens of 2x2 pixels, four levels of `SwinLayer`s and patch merging, a convolutional decoder.

    Level i has ``width * 2**i`` channels. The windows of every second layer are shifted.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the first level.
        feature_size: MONAI's name for ``width``; overrides it if given.
        depths: Layers of each level, four numbers.
        heads: Heads of each level, or as many as divide its channels; four numbers.
        window: Tokens to a side of a window.
        v2: Put a residual block of convolutions before each level's layers (MONAI's use_v2).
        dropout: Probability of dropout in every layer.
        drop_path: Chance that an image skips a branch of a layer in training: 0 for the first layer, growing linearly
            to this at the last.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = PATCH * 2**LEVELS

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 24,
        feature_size: int | None = None,
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        window: int = 7,
        v2: bool = False,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if feature_size is not None:
            whole(feature_size=feature_size)
            width = feature_size
        whole(width=width, window=window)
        wholes(LEVELS, depths=depths, heads=heads)
        fraction(dropout=dropout, drop_path=drop_path)
        c = [width * 2**i for i in range(LEVELS + 1)]
        chances = [drop_path * i / max(1, sum(depths) - 1) for i in range(sum(depths))]
        block = partial(ResidualLayers, norm=partial(InstanceNorm, affine=False))

        def level(i: int) -> nn.Sequential:
            fitting, before = fitting_heads(c[i], heads[i]), sum(depths[:i])
            shifts = (j % 2 * (window // 2) for j in range(depths[i]))
            layers = (
                SwinLayer(c[i], fitting, window, shift, dropout, chances[before + j]) for j, shift in enumerate(shifts)
            )
            return nn.Sequential(*layers, Merge(c[i]))

        self.embed = nn.Conv2d(in_channels, width, PATCH, stride=PATCH)
        self.dropout = nn.Dropout(dropout)
        self.before = nn.ModuleList(block(c[i], c[i]) if v2 else nn.Identity() for i in range(LEVELS))
        self.levels = nn.ModuleList(level(i) for i in range(LEVELS))
        # The skips are the image and each level's input; the last level's goes to the decoder as it is.
        self.skips = nn.ModuleList([block(in_channels, width), *(block(a, a) for a in c[: LEVELS - 1]), nn.Identity()])
        self.bottleneck = block(c[-1], c[-1])
        self.decoder = nn.ModuleList(UpMerge(below, a, block=block) for a, below in zip((width, *c), c, strict=False))
        self.head = nn.Conv2d(width, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        sources, x = [x], self.dropout(self.embed(x))
        for before, level in zip(self.before, self.levels, strict=True):
            sources.append(normal(x))
            x = level(before(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = self.bottleneck(normal(x))
        for i in reversed(range(len(sources))):
            x = self.decoder[i](x, self.skips[i](sources[i]))
        return self.head(x)


def normal(x: Tensor) -> Tensor:
    """Return the layer norm of (N, C, H, W) over the channels, without weight and bias."""
    return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)
