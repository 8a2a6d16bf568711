"""Half-UNet: one width at all levels, and a sum of all levels in place of a decoder.

References:
    Lu et al. 2022, Half-UNet: A Simplified U-Net Architecture for Medical Image Segmentation,
        doi 10.3389/fninf.2022.911679.
    Ghost modules as in the code of alxfgh/Half-UNet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.nn.downsample import MaxPool
from unetzoo.standalone.common import one_of, whole


class GhostModule(nn.Module):
    """Half of the channels from a 3x3 convolution, half from a depthwise 3x3 of those (GhostNet, arXiv 1911.11907)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        half = c_out // 2
        self.primary = nn.Sequential(
            nn.Conv2d(c_in, half, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(half), nn.ReLU()
        )
        self.cheap = nn.Sequential(nn.Conv2d(half, half, kernel_size=3, padding=1, groups=half, bias=False), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary(x)
        return torch.cat([primary, self.cheap(primary)], dim=1)


class HalfUNet(nn.Module):
    """Encoder of `GhostModule`s whose levels are upsampled to the image's size and summed.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of every level, rounded up to an even number; half of them are ghosts.
        depth: Number of levels, from 2 to 8.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 64, depth: int = 5) -> None:
        super().__init__()
        whole(width=width)
        width += width % 2
        one_of(range(2, 9), depth=depth)
        inputs = (in_channels, *[width] * (depth - 1))
        self.levels = nn.ModuleList(nn.Sequential(GhostModule(c, width), GhostModule(width, width)) for c in inputs)
        self.down = MaxPool(width)
        self.fuse = nn.Sequential(GhostModule(width, width), GhostModule(width, width))
        self.head = nn.Conv2d(width, num_classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) of any size to logits (N, num_classes, H, W)."""
        size = spatial(x)
        total = x = self.levels[0](x)
        for level in self.levels[1:]:
            x = level(self.down(x))
            total = total + F.interpolate(x, size=size, mode="bilinear", align_corners=True)
        return self.head(self.fuse(total))
