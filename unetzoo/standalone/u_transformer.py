"""U-Transformer: self-attention in the bottleneck of a U-Net, cross-attention on its skips.

References:
    Petit et al. 2021, U-Net Transformer: Self and Cross Attention for Medical Image Segmentation, arXiv 2103.06104.
    Code: HXLH50K/U-Net-Transformer, models/utransformer/U_Transformer.py, U_Transformer (not the authors').
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from unetzoo.nn.blocks import spatial
from unetzoo.standalone.common import AnySize, whole


def layers(*channels: int, kernel: int = 3) -> nn.Sequential:
    """Build layers of convolution, batch norm and ReLU, with these channels before, between and after them."""
    found: list[nn.Module] = []
    for c_in, c_out in itertools.pairwise(channels):
        conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)
        found += [conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*found)


class Doubled(nn.Upsample):
    """Bilinear interpolation to twice the size, with aligned corners."""

    def __init__(self) -> None:
        super().__init__(scale_factor=2, mode="bilinear", align_corners=True)


class Waves(nn.Module):
    """Adds sines and cosines of a pixel's row to the first half of the channels, of its column to the second."""

    rates: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        half = (channels + 1) // 2
        rates = 1 / 10000 ** (torch.arange(0, half, 2, dtype=torch.float32) / half)
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        half, (h, w) = (self.channels + 1) // 2, spatial(x)
        rates = self.rates.to(torch.promote_types(x.dtype, torch.float32))
        found = []
        for side in (h, w):
            angles = torch.arange(side, device=x.device)[:, None] * rates
            found.append(torch.cat((angles.sin(), angles.cos()), dim=1)[:, :half])
        rows, columns = found
        waves = torch.cat((rows[:, None].expand(h, w, half), columns.expand(h, w, half)), dim=-1)
        return x + waves[..., : self.channels].permute(2, 0, 1).to(x.dtype)


class Attention(nn.Module):
    """Attention of one head over pixels, whose weights sum to 1 over the queries, not over the keys, as in the code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Parameter(torch.empty(channels, channels)) for _ in range(3))
        for weight in self.parameters():
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def forward(self, seeing: Tensor, seen: Tensor) -> Tensor:
        """Map ``seeing`` (N, C, H, W), which gives queries and keys, and ``seen`` of its shape to the same shape."""
        tokens, values = (x.flatten(2).transpose(1, 2) for x in (seeing, seen))
        scores = (tokens @ self.query) @ (tokens @ self.key).transpose(1, 2) / math.sqrt(tokens.shape[-1])
        return (scores.softmax(dim=1) @ (values @ self.value)).transpose(1, 2).unflatten(2, spatial(seeing))


class CrossUp(nn.Module):
    """The skip weighed by the map below through attention, concatenated with that map, two layers.

    Args:
        c_below: Channels of the map below.
        c_skip: Channels of the skip and of the result.
    """

    def __init__(self, c_below: int, c_skip: int) -> None:
        super().__init__()
        self.skip_waves, self.below_waves = Waves(c_skip), Waves(c_below)
        self.from_skip = nn.Sequential(nn.MaxPool2d(2), layers(c_skip, c_skip, kernel=1))
        self.from_below = layers(c_below, c_skip, kernel=1)
        self.attend = Attention(c_skip)
        self.weigh = nn.Sequential(layers(c_skip, c_skip, kernel=1), Doubled())
        self.up = nn.Sequential(Doubled(), nn.Conv2d(c_below, c_below, 3, padding=1), layers(c_below, c_skip, kernel=1))
        self.layers = layers(2 * c_skip, c_skip, c_skip)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Map ``below`` (N, c_below, H / 2, W / 2) and ``skip`` (N, c_skip, H, W) to (N, c_skip, H, W)."""
        skip, below = self.skip_waves(skip), self.below_waves(below)
        weights = self.weigh(self.attend(self.from_below(below), self.from_skip(skip)))
        return self.layers(torch.cat((weights * skip, self.up(below)), dim=1))


class UTransformer(AnySize):
    """U-Net of four levels with ``width * 2**i`` channels at level i and attention at each but the finest.

    Attention weights are matrices of pixels by pixels, at half the image's size at the finest: 1 GiB for 256x256 px.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 8

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 64) -> None:
        super().__init__()
        whole(width=width)
        c = [width * 2**i for i in range(4)]
        self.encoder = nn.ModuleList(layers(a, b, b) for a, b in zip((in_channels, *c), c, strict=False))
        self.pool = nn.MaxPool2d(2)
        self.waves, self.attend = Waves(c[-1]), Attention(c[-1])
        self.decoder = nn.ModuleList(CrossUp(b, a) for a, b in itertools.pairwise(c))
        self.head = nn.Conv2d(width, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for level in self.encoder:
            x = level(self.pool(x) if pyramid else x)
            pyramid.append(x)
        x = self.waves(x)
        x = self.attend(x, x)
        for i in reversed(range(len(self.decoder))):
            x = self.decoder[i](x, pyramid[i])
        return self.head(x)
