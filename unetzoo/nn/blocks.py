"""Block: ``block(c_in, c_out)`` maps (N, c_in, H, W) to (N, c_out, H', W'); here those of layers in a row.

A layer is ``layer(c_in, c_out)``. `unetzoo.nn.residual` has the blocks with shortcuts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Part: TypeAlias = Callable[..., nn.Module]


class ConvNormAct(nn.Sequential):
    """Convolution, norm, activation: one layer of the 2015 U-Net where the norm is an identity.

    ``drop``, if any, goes between convolution and norm (as in SA-UNet, arXiv 2004.03696); ``options`` are the
    convolution's.
    """

    def __init__(
        self, c_in: int, c_out: int, *, conv: Part, norm: Part, act: Part, drop: Part | None = None, **options: Any
    ) -> None:
        super().__init__(conv(c_in, c_out, **options), *([drop()] if drop else []), norm(c_out), act())


class SeparableLayer(nn.Sequential):
    """A layer of depthwise 3x3, then one of 1x1 convolutions (MobileNet, Howard et al. 2017, arXiv 1704.04861).

    ``spatial`` and ``pointwise`` are layers; ``spatial`` takes ``groups``.
    """

    def __init__(self, c_in: int, c_out: int, *, spatial: Part, pointwise: Part) -> None:
        super().__init__(spatial(c_in, c_in, groups=c_in), pointwise(c_in, c_out))


class InceptionLayer(nn.Module):
    """Four branches side by side, a quarter of the channels each (Szegedy et al. 2014, arXiv 1409.4842, figure 2b).

    1x1 | 1x1, 3x3 | 1x1, 3x3, 3x3 (for the paper's 5x5, as in arXiv 1512.00567) | 3x3 max pool, 1x1. Where four does
    not divide the channels, the first branches are one wider.
    """

    def __init__(self, c_in: int, c_out: int, *, spatial: Part, pointwise: Part) -> None:
        super().__init__()
        a, b, c, d = (c_out // 4 + (i < c_out % 4) for i in range(4))
        branches = [
            [pointwise(c_in, a)] if a else [],
            [pointwise(c_in, b), spatial(b, b)] if b else [],
            [pointwise(c_in, c), spatial(c, c), spatial(c, c)] if c else [],
            [nn.MaxPool2d(3, stride=1, padding=1), pointwise(c_in, d)] if d else [],
        ]
        self.branches = nn.ModuleList(nn.Sequential(*branch) for branch in branches if branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class DoubleConv(nn.Sequential):
    """Two layers in a row (arXiv 1505.04597, section 2).

    ``c_mid`` are the channels between the two, by default c_out; ``between(c_mid)`` is a module there.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        layer: Part,
        c_mid: int | None = None,
        between: Part | None = None,
    ) -> None:
        middle = c_mid or c_out
        super().__init__(layer(c_in, middle), *([between(middle)] if between else []), layer(middle, c_out))


class DenseBlock(nn.Module):
    """Four 3x3 layers, each on all maps before it, then a 1x1 layer on them all (Huang et al. 2016, arXiv 1608.06993).

    Each adds c_out / 4 channels; the 1x1 layer makes c_out of them.
    """

    def __init__(self, c_in: int, c_out: int, *, spatial: Part, pointwise: Part) -> None:
        super().__init__()
        growth = max(1, c_out // 4)
        self.layers = nn.ModuleList(spatial(c_in + i * growth, growth) for i in range(4))
        self.fuse = pointwise(c_in + 4 * growth, c_out)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return self.fuse(x)


class Then(nn.Sequential):
    """A part followed by another module: ``partial(Then, up, nn.ReLU)`` is still an ``up(c_in, c_out)``."""

    def __init__(self, part: Part, after: Part, *channels: int) -> None:
        super().__init__(part(*channels), after())

    def forward(self, input: Tensor, *others: Tensor) -> Tensor:
        return self[1](self[0](input, *others))


class Followed(nn.Sequential):
    """A block followed by a module that is made for its output: ``after(c_out)``."""

    def __init__(self, block: Part, after: Part, c_in: int, c_out: int) -> None:
        super().__init__(block(c_in, c_out), after(c_out))


def he_normal(module: nn.Module) -> None:
    """Weights ~ N(0, sqrt(2 / N)), N the incoming nodes of one output (arXiv 1505.04597, section 3); bias 0.

    A transposed convolution gives each output pixel its kernel's area over the stride's area taps of every input
    channel, so N is that times the input channels. Use with ``model.apply``.
    """
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return
    taps = math.prod(module.kernel_size) * module.in_channels / module.groups
    if isinstance(module, nn.ConvTranspose2d):
        taps /= math.prod(module.stride)
    nn.init.normal_(module.weight, std=math.sqrt(2 / taps))
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def own_initial_weights(module: nn.Module) -> None:
    """Parts whose papers say how they start have a method ``init_weights``. Use with ``model.apply``, last."""
    init: Any = getattr(module, "init_weights", None)
    if init is not None:
        init()


def spatial(x: Tensor) -> tuple[int, int]:
    """(H, W) of a map (N, C, H, W)."""
    return x.shape[-2], x.shape[-1]
