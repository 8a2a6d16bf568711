"""The networks that nnU-Net configures, in two dimensions.

References:
    Isensee et al. 2021, nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation,
        doi 10.1038/s41592-020-01008-z.
    Isensee et al. 2024, nnU-Net Revisited: A Call for Rigorous Validation in 3D Medical Image Segmentation,
        arXiv 2404.09556 (the residual encoder).
    Code: dynamic-network-architectures 0.4.4, architectures/unet.py, PlainConvUNet, ResidualEncoderUNet and
        ResidualUNet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import ConvNormAct
from unetzoo.nn.norms import InstanceNorm
from unetzoo.standalone.common import AnySize, whole, wholes

SLOPE = 0.01
Act = partial(nn.LeakyReLU, SLOPE, inplace=True)


def conv(c_in: int, c_out: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution with bias."""
    return nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1)


def layers(c_in: int, c_out: int, count: int, stride: int = 1) -> nn.Sequential:
    """Build a row of layers, each of convolution, instance norm and leaky ReLU.

    Args:
        c_in: Channels of the input.
        c_out: Channels of every layer.
        count: Number of layers.
        stride: Stride of the first layer.
    """
    return nn.Sequential(
        *(
            ConvNormAct(c_out if i else c_in, c_out, conv=conv, norm=InstanceNorm, act=Act, stride=1 if i else stride)
            for i in range(count)
        )
    )


class ResidualBlock(nn.Module):
    """Two layers and a shortcut that averages before its 1x1 convolution (ResNet-D, arXiv 1812.01187).

    The norm before the sum starts at zero, so the block starts as its shortcut.
    """

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        last = InstanceNorm(c_out)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(*layers(c_in, c_out, 1, stride), conv(c_out, c_out), last)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.AvgPool2d(stride))
        if c_in != c_out:
            self.shortcut.extend([nn.Conv2d(c_in, c_out, 1, bias=False), InstanceNorm(c_out)])
        self.act = Act()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.layers(x) + self.shortcut(x))


def residual_blocks(c_in: int, c_out: int, count: int, stride: int = 1) -> nn.Sequential:
    """Build a row of `ResidualBlock`s, of which the first changes channels and size.

    Args:
        c_in: Channels of the input.
        c_out: Channels of every block.
        count: Number of blocks.
        stride: Stride of the first block.
    """
    return nn.Sequential(ResidualBlock(c_in, c_out, stride), *(ResidualBlock(c_out, c_out) for _ in range(count - 1)))


class NNUNet(AnySize):
    """Encoder of given stages with nnU-Net's decoder.

    With ``deep_supervision``, ``forward_all`` returns the logits of every stage of the decoder, each at its own size.

    Args:
        encoder: Stages of the encoder, finest first; all but the first have stride 2.
        channels: Channels of each stage.
        num_classes: Number of classes, the channels of the logits.
        convs: Layers in each stage of the decoder.
        deep_supervision: Supervise every stage of the decoder, not the finest alone.

    Attributes:
        residual_decoder: True if the decoder's stages are residual blocks, too.
    """

    residual_decoder = False

    def __init__(
        self,
        encoder: Iterable[nn.Module],
        channels: Sequence[int],
        num_classes: int,
        *,
        convs: int,
        deep_supervision: bool,
    ) -> None:
        super().__init__()
        self.multiple = 2 ** (len(channels) - 1)
        pairs = list(pairwise(channels))
        self.encoder = nn.ModuleList(encoder)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(below, c, 2, stride=2) for c, below in pairs)
        stage = residual_blocks if self.residual_decoder else layers
        self.decoder = nn.ModuleList(stage(2 * c, c, convs) for c, _ in pairs)
        self.heads = nn.ModuleList(nn.Conv2d(c, num_classes, 1) for c, _ in (pairs if deep_supervision else pairs[:1]))
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
        for up, stage, skip in zip(reversed(self.ups), reversed(self.decoder), reversed(pyramid[:-1]), strict=True):
            x = stage(torch.cat((up(x), skip), dim=1))
            decoded.insert(0, x)
        return decoded


def channels_of(width: int, stages: int, max_width: int) -> list[int]:
    """Return the channels of each stage, doubled from stage to stage up to ``max_width``.

    Args:
        width: Channels of the first stage.
        stages: Number of stages, at least 2.
        max_width: Most channels of any stage.

    Raises:
        UnetzooError: If an option is out of range.
    """
    whole(width=width, max_width=max_width)
    whole(2, stages=stages)
    return [min(width * 2**i, max_width) for i in range(stages)]


class PlainConvUNet(NNUNet):
    """nnU-Net's U-Net of plain convolutions.

    nnU-Net itself takes as many stages as leave a coarsest map of at least 4 pixels a side.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the first stage; doubled at each further one.
        stages: Number of stages, at least 2.
        max_width: Most channels of any stage.
        convs: Layers in each stage of encoder and decoder.
        deep_supervision: Supervise every stage of the decoder, not the finest alone.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        stages: int = 7,
        max_width: int = 512,
        convs: int = 2,
        deep_supervision: bool = True,
    ) -> None:
        c = channels_of(width, stages, max_width)
        whole(convs=convs)
        encoder = (layers(c[i - 1] if i else in_channels, c[i], convs, 2 if i else 1) for i in range(stages))
        super().__init__(encoder, c, num_classes, convs=convs, deep_supervision=deep_supervision)


class ResidualEncoderUNet(NNUNet):
    """nnU-Net's U-Net with a residual encoder (ResEnc): one layer, then stages of residual blocks.

    nnU-Net's presets M, L and XL differ in the size of the images and, with it, in ``stages``.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the first stage; doubled at each further one.
        stages: Number of stages, at least 2.
        max_width: Most channels of any stage.
        blocks: Residual blocks of each stage, the last number repeated for all further stages. The default is that of
            the presets M, L and XL.
        convs: Layers in each stage of the decoder.
        deep_supervision: Supervise every stage of the decoder, not the finest alone.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        stages: int = 7,
        max_width: int = 512,
        blocks: Sequence[int] = (1, 3, 4, 6),
        convs: int = 1,
        deep_supervision: bool = True,
    ) -> None:
        c = channels_of(width, stages, max_width)
        whole(convs=convs)
        wholes(blocks=blocks)
        if len(blocks) > stages:
            raise UnetzooError(
                f"option blocks = {blocks!r}: must list at most one number for each of the {stages} stages"
            )
        counts = [*blocks, *[blocks[-1]] * (stages - len(blocks))]

        def stage(i: int) -> nn.Sequential:
            return residual_blocks(c[max(0, i - 1)], c[i], counts[i], 2 if i else 1)

        stem = layers(in_channels, c[0], 1)
        encoder = (nn.Sequential(stem, stage(0)), *(stage(i) for i in range(1, stages)))
        super().__init__(encoder, c, num_classes, convs=convs, deep_supervision=deep_supervision)


class ResidualUNet(ResidualEncoderUNet):
    """`ResidualEncoderUNet` whose decoder has residual blocks, too: ``convs`` is their number in each stage."""

    residual_decoder = True
