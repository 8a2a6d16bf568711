"""KiU-Net: a U-Net beside a network that goes up instead of down.

References:
    Valanarasu et al. 2020, KiU-Net: Towards Accurate Segmentation of Biomedical Images using Over-complete
        Representations, arXiv 2006.04878.
    Code: jeya-maria-jose/KiU-Net-pytorch, arch/ae.py, kiunet.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.standalone.common import AnySize, resize, whole


class Halve(nn.Sequential):
    """3x3 convolution, 2x2 max pool, batch norm, ReLU."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(nn.Conv2d(c_in, c_out, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(c_out), nn.ReLU())


class Double(nn.Sequential):
    """3x3 convolution, bilinear upsampling by 2, batch norm, ReLU."""

    def __init__(self, c_in: int, c_out: int) -> None:
        up = nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=False)
        super().__init__(nn.Conv2d(c_in, c_out, 3, padding=1), up, nn.BatchNorm2d(c_out), nn.ReLU())


class Exchange(nn.Module):
    """Cross residual fusion block: each branch adds a 3x3 convolution of the other one, resized to its own size."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def layer() -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())

        self.from_over, self.from_under = layer(), layer()

    def forward(self, under: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``under`` (N, C, h, w) and ``over`` (N, C, H, W) to maps of the same shapes."""
        return under + resize(self.from_over(over), under), over + resize(self.from_under(under), over)


class KiUNet(AnySize):
    """Three levels down to 1/8 of the size ("U-Net") and three up to 8 times the size ("Ki-Net"), fused at each.

    The overcomplete branch holds maps of 64 times the image's pixels: mind the memory.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the first level of both branches.
        final_relu: End in a ReLU as the authors' code does, so that no logit is negative.

    Raises:
        UnetzooError: If ``width`` is not a positive whole number.
    """

    multiple = 8

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 16, final_relu: bool = True) -> None:
        super().__init__()
        whole(width=width)
        down = (in_channels, width, 2 * width, 4 * width)
        up = (4 * width, 2 * width, width, max(1, width // 2))
        steps_down, steps_up = list(pairwise(down)), list(pairwise(up))
        self.under_encoder = nn.ModuleList(Halve(*step) for step in steps_down)
        self.over_encoder = nn.ModuleList(Double(*step) for step in steps_down)
        self.under_decoder = nn.ModuleList(Double(*step) for step in steps_up)
        self.over_decoder = nn.ModuleList(Halve(*step) for step in steps_up)
        self.encoder_exchanges = nn.ModuleList(Exchange(c) for c in down[1:])
        self.decoder_exchanges = nn.ModuleList(Exchange(c) for c in up[1:-1])
        self.head = nn.Conv2d(up[-1], num_classes, 1)
        self.final_relu = final_relu

    def logits(self, x: Tensor) -> Tensor:
        under = over = x
        skips: list[tuple[Tensor, Tensor]] = []
        for halve, double, exchange in zip(self.under_encoder, self.over_encoder, self.encoder_exchanges, strict=True):
            under, over = exchange(halve(under), double(over))
            skips.append((under, over))
        skips.pop()
        for level, (double, halve) in enumerate(zip(self.under_decoder, self.over_decoder, strict=True)):
            under, over = double(under), halve(over)
            if skips:
                under, over = self.decoder_exchanges[level](under, over)
                skip_under, skip_over = skips.pop()
                under, over = under + skip_under, over + skip_over
        x = self.head(under + over)
        return F.relu(x) if self.final_relu else x
