"""Norm: ``norm(channels, eps=...)`` on (N, C, H, W), each with a weight and a bias per channel.

torch refuses to normalise one value by itself, even where that is well defined (the result is the bias); these pass,
so that a network takes images whose coarsest map is 1x1. Batch norm in training mode cannot.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class InstanceNorm(nn.InstanceNorm2d):
    """Over H and W of each channel of each image (Ulyanov et al. 2016, arXiv 1607.08022); no running statistics."""

    def __init__(self, channels: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(channels, eps=eps, affine=affine)

    def forward(self, input: Tensor) -> Tensor:
        return torch.instance_norm(
            input, self.weight, self.bias, None, None, True, 0.0, self.eps, torch.backends.cudnn.enabled
        )


class GroupNorm(nn.GroupNorm):
    """Over H, W and the channels of a group (Wu & He 2018, arXiv 1803.08494).

    ``groups`` is at most that many: the largest number that divides the channels and leaves at least two to a group.
    One group is layer norm in that paper's sense (its figure 2).
    """

    def __init__(self, channels: int, *, groups: int, eps: float = 1e-5) -> None:
        most = max(1, min(groups, channels // 2))
        super().__init__(next(g for g in range(most, 0, -1) if channels % g == 0), channels, eps=eps)

    def forward(self, input: Tensor) -> Tensor:
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps, torch.backends.cudnn.enabled)


class PixelLayerNorm(nn.LayerNorm):
    """Over the channels of each pixel, as in ConvNeXt (Liu et al. 2022, arXiv 2201.03545)."""

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, input: Tensor) -> Tensor:
        pixels = input.movedim(1, -1)
        return F.layer_norm(pixels, self.normalized_shape, self.weight, self.bias, self.eps).movedim(-1, 1)


class NoNorm(nn.Identity):
    """The map as it is."""

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
