"""MultiResUNet: several receptive fields in each block, residual paths on the skips.

References:
    Ibtehaz & Rahman 2019, MultiResUNet: Rethinking the U-Net Architecture for Multimodal Biomedical Image Segmentation,
        arXiv 1902.04049.
    Code: nibtehaz/MultiResUNet, pytorch/MultiResUNet.py, MultiResUnet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.standalone.common import AnySize, at_least, whole


def conv_norm(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    """Return a convolution with bias, followed by batch norm."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2), nn.BatchNorm2d(c_out))


def split_width(width: int, alpha: float) -> tuple[int, int, int]:
    """Return the channels of a block's three 3x3 convolutions: about 1/6, 1/3 and 1/2 of ``width * alpha``.

    Args:
        width: Channels of the level.
        alpha: Factor on them.
    """
    w = width * alpha
    return max(1, int(w * 0.167)), max(1, int(w * 0.333)), max(1, int(w * 0.5))


class MultiResBlock(nn.Module):
    """Three 3x3 convolutions in a row, their outputs concatenated (fields of 3x3, 5x5 and 7x7), plus a 1x1 shortcut.

    Args:
        c_in: Channels of the input.
        width: Channels of the level; `split_width` tells those of the output.
        alpha: Factor on ``width``.
    """

    def __init__(self, c_in: int, width: int, alpha: float) -> None:
        super().__init__()
        widths = split_width(width, alpha)
        self.out_channels = sum(widths)
        self.shortcut = conv_norm(c_in, self.out_channels, 1)
        self.convs = nn.ModuleList(conv_norm(a, b, 3) for a, b in zip((c_in, *widths), widths, strict=False))
        self.norm_concat = nn.BatchNorm2d(self.out_channels)
        self.norm_sum = nn.BatchNorm2d(self.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        shortcut, fields = self.shortcut(x), []
        for conv in self.convs:
            x = F.relu(conv(x))
            fields.append(x)
        return F.relu(self.norm_sum(self.norm_concat(torch.cat(fields, dim=1)) + shortcut))


class ResPath(nn.Module):
    """Residual layers on a skip, which narrow the gap to the decoder's maps (paper, section 3.2).

    Args:
        c_in: Channels of the skip.
        c_out: Channels of the result.
        length: Number of layers.
    """

    def __init__(self, c_in: int, c_out: int, length: int) -> None:
        super().__init__()
        inputs = (c_in, *[c_out] * (length - 1))
        self.shortcuts = nn.ModuleList(conv_norm(c, c_out, 1) for c in inputs)
        self.convs = nn.ModuleList(conv_norm(c, c_out, 3) for c in inputs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c_out) for _ in inputs)

    def forward(self, x: Tensor) -> Tensor:
        for shortcut, conv, norm in zip(self.shortcuts, self.convs, self.norms, strict=True):
            # The authors' code uses one norm twice, before the sum and after it.
            x = F.relu(norm(F.relu(norm(F.relu(conv(x)))) + shortcut(x)))
        return x


class MultiResUNet(AnySize):
    """Five levels of `MultiResBlock`, skips through a `ResPath` of 4, 3, 2, 1 layers, batch norm after the head.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels that the finest level of a U-Net of equal size would have; doubled at each coarser level.
        alpha: Factor on the channels of the blocks.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 16

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 32, alpha: float = 1.67) -> None:
        super().__init__()
        whole(width=width)
        at_least(0.1, alpha=alpha)
        widths = [width * 2**level for level in range(5)]
        outs = [sum(split_width(w, alpha)) for w in widths]
        self.encoder = nn.ModuleList(
            MultiResBlock(c_in, w, alpha) for c_in, w in zip((in_channels, *outs), widths, strict=False)
        )
        self.skips = nn.ModuleList(ResPath(outs[i], widths[i], 4 - i) for i in range(4))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(outs[i + 1], widths[i], 2, stride=2) for i in range(4))
        self.decoder = nn.ModuleList(MultiResBlock(2 * widths[i], widths[i], alpha) for i in range(4))
        self.head = conv_norm(outs[0], num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for i, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if i else x)
            pyramid.append(x)
        for i in reversed(range(4)):
            x = self.decoder[i](torch.cat((self.ups[i](x), self.skips[i](pyramid[i])), dim=1))
        return self.head(x)
