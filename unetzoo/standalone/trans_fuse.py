"""TransFuse: a ResNet and a vision transformer side by side, their maps fused at three levels.

References:
    Zhang et al. 2021, TransFuse: Fusing Transformers and CNNs for Medical Image Segmentation, arXiv 2102.08005.
    Code: Rayicer/TransFuse, lib/TransFuse.py, TransFuse_S.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.attention import SqueezeExcite
from unetzoo.nn.blocks import spatial
from unetzoo.nn.residual import ResidualBlock
from unetzoo.nn.skips import AttentionSkip
from unetzoo.nn.tokens import as_map
from unetzoo.standalone.common import AnySize, fraction, whole, wholes
from unetzoo.standalone.resnet import ResNetEncoder
from unetzoo.standalone.u_transformer import Doubled
from unetzoo.standalone.u_transformer import layers as conv_layers
from unetzoo.standalone.unetr import Positions, TransformerLayer

STRIDE = 16  # pixels to a token
BLOCKS = (3, 4, 6)  # of ResNet-34 without its last level

Conv3 = partial(nn.Conv2d, kernel_size=3, padding=1)
Conv1 = partial(nn.Conv2d, kernel_size=1)


class PreAct(nn.Module):
    """1x1, 3x3 and 1x1 convolution, each after norm and ReLU, and a 1x1 convolution as shortcut."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        half = max(1, c_out // 2)
        convs = (Conv1(c_in, half), Conv3(half, half), Conv1(half, c_out))
        layers = [module for conv in convs for module in (nn.BatchNorm2d(conv.in_channels), nn.ReLU(), conv)]
        self.residual = nn.Sequential(*layers)
        self.shortcut = Conv1(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.shortcut(x)


class BiFusion(nn.Module):
    """BiFusion module: a weight per pixel on the ResNet's map, one per channel on the tokens' map, and their product.

    Args:
        c_conv: Channels of the ResNet's map.
        c_token: Channels of the tokens' map.
        c_out: Channels of the product and of the result.
        reduction: Factor by which the hidden layer of the channels' weights is narrower.
        dropout: Probability that a channel of the result is dropped.
    """

    def __init__(self, c_conv: int, c_token: int, c_out: int, reduction: int, dropout: float) -> None:
        super().__init__()
        self.by_channel = SqueezeExcite(c_token, reduction=reduction)
        self.by_pixel = nn.Sequential(nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.BatchNorm2d(1), nn.Sigmoid())
        self.from_conv = nn.Sequential(Conv1(c_conv, c_out), nn.BatchNorm2d(c_out))
        self.from_token = nn.Sequential(Conv1(c_token, c_out), nn.BatchNorm2d(c_out))
        self.product = conv_layers(c_out, c_out)
        self.fuse = nn.Sequential(PreAct(c_conv + c_token + c_out, c_out), nn.Dropout2d(dropout))

    def forward(self, conv: Tensor, token: Tensor) -> Tensor:
        """Map (N, c_conv, H, W) and (N, c_token, H, W) to (N, c_out, H, W)."""
        product = self.product(self.from_conv(conv) * self.from_token(token))
        summary = torch.cat((conv.max(dim=1, keepdim=True).values, conv.mean(dim=1, keepdim=True)), dim=1)
        return self.fuse(torch.cat((conv * self.by_pixel(summary), self.by_channel(token), product), dim=1))


def block(c_in: int, c_out: int) -> ResidualBlock:
    """Build a residual block of two 3x3 layers with biases."""
    return ResidualBlock(c_in, c_out, conv=Conv3, pointwise=Conv1, norm=nn.BatchNorm2d, act=nn.ReLU)


class Up(nn.Module):
    """Bilinear interpolation to twice the size, with aligned corners, a gated skip, and a residual block."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.up = Doubled()
        self.skip = AttentionSkip(c_out, c_in, conv=Conv1, norm=nn.BatchNorm2d, act=nn.ReLU, c_mid=c_out)
        self.block = block(self.skip.out_channels, c_out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (N, c_in, H / 2, W / 2) and a skip (N, c_out, H, W) to (N, c_out, H, W)."""
        return self.block(self.skip(skip, self.up(x)))


class TransFuse(AnySize):
    """ResNet-34 to stride 16 and eight ViT layers on tokens of 16x16 pixels; `BiFusion` at the strides 16, 8 and 4.

    Three heads are supervised, all at the image's size: that of the fused maps at stride 4, which predicts, that of the
    tokens' map at stride 4, and that of the fused map at stride 16. Positions are learnt for images of ``image_size``
    and interpolated to others.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the ResNet's stem, and of each head of the transformer.
        heads: Number of heads; a token has ``heads * width`` channels.
        layers: Number of ViT layers.
        image_size: Height and width in pixels of the images for which positions are learnt.
        dropout: Probability that a channel of a map is dropped in training; half as much after a fusion.

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
        heads: int = 6,
        layers: int = 8,
        image_size: Sequence[int] = (192, 256),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        whole(width=width, heads=heads, layers=layers)
        wholes(2, image_size=image_size)
        if min(image_size) < STRIDE:
            raise UnetzooError(f"option image_size = {image_size!r}: must be at least {STRIDE} px on each side")
        fraction(dropout=dropout)
        token = heads * width
        self.resnet = ResNetEncoder(in_channels, blocks=BLOCKS, width=width)
        fine, middle, coarse = self.resnet.channels
        self.embed = nn.Conv2d(in_channels, token, STRIDE, stride=STRIDE)
        self.positions = Positions((image_size[0] // STRIDE, image_size[1] // STRIDE), token)
        self.layers = nn.Sequential(
            *(TransformerLayer(token, heads, qkv_bias=True, eps=1e-6) for _ in range(layers)),
            nn.LayerNorm(token, eps=1e-6),
        )
        self.token_ups = nn.ModuleList(
            nn.Sequential(Doubled(), block(a, b)) for a, b in ((token, middle), (middle, fine))
        )
        self.fusions = nn.ModuleList(
            BiFusion(c, c_token, c, reduction, dropout / 2)
            for c, c_token, reduction in ((coarse, token, 4), (middle, middle, 2), (fine, fine, 1))
        )
        self.ups = nn.ModuleList((Up(coarse, middle), Up(middle, fine)))
        self.dropout = nn.Dropout2d(dropout)

        def head(c: int, *, squeeze: bool = False) -> nn.Sequential:
            first = (conv_layers(c, fine, kernel=1),) if squeeze else ()
            return nn.Sequential(*first, conv_layers(fine, fine), Conv3(fine, num_classes))

        self.head, self.token_head, self.coarse_head = head(fine), head(fine), head(coarse, squeeze=True)
        self._start()

    def _start(self) -> None:
        """Draw the initial weights of the authors' code: ViT's in the transformer, He's elsewhere but in the ResNet."""
        nn.init.zeros_(self.positions.table)
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for part in (self.token_ups, self.fusions, self.ups, self.head, self.token_head, self.coarse_head):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def fused(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps that the three heads see: the fused and the tokens' at stride 4, the fused at stride 16."""
        drop = self.dropout
        fine, middle, coarse = self._dropped(x)
        tokens = self.embed(x)
        h, w = spatial(tokens)
        tokens = as_map(self.layers(tokens.flatten(2).transpose(1, 2) + self.positions(h, w)), (h, w))
        coarse_token = drop(tokens)
        middle_token = drop(self.token_ups[0](coarse_token))
        fine_token = drop(self.token_ups[1](middle_token))
        first = self.fusions[0](coarse, coarse_token)
        second = self.ups[0](first, self.fusions[1](middle, middle_token))
        return self.ups[1](second, self.fusions[2](fine, fine_token)), fine_token, first

    def _dropped(self, x: Tensor) -> list[Tensor]:
        """Return the ResNet's maps of the strides 4, 8 and 16, with dropout before each further level."""
        x, maps = self.resnet.stem(x), []
        for level in self.resnet.levels:
            x = self.dropout(level(x))
            maps.append(x)
        return maps

    def logits(self, x: Tensor) -> Tensor:
        return _enlarged(self.head(self.fused(x)[0]), 4)

    def scales(self, x: Tensor) -> list[Tensor]:
        heads = ((self.head, 4), (self.token_head, 4), (self.coarse_head, STRIDE))
        return [_enlarged(head(part), by) for (head, by), part in zip(heads, self.fused(x), strict=True)]


def _enlarged(x: Tensor, factor: int) -> Tensor:
    """Interpolate (N, C, H, W) bilinearly to ``factor`` times the size, with aligned corners."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=True)
