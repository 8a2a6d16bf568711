"""TernausNet (Iglovikov & Shvets 2018, arXiv 1801.05746): the convolutions of VGG as encoder, no batch norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.standalone.common import AnySize, one_of, whole

# VGG 11 and 16 (arXiv 1409.1556): convolutions of each level, and their channels over ``width``.
CONVOLUTIONS = {"vgg11": (1, 1, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3)}
WIDTHS = (1, 2, 4, 8, 8)
# Channels of the decoder over ``num_filters``, finest first: between the two layers of a stage, and after it.
MIDDLE = (4, 8, 16, 16, 16)
OUT = {"vgg11": (1, 2, 4, 8, 8), "vgg16": (1, 2, 8, 8, 8)}


def conv_relu(c_in: int, c_out: int) -> nn.Sequential:
    """3x3 convolution, ReLU."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(inplace=True))


class UpStage(nn.Sequential):
    """(N, c_in, H, W) to (N, c_out, 2H, 2W): bilinear before two convolutions, or one and a transposed one.

    ``up`` is "bilinear", "transposed_3x3" (11 layers' decoder) or "transposed_4x4" (16 layers' with is_deconv).
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
    """(N, in_channels, H, W) to maps of the strides 1 to 16, by the convolutions of ``name``, and the last, pooled."""

    def __init__(self, name: str, in_channels: int, channels: list[int]) -> None:
        super().__init__()
        self.body = nn.ModuleList()
        for c_in, c_out, n in zip((in_channels, *channels[:-1]), channels, CONVOLUTIONS[name], strict=True):
            self.body.append(nn.Sequential(*(conv_relu(c_out if i else c_in, c_out) for i in range(n))))

    def forward(self, x: Tensor) -> list[Tensor]:
        pyramid: list[Tensor] = []
        for level in self.body:
            pyramid.append(level(F.max_pool2d(pyramid[-1], 2) if pyramid else x))
        return [*pyramid, F.max_pool2d(pyramid[-1], 2)]

    def copy(self, trained: nn.Module) -> None:
        """Take over the convolutions of timm's network of the same name."""
        ours, theirs = ([m for m in body.modules() if isinstance(m, nn.Conv2d)] for body in (self, trained))
        for own, other in zip(ours, theirs, strict=True):
            own.load_state_dict(other.state_dict())


class TernausNet(AnySize):
    """VGG's five levels of convolutions, a pooled centre, and a decoder of `UpStage`s.

    ``width`` are VGG's channels at the finest level, ``num_filters`` the decoder's (None: half of ``width``, as
    published). ``pretrained`` are weights of the encoder, as `create_model` takes them: True for those of ImageNet
    that timm knows, with which the paper starts, or a file. Raises `UnetzooError` on a bad option, and where weights
    cannot be had.
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
                raise UnetzooError(f"option width = {width}: pretrained weights are of VGG's own width, 64")
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
