"""Swin-Unet: a U-Net whose every block attends within shifted windows.

References:
    Cao et al. 2021, Swin-Unet: Unet-like Pure Transformer for Medical Image Segmentation, arXiv 2105.05537.
    Code: HuCaoFighting/Swin-Unet, swin_transformer_unet_skip_expand_decoder_sys.py, SwinTransformerSys.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import exporting, smaller
from unetzoo.nn.dropout import DropPath
from unetzoo.nn.tokens import MLP, Expand, attend, fitting_heads, offset_index
from unetzoo.standalone.common import AnySize, fraction, one_of, whole, wholes

PATCH = 4  # pixels to a side of a token
APART = -100.0  # bias between tokens that may not see each other, as in the authors' code


def rolled(x: Tensor, sides: Sequence[int], shift: Sequence[int]) -> Tensor:
    """Move the tokens of (N, H, W, C) around the borders, as ``x.roll(shift, (1, 2))`` does.

    Args:
        x: The map.
        sides: Its sides (H, W).
        shift: Tokens by which it moves along each axis, in absolute terms at most a side.
    """
    if not exporting():
        return x.roll((shift[0], shift[1]), (1, 2))
    for axis, (side, by) in enumerate(zip(sides, shift, strict=True), start=1):  # torch.roll takes no symbolic shift
        at = torch.arange(side, device=x.device)
        x = x.index_select(axis, (at + (side - by)) % (at[-1] + 1))  # ONNX has no remainder of a symbolic number
    return x


class WindowAttention(nn.Module):
    """Self-attention of (N, H, W, C) within windows, with a learnt bias per head and offset (arXiv 2103.14030).

    Maps that the window does not divide are padded, and no token of the map sees the padding.

    Args:
        channels: Channels of input and output.
        heads: Number of heads; must divide ``channels``.
        window: Tokens to a side of a window.
        shift: Tokens by which the windows move, around the borders; tokens that are not neighbours in the map are kept
            apart.
        dropout: Probability of dropout on the result.
    """

    index: Tensor

    def __init__(self, channels: int, heads: int, window: int, shift: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.project = nn.Linear(channels, 3 * channels)
        self.table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.normal_(self.table, std=0.02)
        self.register_buffer("index", offset_index(window), persistent=False)
        self.out = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[1:3]
        full = [(side + self.window - 1) // self.window * self.window for side in (h, w)]
        # A single window has no neighbours.
        shift = [smaller(self.shift, side - self.window) for side in full]
        x = rolled(F.pad(x, (0, 0, 0, full[1] - w, 0, full[0] - h)), full, [-by for by in shift])
        query, key, value = self.project(self.windows(x)).chunk(3, dim=-1)
        bias = self.table[self.index].movedim(-1, 0)
        if exporting() or full != [h, w] or any(shift):
            bias = bias + self.apart(full, [h, w], shift)
        x = self.out(attend(query, key, value, self.heads, bias=bias))
        x = x.unflatten(1, (full[0] // self.window, -1)).unflatten(3, (self.window, self.window))
        x = x.transpose(2, 3).flatten(1, 2).flatten(2, 3)
        return self.dropout(rolled(x, full, shift)[:, :h, :w])

    def windows(self, x: Tensor) -> Tensor:
        """Cut (N, H, W, C) into windows: (N, windows, tokens, C)."""
        x = x.unflatten(2, (-1, self.window)).unflatten(1, (-1, self.window))
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def apart(self, full: Sequence[int], real: Sequence[int], shift: Sequence[int]) -> Tensor:
        """Return the bias (windows, 1, tokens, tokens) that keeps apart what only shifting or padding brings together.

        It is `APART` between tokens that may not see each other, and 0 elsewhere.

        Args:
            full: Tokens to a side of the padded map, (H, W).
            real: Tokens to a side of the map itself.
            shift: Shift along each axis.
        """
        regions = []
        for size, inside, by in zip(full, real, shift, strict=True):
            at = torch.arange(by, size + by, device=self.table.device)
            around = (at >= size).int()
            place = torch.where(at >= size, at - size, at)  # at % size, which ONNX has not for a symbolic size
            regions.append(torch.where(place < inside, around, 2))
        labels = self.windows((3 * regions[0][:, None] + regions[1])[None, :, :, None])[0].squeeze(-1)
        different = labels[:, None, :, None] != labels[:, None, None, :]
        return APART * different.to(self.table.dtype)


class SwinLayer(nn.Module):
    """`WindowAttention` and `MLP` on (N, H, W, C), each after a norm and with a shortcut."""

    def __init__(self, channels: int, heads: int, window: int, shift: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.attend = nn.Sequential(
            nn.LayerNorm(channels), WindowAttention(channels, heads, window, shift, dropout), DropPath(drop_path)
        )
        self.think = nn.Sequential(nn.LayerNorm(channels), MLP(channels, dropout), DropPath(drop_path))

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


class Interpolate(nn.Module):
    """Linear layer to c_out, then bilinear interpolation of (N, H, W, c_out) to ``factor`` times the size."""

    def __init__(self, c_in: int, c_out: int, factor: int = 2) -> None:
        super().__init__()
        self.factor = float(factor)
        self.linear = nn.Linear(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x).permute(0, 3, 1, 2)
        x = F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)
        return x.permute(0, 2, 3, 1)


class Transpose(nn.Module):
    """Transposed convolution of (N, H, W, c_in) to ``factor`` times the size, its kernel as large as its stride."""

    def __init__(self, c_in: int, c_out: int, factor: int = 2) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(c_in, c_out, factor, stride=factor)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


UPS = {"expand": Expand, "bilinear": Interpolate, "transposed": Transpose}


class SwinUNet(AnySize):
    """Four levels of `SwinLayer`s on tokens of 4x4 pixels, patch merging down, patch expanding up.

    Level i has ``width * 2**i`` channels. The windows of every second layer are shifted.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        depths: Layers of each level, in the encoder and again in the decoder, finest first; four numbers.
        heads: Heads of each level, or as many as divide its channels; four numbers.
        window: Tokens to a side of a window.
        skips: Number of skips, 0 to 3, coarsest first; fewer than 3 are ablations of the paper.
        up: Upsampling: "expand", or "bilinear" or "transposed" (ablations of the paper).
        dropout: Probability of dropout in every layer.
        drop_path: Chance that an image skips a branch of a layer in training: 0 for the first layer, growing linearly
            to this at the last.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = PATCH * 2**3

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        window: int = 7,
        skips: int = 3,
        up: str = "expand",
        dropout: float = 0.0,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        whole(width=width, window=window)
        wholes(4, depths=depths, heads=heads)
        whole(0, skips=skips)
        if skips > 3:
            raise UnetzooError(f"option skips = {skips}: must be at most 3")
        one_of(UPS, up=up)
        fraction(dropout=dropout, drop_path=drop_path)
        self.skips = skips
        channels = [width * 2**i for i in range(4)]
        chances = [drop_path * i / max(1, sum(depths) - 1) for i in range(sum(depths))]

        def level(i: int) -> nn.Sequential:
            fitting = fitting_heads(channels[i], heads[i])
            before = sum(depths[:i])
            return nn.Sequential(
                *(
                    SwinLayer(channels[i], fitting, window, j % 2 * (window // 2), dropout, chances[before + j])
                    for j in range(depths[i])
                )
            )

        self.embed = nn.Conv2d(in_channels, width, PATCH, stride=PATCH)
        self.norm_tokens = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.ModuleList(level(i) for i in range(4))
        self.merges = nn.ModuleList(Merge(c) for c in channels[:3])
        self.norm_encoded = nn.LayerNorm(channels[3])
        self.ups = nn.ModuleList(UPS[up](2 * c, c) for c in channels[:3])
        self.fuse = nn.ModuleList(
            nn.Linear(2 * c, c) if i >= 3 - skips else nn.Identity() for i, c in enumerate(channels[:3])
        )
        self.decoder = nn.ModuleList(level(i) for i in range(3))
        self.norm_decoded = nn.LayerNorm(width)
        self.last = UPS[up](width, width, PATCH)
        for module in self.modules():  # the code truncates at 2, a hundred standard deviations, which cuts nothing
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.head = nn.Conv2d(width, num_classes, 1, bias=False)

    def logits(self, x: Tensor) -> Tensor:
        x = self.dropout(self.norm_tokens(self.embed(x).permute(0, 2, 3, 1)))
        pyramid: list[Tensor] = []
        for merge, level in zip(self.merges, self.encoder, strict=False):
            pyramid.append(x)  # the level's input, not its output, as in the authors' code
            x = merge(level(x))
        x = self.norm_encoded(self.encoder[3](x))
        for i in reversed(range(3)):
            x = self.ups[i](x)
            if i >= 3 - self.skips:
                x = torch.cat((x, pyramid[i]), dim=-1)
            x = self.decoder[i](self.fuse[i](x))
        x = self.last(self.norm_decoded(x))
        return self.head(x.permute(0, 3, 1, 2))
