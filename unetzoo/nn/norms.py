"""Norm: ``norm(channels, eps=...)`` on (N, C, H, W), with a weight and a bias per channel.

torch refuses to normalise a single value, even where the result is well defined (the bias). These norms do not, so
that a network takes images whose coarsest map is 1x1. Batch norm in training mode cannot.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class InstanceNorm(nn.InstanceNorm2d):
    """Normalisation over H and W of each channel of each image, without running statistics.

    Args:
        channels: Channels of the map.
        eps: Added to the variance.
        affine: Whether there are a weight and a bias per channel.

    References:
        Ulyanov et al. 2016, arXiv 1607.08022.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(channels, eps=eps, affine=affine)

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return torch.instance_norm(
            input, self.weight, self.bias, None, None, True, 0.0, self.eps, torch.backends.cudnn.enabled
        )


class GroupNorm(nn.GroupNorm):
    """Normalisation over H, W and the channels of a group.

    One group is layer norm in the sense of that paper (figure 2).

    Args:
        channels: Channels of the map.
        groups: Largest number of groups; fewer if it does not divide the channels or leaves fewer than two per group.
        eps: Added to the variance.

    References:
        Wu and He 2018, arXiv 1803.08494.
    """

    def __init__(self, channels: int, *, groups: int, eps: float = 1e-5) -> None:
        most = max(1, min(groups, channels // 2))
        super().__init__(next(g for g in range(most, 0, -1) if channels % g == 0), channels, eps=eps)

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps, torch.backends.cudnn.enabled)


class PixelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel, as in ConvNeXt.

    Args:
        channels: Channels of the map.
        eps: Added to the variance.

    References:
        Liu et al. 2022, arXiv 2201.03545.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        pixels = input.movedim(1, -1)
        return F.layer_norm(pixels, self.normalized_shape, self.weight, self.bias, self.eps).movedim(-1, 1)


class NoNorm(nn.Identity):
    """Identity with the arguments of a norm."""

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
