"""The networks that nnU-Net configures (Isensee et al. 2021, doi 10.1038/s41592-020-01008-z), in two dimensions."""

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
    """3x3 convolution with bias."""
    return nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1)


def layers(c_in: int, c_out: int, count: int, stride: int = 1) -> nn.Sequential:
    """``count`` times convolution, instance norm, leaky ReLU; the first has the stride."""
    return nn.Sequential(
        *(
            ConvNormAct(c_out if i else c_in, c_out, conv=conv, norm=InstanceNorm, act=Act, stride=1 if i else stride)
            for i in range(count)
        )
    )


class ResidualBlock(nn.Module):
    """Two layers and a shortcut that pools by averaging before its 1x1 convolution (ResNet-D, arXiv 1812.01187).

    The norm before the sum starts at zero, so that the block starts as its shortcut.
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


class NNUNet(AnySize):
    """An ``encoder`` of stages with stride 2 each but the first, ``convs`` layers to a stage on the way back.

    ``forward_all`` with ``deep_supervision`` gives logits of every stage of the decoder, each at its own size.
    """

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
        self.decoder = nn.ModuleList(layers(2 * c, c, convs) for c, _ in pairs)
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
        """The decoder's maps, finest first."""
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
    """Doubled from stage to stage up to ``max_width``. Raises `UnetzooError` on a bad option."""
    whole(width=width, max_width=max_width)
    whole(2, stages=stages)
    return [min(width * 2**i, max_width) for i in range(stages)]


class PlainConvUNet(NNUNet):
    """nnU-Net's U-Net: ``convs`` layers a stage. Stage i has ``width * 2**i`` channels, at most ``max_width``.

    nnU-Net takes as many ``stages`` as leave a coarsest map of at least 4 pixels a side. Raises `UnetzooError` on a
    bad option.
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
    """nnU-Net's U-Net with a residual encoder (ResEnc, arXiv 2404.09556): one layer, then ``blocks`` a stage.

    Of ``blocks`` the last is repeated for all further stages: (1, 3, 4, 6) are those of nnU-Net's M, L and XL presets,
    which differ in the size of the images and, with it, in ``stages``. Channels as in `PlainConvUNet`. Raises
    `UnetzooError` on a bad option.
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
            raise UnetzooError(f"option blocks = {blocks!r}: must be at most one for each of the {stages} stages")
        counts = [*blocks, *[blocks[-1]] * (stages - len(blocks))]

        def stage(i: int) -> nn.Sequential:
            first = ResidualBlock(c[i - 1], c[i], 2) if i else ResidualBlock(c[0], c[0])
            return nn.Sequential(first, *(ResidualBlock(c[i], c[i]) for _ in range(counts[i] - 1)))

        stem = layers(in_channels, c[0], 1)
        encoder = (nn.Sequential(stem, stage(0)), *(stage(i) for i in range(1, stages)))
        super().__init__(encoder, c, num_classes, convs=convs, deep_supervision=deep_supervision)
