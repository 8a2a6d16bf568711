"""SegNet: VGG-16 down, and up with unpooling to where each maximum was.

References:
    Badrinarayanan et al. 2017, SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation,
        arXiv 1511.00561.
    Code: say4n/pytorch-segnet, src/model.py, SegNet (the authors' own code is for Caffe).
"""

from __future__ import annotations

from torch import Tensor, nn

from unetzoo.standalone.common import AnySize, max_pool_indices, max_unpool, whole

# Convolutions of each level of VGG-16, and their channels over ``width``.
CONVOLUTIONS = (2, 2, 3, 3, 3)
WIDTHS = (1, 2, 4, 8, 8)


class SegNet(AnySize):
    """Five levels of 3x3 convolutions with batch norm, pooling that keeps its indices, and as many levels back.

    The decoder's convolutions are transposed ones of stride 1, as in the reference.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.

    Raises:
        UnetzooError: If ``width`` is not a positive whole number.
    """

    least = 32

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 64) -> None:
        super().__init__()
        whole(width=width)

        def layer(conv: type[nn.Conv2d | nn.ConvTranspose2d], c_in: int, c_out: int) -> nn.Sequential:
            return nn.Sequential(conv(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())

        channels = [width * w for w in WIDTHS]
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for above, c, n in zip((in_channels, *channels), channels, CONVOLUTIONS, strict=False):
            self.encoder.append(nn.Sequential(*(layer(nn.Conv2d, c if i else above, c) for i in range(n))))
        for above, c, n in zip((None, *channels), channels, CONVOLUTIONS, strict=False):
            stage = nn.Sequential(*(layer(nn.ConvTranspose2d, c, c) for _ in range(n - 1)))
            if above is not None:
                stage.append(layer(nn.ConvTranspose2d, c, above))
            self.decoder.append(stage)
        self.head = nn.ConvTranspose2d(width, num_classes, 3, padding=1)

    def logits(self, x: Tensor) -> Tensor:
        pooled: list[tuple[Tensor, Tensor]] = []
        for level in self.encoder:
            full = level(x)
            x, indices = max_pool_indices(full)
            pooled.append((indices, full))
        for level in reversed(self.decoder):
            indices, full = pooled.pop()
            x = level(max_unpool(x, indices, like=full))
        return self.head(x)
