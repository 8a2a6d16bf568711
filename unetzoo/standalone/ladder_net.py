"""LadderNet: U-Nets in a row, each adding the decoder maps of the one before.

References:
    Zhuang 2018, LadderNet: Multi-path networks based on U-Net for medical image segmentation, arXiv 1810.07810.
    Code: juntang-zhuang/LadderNet, src/LadderNetv65.py, LadderNetv6.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.standalone.common import AnySize, fraction, whole


class SharedResidual(nn.Module):
    """Residual block whose two 3x3 convolutions share their weights, with dropout of whole channels in between."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(self.dropout(F.relu(self.conv(x)))) + x)


class Ladder(nn.Module):
    """One U-Net: strided 3x3 convolutions down, transposed ones up, skips added."""

    def __init__(self, channels: list[int], dropout: float) -> None:
        super().__init__()
        steps = list(pairwise(channels))
        self.encoder = nn.ModuleList(SharedResidual(c, dropout) for c in channels)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in steps)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 3, stride=2, padding=1, output_padding=1) for a, b in steps)
        self.decoder = nn.ModuleList(SharedResidual(c, dropout) for c in channels[:-1])

    def forward(self, x: Tensor, before: list[Tensor]) -> list[Tensor]:
        """Return the decoder maps, finest first.

        Args:
            x: Map (N, C, H, W) for the finest level.
            before: Decoder maps of the preceding U-Net, finest first; empty for the first U-Net.
        """
        skips: list[Tensor] = []
        for level, down in enumerate(self.downs):
            skips.append(self.encoder[level](x + before[level] if before else x))
            x = F.relu(down(skips[-1]))
        x = self.encoder[-1](x)
        decoded: list[Tensor] = []
        for level in reversed(range(len(skips))):
            x = self.decoder[level](self.ups[level](x) + skips[level])
            decoded.insert(0, x)
        return decoded


class LadderNet(AnySize):
    """U-Nets in a row, each fed with the decoder maps of the one before.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level; doubled at each coarser one.
        levels: Number of downsamplings of each U-Net.
        unets: Number of U-Nets.
        dropout: Probability of dropping a channel in each residual block.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 10,
        levels: int = 4,
        unets: int = 2,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        whole(width=width, levels=levels, unets=unets)
        fraction(dropout=dropout)
        self.multiple = 2**levels
        channels = [width * 2**level for level in range(levels + 1)]
        self.stem = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU())
        self.links = nn.ModuleList(SharedResidual(width, dropout) for _ in range(unets - 1))
        self.unets = nn.ModuleList(Ladder(channels, dropout) for _ in range(unets))
        self.head = nn.Conv2d(width, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        first, *others = self.unets
        maps = first(self.stem(x), [])
        for link, unet in zip(self.links, others, strict=True):
            maps = unet(link(maps[0]), maps)
        return self.head(maps[0])
