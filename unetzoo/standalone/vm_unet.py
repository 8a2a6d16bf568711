"""VM-UNet: a U-Net whose every block scans the map in four directions.

References:
    Ruan & Xiang 2024, VM-UNet: Vision Mamba UNet for Medical Image Segmentation, arXiv 2402.02491.
    Liu et al. 2024, VMamba: Visual State Space Model, arXiv 2401.10166 (the blocks).
    Code: JCruan519/VM-UNet, models/vmunet/vmamba.py, VSSM.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.dropout import DropPath
from unetzoo.nn.state_space import CHUNK, check_chunk, initial_rates, initial_step_bias, selective_scan
from unetzoo.nn.tokens import Expand
from unetzoo.standalone.common import AnySize, fraction, whole, wholes
from unetzoo.standalone.swin_unet import PATCH, Merge

WAYS = 4  # along the rows and along the columns, each forwards and backwards
LEVELS = 4


class CrossScan(nn.Module):
    """Gate, depthwise 3x3 convolution, and the sum of selective scans along four ways over (N, H, W, C) (SS2D).

    Args:
        channels: Channels of input and output.
        states: States of each of the 2 * ``channels`` inner channels.
        chunk: Tokens that a scan takes at a time.
    """

    def __init__(self, channels: int, *, states: int = 16, chunk: int = CHUNK) -> None:
        super().__init__()
        inner, rank = 2 * channels, math.ceil(channels / 16)
        self.sizes, self.chunk = (rank, states, states), chunk
        self.open = nn.Linear(channels, 2 * inner, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.weigh = nn.Parameter(torch.empty(WAYS, rank + 2 * states, inner))
        self.step = nn.Parameter(torch.empty(WAYS, inner, rank))
        self.step_bias = nn.Parameter(initial_step_bias(WAYS, inner))
        self.rates = nn.Parameter(initial_rates(WAYS * inner, states))
        self.through = nn.Parameter(torch.ones(WAYS * inner))
        self.norm = nn.LayerNorm(inner)
        self.close = nn.Linear(inner, channels, bias=False)
        nn.init.uniform_(self.weigh, -(inner**-0.5), inner**-0.5)
        nn.init.uniform_(self.step, -(rank**-0.5), rank**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.open(x).chunk(2, dim=-1)
        x = F.silu(self.conv(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        y = self._scanned(x).to(x.dtype)
        return self.close(self.norm(y) * F.silu(gate))

    def _scanned(self, x: Tensor) -> Tensor:
        """Return the sum of the scans of (N, H, W, C) along the four ways."""
        h, w = x.shape[1:3]
        rows, columns = x.flatten(1, 2), x.transpose(1, 2).flatten(1, 2)
        ways = torch.stack((rows, columns, rows.flip(1), columns.flip(1)), dim=1)  # (N, ways, L, C)
        step, write, read = torch.einsum("nklc,kmc->nklm", ways, self.weigh).split(self.sizes, dim=-1)
        step = torch.einsum("nklr,kcr->nklc", step, self.step)
        precise = torch.promote_types(x.dtype, torch.float32)
        step = F.softplus(step.to(precise) + self.step_bias.to(precise)[:, None])
        rate = -self.rates.to(precise).exp().unflatten(0, (WAYS, -1))
        through = self.through.unflatten(0, (WAYS, -1))
        y = selective_scan(ways.to(precise), step, rate, write, read, through, chunk=self.chunk)
        rows, columns = y[:, 0] + y[:, 2].flip(1), y[:, 1] + y[:, 3].flip(1)
        return rows.unflatten(1, (h, w)) + columns.unflatten(1, (w, h)).transpose(1, 2)


class VSSBlock(nn.Module):
    """`CrossScan` on (N, H, W, C) after a norm and with a shortcut."""

    def __init__(self, channels: int, *, states: int = 16, drop_path: float = 0.0, chunk: int = CHUNK) -> None:
        super().__init__()
        self.scan = nn.Sequential(
            nn.LayerNorm(channels), CrossScan(channels, states=states, chunk=chunk), DropPath(drop_path)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scan(x)


def blocks(channels: int, chances: Sequence[float], *, states: int = 16, chunk: int = CHUNK) -> nn.Sequential:
    """Build a row of `VSSBlock`s.

    Args:
        channels: Channels of all of them.
        chances: Chance of each that an image skips its scan in training.
        states: States of each inner channel.
        chunk: Tokens that a scan takes at a time.
    """
    return nn.Sequential(*(VSSBlock(channels, states=states, drop_path=p, chunk=chunk) for p in chances))


def growing(most: float, depths: Sequence[int]) -> list[list[float]]:
    """Return chances for the blocks of each level, growing linearly from 0 for the first block to ``most``."""
    count = sum(depths)
    chances = [most * i / max(1, count - 1) for i in range(count)]
    return [chances[sum(depths[:i]) : sum(depths[: i + 1])] for i in range(len(depths))]


def init_linear(module: nn.Module) -> None:
    """Draw the weights of linear layers from N(0, 0.02) and set their biases to 0; for ``model.apply``.

    The code's truncation at 2, a hundred standard deviations, cuts nothing.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Encoder(nn.Module):
    """Patches as tokens, then levels of `VSSBlock`s with patch merging between them.

    Args:
        in_channels: Channels of the image.
        patch: Pixels to a side of a token.
        width: Channels at the finest level, doubled from level to level.
        depths: Blocks of each level.
        last: False leaves out the blocks of the last level.
        drop_path: As for `growing`.
        states: States of each inner channel.
        chunk: Tokens that a scan takes at a time.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        patch: int,
        width: int,
        depths: Sequence[int],
        drop_path: float,
        last: bool = True,
        states: int = 16,
        chunk: int = CHUNK,
    ) -> None:
        super().__init__()
        self.channels = [width * 2**i for i in range(len(depths))]
        self.embed = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.norm = nn.LayerNorm(width)
        chances = growing(drop_path, depths)
        if not last:
            chances[-1] = []
        self.levels = nn.ModuleList(
            blocks(c, p, states=states, chunk=chunk) for c, p in zip(self.channels, chances, strict=True)
        )
        self.merges = nn.ModuleList(Merge(c) for c in self.channels[:-1])
        self.apply(init_linear)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Map (N, C, H, W) to the input and the output of each level's blocks, all (N, H_i, W_i, C_i)."""
        x = self.norm(self.embed(x).permute(0, 2, 3, 1))
        given, made = [x], [self.levels[0](x)]
        for merge, level in zip(self.merges, list(self.levels)[1:], strict=True):
            given.append(merge(made[-1]))
            made.append(level(given[-1]))
        return given, made


class VMUNet(AnySize):
    """Four levels of `VSSBlock`s on tokens of 4x4 pixels, patch merging down, patch expanding up; skips are added.

    Level i has ``width * 2**i`` channels.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level; the head sees a quarter of them.
        depths: Blocks of each level of the encoder, finest first; four numbers.
        depths_up: Blocks of each level of the decoder, finest first; four numbers.
        states: States of each inner channel of a scan.
        drop_path: Chance that an image skips a block in training: 0 for the encoder's first and the decoder's last
            block, growing linearly to this at the coarsest level.
        chunk: Tokens that a scan takes at a time, which bounds its memory.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = PATCH * 2 ** (LEVELS - 1)

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 9, 2),
        depths_up: Sequence[int] = (2, 2, 9, 2),
        states: int = 16,
        drop_path: float = 0.2,
        chunk: int = CHUNK,
    ) -> None:
        super().__init__()
        check_options(width, depths, states, drop_path, chunk)
        wholes(LEVELS, depths_up=depths_up)
        self.encoder = Encoder(
            in_channels,
            patch=PATCH,
            width=width,
            depths=depths,
            drop_path=drop_path,
            states=states,
            chunk=chunk,
        )
        c, chances = self.encoder.channels, growing(drop_path, depths_up)
        self.decoder = nn.ModuleList(
            blocks(channels, p[::-1], states=states, chunk=chunk) for channels, p in zip(c, chances, strict=True)
        )
        self.ups = nn.ModuleList(Expand(2 * channels, channels) for channels in c[:-1])
        self.last = Expand(width, max(1, width // 4), PATCH)
        for module in (self.decoder, self.ups, self.last):
            module.apply(init_linear)
        self.head = nn.Conv2d(max(1, width // 4), num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        given, made = self.encoder(x)
        x = self.decoder[-1](made[-1])
        for i in reversed(range(LEVELS - 1)):
            # As in the code, a level's skip is the input of its blocks and is added before the map is doubled: the
            # coarsest skip is its own level's.
            x = self.decoder[i](self.ups[i](x + given[i + 1]))
        return self.head(self.last(x).permute(0, 3, 1, 2))


def check_options(width: int, depths: Sequence[int], states: int, drop_path: float, chunk: int) -> None:
    """Check the options that VM-UNet and its descendants share.

    Raises:
        UnetzooError: If an option is out of range.
    """
    whole(width=width, states=states)
    wholes(LEVELS, depths=depths)
    fraction(drop_path=drop_path)
    check_chunk(chunk)
