"""TransUNet: a vision transformer on a ResNet's map, and a U-Net's decoder.

References:
    Chen et al. 2021, TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation, arXiv 2102.04306.
    Code: Beckschen/TransUNet, networks/vit_seg_modeling.py, VisionTransformer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import spatial
from unetzoo.nn.norms import GroupNorm, InstanceNorm
from unetzoo.nn.tokens import MLP, Positions, attend
from unetzoo.standalone.common import AnySize, fraction, whole

STRIDE = 16  # pixels to a token
MOST_SKIPS = 3


class StandardConv(nn.Conv2d):
    """Convolution without bias whose weights are standardised: zero mean, unit deviation (arXiv 1903.10520)."""

    def __init__(self, c_in: int, c_out: int, size: int, *, stride: int = 1) -> None:
        super().__init__(c_in, c_out, size, stride=stride, padding=size // 2, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        return self._conv_forward(input, (self.weight - mean) / (variance + 1e-5).sqrt(), None)


def norm(channels: int) -> nn.Module:
    """Return a group norm with 32 groups, or fewer where there are few channels."""
    return GroupNorm(channels, groups=32, eps=1e-6)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution, each with norm, and a shortcut: a normed 1x1 convolution if the shape changes."""

    def __init__(self, c_in: int, c_mid: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            StandardConv(c_in, c_mid, 1),
            norm(c_mid),
            nn.ReLU(inplace=True),
            StandardConv(c_mid, c_mid, 3, stride=stride),
            norm(c_mid),
            nn.ReLU(inplace=True),
            StandardConv(c_mid, c_out, 1),
            norm(c_out),
        )
        self.shortcut = nn.Sequential()
        if c_in != c_out or stride != 1:  # instance norm: the code's group norm has a group per channel here
            self.shortcut = nn.Sequential(StandardConv(c_in, c_out, 1, stride=stride), InstanceNorm(c_out))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.residual(x))


class HybridEncoder(nn.Module):
    """ResNet-50 v2 as in Big Transfer (arXiv 1912.11370) without its last stage: maps of strides 2, 4, 8 and 16.

    Args:
        in_channels: Channels of the image.
        width: Channels of the stem.
        blocks: Blocks of each stage.
    """

    def __init__(self, in_channels: int, width: int, blocks: Sequence[int] = (3, 4, 9)) -> None:
        super().__init__()
        self.channels = [width, *(4 * width * 2**i for i in range(len(blocks)))]
        self.stem = nn.Sequential(StandardConv(in_channels, width, 7, stride=2), norm(width), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList()
        for i, n in enumerate(blocks):
            c_in, c_mid, c_out = self.channels[i], width * 2**i, self.channels[i + 1]
            first = Bottleneck(c_in, c_mid, c_out, 2 if i else 1)
            self.stages.append(nn.Sequential(first, *(Bottleneck(c_out, c_mid, c_out, 1) for _ in range(n - 1))))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, in_channels, H, W) to four maps of the strides 2, 4, 8 and 16."""
        x = self.stem(x)
        pyramid = [x]
        x = F.max_pool2d(x, 3, stride=2)
        for stage in self.stages:
            x = stage(x)
            pyramid.append(x)
        pyramid[1] = F.pad(pyramid[1], (0, 1, 0, 1))  # the pool is unpadded: its map lacks a row and a column
        return pyramid


class Attention(nn.Module):
    """Multi-head self-attention of (N, L, C)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(attend(self.query(x), self.key(x), self.value(x), self.heads))


class Layer(nn.Module):
    """Attention and `MLP`, each after a norm and with a shortcut (ViT, arXiv 2010.11929)."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(channels, eps=1e-6), Attention(channels, heads))
        self.think = nn.Sequential(nn.LayerNorm(channels, eps=1e-6), MLP(channels, dropout))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(x)
        return x + self.think(x)


def conv_norm_act(c_in: int, c_out: int) -> nn.Sequential:
    """Return a 3x3 convolution without bias, batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class Up(nn.Module):
    """Bilinear interpolation to twice the size, with aligned corners, then the skip, if any, and two 3x3 layers."""

    def __init__(self, c_in: int, c_skip: int, c_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv_norm_act(c_in + c_skip, c_out), conv_norm_act(c_out, c_out))

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Map (N, c_in, H / 2, W / 2) and a skip (N, c_skip, H, W) or None to (N, c_out, H, W)."""
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        return self.layers(x if skip is None else torch.cat((x, skip), dim=1))


class TransUNet(AnySize):
    """Tokens of 16x16 pixels from the ResNet's coarsest map, ViT layers, four `Up`s with three skips.

    With ``width`` 64, 12 heads and 12 layers are ViT-Base, 16 heads and 24 layers ViT-Large. Positions are learnt for
    images of ``image_size`` and interpolated to others.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the ResNet's stem, and of each head.
        heads: Number of heads; a token has ``heads * width`` channels.
        layers: Number of ViT layers.
        skips: Number of skips, 0 to 3, coarsest first; fewer than 3 are ablations of the paper.
        hybrid: False cuts the image itself into patches, without a ResNet and so without skips (an ablation of the
            paper).
        image_size: Pixels to a side of the images for which positions are learnt.
        dropout: Probability of dropout on tokens.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = STRIDE
    least = 2 * STRIDE  # one token alone leaves batch norm nothing to normalise

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 64,
        heads: int = 12,
        layers: int = 12,
        skips: int = 3,
        hybrid: bool = True,
        image_size: int = 224,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        whole(width=width, heads=heads, layers=layers)
        whole(0, skips=skips)
        whole(STRIDE, image_size=image_size)
        fraction(dropout=dropout)
        most = MOST_SKIPS if hybrid else 0
        if skips > most:
            raise UnetzooError(
                f"option skips = {skips}: must be at most {most}{'' if hybrid else ' with hybrid = False'}"
            )
        self.skips = skips
        hidden = heads * width
        self.resnet = HybridEncoder(in_channels, width) if hybrid else None
        if self.resnet is not None:
            self.embed = nn.Conv2d(self.resnet.channels[-1], hidden, 1)
        else:
            self.embed = nn.Conv2d(in_channels, hidden, STRIDE, stride=STRIDE)
        self.positions = Positions(image_size // STRIDE, hidden)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(*(Layer(hidden, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(hidden, eps=1e-6)
        channels = [8 * width, 4 * width, 2 * width, width, max(1, width // 4)]
        c_skips = [8 * width, 4 * width, width][:skips] + [0] * (4 - skips)
        self.widen = conv_norm_act(hidden, channels[0])
        self.ups = nn.ModuleList(Up(*c) for c in zip(channels, c_skips, channels[1:], strict=False))
        self.head = nn.Conv2d(channels[-1], num_classes, 3, padding=1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid = self.resnet(x) if self.resnet is not None else [x]
        x = self.embed(pyramid[-1])
        h, w = spatial(x)
        x = self.dropout(x.flatten(2).transpose(1, 2) + self.positions(h, w))
        x = self.norm(self.layers(x))
        x = self.widen(x.transpose(1, 2).unflatten(2, (h, w)))
        skips: list[Tensor | None] = [*pyramid[-2::-1][: self.skips], *[None] * (4 - self.skips)]
        for up, skip in zip(self.ups, skips, strict=True):
            x = up(x, skip)
        return self.head(x)
