"""Skip: ``skip(c_skip, c_up)`` merges an encoder map with the upsampled one; ``out_channels`` comes out.

``skip(skip, up)`` takes (N, c_skip, H, W) and (N, c_up, H, W). Before that an aligner gives both the same
H and W: `pad_to_skip` in padded networks, `crop_to_up` in valid ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import Part, spatial


class ConcatSkip(nn.Module):
    """Concatenation along the channels; which of the two comes first is of no consequence but for parity."""

    def __init__(self, c_skip: int, c_up: int, *, up_first: bool = False) -> None:
        super().__init__()
        self.out_channels = c_skip + c_up
        self.up_first = up_first

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        return torch.cat((up, skip) if self.up_first else (skip, up), dim=1)


class AddSkip(nn.Module):
    """Sum of the two maps, which must have the same channels (as in FusionNet, arXiv 1612.05360)."""

    def __init__(self, c_skip: int, c_up: int) -> None:
        super().__init__()
        self.out_channels = c_up

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        return skip + up


class NoSkip(nn.Module):
    """The upsampled map alone: an encoder-decoder without skip connections."""

    def __init__(self, c_skip: int, c_up: int) -> None:
        super().__init__()
        self.out_channels = c_up

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        return up


class AttentionSkip(ConcatSkip):
    """The encoder map weighed pixel by pixel by where it agrees with the upsampled one, then concatenated.

    The additive gate of Attention U-Net (Oktay et al. 2018, arXiv 1804.03999, equations 1 and 2) with the upsampled map
    for a gating signal, as LeeJunHyun/Image_Segmentation has it: ``conv`` is 1x1, each with a norm.
    """

    def __init__(self, c_skip: int, c_up: int, *, conv: Part, norm: Part, act: Part) -> None:
        super().__init__(c_skip, c_up)
        few = max(1, c_skip // 2)
        self.see_up = nn.Sequential(conv(c_up, few), norm(few))
        self.see_skip = nn.Sequential(conv(c_skip, few), norm(few))
        self.act = act()
        self.weigh = nn.Sequential(conv(few, 1), norm(1), nn.Sigmoid())

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        return super().forward(skip * self.weigh(self.act(self.see_up(up) + self.see_skip(skip))), up)


class GatedSkip(ConcatSkip):
    """The encoder map times a gate per channel and pixel, the sigmoid of a 1x1 convolution of the upsampled map."""

    def __init__(self, c_skip: int, c_up: int) -> None:
        super().__init__(c_skip, c_up)
        self.gate = nn.Conv2d(c_up, c_skip, kernel_size=1)

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        return super().forward(skip * self.gate(up).sigmoid(), up)


def pad_to_skip(skip: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Centre the upsampled map on the skip's size: zeros where it is smaller, cropped where it is larger."""
    (h, w), (uh, uw) = spatial(skip), spatial(up)
    if (h, w) == (uh, uw):
        return skip, up
    top, left = (h - uh) // 2, (w - uw) // 2
    return skip, F.pad(up, (left, w - uw - left, top, h - uh - top))


def crop_to_up(skip: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the skip's centre to the upsampled map's size (arXiv 1505.04597, "copy and crop")."""
    (h, w), (uh, uw) = spatial(skip), spatial(up)
    top, left = (h - uh) // 2, (w - uw) // 2
    return skip[..., top : top + uh, left : left + uw], up
