"""EGE-UNet: products with learned maps along the axes, and masks on the skips.

References:
    Ruan et al. 2023, EGE-UNet: an Efficient Group Enhanced UNet for skin lesion segmentation, arXiv 2307.08473.
    Code: JCruan519/EGE-UNet, models/egeunet.py, EGEUNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.nn.norms import PixelLayerNorm
from unetzoo.standalone.common import init_by_fan_out, whole, wholes
from unetzoo.standalone.six_levels import Conv3x3, SixLevels, enlarge

SIDE = 8  # pixels to a side of the learned maps, which are interpolated to the size of their factor


def stretch(x: Tensor, *size: int) -> Tensor:
    """Interpolate (N, C, ...) to ``size`` along its one or two axes, with aligned corners."""
    return F.interpolate(x, size=size, mode="linear" if len(size) == 1 else "bilinear", align_corners=True)


class HadamardAttention(nn.Module):
    """Four groups of channels: one convolved, three times a learned map over (H, W), (C, H) or (C, W) (paper, GHPA)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        few = c_in // 4

        def process(conv: type[nn.Conv1d | nn.Conv2d]) -> nn.Sequential:
            return nn.Sequential(conv(few, few, 3, padding=1, groups=few), nn.GELU(), conv(few, few, 1))

        self.plane = nn.Parameter(torch.ones(1, few, SIDE, SIDE))
        self.plane_conv = process(nn.Conv2d)
        self.rows = nn.Parameter(torch.ones(1, 1, few, SIDE))
        self.rows_conv = process(nn.Conv1d)
        self.columns = nn.Parameter(torch.ones(1, 1, few, SIDE))
        self.columns_conv = process(nn.Conv1d)
        self.rest = nn.Sequential(nn.Conv2d(few, few, 1), nn.GELU(), Conv3x3(few, few, groups=few))
        self.norm = PixelLayerNorm(c_in, eps=1e-6)
        self.out = nn.Sequential(
            PixelLayerNorm(c_in, eps=1e-6), Conv3x3(c_in, c_in, groups=c_in), nn.GELU(), nn.Conv2d(c_in, c_out, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        h, w = spatial(x)
        a, b, c, d = self.norm(x).chunk(4, dim=1)
        a = a * self.plane_conv(stretch(self.plane, h, w))
        b = b * self.rows_conv(stretch(self.rows[0], h))[..., :, None]
        c = c * self.columns_conv(stretch(self.columns[0], w))[..., None, :]
        return self.out(torch.cat((a, b, c, self.rest(d)), dim=1))


class GroupBridge(nn.Module):
    """Group aggregation bridge: the coarser skip and this level's in four groups, each with the mask and a dilation.

    It is the paper's GAB.

    Args:
        c_below: Channels of the coarser skip.
        channels: Channels of this level's skip and of the result.
        c_mask: Channels of the mask, 0 for none.
        dilations: Dilation of each group's convolution.
    """

    def __init__(self, c_below: int, channels: int, c_mask: int, dilations: Sequence[int]) -> None:
        super().__init__()
        few = channels // 2 + c_mask
        self.project = nn.Conv2d(c_below, channels, 1)
        self.groups = nn.ModuleList(
            nn.Sequential(PixelLayerNorm(few, eps=1e-6), nn.Conv2d(few, few, 3, padding=d, dilation=d, groups=few))
            for d in dilations
        )
        self.fuse = nn.Sequential(PixelLayerNorm(4 * few, eps=1e-6), nn.Conv2d(4 * few, channels, 1))

    def forward(self, below: Tensor, skip: Tensor, *mask: Tensor) -> Tensor:
        """Map ``below`` (N, c_below, h, w), ``skip`` (N, C, H, W) and any mask (N, c_mask, H, W) to (N, C, H, W)."""
        below = stretch(self.project(below), *spatial(skip))
        pairs = zip(below.chunk(4, dim=1), skip.chunk(4, dim=1), strict=True)
        return self.fuse(
            torch.cat([f(torch.cat((*pair, *mask), dim=1)) for f, pair in zip(self.groups, pairs, strict=True)], dim=1)
        )


class EGEUNet(SixLevels):
    """`SixLevels` of Hadamard attention; each skip is made from the one below, the encoder's map and a mask.

    The masks are logits of each decoder level. With ``deep_supervision``, ``forward_all`` returns the main logits and
    then the masks, finest first, all of the image's size; without it the skips see no mask.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level, rounded as in `SixLevels`.
        hadamard: False replaces the blocks by 3x3 convolutions.
        bridge: False adds the encoder's maps as they are.
        dilations: Dilations of the four groups of a bridge.
        deep_supervision: Predict, return and use the masks.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 8,
        hadamard: bool = True,
        bridge: bool = True,
        dilations: Sequence[int] = (1, 2, 5, 7),
        deep_supervision: bool = True,
    ) -> None:
        whole(width=width)
        wholes(4, dilations=dilations)
        block = HadamardAttention if hadamard else Conv3x3
        super().__init__(in_channels, num_classes, width, encode=block, decode=block)
        c, c_mask = self.channels, num_classes if deep_supervision else 0
        self.masks = nn.ModuleList(nn.Conv2d(a, c_mask, 1) for a in c[:-1]) if deep_supervision else None
        self.bridges = nn.ModuleList(GroupBridge(b, a, c_mask, dilations) for a, b in pairwise(c)) if bridge else None
        self.apply(init_by_fan_out)

    def logits(self, x: Tensor) -> Tensor:
        return self._decoded(x)[0]

    def forward_all(self, x: Tensor) -> list[Tensor]:
        h, w = spatial(x)
        main, *masks = self._decoded(self.fit(x))
        scales = [main, *(enlarge(mask, 2 ** (level + 1)) for level, mask in enumerate(masks))]
        return [scale[..., :h, :w] for scale in scales]

    def _decoded(self, x: Tensor) -> list[Tensor]:
        """Return the logits, then the masks of the levels, finest first, at 1/2 to 1/32 of the size of the logits."""
        pyramid, x = self.descend(x)
        skip, masks = x, []
        for level in reversed(range(5)):
            x = self.ascend(x, level)
            mask = [self.masks[level](x)] if self.masks else []
            skip = self.bridges[level](skip, pyramid[level], *mask) if self.bridges else pyramid[level]
            x = x + skip
            masks = mask + masks
        return [enlarge(self.head(x)), *masks]
