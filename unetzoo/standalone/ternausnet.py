"""TernausNet: the convolutions of VGG as encoder, no batch norm.

References:
    Iglovikov & Shvets 2018, TernausNet: U-Net with VGG11 Encoder Pre-Trained on ImageNet for Image Segmentation,
        arXiv 1801.05746.
    Simonyan & Zisserman 2014, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv 1409.1556
        (VGG).
    Code: ternaus/TernausNet, ternausnet/models.py, UNet11 and UNet16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.standalone.common import AnySize, one_of, whole

# Convolutions of each level of VGG-11 and VGG-16 (arXiv 1409.1556), and their channels over ``width``.
CONVOLUTIONS = {"vgg11": (1, 1, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3)}
WIDTHS = (1, 2, 4, 8, 8)
# Channels of the decoder over ``num_filters``, finest first: between a stage's two layers, and after them.
MIDDLE = (4, 8, 16, 16, 16)
OUT = {"vgg11": (1, 2, 4, 8, 8), "vgg16": (1, 2, 8, 8, 8)}


def conv_relu(c_in: int, c_out: int) -> nn.Sequential:
    """Return a 3x3 convolution, followed by ReLU."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(inplace=True))


class UpStage(nn.Sequential):
    """Convolutions to twice the size: (N, c_in, H, W) to (N, c_out, 2H, 2W).

    Args:
        c_in: Channels of the input.
        c_middle: Channels between the two layers.
        c_out: Channels of the output.
        up: "bilinear" interpolates before two convolutions; "transposed_3x3" (UNet11's) and "transposed_4x4" (UNet16's
            with is_deconv) are one convolution and a transposed one.
    """

    def __init__(self, c_in: int, c_middle: int, c_out: int, up: str) -> None:
        if up == "bilinear":
            double = nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=False)
            super().__init__(double, conv_relu(c_in, c_middle), conv_relu(c_middle, c_out))
            return
        kernel, output_padding = (3, 1) if up == "transposed_3x3" else (4, 0)
        transposed = nn.ConvTranspose2d(c_middle, c_out, kernel, stride=2, padding=1, output_padding=output_padding)
        super().__init__(conv_relu(c_in, c_middle), transposed, nn.ReLU(inplace=True))


class VGG(nn.Module):
    """Convolutions of VGG: (N, in_channels, H, W) to maps of the strides 1 to 16, and the last of them pooled.

    Args:
        name: "vgg11" or "vgg16".
        in_channels: Channels of the image.
        channels: Channels of the five levels.
    """

    def __init__(self, name: str, in_channels: int, channels: list[int]) -> None:
        super().__init__()
        self.body = nn.ModuleList()
        for c_in, c_out, n in zip((in_channels, *channels[:-1]), channels, CONVOLUTIONS[name], strict=True):
            self.body.append(nn.Sequential(*(conv_relu(c_out if i else c_in, c_out) for i in range(n))))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, in_channels, H, W) to six maps of the strides 1 to 32, finest first."""
        pyramid: list[Tensor] = []
        for level in self.body:
            pyramid.append(level(F.max_pool2d(pyramid[-1], 2) if pyramid else x))
        return [*pyramid, F.max_pool2d(pyramid[-1], 2)]

    def copy(self, trained: nn.Module) -> None:
        """Copy the weights of the convolutions of timm's network of the same name.

        Args:
            trained: timm's network.
        """
        ours, theirs = ([m for m in body.modules() if isinstance(m, nn.Conv2d)] for body in (self, trained))
        for own, other in zip(ours, theirs, strict=True):
            own.load_state_dict(other.state_dict())


class TernausNet(AnySize):
    """VGG's five levels of convolutions, a pooled centre, and a decoder of `UpStage`s.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        encoder: "vgg11" or "vgg16".
        width: Channels of VGG's finest level.
        num_filters: Channels of the decoder's finest level; half of ``width`` if None, as published.
        up: Upsampling: "bilinear", "transposed_3x3" or "transposed_4x4", as in `UpStage`.
        pretrained: Weights of the encoder, as `create_model` takes them: True for timm's ImageNet weights, with which
            the paper starts, or a file.

    Raises:
        UnetzooError: If an option is out of range, or if the weights cannot be loaded.
    """

    multiple = 32

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        encoder: str = "vgg16",
        width: int = 64,
        num_filters: int | None = None,
        up: str = "bilinear",
        pretrained: bool | str = False,
    ) -> None:
        super().__init__()
        whole(width=width)
        one_of(CONVOLUTIONS, encoder=encoder)
        one_of(("bilinear", "transposed_3x3", "transposed_4x4"), up=up)
        filters = max(1, width // 2) if num_filters is None else num_filters
        whole(num_filters=filters)
        channels = [width * w for w in WIDTHS]
        self.encoder = VGG(encoder, in_channels, channels)
        if pretrained is not False:
            if width != 64:
                raise UnetzooError(
                    f"option width = {width}: must be 64 with pretrained weights, which have VGG's own width"
                )
            from unetzoo.encoders.pretrained import create_pretrained

            self.encoder.copy(create_pretrained(pretrained, encoder, in_chans=in_channels, out_indices=range(5)))
        middle, out = ([filters * w for w in widths] for widths in (MIDDLE, OUT[encoder]))
        # Stage i goes from level i + 1 to level i; the coarsest one is the centre, which has no skip.
        below = [skip + c_up for skip, c_up in zip(channels[1:], out[1:], strict=True)] + channels[-1:]
        self.decoder = nn.ModuleList(
            UpStage(c_in, c_middle, c_out, up) for c_in, c_middle, c_out in zip(below, middle, out, strict=True)
        )
        self.last = conv_relu(channels[0] + out[0], filters)
        self.head = nn.Conv2d(filters, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        *pyramid, x = self.encoder(x)
        for stage, skip in zip(reversed(self.decoder), reversed(pyramid), strict=True):
            x = torch.cat((stage(x), skip), dim=1)
        return self.head(self.last(x))
