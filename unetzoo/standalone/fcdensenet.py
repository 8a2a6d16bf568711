"""FC-DenseNet, the "Tiramisu": dense blocks in a U-Net.

References:
    Jégou et al. 2017, The One Hundred Layers Tiramisu: Fully Convolutional DenseNets for Semantic Segmentation,
        arXiv 1611.09326.
    Code: bfortuner/pytorch_tiramisu, models/tiramisu.py, FCDenseNet (the authors' own: SimJeg/FC-DenseNet).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import spatial
from unetzoo.standalone.common import AnySize, fraction, whole, wholes


def norm_act_conv(c_in: int, c_out: int, kernel: int, dropout: float) -> nn.Sequential:
    """Build batch norm, ReLU, convolution with bias and dropout of whole channels (paper, tables 1a and 1b).

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernel: Kernel size, an odd number of pixels.
        dropout: Probability of dropping a channel.
    """
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)
    return nn.Sequential(nn.BatchNorm2d(c_in), nn.ReLU(), conv, nn.Dropout2d(dropout))


class DenseBlock(nn.Module):
    """Convolutions that each see the input and the outputs of all earlier ones.

    Args:
        c_in: Channels of the input.
        growth: Channels that each convolution adds.
        layers: Number of convolutions.
        dropout: Probability of dropping a channel.
        only_new: Return the new channels without the input, which keeps the decoder from growing (paper, section 3.3).
    """

    def __init__(self, c_in: int, growth: int, layers: int, dropout: float, *, only_new: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(norm_act_conv(c_in + i * growth, growth, 3, dropout) for i in range(layers))
        self.only_new = only_new
        self.out_channels = layers * growth + (0 if only_new else c_in)

    def forward(self, x: Tensor) -> Tensor:
        c_in = x.shape[1]
        for layer in self.layers:
            x = torch.cat((x, layer(x)), dim=1)
        return x[:, c_in:] if self.only_new else x


class FCDenseNet(AnySize):
    """U-Net of `DenseBlock`s.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Growth rate, the channels that each convolution adds.
        stem_multiple: Channels of the first convolution, as a multiple of ``width``.
        layers: Convolutions of the dense block of each level, down and up, finest first.
        bottleneck_layers: Convolutions of the coarsest block.
        dropout: Probability of dropping a channel after each convolution.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 16,
        stem_multiple: int = 3,
        layers: Sequence[int] = (4, 5, 7, 10, 12),
        bottleneck_layers: int = 15,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        whole(width=width, stem_multiple=stem_multiple, bottleneck_layers=bottleneck_layers)
        wholes(layers=layers)
        fraction(dropout=dropout)
        self.least = 2 ** len(layers)
        self.stem = nn.Conv2d(in_channels, stem_multiple * width, 3, padding=1)
        c = stem_multiple * width
        self.encoder, self.downs, skips = nn.ModuleList(), nn.ModuleList(), []
        for n in layers:
            block = DenseBlock(c, width, n, dropout, only_new=False)
            c = block.out_channels
            skips.append(c)
            self.encoder.append(block)
            self.downs.append(nn.Sequential(norm_act_conv(c, c, 1, dropout), nn.MaxPool2d(2)))
        self.bottleneck = DenseBlock(c, width, bottleneck_layers, dropout, only_new=True)
        c = self.bottleneck.out_channels
        self.ups, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(layers))):
            self.ups.append(nn.ConvTranspose2d(c, c, 3, stride=2))
            block = DenseBlock(c + skips[level], width, layers[level], dropout, only_new=level > 0)
            c = block.out_channels
            self.decoder.append(block)
        self.head = nn.Conv2d(c, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        skips: list[Tensor] = []
        for block, down in zip(self.encoder, self.downs, strict=True):
            skips.append(block(x))
            x = down(skips[-1])
        x = self.bottleneck(x)
        for up, block in zip(self.ups, self.decoder, strict=True):
            skip = skips.pop()
            h, w = spatial(skip)  # up(x) is one row and column larger than an even skip; crop it
            x = block(torch.cat((up(x)[..., :h, :w], skip), dim=1))
        return self.head(x)
