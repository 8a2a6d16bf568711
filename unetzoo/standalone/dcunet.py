"""DC-UNet: two of MultiResUNet's blocks side by side.

References:
    Lou, Guan & Loew 2021, DC-UNet: Rethinking the U-Net Architecture with Dual Channel Efficient CNN for Medical Images
        Segmentation, arXiv 2006.00414.
    Code: AngeLouCN/DC-UNet, dc_unet-pytorch/DC_UNet.py, DC_Unet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.standalone.common import AnySize, at_least, fraction, whole
from unetzoo.standalone.multiresunet import split_width


def conv_norm(c_in: int, c_out: int, kernel: int, *, affine: bool) -> nn.Sequential:
    """Build a convolution without bias on a mirrored border, and its batch norm.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernel: Kernel size, an odd number of pixels.
        affine: Let the norm learn scale and offset; those before a ReLU do not.
    """
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, padding_mode="reflect", bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out, affine=affine))


class Channel(nn.Module):
    """Three 3x3 convolutions in a row, whose three outputs are concatenated and normalised."""

    def __init__(self, c_in: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            conv_norm(a, b, 3, affine=False) for a, b in zip((c_in, *widths), widths, strict=False)
        )
        self.norm = nn.BatchNorm2d(sum(widths))

    def forward(self, x: Tensor) -> Tensor:
        fields = []
        for conv in self.convs:
            x = F.relu(conv(x))
            fields.append(x)
        return self.norm(torch.cat(fields, dim=1))


class DCBlock(nn.Module):
    """Sum of two `Channel`s and a 1x1 shortcut, then ReLU and batch norm."""

    def __init__(self, c_in: int, width: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__()
        widths = split_width(width, alpha)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = conv_norm(c_in, sum(widths), 1, affine=True)
        self.first, self.second = Channel(c_in, widths), Channel(c_in, widths)
        self.norm = nn.BatchNorm2d(sum(widths))

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(x)
        return self.norm(F.relu(self.shortcut(x) + self.first(x) + self.second(x)))


class ResPathLayer(nn.Module):
    """Sum of a 3x3 convolution with ReLU and a 1x1 shortcut, then ReLU and batch norm."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.shortcut = conv_norm(c_in, c_out, 1, affine=True)
        self.conv = conv_norm(c_in, c_out, 3, affine=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.relu(self.shortcut(x) + F.relu(self.conv(x))))


class DCUNet(AnySize):
    """Five levels of `DCBlock`, skips through 4, 3, 2, 1 `ResPathLayer`s, batch norm after the head.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels that the finest level of a U-Net of equal size would have; doubled at each coarser level.
        alpha: Factor on the channels of the blocks.
        dropout: Probability of dropout before the decoder's blocks but the finest (0.5 with the code's
            ``use_dropout``).

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 16
    least = 32  # mirroring a border of one pixel at the coarsest level needs a map of two

    def __init__(
        self, in_channels: int, num_classes: int, *, width: int = 32, alpha: float = 1.67, dropout: float = 0.0
    ) -> None:
        super().__init__()
        whole(width=width)
        at_least(0.1, alpha=alpha)
        fraction(dropout=dropout)
        widths = [width * 2**level for level in range(5)]
        outs = [sum(split_width(w, alpha)) for w in widths]
        self.encoder = nn.ModuleList(
            DCBlock(c_in, w, alpha) for c_in, w in zip((in_channels, *outs), widths, strict=False)
        )
        self.skips = nn.ModuleList(
            nn.Sequential(*(ResPathLayer(widths[i] if step else outs[i], widths[i]) for step in range(4 - i)))
            for i in range(4)
        )
        self.ups = nn.ModuleList(nn.ConvTranspose2d(outs[i + 1], widths[i], 2, stride=2) for i in range(4))
        self.decoder = nn.ModuleList(DCBlock(2 * widths[i], widths[i], alpha, dropout if i else 0.0) for i in range(4))
        self.head = conv_norm(outs[0], num_classes, 1, affine=True)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for i, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if i else x)
            pyramid.append(x)
        for i in reversed(range(4)):
            x = self.decoder[i](torch.cat((self.ups[i](x), self.skips[i](pyramid[i])), dim=1))
        return self.head(x)
