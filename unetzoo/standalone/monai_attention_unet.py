"""Attention U-Net in two dimensions as MONAI builds it.

References:
    Oktay et al. 2018, Attention U-Net: Learning Where to Look for the Pancreas, arXiv 1804.03999.
    Code: MONAI 1.6.1, monai/networks/nets/attentionunet.py, AttentionUnet.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from unetzoo.errors import UnetzooError
from unetzoo.nn.norms import InstanceNorm
from unetzoo.nn.skips import AttentionSkip
from unetzoo.standalone.common import AnySize, fraction, whole, wholes


class MONAIAttentionUNet(AnySize):
    """Strided convolutions down, transposed ones up; each skip gated by the map below, joined by one convolution.

    Level i has ``width * multiples[i]`` channels.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level where its multiple is 1.
        multiples: One number for each level, finest first; at least two.
        dropout: Probability of dropout in every layer.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 16,
        multiples: Sequence[int] = (1, 2, 4, 8, 16),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        whole(width=width)
        wholes(multiples=multiples)
        if len(multiples) < 2:
            raise UnetzooError(f"option multiples = {multiples!r}: must list at least 2 levels")
        fraction(dropout=dropout)
        self.multiple = 2 ** (len(multiples) - 1)
        c = [width * multiple for multiple in multiples]
        pairs = list(pairwise(c))

        def layer(conv: nn.Module, channels: int) -> list[nn.Module]:
            drop = [nn.Dropout(dropout)] if dropout else []
            return [conv, nn.BatchNorm2d(channels), *drop, nn.ReLU()]

        def block(c_in: int, c_out: int, stride: int) -> nn.Sequential:
            first = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1)
            return nn.Sequential(*layer(first, c_out), *layer(nn.Conv2d(c_out, c_out, 3, padding=1), c_out))

        def up(below: int, channels: int) -> nn.Sequential:
            conv = nn.ConvTranspose2d(below, channels, 3, stride=2, padding=1, output_padding=1)
            return nn.Sequential(*layer(conv, channels))

        def merge(channels: int) -> nn.Sequential:
            drop = [nn.Dropout(dropout)] if dropout else []
            conv = nn.Conv2d(2 * channels, channels, 3, padding=1)
            return nn.Sequential(conv, InstanceNorm(channels, affine=False), *drop, nn.PReLU())

        self.encoder = nn.ModuleList([block(in_channels, c[0], 1), *(block(a, b, 2) for a, b in pairs)])
        self.ups = nn.ModuleList(up(b, a) for a, b in pairs)
        self.skips = nn.ModuleList(
            AttentionSkip(a, a, conv=_pointwise, norm=nn.BatchNorm2d, act=nn.ReLU) for a, _ in pairs
        )
        self.decoder = nn.ModuleList(merge(a) for a, _ in pairs)
        self.head = nn.Conv2d(c[0], num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            pyramid.append(x)
        for i in reversed(range(len(self.ups))):
            x = self.decoder[i](self.skips[i](pyramid[i], self.ups[i](x)))
        return self.head(x)


def _pointwise(c_in: int, c_out: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 1)
