"""SegResNet in two dimensions and without the autoencoder branch, as in MONAI.

References:
    Myronenko 2018, 3D MRI brain tumor segmentation using autoencoder regularization, arXiv 1810.11654.
    Code: MONAI 1.6.1, monai/networks/nets/segresnet.py, SegResNet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from unetzoo.errors import UnetzooError
from unetzoo.nn import norms
from unetzoo.nn.blocks import MakeModule
from unetzoo.standalone.common import AnySize, fraction, one_of, whole, wholes

UPS: dict[str, MakeModule] = {
    "bilinear": lambda _: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
    "transposed": lambda channels: nn.ConvTranspose2d(channels, channels, 2, stride=2),
}


class GroupNorm(norms.GroupNorm):
    """Group norm with as many groups as divide both ``groups`` and the channels; a group may be a single channel."""

    def __init__(self, channels: int, *, groups: int) -> None:
        nn.GroupNorm.__init__(self, math.gcd(groups, channels), channels)


def conv(c_in: int, c_out: int, stride: int = 1) -> nn.Module:
    """Return a 3x3 convolution without bias."""
    return nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)


class PreActivation(nn.Module):
    """Two layers of norm, ReLU and 3x3 convolution; the input is added."""

    def __init__(self, channels: int, *, norm: MakeModule) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [norm(channels), nn.ReLU(inplace=True), conv(channels, channels)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class SegResNet(AnySize):
    """Levels of residual blocks with ``width * 2**i`` channels at level i, a thin decoder; skips are added.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        blocks_down: Residual blocks of each encoder level, finest first; at least two levels.
        blocks_up: Residual blocks of each decoder level, finest first; one number fewer, as the coarsest level has
            none.
        groups: Groups of the norms, or as many as divide both them and the channels.
        up: Upsampling after a 1x1 convolution: "bilinear" or "transposed".
        dropout: Probability of dropping a channel of the first convolution (0.2 in the paper).

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 8,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] = (1, 1, 1),
        groups: int = 8,
        up: str = "bilinear",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        whole(width=width, groups=groups)
        wholes(blocks_down=blocks_down)
        if len(blocks_down) < 2:
            raise UnetzooError(f"option blocks_down = {blocks_down!r}: must list at least 2 levels")
        wholes(len(blocks_down) - 1, blocks_up=blocks_up)
        one_of(UPS, up=up)
        fraction(dropout=dropout)
        self.multiple = 2 ** len(blocks_up)
        norm = partial(GroupNorm, groups=groups)
        c = [width * 2**i for i in range(len(blocks_down))]

        def blocks(channels: int, count: int) -> list[nn.Module]:
            return [PreActivation(channels, norm=norm) for _ in range(count)]

        first = nn.Sequential(conv(in_channels, width), nn.Dropout2d(dropout))
        starts = (first, *(conv(c[i], c[i + 1], stride=2) for i in range(len(c) - 1)))
        self.encoder = nn.ModuleList(
            nn.Sequential(start, *blocks(channels, count))
            for start, channels, count in zip(starts, c, blocks_down, strict=True)
        )
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(below, channels, 1, bias=False), UPS[up](channels))
            for channels, below in pairwise(c)
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(*blocks(channels, count)) for channels, count in zip(c[:-1], blocks_up, strict=True)
        )
        self.head = nn.Sequential(norm(width), nn.ReLU(inplace=True), nn.Conv2d(width, num_classes, 1))

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            pyramid.append(x)
        for up, level, skip in zip(reversed(self.ups), reversed(self.decoder), reversed(pyramid[:-1]), strict=True):
            x = level(up(x) + skip)
        return self.head(x)
