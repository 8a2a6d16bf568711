"""MONAI's UNet: strided (transposed) convolutions and residual units.

References:
    Kerfoot et al. 2018, Left-Ventricle Quantification Using Residual U-Net, doi 10.1007/978-3-030-12029-0_40.
    Code: MONAI 1.6.1, monai/networks/nets/unet.py, UNet.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import MakeModule
from unetzoo.nn.norms import InstanceNorm
from unetzoo.standalone.common import AnySize, fraction, one_of, whole

NORMS: dict[str, MakeModule] = {"batch": nn.BatchNorm2d, "instance": partial(InstanceNorm, affine=False)}


def conv(c_in: int, c_out: int, stride: int = 1) -> nn.Module:
    """Return a 3x3 convolution with bias, to a map of 1 / ``stride`` of the size."""
    return nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1)


def up_conv(c_in: int, c_out: int) -> nn.Module:
    """Return a 3x3 transposed convolution with bias, to twice the size."""
    return nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=1)


class Finish(nn.Sequential):
    """Layers after a convolution: norm, dropout and a PReLU with one slope for all channels."""

    def __init__(self, channels: int, *, norm: MakeModule, dropout: float) -> None:
        super().__init__(norm(channels), nn.Dropout(dropout), nn.PReLU())


class ResidualUnit(nn.Module):
    """3x3 convolutions, the first of them strided, and a shortcut.

    The shortcut is a 3x3 convolution where the unit has a stride, a 1x1 convolution where only the channels change.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        layers: Number of convolutions.
        finish: Factory ``finish(channels)`` of the layers after each convolution.
        stride: Stride of the first convolution.
        bare: Leave the last convolution as it is, without norm and activation.
    """

    def __init__(
        self, c_in: int, c_out: int, *, layers: int, finish: MakeModule, stride: int = 1, bare: bool = False
    ) -> None:
        super().__init__()
        units: list[nn.Module] = []
        for i in range(layers):
            units.append(conv(c_out if i else c_in, c_out, 1 if i else stride))
            if i < layers - 1 or not bare:
                units.append(finish(c_out))
        self.layers = nn.Sequential(*units)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = conv(c_in, c_out, stride)
        elif c_in != c_out:
            self.shortcut = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + self.shortcut(x)


class MONAIUNet(AnySize):
    """U-Net whose levels all have stride 2 but the last, so that the finest map is half the image's size.

    Level i has ``width * 2**i`` channels.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        depth: Number of levels, at least 2.
        num_res_units: Convolutions in a residual unit; 0 for single convolutions without shortcuts.
        norm: "batch", "instance" (without scale and offset, as in MONAI) or "auto": instance norm with residual units,
            which is MONAI's default, and batch norm without.
        dropout: Probability of dropout after every norm.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 16,
        depth: int = 5,
        num_res_units: int = 2,
        norm: str = "auto",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        whole(width=width)
        whole(2, depth=depth)
        whole(0, num_res_units=num_res_units)
        one_of(("auto", *NORMS), norm=norm)
        fraction(dropout=dropout)
        if norm == "auto":
            norm = "instance" if num_res_units else "batch"
        self.multiple = 2 ** (depth - 1)
        finish = partial(Finish, norm=NORMS[norm], dropout=dropout)
        c = [width * 2**i for i in range(depth)]

        def down(c_in: int, c_out: int, stride: int) -> nn.Module:
            if num_res_units:
                return ResidualUnit(c_in, c_out, layers=num_res_units, finish=finish, stride=stride)
            return nn.Sequential(conv(c_in, c_out, stride), finish(c_out))

        def up(c_in: int, c_out: int) -> nn.Module:
            layer = nn.Sequential(up_conv(c_in, c_out), finish(c_out))
            return layer.append(ResidualUnit(c_out, c_out, layers=1, finish=finish)) if num_res_units else layer

        self.encoder = nn.ModuleList(down(a, b, 2) for a, b in zip((in_channels, *c), c[:-1], strict=False))
        self.bottleneck = down(c[-2], c[-1], 1)
        merged = [2 * a for a in c[:-2]] + [c[-2] + c[-1]]  # channels of a skip and the map from below
        self.decoder = nn.ModuleList(up(a, b) for a, b in zip(merged[1:], c, strict=False))
        self.head = up_conv(merged[0], num_classes)
        if (
            num_res_units
        ):  # the last transposed convolution is then a layer like the others, before a unit of the logits
            last = ResidualUnit(num_classes, num_classes, layers=1, finish=finish, bare=True)
            self.head = nn.Sequential(self.head, finish(num_classes), last)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            pyramid.append(x)
        x = self.bottleneck(x)
        for level, skip in zip(reversed(self.decoder), reversed(pyramid[1:]), strict=True):
            x = level(torch.cat((skip, x), dim=1))
        return self.head(torch.cat((pyramid[0], x), dim=1))
