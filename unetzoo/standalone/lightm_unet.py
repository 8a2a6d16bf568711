"""LightM-UNet in two dimensions: residual Mamba blocks down, depthwise convolutions up.

References:
    Liao et al. 2024, LightM-UNet: Mamba Assists in Lightweight UNet for Medical Image Segmentation, arXiv 2403.05246.
    Code: MrBlankness/LightM-UNet, lightm-unet/nnunetv2/nets/LightMUNet.py, LightMUNet(spatial_dims=2).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import MakeModule, spatial
from unetzoo.nn.state_space import Mamba
from unetzoo.nn.tokens import as_map
from unetzoo.standalone.common import AnySize, fraction, whole, wholes
from unetzoo.standalone.segresnet import GroupNorm


def separable(c_in: int, c_out: int, kernel: int = 3, *, bias: bool = False) -> nn.Sequential:
    """Build a depthwise convolution and a 1x1 convolution without norm or activation between them.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernel: Side of the depthwise kernel, an odd number of pixels.
        bias: Give both a bias.
    """
    depthwise = nn.Conv2d(c_in, c_in, kernel, padding=kernel // 2, groups=c_in, bias=bias)
    return nn.Sequential(depthwise, nn.Conv2d(c_in, c_out, 1, bias=bias))


class VisionMamba(nn.Module):
    """Norm, Mamba over the pixels with a scaled shortcut past the norm, the same norm, linear layer (RVM layer)."""

    def __init__(self, c_in: int, c_out: int, *, chunk: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(c_in)
        self.mamba = Mamba(c_in, chunk=chunk)
        self.scale = nn.Parameter(torch.ones(1))
        self.project = nn.Linear(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        mixed = self.mamba(self.norm(tokens)) + self.scale * tokens
        return as_map(self.project(self.norm(mixed)), spatial(x))


class ResidualMamba(nn.Module):
    """Twice norm, ReLU and `VisionMamba`; the input is added."""

    def __init__(self, channels: int, *, norm: MakeModule, chunk: int) -> None:
        super().__init__()
        layers = ((norm(channels), nn.ReLU(), VisionMamba(channels, channels, chunk=chunk)) for _ in range(2))
        self.layers = nn.Sequential(*(module for layer in layers for module in layer))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResidualUp(nn.Module):
    """Norm, ReLU, separable convolution and a scaled shortcut; then norm and ReLU."""

    def __init__(self, channels: int, *, norm: MakeModule) -> None:
        super().__init__()
        self.first = nn.Sequential(norm(channels), nn.ReLU(), separable(channels, channels))
        self.scale = nn.Parameter(torch.ones(1))
        self.norm = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.first(x) + self.scale * x))


class LightMUNet(AnySize):
    """Levels of `ResidualMamba` with ``width * 2**i`` channels at level i, a thin decoder; skips are added.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        blocks_down: Blocks of each encoder level, finest first; at least two levels.
        blocks_up: Blocks of each decoder level, finest first; one number fewer.
        groups: Groups of the norms, or as many as divide both them and the channels.
        dropout: Probability of dropping a channel of the first convolution.
        chunk: Tokens that a scan takes at a time, which bounds its memory.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] = (1, 1, 1),
        groups: int = 8,
        dropout: float = 0.0,
        chunk: int = 4096,  # its finest maps have many pixels and few channels
    ) -> None:
        super().__init__()
        whole(width=width, groups=groups)
        wholes(blocks_down=blocks_down)
        if len(blocks_down) < 2:
            raise UnetzooError(f"option blocks_down = {blocks_down!r}: must list at least 2 levels")
        wholes(len(blocks_down) - 1, blocks_up=blocks_up)
        fraction(dropout=dropout)
        self.multiple = 2 ** len(blocks_up)
        norm = partial(GroupNorm, groups=groups)
        c = [width * 2**i for i in range(len(blocks_down))]

        def level(i: int) -> nn.Sequential:
            down = [VisionMamba(c[i - 1], c[i], chunk=chunk), nn.MaxPool2d(2)] if i else []
            return nn.Sequential(*down, *(ResidualMamba(c[i], norm=norm, chunk=chunk) for _ in range(blocks_down[i])))

        self.stem = nn.Sequential(separable(in_channels, width), nn.Dropout2d(dropout))
        self.encoder = nn.ModuleList(level(i) for i in range(len(c)))
        self.ups = nn.ModuleList(nn.Conv2d(below, a, 1, bias=False) for a, below in pairwise(c))
        self.decoder = nn.ModuleList(
            nn.Sequential(*(ResidualUp(a, norm=norm) for _ in range(count)))
            for a, count in zip(c[:-1], blocks_up, strict=True)
        )
        self.head = nn.Sequential(norm(width), nn.ReLU(), separable(width, num_classes, 1, bias=True))

    def logits(self, x: Tensor) -> Tensor:
        x, pyramid = self.stem(x), []
        for level in self.encoder:
            x = level(x)
            pyramid.append(x)
        for up, level, skip in zip(reversed(self.ups), reversed(self.decoder), reversed(pyramid[:-1]), strict=True):
            x = F.interpolate(up(x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = level(x + skip)
        return self.head(x)
