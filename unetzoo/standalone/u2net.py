"""U²-Net: a U-Net whose every stage is a small U-Net (RSU) of its own.

References:
    Qin et al. 2020, U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection, arXiv 2005.09007.
    Code: xuebinqin/U-2-Net, model/u2net.py, U2NET and U2NETP.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import ConvNormAct
from unetzoo.standalone.common import resize, whole

DEPTHS = (7, 6, 5, 4, 0, 0)  # of each level's RSU, finest first; 0: dilated, not pooled ("RSU-4F")
# Middle and output channels of the RSUs over ``width`` (paper, table 1), finest first.
ENCODER = ((1 / 2, 1), (1 / 2, 2), (1, 4), (2, 8), (4, 8), (4, 8))
DECODER = ((1 / 4, 1), (1 / 2, 1), (1, 2), (2, 4), (4, 8))
SMALL = ((1 / 4, 1),) * 6


def layer(c_in: int, c_out: int, dilation: int = 1) -> nn.Module:
    """Return a 3x3 convolution with bias, batch norm and ReLU."""

    def conv(c_in: int, c_out: int) -> nn.Module:
        return nn.Conv2d(c_in, c_out, 3, padding=dilation, dilation=dilation)

    return ConvNormAct(c_in, c_out, conv=conv, norm=nn.BatchNorm2d, act=nn.ReLU)


def pool(x: Tensor) -> Tensor:
    """Pool (N, C, H, W) by 2x2 maxima; an odd last row or column is kept."""
    return F.max_pool2d(x, 2, ceil_mode=True)


class ResidualU(nn.Module):
    """RSU-L: (N, c_in, H, W) to (N, c_out, H, W) by a small U-Net, plus its input layer.

    Args:
        c_in: Channels of the input.
        c_middle: Channels inside.
        c_out: Channels of the output.
        depth: Layers down; 0 for RSU-4F, four layers with dilations 1, 2, 4, 8 in place of pooling.
    """

    def __init__(self, c_in: int, c_middle: int, c_out: int, depth: int) -> None:
        super().__init__()
        self.pooled = depth > 0
        # The lowest layer is dilated instead of pooled.
        dilations = [1] * (depth - 1) + [2] if self.pooled else [1, 2, 4, 8]
        n = len(dilations)
        self.first = layer(c_in, c_out)
        self.down = nn.ModuleList(layer(c_middle if i else c_out, c_middle, dilations[i]) for i in range(n))
        self.up = nn.ModuleList(
            layer(2 * c_middle, c_middle if i else c_out, 1 if self.pooled else dilations[i]) for i in range(n - 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = first = self.first(x)
        pyramid: list[Tensor] = []
        for i, down in enumerate(self.down):
            x = down(pool(x) if self.pooled and 0 < i < len(self.down) - 1 else x)
            pyramid.append(x)
        for up, skip in zip(reversed(self.up), reversed(pyramid[:-1]), strict=True):
            x = up(torch.cat((resize(x, skip) if x.shape != skip.shape else x, skip), dim=1))
        return x + first


class U2Net(nn.Module):
    """Six levels of RSUs, a side output of each decoder level, and a 1x1 fusion of all six.

    ``forward`` returns the fused logits (N, num_classes, H, W) for any H, W from 1 up. With ``deep_supervision``,
    ``forward_all`` returns those and the six side outputs, finest first, all of the image's size.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        small: Build the paper's U²-Net† (the code's U2NETP), whose RSUs are all alike.
        deep_supervision: Supervise the side outputs.

    Raises:
        UnetzooError: If ``width`` is not a positive whole number.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 64,
        small: bool = False,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        whole(width=width)
        self.deep_supervision = deep_supervision

        def channels(over_width: float) -> int:
            return max(1, round(width * over_width))

        encoder, decoder = (SMALL, SMALL[:-1]) if small else (ENCODER, DECODER)
        outs = [channels(out) for _, out in encoder]
        backs = [channels(out) for _, out in decoder] + outs[-1:]
        self.encoder = nn.ModuleList(
            ResidualU(c_in, channels(middle), c_out, depth)
            for c_in, (middle, _), c_out, depth in zip((in_channels, *outs[:-1]), encoder, outs, DEPTHS, strict=True)
        )
        self.decoder = nn.ModuleList(
            ResidualU(c_skip + c_below, channels(middle), c_out, depth)
            for c_skip, c_below, (middle, _), c_out, depth in zip(
                outs[:-1], backs[1:], decoder, backs[:-1], DEPTHS[:-1], strict=True
            )
        )
        self.sides = nn.ModuleList(nn.Conv2d(c, num_classes, 3, padding=1) for c in backs)
        self.head = nn.Conv2d(len(backs) * num_classes, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) of any size to logits (N, num_classes, H, W)."""
        return self._scales(x)[0]

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the fused logits and, with ``deep_supervision``, the six side outputs, finest first."""
        return self._scales(x)[: None if self.deep_supervision else 1]

    def _scales(self, x: Tensor) -> list[Tensor]:
        pyramid: list[Tensor] = []
        for i, stage in enumerate(self.encoder):
            x = stage(pool(x) if i else x)
            pyramid.append(x)
        decoded = [x]
        for stage, skip in zip(reversed(self.decoder), reversed(pyramid[:-1]), strict=True):
            decoded.insert(0, stage(torch.cat((resize(decoded[0], skip), skip), dim=1)))
        sides = [side(level) for side, level in zip(self.sides, decoded, strict=True)]
        sides = [sides[0], *(resize(side, sides[0]) for side in sides[1:])]
        return [self.head(torch.cat(sides, dim=1)), *sides]
