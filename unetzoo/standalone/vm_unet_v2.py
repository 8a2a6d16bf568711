"""VM-UNet V2: VM-UNet's encoder under the decoder of U-Net v2.

References:
    Zhang et al. 2024, VM-UNET-V2: Rethinking Vision Mamba UNet for Medical Image Segmentation, arXiv 2403.09157.
    Code: nobodyplayer1/VM-UNetV2, models/vmunet/vmunet_v2.py, VMUNetV2.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from unetzoo.nn.state_space import CHUNK
from unetzoo.standalone.common import AnySize, whole
from unetzoo.standalone.sdi import SDIDecoder
from unetzoo.standalone.swin_unet import PATCH
from unetzoo.standalone.vm_unet import LEVELS, Encoder, check_options


class VMUNetV2(AnySize):
    """`Encoder` of four levels, of which the inputs of the blocks are decoded by `SDIDecoder`.

    So the blocks of the coarsest level, which the code declares, are never used and not built here. Level i has
    ``width * 2**i`` channels. The logits of the two finest levels are added, the second after a transposed convolution.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        few: Channels of the decoder; half of ``width`` if None, as in the code.
        depths: Blocks of each level, finest first; four numbers, of which the last only counts for ``drop_path``.
        both: Add the logits of the second level.
        states: States of each inner channel of a scan.
        drop_path: Chance that an image skips a block in training: 0 for the first, growing linearly to this at the
            last.
        chunk: Tokens that a scan takes at a time, which bounds its memory.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = PATCH * 2 ** (LEVELS - 1)

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 96,
        few: int | None = None,
        depths: Sequence[int] = (2, 2, 9, 2),
        both: bool = True,
        states: int = 16,
        drop_path: float = 0.2,
        chunk: int = CHUNK,
    ) -> None:
        super().__init__()
        check_options(width, depths, states, drop_path, chunk)
        few = max(1, width // 2) if few is None else few
        whole(few=few)
        self.encoder = Encoder(
            in_channels,
            patch=PATCH,
            width=width,
            depths=depths,
            drop_path=drop_path,
            last=False,
            states=states,
            chunk=chunk,
        )
        self.decoder = SDIDecoder(self.encoder.channels, few, num_classes, (0, 1) if both else (0,))
        self.join = (
            nn.ConvTranspose2d(num_classes, num_classes, 3, stride=2, padding=1, output_padding=1) if both else None
        )

    def logits(self, x: Tensor) -> Tensor:
        given, _ = self.encoder(x)
        finest, *second = self.decoder([x.permute(0, 3, 1, 2) for x in given])
        return finest + self.join(second[0]) if self.join else finest
