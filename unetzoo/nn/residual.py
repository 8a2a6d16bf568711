"""Blocks with a shortcut: ``block(c_in, c_out)``; the shortcut is a 1x1 convolution where the channels change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import Part


class ResidualBlock(nn.Module):
    """act(F(x) + x), F two 3x3 layers of which the second has no activation (He et al. 2015, arXiv 1512.03385).

    ``conv`` is 3x3; the shortcut's 1x1 ``pointwise`` has a norm but no activation.
    """

    def __init__(self, c_in: int, c_out: int, *, conv: Part, pointwise: Part, norm: Part, act: Part) -> None:
        super().__init__()
        self.residual = nn.Sequential(conv(c_in, c_out), norm(c_out), act(), conv(c_out, c_out), norm(c_out))
        self.shortcut = nn.Identity() if c_in == c_out else nn.Sequential(pointwise(c_in, c_out), norm(c_out))
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.residual(x) + self.shortcut(x))


class RecurrentLayer(nn.Module):
    """A layer that sees its input and its own last output, ``t`` times after the first (Alom et al. 2018)."""

    def __init__(self, channels: int, *, layer: Part, t: int) -> None:
        super().__init__()
        self.layer, self.t = layer(channels, channels), t

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer(x)
        for _ in range(self.t):
            out = self.layer(x + out)
        return out


class RecurrentResidualBlock(nn.Module):
    """x + two recurrent layers, x the 1x1 convolution of the input (R2U-Net, arXiv 1802.06955, figure 4d)."""

    def __init__(self, c_in: int, c_out: int, *, layer: Part, t: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(c_in, c_out, kernel_size=1)
        self.recurrent = nn.Sequential(RecurrentLayer(c_out, layer=layer, t=t), RecurrentLayer(c_out, layer=layer, t=t))

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(x)
        return x + self.recurrent(x)


class ConvNeXtLayer(nn.Module):
    """x + scaled: depthwise 7x7, norm, 1x1 to four times the channels, act, 1x1 back (arXiv 2201.03545, figure 4)."""

    def __init__(self, channels: int, *, depthwise: Part, norm: Part, act: Part) -> None:
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
        return x + self.scale * self.residual(x)


class ConvNeXtBlock(nn.Sequential):
    """Two ConvNeXt layers, after a 1x1 convolution and a norm where the channels change."""

    def __init__(self, c_in: int, c_out: int, *, depthwise: Part, pointwise: Part, norm: Part, act: Part) -> None:
        change = [] if c_in == c_out else [pointwise(c_in, c_out), norm(c_out)]
        layers = (ConvNeXtLayer(c_out, depthwise=depthwise, norm=norm, act=act) for _ in range(2))
        super().__init__(*change, *layers)
