"""Block: ``block(c_in, c_out)`` maps (N, c_in, H, W) to (N, c_out, H', W').

A block is made of layers, ``layer(c_in, c_out)``. `unetzoo.nn.residual` has the blocks with shortcuts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

MakeModule: TypeAlias = Callable[..., nn.Module]
"""A class or function that makes a module, usually from numbers of channels."""


class ConvNormAct(nn.Sequential):
    """Convolution, norm, activation; with an identity for a norm this is a layer of the 2015 U-Net.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        conv: The convolution, called as ``conv(c_in, c_out, **options)``.
        norm: The norm, called as ``norm(c_out)``.
        act: The activation, called as ``act()``.
        drop: Dropout between convolution and norm, as in SA-UNet (arXiv 2004.03696), called as ``drop()``; optional.
        options: Further arguments of the convolution.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        conv: MakeModule,
        norm: MakeModule,
        act: MakeModule,
        drop: MakeModule | None = None,
        **options: Any,
    ) -> None:
        super().__init__(conv(c_in, c_out, **options), *([drop()] if drop else []), norm(c_out), act())


class SeparableLayer(nn.Sequential):
    """A layer with a depthwise convolution, followed by one with a 1x1 convolution.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        spatial: The depthwise layer, called as ``spatial(c_in, c_in, groups=c_in)``.
        pointwise: The 1x1 layer, called as ``pointwise(c_in, c_out)``.

    References:
        MobileNet, Howard et al. 2017, arXiv 1704.04861.
    """

    def __init__(self, c_in: int, c_out: int, *, spatial: MakeModule, pointwise: MakeModule) -> None:
        super().__init__(spatial(c_in, c_in, groups=c_in), pointwise(c_in, c_out))


class InceptionLayer(nn.Module):
    """Four branches side by side, with a quarter of the output channels each.

    The branches are 1x1 | 1x1, 3x3 | 1x1, 3x3, 3x3 | 3x3 max pool, 1x1. Two 3x3 layers replace the paper's 5x5, as in
    arXiv 1512.00567. If four does not divide the channels, the first branches are one channel wider.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        spatial: The 3x3 layer.
        pointwise: The 1x1 layer.

    References:
        Szegedy et al. 2014, arXiv 1409.4842, figure 2b; Szegedy et al. 2015, arXiv 1512.00567.
    """

    def __init__(self, c_in: int, c_out: int, *, spatial: MakeModule, pointwise: MakeModule) -> None:
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
        """Map (N, c_in, H, W) to (N, c_out, H, W)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class DoubleConv(nn.Sequential):
    """Two layers in a row, the block of the original U-Net.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        layer: The layer.
        c_mid: Channels between the two layers; ``c_out`` if None.
        between: A module between the two layers, called as ``between(c_mid)``; optional.

    References:
        Ronneberger et al. 2015, arXiv 1505.04597, section 2.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        layer: MakeModule,
        c_mid: int | None = None,
        between: MakeModule | None = None,
    ) -> None:
        middle = c_mid or c_out
        super().__init__(layer(c_in, middle), *([between(middle)] if between else []), layer(middle, c_out))


class DenseBlock(nn.Module):
    """Four 3x3 layers, each of which reads all maps before it, and a 1x1 layer that reads all of them.

    Each 3x3 layer adds c_out / 4 channels; the 1x1 layer reduces the total to c_out.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        spatial: The 3x3 layer.
        pointwise: The 1x1 layer.

    References:
        DenseNet, Huang et al. 2016, arXiv 1608.06993.
    """

    def __init__(self, c_in: int, c_out: int, *, spatial: MakeModule, pointwise: MakeModule) -> None:
        super().__init__()
        growth = max(1, c_out // 4)
        self.layers = nn.ModuleList(spatial(c_in + i * growth, growth) for i in range(4))
        self.fuse = pointwise(c_in + 4 * growth, c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, H, W)."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return self.fuse(x)


class FollowedBy(nn.Sequential):
    """A module followed by one made without arguments: ``partial(FollowedBy, up, nn.ReLU)`` is called as ``up`` is.

    Args:
        first: The first module, called as ``first(*channels)``.
        after: The module that follows, called as ``after()``.
        channels: Channels of the first module.
    """

    def __init__(self, first: MakeModule, after: MakeModule, *channels: int) -> None:
        super().__init__(first(*channels), after())

    def forward(self, input: Tensor, *others: Tensor) -> Tensor:
        """Return the result of both modules; only the first reads ``others``."""
        return self[1](self[0](input, *others))


class FollowedBySized(nn.Sequential):
    """A block followed by a module sized for its output channels.

    Args:
        block: The block.
        after: The module that follows, called as ``after(c_out)``.
        c_in: Input channels.
        c_out: Output channels.
    """

    def __init__(self, block: MakeModule, after: MakeModule, c_in: int, c_out: int) -> None:
        super().__init__(block(c_in, c_out), after(c_out))


def he_normal(module: nn.Module) -> None:
    """Draw a convolution's weights from N(0, sqrt(2 / N)), N the inputs of one output value; set the bias to 0.

    In a transposed convolution an output pixel has kernel area / stride area taps in every input channel, so N is that
    ratio times the input channels. Meant for ``model.apply``; other modules are left alone.

    Args:
        module: Any module.

    References:
        Ronneberger et al. 2015, arXiv 1505.04597, section 3; He et al. 2015, arXiv 1502.01852.
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
    """Call the module's ``init_weights``, which modules have whose papers prescribe the initial weights.

    Meant for ``model.apply``, after all other initialisation.

    Args:
        module: Any module.
    """
    init: Any = getattr(module, "init_weights", None)
    if init is not None:
        init()


def exporting() -> bool:
    """Return True while torch.export traces: code must then not depend on sizes, or the graph holds for some alone."""
    return getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)()  # torch 2.6 has the second alone


def spatial(x: Tensor) -> tuple[int, int]:
    """Return (H, W) of a map (N, C, H, W)."""
    return x.shape[-2], x.shape[-1]


def larger(a: int, b: int) -> int:
    """Return the larger of two sides; in an exported graph they may be free."""
    return torch.sym_max(a, b)  # type: ignore[return-value]  # an int, or a symbol that takes its place


def smaller(a: int, b: int) -> int:
    """Return the smaller of two sides; in an exported graph they may be free."""
    return torch.sym_min(a, b)  # type: ignore[return-value]
