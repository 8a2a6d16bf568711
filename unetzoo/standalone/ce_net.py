"""CE-Net (Gu et al. 2019, arXiv 1903.02740): LinkNet with a context extractor at the bottleneck."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.standalone.common import AnySize, resize, whole
from unetzoo.standalone.resnet import LinkUp, ResNetEncoder

POOLS = (2, 3, 5, 6)


class DenseAtrous(nn.Module):
    """DAC: four cascades of 3x3 convolutions with dilations 1, 3, 5, added to the input; weights are shared.

    With ``atrous`` false all dilations are 1 (an ablation of the paper).
    """

    def __init__(self, channels: int, *, atrous: bool) -> None:
        super().__init__()
        dilations = (1, 3, 5) if atrous else (1, 1, 1)
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=d, dilation=d) for d in dilations)
        self.project = nn.Conv2d(channels, channels, 1)
        for conv in (*self.convs, self.project):
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        one, three, five = self.convs
        first = one(x)
        both = three(first)
        cascades = [first, self.project(three(x)), self.project(both), self.project(five(both))]
        return x + torch.stack([F.relu(cascade) for cascade in cascades]).sum(dim=0)


class PyramidPool(nn.Module):
    """RMP: max pools of 2, 3, 5 and 6, each by the same 1x1 convolution to one channel, resized, before the input.

    A pool larger than the map covers the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, 1, 1)
        self.out_channels = channels + len(POOLS)

    def forward(self, x: Tensor) -> Tensor:
        h, w = spatial(x)
        pooled = [self.project(F.max_pool2d(x, (min(size, h), min(size, w)))) for size in POOLS]
        return torch.cat([*(resize(p, x) for p in pooled), x], dim=1)


class CENet(AnySize):
    """ResNet-34 without its stem's skip, `DenseAtrous` and `PyramidPool`, four `LinkUp`s, three last convolutions.

    ``width`` are the ResNet's channels at its finest level; ``dac``, ``atrous`` and ``rmp`` take the paper's
    blocks out. Raises `UnetzooError` on a bad width.
    """

    multiple = 32

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 64,
        dac: bool = True,
        atrous: bool = True,
        rmp: bool = True,
    ) -> None:
        super().__init__()
        whole(width=width)
        self.encoder = ResNetEncoder(in_channels, blocks=(3, 4, 6, 3), width=width)
        channels = self.encoder.channels
        self.context = nn.Sequential()
        if dac:
            self.context.append(DenseAtrous(channels[-1], atrous=atrous))
        if rmp:
            self.context.append(PyramidPool(channels[-1]))
        below = [*channels[1:-1], channels[-1] + (len(POOLS) if rmp else 0)]
        self.decoder = nn.ModuleList(LinkUp(b, c, bias=True) for b, c in zip(below, channels, strict=False))
        self.finest = LinkUp(width, width, bias=True)
        half = max(1, width // 2)
        self.last = nn.Sequential(
            nn.ConvTranspose2d(width, half, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Conv2d(half, num_classes, 3, padding=1)

    def logits(self, x: Tensor) -> Tensor:
        _, *skips, x = self.encoder(x)
        x = self.context(x)
        for up, skip in zip(reversed(self.decoder), reversed(skips), strict=True):
            x = up(x) + skip
        return self.head(self.last(self.finest(x)))
