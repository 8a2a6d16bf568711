"""CE-Net: LinkNet's shape with a context extractor at the bottleneck.

References:
    Gu et al. 2019, CE-Net: Context Encoder Network for 2D Medical Image Segmentation, arXiv 1903.02740.
    Code: Guzaiwang/CE-Net, src/lib/models/networks/cenet.py, CE_Net_.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import exporting, larger, spatial
from unetzoo.standalone.common import AnySize, resize, whole
from unetzoo.standalone.resnet import LinkUp, ResNetEncoder

POOLS = (2, 3, 5, 6)


class DenseAtrous(nn.Module):
    """Dense atrous convolution (DAC): four cascades of 3x3 convolutions with dilations 1, 3, 5, added to the input.

    The cascades share their weights.

    Args:
        channels: Channels of input and output.
        atrous: False sets all dilations to 1 (an ablation of the paper).
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
    """Residual multi-kernel pooling (RMP): the input, concatenated after four of its max pools.

    Each pool is reduced to one channel and resized to the input. The pools are of 2, 3, 5 and 6 pixels a side and share
    one 1x1 convolution. A pool larger than the map covers the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, 1, 1)
        self.out_channels = channels + len(POOLS)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [self.project(self.pool(x, size)) for size in POOLS]
        return torch.cat([*(resize(p, x) for p in pooled), x], dim=1)

    @staticmethod
    def pool(x: Tensor, size: int) -> Tensor:
        h, w = spatial(x)
        if exporting():  # the same for maps of any size
            right, bottom = (larger(size - side, 0) for side in (w, h))
            return F.max_pool2d(F.pad(x, [0, right, 0, bottom], value=-torch.inf), size)
        return F.max_pool2d(x, (min(size, h), min(size, w)))


class CENet(AnySize):
    """ResNet-34, `DenseAtrous` and `PyramidPool`, four `LinkUp`s and three last convolutions.

    The stem's map is not used as a skip.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the ResNet's finest level.
        dac: Include `DenseAtrous`; False is an ablation of the paper.
        atrous: Dilate the convolutions of `DenseAtrous`; False is an ablation of the paper.
        rmp: Include `PyramidPool`; False is an ablation of the paper.

    Raises:
        UnetzooError: If ``width`` is not a positive whole number.
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
