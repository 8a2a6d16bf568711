"""V-Net in two dimensions, as in MONAI.

References:
    Milletari et al. 2016, V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation,
        arXiv 1606.04797.
    Code: MONAI 1.6.1, monai/networks/nets/vnet.py, VNet.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import ConvNormAct, MakeModule
from unetzoo.standalone.common import AnySize, fraction, one_of, whole

DOWN = (1, 2, 3, 2)  # layers of the encoder's levels below the finest, finest first
UP = (1, 1, 2, 2)  # layers of the decoder's levels, finest first
ACTS: dict[str, MakeModule] = {"elu": lambda _: nn.ELU(inplace=True), "prelu": nn.PReLU}


def conv(c_in: int, c_out: int) -> nn.Module:
    """Return a 5x5 convolution without bias."""
    return nn.Conv2d(c_in, c_out, 5, padding=2, bias=False)


class Layers(nn.Module):
    """Layers of 5x5 convolution, batch norm and activation; the input is added at the end, and the sum activated again.

    Args:
        channels: Channels of input and output.
        count: Number of layers.
        act: Factory ``act(channels)`` of an activation.
        drop: Dropout on the layers' input, but not on what is added.
    """

    def __init__(self, channels: int, count: int, *, act: MakeModule, drop: nn.Module) -> None:
        super().__init__()
        self.drop = drop
        layer = partial(ConvNormAct, conv=conv, norm=nn.BatchNorm2d, act=partial(act, channels))
        self.layers = nn.Sequential(*(layer(channels, channels) for _ in range(count)))
        self.act = act(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.layers(self.drop(x)) + x)


class VNet(AnySize):
    """Five levels of ``width * 2**i`` channels, 2x2 convolutions with stride 2 down and transposed ones up.

    The image's channels, repeated up to ``width`` channels, are added to the first layer's.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        act: "elu", as in MONAI, or the paper's "prelu".
        dropout: Probability of dropping a channel at the two coarsest levels of encoder and decoder; the paper has
            none.
        skip_dropout: Probability of dropping a channel of a skip; the paper has none.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 16

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 16,
        act: str = "elu",
        dropout: float = 0.5,
        skip_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        whole(width=width)
        one_of(ACTS, act=act)
        fraction(dropout=dropout, skip_dropout=skip_dropout)
        activation = ACTS[act]
        c = [width * 2**i for i in range(len(DOWN) + 1)]

        def drop(level: int) -> nn.Module:
            return nn.Dropout2d(dropout if level >= 3 else 0.0)

        def resample(conv: nn.Module, channels: int) -> nn.Sequential:
            return nn.Sequential(conv, nn.BatchNorm2d(channels), activation(channels))

        self.first = nn.Sequential(conv(in_channels, width), nn.BatchNorm2d(width))
        self.act = activation(width)
        self.downs = nn.ModuleList(
            resample(nn.Conv2d(c[i], c[i + 1], 2, stride=2, bias=False), c[i + 1]) for i in range(len(DOWN))
        )
        self.encoder = nn.ModuleList(
            Layers(c[i + 1], count, act=activation, drop=drop(i + 1)) for i, count in enumerate(DOWN)
        )
        # A decoder level has twice its encoder level's channels: the skip's and as many from below.
        below = [2 * channels for channels in c[1:-1]] + [c[-1]]
        self.ups = nn.ModuleList(
            nn.Sequential(drop(i + 1), *resample(nn.ConvTranspose2d(below[i], c[i], 2, stride=2), c[i]))
            for i in range(len(UP))
        )
        self.decoder = nn.ModuleList(
            Layers(2 * c[i], count, act=activation, drop=nn.Identity()) for i, count in enumerate(UP)
        )
        self.drop_skip = nn.Dropout2d(skip_dropout)
        self.classes = ConvNormAct(
            2 * width, num_classes, conv=conv, norm=nn.BatchNorm2d, act=partial(activation, num_classes)
        )
        self.head = nn.Conv2d(num_classes, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        first = self.first(x)
        width = first.shape[1]
        repeated = x.repeat(1, -(-width // x.shape[1]), 1, 1)[:, :width]
        x = self.act(first + repeated)
        pyramid: list[Tensor] = []
        for down, level in zip(self.downs, self.encoder, strict=True):
            pyramid.append(x)
            x = level(down(x))
        for up, level, skip in zip(reversed(self.ups), reversed(self.decoder), reversed(pyramid), strict=True):
            x = level(torch.cat((up(x), self.drop_skip(skip)), dim=1))
        return self.head(self.classes(x))
