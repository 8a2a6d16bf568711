"""Little U-Net and Little W-Net: three narrow levels of residual blocks, once or twice in a row.

References:
    Galdran et al. 2020, The Little W-Net That Could: State-of-the-Art Retinal Vessel Segmentation with Minimalistic
        Models, arXiv 2009.01907.
    Code: agaldran/lwnet, models/get_model.py and models/res_unet_adrian.py, get_arch.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from unetzoo.standalone.common import AnySize, whole


def layer(c_in: int, c_out: int) -> list[nn.Module]:
    """Return a 3x3 convolution, ReLU and batch norm, in this order."""
    return [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(c_out)]


class Residual(nn.Module):
    """Two layers, and a 1x1 convolution with batch norm for a shortcut."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layer(c_in, c_out), *layer(c_out, c_out))
        self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + self.shortcut(x)


class ResidualUNet(nn.Module):
    """Levels of `Residual` with ``width * 2**i`` channels at level i; each skip passes one layer."""

    def __init__(self, in_channels: int, num_classes: int, width: int, levels: int) -> None:
        super().__init__()
        c = [width * 2**i for i in range(levels)]
        pairs = list(pairwise(c))
        self.encoder = nn.ModuleList([Residual(in_channels, width), *(Residual(a, b) for a, b in pairs)])
        self.pool = nn.MaxPool2d(2)
        self.skips = nn.ModuleList(nn.Sequential(*layer(a, a)) for a, _ in pairs)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.decoder = nn.ModuleList(Residual(2 * a, a) for a, _ in pairs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, K, H, W); the number of halvings must suit both sides."""
        pyramid: list[Tensor] = []
        for level in self.encoder:
            x = level(self.pool(x) if pyramid else x)
            pyramid.append(x)
        for i in reversed(range(len(self.ups))):
            x = self.decoder[i](torch.cat((self.ups[i](x), self.skips[i](pyramid[i])), dim=1))
        return self.head(x)


class LittleNet(AnySize):
    """One `ResidualUNet`, or two of which the second also sees the logits of the first.

    With two, ``forward_all`` returns the logits of the second and the first, both of the image's size.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        levels: Number of levels, at least 2; the paper's larger networks have 4.
        twice: Put a second network after the first (the paper's W-Net).

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, width: int = 8, levels: int = 3, twice: bool = False
    ) -> None:
        super().__init__()
        whole(width=width)
        whole(2, levels=levels)
        self.multiple = 2 ** (levels - 1)
        self.first = ResidualUNet(in_channels, num_classes, width, levels)
        self.second = ResidualUNet(in_channels + num_classes, num_classes, width, levels) if twice else None

    def logits(self, x: Tensor) -> Tensor:
        return self.scales(x)[0]

    def scales(self, x: Tensor) -> list[Tensor]:
        first = self.first(x)
        return [self.second(torch.cat((x, first), dim=1)), first] if self.second else [first]
