"""Block: ``block(c_in, c_out)`` maps (N, c_in, H, W) to (N, c_out, H', W')."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor, nn

Part: TypeAlias = Callable[..., nn.Module]


class ConvNormAct(nn.Sequential):
    """Convolution, norm, activation: one layer of the 2015 U-Net where the norm is an identity."""

    def __init__(self, c_in: int, c_out: int, *, conv: Part, norm: Part, act: Part) -> None:
        super().__init__(conv(c_in, c_out), norm(c_out), act())


class DoubleConv(nn.Sequential):
    """Two layers in a row (arXiv 1505.04597, section 2)."""

    def __init__(self, c_in: int, c_out: int, *, layer: Part) -> None:
        super().__init__(layer(c_in, c_out), layer(c_out, c_out))


class Then(nn.Sequential):
    """A part followed by another module: ``partial(Then, up, nn.ReLU)`` is still an ``up(c_in, c_out)``."""

    def __init__(self, part: Part, after: Part, *channels: int) -> None:
        super().__init__(part(*channels), after())


def he_normal(module: nn.Module) -> None:
    """Weights ~ N(0, sqrt(2 / N)), N the incoming nodes of one output (arXiv 1505.04597, section 3); bias 0.

    A transposed convolution whose kernel equals its stride gives each output pixel one tap of every input
    channel, so N is the kernel's area over the stride's area, times the input channels. Use with
    ``model.apply``.
    """
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return
    taps = math.prod(module.kernel_size) * module.in_channels / module.groups
    if isinstance(module, nn.ConvTranspose2d):
        taps /= math.prod(module.stride)
    nn.init.normal_(module.weight, std=math.sqrt(2 / taps))
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def spatial(x: Tensor) -> tuple[int, int]:
    """(H, W) of a map (N, C, H, W)."""
    return x.shape[-2], x.shape[-1]
