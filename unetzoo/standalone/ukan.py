"""U-KAN: UNeXt's shape, with layers of learned splines on the tokens.

References:
    Li et al. 2024, U-KAN Makes Strong Backbone for Medical Image Segmentation and Generation, arXiv 2406.02918.
    Code: CUHK-AIM-Group/U-KAN, Seg_UKAN/archs.py, UKAN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import ConvNormAct, DoubleConv
from unetzoo.standalone.common import fraction, whole, wholes
from unetzoo.standalone.token_unet import TokenUNet
from unetzoo.standalone.unext import ChannelLinear

INTERVALS, ORDER = 5, 3  # intervals of [-1, 1] and order of the B-splines; ORDER more knots lie beyond each end


def splines(x: Tensor) -> Tensor:
    """Evaluate the cubic B-splines at each value of (...), as (..., 8); all are 0 beyond 2.2 on either side."""
    precise = torch.promote_types(x.dtype, torch.float32)
    place = ((x.to(precise) + 1) * INTERVALS / 2 + ORDER)[..., None]  # in units where the knots are 0, 1, 2, ...
    knots = torch.arange(INTERVALS + 2 * ORDER, dtype=precise, device=x.device)
    bases = ((place >= knots) & (place < knots + 1)).to(precise)
    for k in range(1, ORDER + 1):  # the recursion of Cox and de Boor
        knots = knots[:-1]
        bases = ((place - knots) * bases[..., :-1] + (knots + k + 1 - place) * bases[..., 1:]) / k
    return bases.to(x.dtype)


class SplineLinear(nn.Module):
    """KAN layer over the channels of (N, C, H, W): each weight is a function, SiLU plus a spline (arXiv 2404.19756)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.empty(c_out, c_in))
        self.spline = nn.Parameter(torch.empty(c_out, c_in, INTERVALS + ORDER))
        self.scale = nn.Parameter(torch.empty(c_out, c_in))
        for weight in (self.base, self.scale):
            nn.init.uniform_(weight, -1 / math.sqrt(c_in), 1 / math.sqrt(c_in))
        # Splines start as those of least norm through noise of at most 0.01 at the knots of [-1, 1].
        ends = 0.05 / INTERVALS
        noise = torch.empty(c_out, c_in, INTERVALS + 1).uniform_(-ends, ends)
        fit = torch.linalg.pinv(splines(torch.linspace(-1, 1, INTERVALS + 1)))
        with torch.no_grad():
            self.spline.copy_(noise @ fit.T)

    def forward(self, x: Tensor) -> Tensor:
        x = x.movedim(1, -1)
        spline = (self.spline * self.scale[..., None]).flatten(1)
        return (F.linear(F.silu(x), self.base) + F.linear(splines(x).flatten(-2), spline)).movedim(-1, 1)


class UKAN(TokenUNet):
    """`TokenUNet` of double convolutions and of `SplineLinear` layers, each before a depthwise 3x3 layer.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level where its multiple is 1: 32 for the paper's large network, 16 for its
            medium.
        multiples: Level i has ``width * multiples[i]`` channels; five numbers, finest first.
        layers: KAN layers of a block.
        kan: False replaces the KAN layers by linear ones.
        drop_path: Twice the chance that an image skips a branch at the coarser token level in training, as in
            `TokenUNet`.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        multiples: Sequence[int] = (1, 2, 8, 10, 16),
        layers: int = 3,
        kan: bool = True,
        drop_path: float = 0.0,
    ) -> None:
        whole(width=width, layers=layers)
        wholes(5, multiples=multiples)
        fraction(drop_path=drop_path)

        def layer(c_in: int, c_out: int, groups: int = 1) -> nn.Module:
            conv = partial(nn.Conv2d, kernel_size=3, padding=1, groups=groups)
            return ConvNormAct(c_in, c_out, conv=conv, norm=nn.BatchNorm2d, act=nn.ReLU)

        def back(c_in: int, c_out: int) -> nn.Module:
            return DoubleConv(c_in, c_out, layer=layer, c_mid=c_in)

        def mix(c: int) -> nn.Module:
            dense = SplineLinear if kan else ChannelLinear
            return nn.Sequential(*(module for _ in range(layers) for module in (dense(c, c), layer(c, c, groups=c))))

        c = [width * multiple for multiple in multiples]
        super().__init__(
            in_channels,
            num_classes,
            c,
            conv=lambda c_in, c_out: DoubleConv(c_in, c_out, layer=layer),
            back=back,
            last=back(c[0], c[0]),
            mix=mix,
            drop_path=drop_path,
        )
