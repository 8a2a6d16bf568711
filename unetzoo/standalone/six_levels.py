"""Six levels with added skips, the coarser three of a block of their own: the shape of MALUNet and EGE-UNet.

References:
    Those of `unetzoo.standalone.malunet` and `unetzoo.standalone.egeunet`.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import MakeModule
from unetzoo.nn.norms import GroupNorm
from unetzoo.standalone.common import AnySize

Norm = partial(GroupNorm, groups=4)
Conv3x3 = partial(nn.Conv2d, kernel_size=3, padding=1)
MULTIPLES = (1, 2, 3, 4, 6, 8)


def enlarge(x: Tensor, times: int = 2) -> Tensor:
    """Interpolate (N, C, H, W) bilinearly to ``times`` the size, with aligned corners."""
    return F.interpolate(x, scale_factor=float(times), mode="bilinear", align_corners=True)


class SixLevels(AnySize):
    """Encoder of six levels and the steps of the decoder; subclasses combine them in ``logits``.

    Level i has ``channels[i]``: ``width`` times 1, 2, 3, 4, 6 or 8, rounded to a multiple of 4, since blocks split the
    channels in four.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level, before rounding.
        encode: Factory ``encode(c_in, c_out)`` of the three coarser levels' blocks on the way down.
        decode: Factory ``decode(c_in, c_out)`` of the three coarser levels' blocks on the way up.
    """

    multiple = 32

    def __init__(
        self, in_channels: int, num_classes: int, width: int, *, encode: MakeModule, decode: MakeModule
    ) -> None:
        super().__init__()
        self.channels = c = [max(4, 4 * round(width * multiple / 4)) for multiple in MULTIPLES]
        self.encoder = nn.ModuleList(
            (encode if i > 2 else Conv3x3)(a, b) for i, (a, b) in enumerate(zip((in_channels, *c[:-1]), c, strict=True))
        )
        self.encoder_norms = nn.ModuleList(Norm(a) for a in c[:-1])
        self.decoder = nn.ModuleList((decode if i > 1 else Conv3x3)(c[i + 1], c[i]) for i in range(5))
        self.decoder_norms = nn.ModuleList(Norm(a) for a in c[:-1])
        self.head = nn.Conv2d(c[0], num_classes, 1)

    def descend(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the maps of five levels, at 1/2 to 1/32 of the size, and the bottleneck's at 1/32."""
        pyramid: list[Tensor] = []
        for encode, norm in zip(self.encoder, self.encoder_norms, strict=False):
            x = F.gelu(F.max_pool2d(norm(encode(x)), 2))
            pyramid.append(x)
        return pyramid, F.gelu(self.encoder[-1](x))

    def ascend(self, x: Tensor, level: int) -> Tensor:
        """Take the map of level + 1 to ``level``; the bottleneck has the size of the level above it."""
        x = self.decoder_norms[level](self.decoder[level](x))
        return F.gelu(enlarge(x) if level < 4 else x)
