"""LeViT-UNet: LeViT's convolutions and three levels of attention as encoder, a convolutional decoder.

References:
    Xu et al. 2021, LeViT-UNet: Make Faster Encoders with Transformer for Medical Image Segmentation, arXiv 2107.08623.
    Graham et al. 2021, LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference, arXiv 2104.01136.
    Code: apple1986/LeViT-UNet, LeViT-UNet-384.py, LeViT_UNet_384.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import exporting, spatial
from unetzoo.nn.dropout import DropPath
from unetzoo.standalone.common import AnySize, fraction, whole, wholes

STRIDE = 16  # pixels to a token of the finest level
LEVELS = 3


class Normed(nn.Sequential):
    """Convolution without bias and batch norm; a 1x1 one is a linear layer on tokens.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        size: Side of the kernel.
        stride: Stride of the convolution.
        weight: Initial weight of the norm; at 0 a residual branch starts as nothing.
    """

    def __init__(self, c_in: int, c_out: int, size: int = 1, *, stride: int = 1, weight: float = 1.0) -> None:
        norm = nn.BatchNorm2d(c_out)
        nn.init.constant_(norm.weight, weight)
        super().__init__(nn.Conv2d(c_in, c_out, size, stride=stride, padding=size // 2, bias=False), norm)


class Attention(nn.Module):
    """Attention of (N, C, H, W) among pixels, with a learnt bias for each head and distance along the two axes.

    Values have ``expansion`` times the channels of keys, and Hardswish follows them. Biases are learnt for maps of
    ``side`` pixels, and interpolated to others so that a distance of 0 keeps its bias.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        heads: Number of heads.
        key: Channels of a head's queries and keys.
        expansion: Channels of a head's values over ``key``.
        side: Side of the map for which biases are learnt.
        stride: Only every such row and column asks, so the result is as much smaller.
        weight: Initial weight of the last norm.
    """

    def __init__(
        self, c_in: int, c_out: int, heads: int, *, key: int, expansion: int, side: int, stride: int = 1, weight: float
    ) -> None:
        super().__init__()
        self.heads, self.key, self.side, self.stride = heads, key, side, stride
        self.value = expansion * key
        together = heads * (self.value + (2 * key if stride == 1 else key))
        self.project = Normed(c_in, together)
        self.query = Normed(c_in, heads * key) if stride > 1 else None
        self.biases = nn.Parameter(torch.zeros(heads, side * side))
        self.out = nn.Sequential(nn.Hardswish(), Normed(heads * self.value, c_out, weight=weight))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, H', W') with H' = ceil(H / stride)."""
        h, w = spatial(x)
        asking = x[..., :: self.stride, :: self.stride]
        parts = self.project(x).flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)
        if self.query is None:
            query, key, value = parts.split([self.key, self.key, self.value], dim=-1)
        else:
            query = self.query(asking).flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)
            key, value = parts.split([self.key, self.value], dim=-1)
        bias = self.bias(h, w).to(query.dtype)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.out(attended.transpose(2, 3).flatten(1, 2).unflatten(2, spatial(asking)))

    def bias(self, h: int, w: int) -> Tensor:
        """Return the bias (heads, askers, pixels) between the pixels of an ``h`` x ``w`` map."""
        table = self.biases.unflatten(1, (self.side, self.side))
        if exporting() or (h, w) != (self.side, self.side):
            table = F.interpolate(table[None], size=(h, w), mode="bilinear", align_corners=True)[0]
        rows, columns = (torch.arange(side, device=table.device) for side in (h, w))
        down, across = ((at[:: self.stride, None] - at).abs() for at in (rows, columns))  # distances, (askers, pixels)
        index = down[:, None, :, None] * w + across[None, :, None, :]
        return table.flatten(1)[:, index.flatten(2).flatten(0, 1)]


class Residual(nn.Module):
    """Residual branch x + f(x).

    Args:
        branch: Module f; it keeps the shape.
        drop_path: Chance that an image skips it in training.
    """

    def __init__(self, branch: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(branch, DropPath(drop_path))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Up(nn.Sequential):
    """Bilinear interpolation to twice the size, with aligned corners, and two 3x3 layers."""

    def __init__(self, c_in: int, c_out: int) -> None:
        layers: list[nn.Module] = [nn.UpsamplingBilinear2d(scale_factor=2)]
        for c in (c_in, c_out):
            layers += [
                nn.Conv2d(c, c_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(c_out),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


def think(channels: int, drop_path: float) -> nn.Module:
    """Build the residual branch of two linear layers with Hardswish and twice the channels between them."""
    layers = (Normed(channels, 2 * channels), nn.Hardswish(), Normed(2 * channels, channels, weight=0.0))
    return Residual(nn.Sequential(*layers), drop_path)


class LeViTUNet(AnySize):
    """Four strided convolutions, three levels of `Attention` of the strides 16, 32 and 64, and three `Up`s.

    The decoder starts from the convolutions' map and the maps of all three levels, interpolated to stride 16. The head
    sees half the image's size.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of a head's queries and keys.
        multiples: Channels of each level over ``width``, finest first; three numbers. LeViT-UNet-192 has (6, 9, 12),
            and 128s, at a width of 16, (8, 16, 24). The last convolution has the first level's channels.
        heads: Heads of each level: (3, 5, 6) and (4, 6, 8) in these two.
        layers: Layers of each level: (4, 4, 4) and (2, 3, 4) in these two.
        decoder: Channels of the three `Up`s over ``width``, coarsest first: (32, 16, 8) in 128s.
        image_size: Pixels to a side of the images for which biases are learnt.
        drop_path: Chance that an image skips a branch of a layer in training: 0 in the smaller two.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 2 * STRIDE
    least = 6 * STRIDE  # a smaller image leaves one token at the coarsest level, and batch norm nothing to normalise

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        multiples: Sequence[int] = (12, 16, 24),
        heads: Sequence[int] = (6, 9, 12),
        layers: Sequence[int] = (4, 4, 4),
        decoder: Sequence[int] = (16, 8, 4),
        image_size: int = 224,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        whole(width=width)
        wholes(LEVELS, multiples=multiples, heads=heads, layers=layers, decoder=decoder)
        whole(STRIDE, image_size=image_size)
        fraction(drop_path=drop_path)
        c = [m * width for m in multiples]
        up = [m * width for m in decoder]
        stem = [max(1, c[0] // 2**i) for i in (3, 2, 1, 0)]
        self.stem = nn.ModuleList(
            nn.Sequential(Normed(a, b, 3, stride=2), nn.Hardswish() if i < len(stem) - 1 else nn.Identity())
            for i, (a, b) in enumerate(itertools.pairwise((in_channels, *stem)))
        )
        self.levels = nn.ModuleList()
        side = image_size // STRIDE
        for i in range(LEVELS):
            level: list[nn.Module] = []
            if i:
                asking = Attention(
                    c[i - 1], c[i], multiples[i - 1], key=width, expansion=4, side=side, stride=2, weight=1.0
                )
                level += [asking, think(c[i], drop_path)]
                side = (side + 1) // 2
            for _ in range(layers[i]):
                attend = Attention(c[i], c[i], heads[i], key=width, expansion=2, side=side, weight=0.0)
                level += [Residual(attend, drop_path), think(c[i], drop_path)]
            self.levels.append(nn.Sequential(*level))
        self.ups = nn.ModuleList(
            Up(a, b) for a, b in zip((stem[3] + sum(c), up[0] + stem[2], up[1] + stem[1]), up, strict=True)
        )
        self.head = nn.Conv2d(up[2] + stem[0], num_classes, 3, padding=1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for conv in self.stem:
            x = conv(x)
            pyramid.append(x)
        maps = [x]
        for i, level in enumerate(self.levels):
            x = level(x)
            enlarged = x
            for _ in range(i):
                enlarged = F.interpolate(enlarged, scale_factor=2.0, mode="bilinear", align_corners=True)
            maps.append(F.interpolate(enlarged, size=spatial(maps[0]), mode="bilinear", align_corners=True))
        x = torch.cat(maps, dim=1)
        for up, skip in zip(self.ups, pyramid[2::-1], strict=True):
            x = torch.cat((up(x), skip), dim=1)
        return F.interpolate(self.head(x), scale_factor=2.0, mode="bilinear", align_corners=True)
