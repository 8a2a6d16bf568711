"""Swin-UMamba: VMamba's encoder behind a convolutional stem, and Swin UNETR's residual decoder.

References:
    Liu et al. 2024, Swin-UMamba: Mamba-based UNet with ImageNet-based Pretraining, arXiv 2402.03302.
    Code: JiarunLiu/Swin-UMamba, swin_umamba/nnunetv2/nets/SwinUMamba.py, SwinUMamba.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from unetzoo.nn.norms import InstanceNorm
from unetzoo.nn.state_space import CHUNK
from unetzoo.standalone.common import AnySize
from unetzoo.standalone.dynunet import ResidualLayers, UpMerge
from unetzoo.standalone.vm_unet import LEVELS, Encoder, check_options

SUPERVISED = 4  # scales with logits, from the image's size on


class SwinUMamba(AnySize):
    """A 7x7 stem of stride 2, four levels of `VSSBlock`s on 2x2 of its pixels, and a decoder up to the image's size.

    The skips are residual blocks on the image, the stem's map and the levels' maps. With ``deep_supervision``,
    ``forward_all`` returns the logits of four scales, each at its own size.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the stem, half of those of the finest level.
        depths: Blocks of each level, finest first; four numbers.
        states: States of each inner channel of a scan.
        drop_path: Chance that an image skips a block in training: 0 for the first, growing linearly to this at the
            last.
        deep_supervision: Supervise four scales, not the finest alone.
        chunk: Tokens that a scan takes at a time, which bounds its memory.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 4 * 2 ** (LEVELS - 1)

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 48,
        depths: Sequence[int] = (2, 2, 9, 2),
        states: int = 16,
        drop_path: float = 0.2,
        deep_supervision: bool = True,
        chunk: int = CHUNK,
    ) -> None:
        super().__init__()
        check_options(width, depths, states, drop_path, chunk)
        self.stem = nn.Sequential(nn.Conv2d(in_channels, width, 7, stride=2, padding=3), InstanceNorm(width))
        self.encoder = Encoder(
            width, patch=2, width=2 * width, depths=depths, drop_path=drop_path, states=states, chunk=chunk
        )
        c = [width, *self.encoder.channels]
        block = partial(ResidualLayers, norm=partial(InstanceNorm, affine=False))
        self.skips = nn.ModuleList([block(in_channels, width), *(block(a, b) for a, b in pairwise(c))])
        self.decoder = nn.ModuleList(
            UpMerge(below, a, block=block) for a, below in zip(c, [*c[1:], c[-1]], strict=True)
        )
        self.last = block(width, width)
        self.heads = nn.ModuleList(nn.Conv2d(a, num_classes, 1) for a in c[: SUPERVISED if deep_supervision else 1])

    def logits(self, x: Tensor) -> Tensor:
        return self.heads[0](self._decoded(x)[0])

    def scales(self, x: Tensor) -> list[Tensor]:
        return [head(level) for head, level in zip(self.heads, self._decoded(x), strict=False)]

    def _decoded(self, x: Tensor) -> list[Tensor]:
        """Return the decoder's maps, finest first."""
        stem = self.stem(x)
        _, made = self.encoder(stem)
        *levels, x_below = (y.permute(0, 3, 1, 2) for y in made)
        decoded = [x_below]
        sources = [x, stem, *levels]
        for i in reversed(range(len(sources))):
            decoded.insert(0, self.decoder[i](decoded[0], self.skips[i](sources[i])))
        return [self.last(decoded[0]), *decoded[1:]]
