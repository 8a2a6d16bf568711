"""FC-DenseNet, the "Tiramisu" (Jégou et al. 2017, arXiv 1611.09326): dense blocks in a U-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import spatial
from unetzoo.standalone.common import AnySize, fraction, whole, wholes


def norm_act_conv(c_in: int, c_out: int, kernel: int, dropout: float) -> nn.Sequential:
    """Batch norm, ReLU, convolution with bias, dropout of whole channels (paper, tables 1a and 1b)."""
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)
    return nn.Sequential(nn.BatchNorm2d(c_in), nn.ReLU(), conv, nn.Dropout2d(dropout))


class DenseBlock(nn.Module):
    """``layers`` convolutions of ``growth`` channels, each seeing the input and all before it.

    Out come the input and all new channels, or with ``only_new`` the new ones alone, which keeps the decoder from
    growing (paper, section 3.3).
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
    """Dense blocks of ``layers`` convolutions down (finest first), ``bottleneck_layers`` below, and back.

    ``width`` is the growth rate: the channels each convolution adds; the first convolution gives
    ``stem_multiple`` times as many. Raises `UnetzooError` on a bad option.
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
            h, w = spatial(skip)  # the 3x3 transposed convolution gives 2h + 1 or one more than an even skip has
            x = block(torch.cat((up(x)[..., :h, :w], skip), dim=1))
        return self.head(x)
