"""LinkNet: a ResNet encoder whose maps are added, not concatenated, to the decoder's.

References:
    Chaurasia & Culurciello 2017, LinkNet: Exploiting Encoder Representations for Efficient Semantic Segmentation,
        arXiv 1707.03718.
    Code: e-lab/pytorch-linknet, models/linknet.py, LinkNet.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from unetzoo.standalone.common import AnySize, whole
from unetzoo.standalone.resnet import LinkUp, ResNetEncoder


class LinkNet(AnySize):
    """ResNet-18, four `LinkUp`s, and two transposed convolutions to the image's size.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the ResNet's finest level.

    Raises:
        UnetzooError: If ``width`` is not a positive whole number.
    """

    multiple = 32

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 64) -> None:
        super().__init__()
        whole(width=width)
        self.encoder = ResNetEncoder(in_channels, blocks=(2, 2, 2, 2), width=width)
        channels = (width, *self.encoder.channels)
        self.decoder = nn.ModuleList(
            LinkUp(c_below, c, stride=2 if i else 1) for i, (c, c_below) in enumerate(pairwise(channels))
        )
        half = max(1, width // 2)
        self.last = nn.Sequential(
            nn.ConvTranspose2d(width, half, 3, stride=2, padding=1, output_padding=1),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, padding=1),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )
        self.head = nn.ConvTranspose2d(half, num_classes, 2, stride=2)

    def logits(self, x: Tensor) -> Tensor:
        *skips, x = self.encoder(x)
        for up, skip in zip(reversed(self.decoder), reversed(skips), strict=True):
            x = skip + up(x)
        return self.head(self.last(x))
