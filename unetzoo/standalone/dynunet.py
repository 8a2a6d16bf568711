"""MONAI's DynUNet: nnU-Net's network without biases, with residual blocks as an option.

References:
    Isensee et al. 2021, nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation,
        doi 10.1038/s41592-020-01008-z.
    Code: MONAI 1.6.1, monai/networks/nets/dynunet.py, DynUNet.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import MakeModule
from unetzoo.nn.norms import InstanceNorm
from unetzoo.standalone.common import AnySize, fraction, whole

SLOPE = 0.01


def conv(c_in: int, c_out: int, *, kernel_size: int = 3, stride: int = 1, drop: MakeModule = nn.Identity) -> nn.Module:
    """Build a convolution without bias, followed by its dropout.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        kernel_size: Kernel size, an odd number of pixels.
        stride: Stride in pixels.
        drop: Factory of the dropout.
    """
    padding = kernel_size // 2
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel_size, stride=stride, padding=padding, bias=False), drop())


class ResidualLayers(nn.Module):
    """Two 3x3 convolutions, each with a norm and a leaky ReLU; the input is added before the last ReLU.

    Where size or channels change, the input passes a 1x1 convolution with the same stride, and a norm. Shared by
    DynUNet, UNETR and Swin UNETR.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the output.
        norm: Factory ``norm(channels)``.
        stride: Stride of the first convolution.
        residual: False leaves the sum out.
        drop: Factory of the dropout after each convolution.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        norm: MakeModule,
        stride: int = 1,
        residual: bool = True,
        drop: MakeModule = nn.Identity,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(c_in, c_out, stride=stride, drop=drop),
            norm(c_out),
            nn.LeakyReLU(SLOPE, inplace=True),
            conv(c_out, c_out, drop=drop),
            norm(c_out),
        )
        self.shortcut: nn.Module | None = nn.Identity() if residual else None
        if residual and (stride > 1 or c_in != c_out):
            self.shortcut = nn.Sequential(conv(c_in, c_out, kernel_size=1, stride=stride, drop=drop), norm(c_out))
        self.act = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return self.act(y if self.shortcut is None else y + self.shortcut(x))


class UpMerge(nn.Module):
    """2x2 transposed convolution without bias to the skip's channels, concatenated before the skip, then a block.

    Args:
        c_below: Channels of the map below.
        c_skip: Channels of the skip and of the result.
        block: Factory ``block(c_in, c_out)``.
        drop: Factory of the dropout after the transposed convolution.
    """

    def __init__(self, c_below: int, c_skip: int, *, block: MakeModule, drop: MakeModule = nn.Identity) -> None:
        super().__init__()
        self.up = nn.Sequential(nn.ConvTranspose2d(c_below, c_skip, 2, stride=2, bias=False), drop())
        self.block = block(2 * c_skip, c_skip)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Map ``below`` (N, c_below, H / 2, W / 2) and ``skip`` (N, c_skip, H, W) to (N, c_skip, H, W)."""
        return self.block(torch.cat((self.up(below), skip), dim=1))


class DynUNet(AnySize):
    """U-Net of strided 3x3 convolutions, instance norm and leaky ReLU, without biases.

    All levels but the first have stride 2. With ``deep_supervision``, ``forward_all`` returns the logits of
    ``supervised`` scales beside the finest, each at its own size.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the first level; doubled at each further one.
        stages: Number of levels, at least 3.
        max_width: Most channels of any level.
        residual: Add shortcuts to the encoder's blocks.
        dropout: Probability of dropout after every convolution, including the last (as in MONAI).
        deep_supervision: Supervise coarser scales too.
        supervised: Number of coarser scales to supervise, at most ``stages - 2``.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        stages: int = 6,
        max_width: int = 512,
        residual: bool = False,
        dropout: float = 0.0,
        deep_supervision: bool = False,
        supervised: int = 1,
    ) -> None:
        super().__init__()
        whole(width=width, max_width=max_width, supervised=supervised)
        whole(3, stages=stages)
        if supervised > stages - 2:
            raise UnetzooError(f"option supervised = {supervised}: must be at most {stages - 2} with stages = {stages}")
        fraction(dropout=dropout)
        self.multiple = 2 ** (stages - 1)
        c = [min(width * 2**i, max_width) for i in range(stages)]
        drop = partial(nn.Dropout, dropout)
        block = partial(ResidualLayers, norm=InstanceNorm, drop=drop)
        self.encoder = nn.ModuleList(
            block(c[i - 1] if i else in_channels, c[i], stride=2 if i else 1, residual=residual) for i in range(stages)
        )
        self.decoder = nn.ModuleList(
            UpMerge(c[i + 1], c[i], block=partial(block, residual=False), drop=drop) for i in range(stages - 1)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, num_classes, 1), drop())
            for channels in c[: 1 + supervised * deep_supervision]
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def logits(self, x: Tensor) -> Tensor:
        return self.heads[0](self._decoded(x)[0])

    def scales(self, x: Tensor) -> list[Tensor]:
        return [head(level) for head, level in zip(self.heads, self._decoded(x), strict=False)]

    def _decoded(self, x: Tensor) -> list[Tensor]:
        """Return the decoder's maps, finest first."""
        pyramid: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            pyramid.append(x)
        decoded: list[Tensor] = []
        for merge, skip in zip(reversed(self.decoder), reversed(pyramid[:-1]), strict=True):
            x = merge(x, skip)
            decoded.insert(0, x)
        return decoded
