"""Skip: ``skip(c_skip, c_up)`` merges an encoder map with the upsampled map into one of ``out_channels`` channels.

Its ``forward(skip, up)`` takes (N, c_skip, H, W) and (N, c_up, H, W). Before that an aligner gives both the same height
and width: `pad_to_skip` in padded networks, `crop_to_up` in networks of unpadded convolutions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import MakeModule, exporting, spatial


class ConcatSkip(nn.Module):
    """Concatenation along the channels.

    Args:
        c_skip: Channels of the encoder map.
        c_up: Channels of the upsampled map.
        up_first: Whether the upsampled map comes first; the order matters only for parity with other code.
    """

    def __init__(self, c_skip: int, c_up: int, *, up_first: bool = False) -> None:
        super().__init__()
        self.out_channels = c_skip + c_up
        self.up_first = up_first

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Map (N, c_skip, H, W) and (N, c_up, H, W) to (N, c_skip + c_up, H, W)."""
        return torch.cat((up, skip) if self.up_first else (skip, up), dim=1)


class AddSkip(nn.Module):
    """Sum of the two maps, which must have the same number of channels.

    References:
        As in FusionNet, Quan et al. 2016, arXiv 1612.05360.
    """

    def __init__(self, c_skip: int, c_up: int) -> None:
        super().__init__()
        self.out_channels = c_up

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Map (N, C, H, W) and (N, C, H, W) to the same shape."""
        return skip + up


class NoSkip(nn.Module):
    """The upsampled map only: an encoder-decoder without skip connections."""

    def __init__(self, c_skip: int, c_up: int) -> None:
        super().__init__()
        self.out_channels = c_up

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Return ``up``, (N, c_up, H, W)."""
        return up


class AttentionSkip(ConcatSkip):
    """Concatenation after an additive attention gate has weighted the encoder map pixel by pixel.

    The gating signal is the upsampled map, and each 1x1 convolution has a norm, as in LeeJunHyun/Image_Segmentation.

    Args:
        c_skip: Channels of the encoder map.
        c_up: Channels of the upsampled map.
        conv: The 1x1 convolution.
        norm: The norm.
        act: The activation.
        c_mid: Channels in which the two maps are added; half of ``c_skip`` if None.

    References:
        Attention U-Net, Oktay et al. 2018, arXiv 1804.03999, equations 1 and 2.
    """

    def __init__(
        self,
        c_skip: int,
        c_up: int,
        *,
        conv: MakeModule,
        norm: MakeModule,
        act: MakeModule,
        c_mid: int | None = None,
    ) -> None:
        super().__init__(c_skip, c_up)
        few = c_mid or max(1, c_skip // 2)
        self.see_up = nn.Sequential(conv(c_up, few), norm(few))
        self.see_skip = nn.Sequential(conv(c_skip, few), norm(few))
        self.act = act()
        self.weigh = nn.Sequential(conv(few, 1), norm(1), nn.Sigmoid())

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Map (N, c_skip, H, W) and (N, c_up, H, W) to (N, c_skip + c_up, H, W)."""
        return super().forward(skip * self.weigh(self.act(self.see_up(up) + self.see_skip(skip))), up)


class GatedSkip(ConcatSkip):
    """Concatenation after the encoder map was multiplied by a gate per channel and pixel.

    The gate is the sigmoid of a 1x1 convolution of the upsampled map.

    Args:
        c_skip: Channels of the encoder map.
        c_up: Channels of the upsampled map.
    """

    def __init__(self, c_skip: int, c_up: int) -> None:
        super().__init__(c_skip, c_up)
        self.gate = nn.Conv2d(c_up, c_skip, kernel_size=1)

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        """Map (N, c_skip, H, W) and (N, c_up, H, W) to (N, c_skip + c_up, H, W)."""
        return super().forward(skip * self.gate(up).sigmoid(), up)


def pad_to_skip(skip: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Bring the upsampled map to the size of the encoder map, centred: pad it with zeros or crop it.

    Args:
        skip: Encoder map, (N, c_skip, H, W).
        up: Upsampled map, (N, c_up, H', W').

    Returns:
        Both maps, with height H and width W.
    """
    (h, w), (uh, uw) = spatial(skip), spatial(up)
    if (h, w) == (uh, uw) and not exporting():
        return skip, up
    # (h - uh) // 2, without a negative number to divide: ONNX would round that towards 0.
    top, left = (h + uh) // 2 - uh, (w + uw) // 2 - uw
    return skip, F.pad(up, (left, w - uw - left, top, h - uh - top))


def crop_to_up(skip: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Crop the centre of the encoder map to the size of the upsampled map.

    Args:
        skip: Encoder map, (N, c_skip, H, W).
        up: Upsampled map, (N, c_up, H', W').

    Returns:
        Both maps, with height H' and width W'.

    References:
        "Copy and crop" in Ronneberger et al. 2015, arXiv 1505.04597, figure 1.
    """
    (h, w), (uh, uw) = spatial(skip), spatial(up)
    top, left = (h - uh) // 2, (w - uw) // 2
    return skip[..., top : top + uh, left : left + uw], up
