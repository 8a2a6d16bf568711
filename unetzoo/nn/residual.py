"""Blocks with a shortcut: ``block(c_in, c_out)``; the shortcut is a 1x1 convolution if the channels change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import MakeModule


class ResidualBlock(nn.Module):
    """The basic ResNet block: act(F(x) + x), where F is two 3x3 layers, the second without activation.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        conv: The 3x3 convolution.
        pointwise: The 1x1 convolution of the shortcut, which a norm follows but no activation.
        norm: The norm.
        act: The activation.

    References:
        He et al. 2015, arXiv 1512.03385.
    """

    def __init__(
        self, c_in: int, c_out: int, *, conv: MakeModule, pointwise: MakeModule, norm: MakeModule, act: MakeModule
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(conv(c_in, c_out), norm(c_out), act(), conv(c_out, c_out), norm(c_out))
        self.shortcut = nn.Identity() if c_in == c_out else nn.Sequential(pointwise(c_in, c_out), norm(c_out))
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, H, W)."""
        return self.act(self.residual(x) + self.shortcut(x))


class RecurrentLayer(nn.Module):
    """A layer applied t + 1 times with the same weights: first to x, then to the sum of x and its previous output.

    Args:
        channels: Channels of the map.
        layer: The layer.
        t: Number of recurrent applications after the first.

    References:
        R2U-Net, Alom et al. 2018, arXiv 1802.06955.
    """

    def __init__(self, channels: int, *, layer: MakeModule, t: int) -> None:
        super().__init__()
        self.layer, self.t = layer(channels, channels), t

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        out = self.layer(x)
        for _ in range(self.t):
            out = self.layer(x + out)
        return out


class RecurrentResidualBlock(nn.Module):
    """y + F(y), where y is a 1x1 convolution of the input and F is two recurrent layers.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        layer: The layer of the recurrent layers.
        t: Number of recurrent applications of each layer after the first.

    References:
        R2U-Net, Alom et al. 2018, arXiv 1802.06955, figure 4d.
    """

    def __init__(self, c_in: int, c_out: int, *, layer: MakeModule, t: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(c_in, c_out, kernel_size=1)
        self.recurrent = nn.Sequential(RecurrentLayer(c_out, layer=layer, t=t), RecurrentLayer(c_out, layer=layer, t=t))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, H, W)."""
        x = self.project(x)
        return x + self.recurrent(x)


class ConvNeXtLayer(nn.Module):
    """x + scale * F(x), where F is depthwise 7x7, norm, 1x1 to four times the channels, activation, 1x1 back.

    The scale is learned per channel and starts at 1e-6.

    Args:
        channels: Channels of the map.
        depthwise: The 7x7 convolution, called with ``groups=channels``.
        norm: The norm.
        act: The activation.

    References:
        ConvNeXt, Liu et al. 2022, arXiv 2201.03545, figure 4.
    """

    def __init__(self, channels: int, *, depthwise: MakeModule, norm: MakeModule, act: MakeModule) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            depthwise(channels, channels, groups=channels),
            norm(channels),
            nn.Conv2d(channels, 4 * channels, kernel_size=1),
            act(),
            nn.Conv2d(4 * channels, channels, kernel_size=1),
        )
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return x + self.scale * self.residual(x)


class ConvNeXtBlock(nn.Sequential):
    """Two ConvNeXt layers, preceded by a 1x1 convolution and a norm if the channels change.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        depthwise: The 7x7 convolution.
        pointwise: The 1x1 convolution.
        norm: The norm.
        act: The activation.

    References:
        ConvNeXt, Liu et al. 2022, arXiv 2201.03545.
    """

    def __init__(
        self, c_in: int, c_out: int, *, depthwise: MakeModule, pointwise: MakeModule, norm: MakeModule, act: MakeModule
    ) -> None:
        change = [] if c_in == c_out else [pointwise(c_in, c_out), norm(c_out)]
        layers = (ConvNeXtLayer(c_out, depthwise=depthwise, norm=norm, act=act) for _ in range(2))
        super().__init__(*change, *layers)
