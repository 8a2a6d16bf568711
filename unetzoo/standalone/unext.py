"""UNeXt (Valanarasu & Patel 2022, arXiv 2203.04967): convolutions above, shifted MLPs on tokens below."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.standalone.common import fraction, whole, wholes
from unetzoo.standalone.token_unet import TokenUNet


def shift(x: Tensor, dim: int, groups: int = 5) -> Tensor:
    """Channel groups of (N, C, H, W) moved by -2, -1, 0, 1, 2 pixels along ``dim``; zeros come in."""
    reach = groups // 2
    padded = F.pad(x, (reach, reach, reach, reach))
    chunks = padded.chunk(groups, dim=1)
    moved = [chunk.roll(by, dim) for by, chunk in zip(range(-reach, reach + 1), chunks, strict=False)]
    h, w = spatial(x)
    return torch.cat(moved, dim=1)[..., reach : reach + h, reach : reach + w]


class ChannelLinear(nn.Linear):
    """Linear layer over the channels of (N, C, H, W): a 1x1 convolution by another name, as the authors have it."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ShiftedMLP(nn.Module):
    """Shift rows, linear, depthwise 3x3, GELU; shift columns, linear."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.rows = ChannelLinear(channels, channels)
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.columns = ChannelLinear(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(F.gelu(self.position(self.rows(shift(x, dim=2)))))
        return self.dropout(self.columns(shift(y, dim=3)))


class UNeXt(TokenUNet):
    """A `TokenUNet` of single convolutions and shifted MLPs.

    Level i has ``width * multiples[i]`` channels. ``dropout`` is in the MLPs. Raises `UnetzooError` on a bad option.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 16,
        multiples: Sequence[int] = (1, 2, 8, 10, 16),
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        whole(width=width)
        wholes(5, multiples=multiples)
        fraction(dropout=dropout, drop_path=drop_path)

        def conv_norm(c_in: int, c_out: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out))

        c = [width * multiple for multiple in multiples]
        super().__init__(
            in_channels,
            num_classes,
            c,
            conv=conv_norm,
            back=conv_norm,
            last=nn.Conv2d(c[0], c[0], 3, padding=1),
            mix=lambda channels: ShiftedMLP(channels, dropout),
            drop_path=drop_path,
        )
