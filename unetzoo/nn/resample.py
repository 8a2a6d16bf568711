"""Down: ``down(channels)`` halves (N, C, H, W). Up: ``up(c_in, c_out)`` doubles it and sets the channels.

Every Up takes c_in channels and gives c_out, so that one way up can be exchanged for another and nothing
else in the network changes.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial


class MaxPool(nn.Module):
    """2x2 max pooling with stride 2; an odd last row or column is dropped.

    A map of height or width 1 stays 1 there, so that images down to 1x1 pass any depth.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        h, w = spatial(x)
        return F.max_pool2d(x, (min(2, h), min(2, w)))


class TransposedUp(nn.ConvTranspose2d):
    """2x2 "up-convolution" with stride 2, as in arXiv 1505.04597."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, kernel_size=2, stride=2)


class InterpolateUp(nn.Module):
    """1x1 convolution, then interpolation by 2 ("resize-convolution", Odena 2016, doi 10.23915/distill.00003).

    Interpolation weights sum to 1, so the order changes nothing but the cost: projecting first is four
    times cheaper.
    """

    def __init__(self, c_in: int, c_out: int, *, mode: str) -> None:
        super().__init__()
        self.project = nn.Conv2d(c_in, c_out, kernel_size=1)
        self.mode = mode
        self.align_corners = False if mode == "bilinear" else None

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.project(x), scale_factor=2.0, mode=self.mode, align_corners=self.align_corners)


class PixelShuffleUp(nn.Sequential):
    """Sub-pixel convolution: 3x3 to 4 c_out channels, then a shuffle (Shi et al. 2016, arXiv 1609.05158).

    3x3 as in that paper: with a 1x1 kernel the layer would be the 2x2 transposed convolution again.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(nn.Conv2d(c_in, 4 * c_out, kernel_size=3, padding=1), nn.PixelShuffle(2))
