"""U-Net v2: each skip is the product of all levels' maps, on a pyramid vision transformer.

References:
    Peng et al. 2023, U-Net v2: Rethinking the Skip Connections of U-Net for Medical Image Segmentation,
        arXiv 2311.17791.
    Code: yaoppeng/U-Net_v2, PolypSeg/unet_v2/UNet_v2.py, UNetV2.
"""

from __future__ import annotations

from torch import Tensor

from unetzoo.standalone.common import AnySize, whole
from unetzoo.standalone.sdi import SDIDecoder
from unetzoo.standalone.timm_levels import TimmLevels


class UNetV2(AnySize):
    """`SDIDecoder` on four levels of an encoder, with logits from its finest two levels.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: Name of a timm model or of a Mix Transformer with maps of strides 4, 8, 16 and 32.
        width: Channels of the decoder.
        pretrained: Weights of the encoder, as `create_model` takes them: True for timm's ImageNet weights, with which
            the paper starts, or a file.
        deep_supervision: Supervise the second level, too.

    Raises:
        UnetzooError: If an option is out of range, or if the weights cannot be loaded.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        encoder: str = "pvt_v2_b2",
        width: int = 32,
        pretrained: bool | str = False,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        whole(width=width)
        self.encoder = TimmLevels(encoder, in_channels, pretrained=pretrained)
        self.multiple = self.encoder.multiple
        self.decoder = SDIDecoder(self.encoder.channels, width, num_classes, (0, 1) if deep_supervision else (0,))

    def logits(self, x: Tensor) -> Tensor:
        return self.scales(x)[0]

    def scales(self, x: Tensor) -> list[Tensor]:
        return self.decoder(self.encoder(x))
