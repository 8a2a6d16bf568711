"""UNETR in two dimensions, as in MONAI: a vision transformer as encoder.

References:
    Hatamizadeh et al. 2021, UNETR: Transformers for 3D Medical Image Segmentation, arXiv 2103.10504.
    Code: MONAI 1.6.1, monai/networks/nets/unetr.py, UNETR.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import exporting, spatial
from unetzoo.nn.norms import InstanceNorm
from unetzoo.nn.tokens import attend, fitting_heads
from unetzoo.standalone.common import AnySize, whole, wholes
from unetzoo.standalone.dynunet import ResidualLayers, UpMerge

PATCH = 16  # pixels to a side of a token
LAYERS = 12
TAPS = (4, 7, 10)  # layers after which the tokens become the skips of levels 1, 2 and 3


class TransformerLayer(nn.Module):
    """Attention and a two-layer network on (N, L, C), each after a norm and with a shortcut (ViT, arXiv 2010.11929).

    Args:
        channels: Channels of a token.
        heads: Number of heads; must divide ``channels``.
        qkv_bias: Give queries, keys and values a bias.
        expansion: Channels between the two layers over ``channels``.
        eps: Added to the variance in the norms.
    """

    def __init__(self, channels: int, heads: int, *, qkv_bias: bool, expansion: int = 4, eps: float = 1e-5) -> None:
        super().__init__()
        self.heads, inner = heads, expansion * channels
        self.norm = nn.LayerNorm(channels, eps=eps)
        self.project = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.out = nn.Linear(channels, channels)
        self.think = nn.Sequential(
            nn.LayerNorm(channels, eps=eps), nn.Linear(channels, inner), nn.GELU(), nn.Linear(inner, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.project(self.norm(x)).chunk(3, dim=-1)
        x = x + self.out(attend(query, key, value, self.heads))
        return x + self.think(x)


class Positions(nn.Module):
    """A learnt vector for each token of a grid, interpolated to grids of another size.

    Args:
        grid: Tokens along (height, width) for which the vectors are learnt.
        channels: Channels of a token.
    """

    def __init__(self, grid: tuple[int, int], channels: int) -> None:
        super().__init__()
        self.grid = grid
        self.table = nn.Parameter(torch.empty(1, grid[0] * grid[1], channels))
        nn.init.normal_(self.table, std=0.02)  # the code truncates at 2, a hundred of those, which cuts nothing

    def forward(self, h: int, w: int) -> Tensor:
        """Return the positions (1, h * w, C) of a grid of h rows and w columns, row by row."""
        if not exporting() and (h, w) == self.grid:
            return self.table
        table = self.table.transpose(1, 2).unflatten(2, self.grid)
        return F.interpolate(table, size=(h, w), mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)


class UNETR(AnySize):
    """Tokens of 16x16 pixels, twelve transformer layers, a convolutional decoder of ``width * 2**i`` channels.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        img_size: Image size for which positions are learnt, (H, W) or one number for both, in multiples of 16 pixels;
            they are interpolated to other sizes.
        width: Channels of the decoder's finest level; a token has ``48 * width`` channels.
        heads: Heads of the transformer, or as many as divide a token's channels.
        qkv_bias: Give queries, keys and values a bias.
        residual: False leaves the shortcuts out of the convolution blocks.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = PATCH

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        img_size: int | Sequence[int] = (96, 96),
        width: int = 16,
        heads: int = 12,
        qkv_bias: bool = False,
        residual: bool = True,
    ) -> None:
        super().__init__()
        whole(width=width, heads=heads)
        sides = [img_size, img_size] if isinstance(img_size, int) else img_size
        wholes(2, img_size=sides)
        if any(side % PATCH for side in sides):
            raise UnetzooError(f"option img_size = {img_size!r}: must be multiples of {PATCH}")
        hidden = 48 * width
        c = [width * 2**i for i in range(4)]
        block = partial(ResidualLayers, norm=partial(InstanceNorm, affine=False), residual=residual)

        def up(c_in: int, c_out: int) -> nn.Module:
            return nn.ConvTranspose2d(c_in, c_out, 2, stride=2, bias=False)

        def skip(level: int) -> nn.Sequential:
            """Build the layers that turn tokens into the map of ``level``."""
            more = [nn.Sequential(up(c[level], c[level]), block(c[level], c[level])) for _ in range(3 - level)]
            return nn.Sequential(up(hidden, c[level]), *more)

        self.embed = nn.Conv2d(in_channels, hidden, PATCH, stride=PATCH)
        self.positions = Positions((sides[0] // PATCH, sides[1] // PATCH), hidden)
        fitting = fitting_heads(hidden, heads)
        self.layers = nn.ModuleList(TransformerLayer(hidden, fitting, qkv_bias=qkv_bias) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(hidden)
        self.skips = nn.ModuleList([block(in_channels, width), *(skip(level) for level in (1, 2, 3))])
        self.decoder = nn.ModuleList(
            UpMerge(below, skipped, block=block) for skipped, below in zip(c, (*c[1:], hidden), strict=True)
        )
        self.head = nn.Conv2d(width, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        image, x = x, self.embed(x)
        grid = spatial(x)
        x = x.flatten(2).transpose(1, 2) + self.positions(*grid)
        sources = [image]
        for depth, layer in enumerate(self.layers, start=1):
            x = layer(x)
            if depth in TAPS:
                sources.append(x.transpose(1, 2).unflatten(2, grid))
        x = self.norm(x).transpose(1, 2).unflatten(2, grid)
        for level in reversed(range(len(sources))):
            x = self.decoder[level](x, self.skips[level](sources[level]))
        return self.head(x)
