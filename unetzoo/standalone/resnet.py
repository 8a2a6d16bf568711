"""A ResNet's pyramid and LinkNet's decoder block, which LinkNet and CE-Net share.

References:
    He et al. 2015, Deep Residual Learning for Image Recognition, arXiv 1512.03385.
    Chaurasia & Culurciello 2017, LinkNet: Exploiting Encoder Representations for Efficient Semantic Segmentation,
        arXiv 1707.03718.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck


class ResNetEncoder(nn.Module):
    """ResNet: (N, C, H, W) to the stem's map, of stride 4, then a map of each level.

    The first level keeps the stem's size. Level i has ``width * 2**i`` channels, four times as many with bottlenecks,
    and stride ``4 * 2**i``.

    Args:
        in_channels: Channels of the image.
        blocks: Blocks of each level: (2, 2, 2, 2) for ResNet-18, (3, 4, 6, 3) for ResNet-34.
        width: Channels of the stem and, without bottlenecks, of the first level.
        block: Block of the levels: `BasicBlock`, or `Bottleneck` for ResNet-50 and deeper ones.
        stem: Another module for the stem, which keeps its initial weights; optional.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        blocks: Sequence[int],
        width: int,
        block: type[BasicBlock | Bottleneck] = BasicBlock,
        stem: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.channels = [block.expansion * width * 2**level for level in range(len(blocks))]
        self.stem: nn.Module = nn.Identity()
        if stem is None:
            self.stem = nn.Sequential(
                nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(3, stride=2, padding=1),
            )
        self.levels = nn.ModuleList()
        for i, (c_in, c_out, n) in enumerate(zip((width, *self.channels), self.channels, blocks, strict=False)):
            stride, planes, project = (2 if i else 1), c_out // block.expansion, None
            if c_in != c_out:
                project = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False), nn.BatchNorm2d(c_out))
            first = block(c_in, planes, stride, project)
            self.levels.append(nn.Sequential(first, *(block(c_out, planes) for _ in range(n - 1))))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if stem is not None:
            self.stem = stem

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, C, H, W) to five maps: the stem's, (N, width, H / 4, W / 4), and those of the levels."""
        pyramid = [self.stem(x)]
        for level in self.levels:
            pyramid.append(level(pyramid[-1]))
        return pyramid


class LinkUp(nn.Sequential):
    """LinkNet's decoder block: 1x1 convolution to a quarter of the channels, 3x3 transposed one, 1x1 convolution.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        stride: Stride of the transposed convolution, by which the size grows.
        bias: Give the convolutions a bias, as in CE-Net.
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 2, bias: bool = False) -> None:
        c = max(1, c_in // 4)
        transposed = nn.ConvTranspose2d(c, c, 3, stride=stride, padding=1, output_padding=stride - 1, bias=bias)
        layers: list[nn.Module] = []
        for conv, channels in (
            (nn.Conv2d(c_in, c, 1, bias=bias), c),
            (transposed, c),
            (nn.Conv2d(c, c_out, 1, bias=bias), c_out),
        ):
            layers += [conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        super().__init__(*layers)
