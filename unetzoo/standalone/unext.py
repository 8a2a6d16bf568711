"""UNeXt: convolutions at the finer levels, shifted MLPs on tokens at the coarser ones.

References:
    Valanarasu & Patel 2022, UNeXt: MLP-based Rapid Medical Image Segmentation Network, arXiv 2203.04967.
    Code: jeya-maria-jose/UNeXt-pytorch, archs.py, UNext and UNext_S.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.standalone.common import fraction, whole, wholes
from unetzoo.standalone.token_unet import TokenUNet


def shift(x: Tensor, dim: int, groups: int = 5) -> Tensor:
    """Move channel groups of (N, C, H, W) by -2, -1, 0, 1, 2 pixels along ``dim``, filling with zeros.

    Args:
        x: Map (N, C, H, W).
        dim: 2 or 3.
        groups: Number of groups, an odd number.
    """
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
    """Rows shifted, linear layer, depthwise 3x3, GELU; columns shifted, linear layer."""

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
    """`TokenUNet` of single convolutions and shifted MLPs.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level where its multiple is 1.
        multiples: Level i has ``width * multiples[i]`` channels; five numbers, finest first.
        dropout: Probability of dropout in the MLPs.
        drop_path: Twice the chance that an image skips a branch at the coarser token level in training, as in
            `TokenUNet`.

    Raises:
        UnetzooError: If an option is out of range.
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
