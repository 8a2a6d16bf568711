"""MALUNet: dilated gated attention, external attention and bridged skips.

References:
    Ruan et al. 2022, MALUNet: A Multi-Attention and Light-weight UNet for Skin Lesion Segmentation, arXiv 2211.01784.
    Code: JCruan519/MALUNet, models/malunet.py, MALUNet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import MakeModule
from unetzoo.standalone.common import init_by_fan_out, one_of, whole
from unetzoo.standalone.six_levels import Conv3x3, Norm, SixLevels, enlarge

BRIDGES = ("both", "spatial", "channel", "none")


def depthwise(c_in: int, c_out: int, kernel: int, act: nn.Module) -> nn.Sequential:
    """Build a depthwise convolution, group norm, 1x1 convolution and activation.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernel: Kernel size, an odd number of pixels.
        act: The activation.
    """
    conv = nn.Conv2d(c_in, c_in, kernel, padding=kernel // 2, groups=c_in)
    return nn.Sequential(conv, Norm(c_in), nn.Conv2d(c_in, c_out, 1), act)


class DilatedGatedAttention(nn.Module):
    """Four groups of channels with dilations 7, 5, 2, 1, fused, then one gate for each value (paper, DGA)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        few = c_in // 4
        self.dilated = nn.ModuleList(
            nn.Conv2d(few, few, 3, padding=dilation, dilation=dilation, groups=few) for dilation in (7, 5, 2, 1)
        )
        self.fuse = nn.Sequential(Norm(c_in), nn.Conv2d(c_in, c_in, 1), nn.GELU())
        self.gate = depthwise(c_in, c_in, 3, nn.Sigmoid())
        self.gated = depthwise(c_in, c_in, 5, nn.GELU())
        self.out = depthwise(c_in, c_out, 3, nn.GELU())
        self.shortcut = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        groups = zip(self.dilated, x.chunk(4, dim=1), strict=True)
        x = self.fuse(torch.cat([conv(group) for conv, group in groups], dim=1))
        return self.out(self.gate(x) * self.gated(x)) + self.shortcut(x)


class ExternalAttention(nn.Module):
    """Attention to 4 C learned keys and values in place of other pixels (paper, IEA; arXiv 2105.02358); residual.

    The values start as the transposed keys. As in the authors' code, the two share memory at first; training, saving,
    loading or moving the network separates them, and from then on they are two weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, channels, 1)
        self.keys = nn.Conv1d(channels, 4 * channels, 1, bias=False)
        self.values = nn.Conv1d(4 * channels, channels, 1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = Norm(channels)
        self.values.weight.data = self.keys.weight.data.transpose(0, 1)
        self.register_state_dict_pre_hook(_separate)
        self.register_load_state_dict_pre_hook(_separate)

    def train(self, mode: bool = True) -> ExternalAttention:
        """Set training mode as `nn.Module.train`; before training, give keys and values memory of their own."""
        if mode:
            _separate(self)
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.keys(self.project(x).flatten(2)).softmax(dim=-1)
        weights = weights / (1e-9 + weights.sum(dim=1, keepdim=True))
        return F.gelu(self.norm(self.out(self.values(weights).unflatten(2, x.shape[-2:]))) + x)


def _separate(attention: ExternalAttention, *_: object) -> None:
    """Give the values memory of their own, apart from the keys'."""
    attention.values.weight.data = attention.values.weight.data.contiguous()


class SpatialBridge(nn.Module):
    """A weight for each pixel of each map, from the mean and maximum over its channels (paper, SAB).

    One dilated 7x7 convolution serves all maps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=9, dilation=3)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the weighed maps, of the same shapes (N, C_i, H_i, W_i)."""
        pairs = [torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1) for x in maps]
        return [x * self.conv(pair).sigmoid() for x, pair in zip(maps, pairs, strict=True)]


class ChannelBridge(nn.Module):
    """A weight for each channel of each map, from the means of all channels of all maps (paper, CAB)."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.neighbours = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.weigh = nn.ModuleList(nn.Linear(sum(channels), c) for c in channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the weighed maps, of the same shapes (N, C_i, H_i, W_i)."""
        means = torch.cat([x.mean(dim=(2, 3)) for x in maps], dim=1)
        means = self.neighbours(means[:, None])[:, 0]
        return [x * weigh(means).sigmoid()[..., None, None] for x, weigh in zip(maps, self.weigh, strict=True)]


class BridgedLevels(SixLevels):
    """`SixLevels` whose five skips pass the bridges together.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level, rounded as in `SixLevels`.
        bridge: One of `BRIDGES`.
        encode: As in `SixLevels`.
        decode: As in `SixLevels`.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self, in_channels: int, num_classes: int, width: int, *, bridge: str, encode: MakeModule, decode: MakeModule
    ) -> None:
        whole(width=width)
        one_of(BRIDGES, bridge=bridge)
        super().__init__(in_channels, num_classes, width, encode=encode, decode=decode)
        self.spatial = SpatialBridge() if bridge in ("both", "spatial") else None
        self.channel = ChannelBridge(self.channels[:-1]) if bridge in ("both", "channel") else None
        self.apply(init_by_fan_out)

    def logits(self, x: Tensor) -> Tensor:
        pyramid, x = self.descend(x)
        skips = self._bridged(pyramid)
        for level in reversed(range(5)):
            x = self.ascend(x, level) + skips[level]
        return enlarge(self.head(x))

    def _bridged(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the weighed skips.

        As in the code, the channel bridge sees the maps with their residual, but is added to those without it.
        """
        weighed = self.spatial(maps) if self.spatial else maps
        seen = _sums(weighed, maps) if self.spatial else maps
        return _sums(self.channel(seen), weighed) if self.channel else seen


class MALUNet(BridgedLevels):
    """`BridgedLevels` of dilated gated attention, with external attention at its coarser end.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level, rounded as in `SixLevels`.
        bridge: Attention that all five skips pass together: "both", "spatial", "channel" or "none".
        gated: False replaces the gated blocks by 3x3 convolutions.
        external: False leaves the external attention out.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 8,
        bridge: str = "both",
        gated: bool = True,
        external: bool = True,
    ) -> None:
        block = DilatedGatedAttention if gated else Conv3x3
        attend = ExternalAttention if external else nn.Identity
        super().__init__(
            in_channels,
            num_classes,
            width,
            bridge=bridge,
            encode=lambda c_in, c_out: nn.Sequential(attend(c_in), block(c_in, c_out)),
            decode=lambda c_in, c_out: nn.Sequential(block(c_in, c_out), attend(c_out)),
        )


def _sums(some: list[Tensor], others: list[Tensor]) -> list[Tensor]:
    return [a + b for a, b in zip(some, others, strict=True)]
