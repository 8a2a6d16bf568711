"""MONAI's BasicUNet and BasicUNetPlusPlus, which are built from the same blocks.

References:
    Falk et al. 2019, U-Net: deep learning for cell counting, detection, and morphometry, doi 10.1038/s41592-018-0261-2
        (BasicUNet).
    Zhou et al. 2018, UNet++: A Nested U-Net Architecture for Medical Image Segmentation, arXiv 1807.10165
        (BasicUNetPlusPlus).
    Code: MONAI 1.6.1, monai/networks/nets/basic_unet.py and basic_unetplusplus.py.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import exporting, spatial
from unetzoo.nn.norms import InstanceNorm
from unetzoo.standalone.common import AnySize, fraction, whole

MULTIPLES = (1, 1, 2, 4, 8)  # channels of the five levels over ``width``


class TwoLayers(nn.Sequential):
    """Two layers of 3x3 convolution with bias, instance norm, dropout and leaky ReLU of slope 0.1."""

    def __init__(self, c_in: int, c_out: int, *, dropout: float) -> None:
        layers: list[nn.Module] = []
        for c in (c_in, c_out):
            layers += [nn.Conv2d(c, c_out, 3, padding=1), InstanceNorm(c_out), nn.Dropout(dropout)]
            layers.append(nn.LeakyReLU(0.1, inplace=True))
        super().__init__(*layers)


class UpMerge(nn.Module):
    """2x2 transposed convolution of the map below, concatenated after the skips, then two layers.

    Where a skip has an odd side, the last row or column of the upsampled map is repeated.

    Args:
        c_below: Channels of the map below.
        c_skips: Channels of all skips together.
        c_out: Channels of the result.
        finest: True for the finest level, to which the transposed convolution does not halve the channels (as in
            MONAI).
        dropout: Probability of dropout in the two layers.
    """

    def __init__(self, c_below: int, c_skips: int, c_out: int, *, finest: bool, dropout: float) -> None:
        super().__init__()
        c_up = c_below if finest else c_below // 2
        self.up = nn.ConvTranspose2d(c_below, c_up, 2, stride=2)
        self.layers = TwoLayers(c_skips + c_up, c_out, dropout=dropout)

    def forward(self, below: Tensor, *skips: Tensor) -> Tensor:
        """Map ``below`` (N, c_below, h, w) and skips (N, C_i, H, W) to (N, c_out, H, W), where H is 2h or 2h + 1."""
        x, (h, w) = self.up(below), spatial(skips[0])
        missing = (0, w - x.shape[-1], 0, h - x.shape[-2])
        if exporting():  # the same by indices
            rows, columns = (torch.arange(n).clamp(max=m - 1) for n, m in zip((h, w), spatial(x), strict=True))
            x = x.index_select(-2, rows).index_select(-1, columns)
        elif any(missing):
            x = F.pad(x, missing, mode="replicate")
        return self.layers(torch.cat((*skips, x), dim=1))


class Encoder(nn.ModuleList):
    """Five levels of two layers with 2x2 max pooling in between; returns the maps, finest first."""

    def __init__(self, in_channels: int, channels: list[int], *, dropout: float) -> None:
        super().__init__(
            TwoLayers(c_in, c, dropout=dropout) for c_in, c in zip((in_channels, *channels), channels, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, C, H, W) to the maps (N, C_i, H / 2**i, W / 2**i) of the levels i."""
        pyramid: list[Tensor] = []
        for i, level in enumerate(self):
            x = level(F.max_pool2d(x, 2) if i else x)
            pyramid.append(x)
        return pyramid


class BasicUNet(AnySize):
    """U-Net of five levels with ``width * (1, 1, 2, 4, 8)[i]`` channels at level i.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the two finest levels.
        dropout: Probability of dropout in every layer.

    Raises:
        UnetzooError: If an option is out of range.
    """

    least = 16  # leaves the coarsest map one pixel

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 32, dropout: float = 0.0) -> None:
        super().__init__()
        whole(width=width)
        fraction(dropout=dropout)
        c = [width * multiple for multiple in MULTIPLES]
        self.encoder = Encoder(in_channels, c, dropout=dropout)
        self.decoder = nn.ModuleList(
            UpMerge(c[i + 1], c[i], c[i], finest=not i, dropout=dropout) for i in range(len(c) - 1)
        )
        self.head = nn.Conv2d(c[0], num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        *pyramid, x = self.encoder(x)
        for merge, skip in zip(reversed(self.decoder), reversed(pyramid), strict=True):
            x = merge(x, skip)
        return self.head(x)


class BasicUNetPlusPlus(AnySize):
    """`BasicUNet` with dense skips: node (i, j) merges all earlier nodes of level i and the one below.

    With ``deep_supervision``, ``forward_all`` returns the logits of the four nodes of the finest level, the last first.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the two finest levels.
        dropout: Probability of dropout in every layer.
        deep_supervision: Build a head for each of the four nodes, not for the last alone.

    Raises:
        UnetzooError: If an option is out of range.
    """

    least = 16

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        dropout: float = 0.0,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        whole(width=width)
        fraction(dropout=dropout)
        c = [width * multiple for multiple in MULTIPLES]
        node = partial(UpMerge, dropout=dropout)
        self.encoder = Encoder(in_channels, c, dropout=dropout)
        self.nodes = nn.ModuleList(  # in an order in which they can be computed
            node(c[i + 1], j * c[i], c[i], finest=not i) for j in range(1, len(c)) for i in range(len(c) - j)
        )
        self.heads = nn.ModuleList(
            nn.Conv2d(c[0], num_classes, 1) for _ in range(len(c) - 1 if deep_supervision else 1)
        )  # that of the last node first

    def logits(self, x: Tensor) -> Tensor:
        return self.heads[0](self._finest(x)[0])

    def scales(self, x: Tensor) -> list[Tensor]:
        return [head(node) for head, node in zip(self.heads, self._finest(x), strict=False)]

    def _finest(self, x: Tensor) -> list[Tensor]:
        """Return the four merged nodes of the finest level, the last first."""
        grid = [[x] for x in self.encoder(x)]
        nodes = iter(self.nodes)
        for j in range(1, len(grid)):
            for i in range(len(grid) - j):
                grid[i].append(next(nodes)(grid[i + 1][j - 1], *grid[i]))
        return grid[0][:0:-1]
