"""ENet: a fast residual encoder-decoder with unpooling by indices.

References:
    Paszke et al. 2016, ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation, arXiv 1606.02147.
    Code: davidtvs/PyTorch-ENet, models/enet.py, ENet (the authors' own code is in Lua).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import exporting, spatial
from unetzoo.standalone.common import AnySize, max_pool_indices, max_unpool, whole

Act: TypeAlias = Callable[[], nn.Module]
# Dilations of the 3x3 convolutions of stages 2 and 3 (paper, table 1); "5" is a 5x1 and a 1x5 in their place.
CONTEXT = (1, 2, "5", 4, 1, 8, "5", 16)


def layer(conv: nn.Conv2d, act: Act) -> list[nn.Module]:
    """Return a convolution, its batch norm and an activation."""
    return [conv, nn.BatchNorm2d(conv.out_channels), act()]


class Bottleneck(nn.Module):
    """1x1 convolution to a quarter of the channels, one or two in the middle, 1x1 back; added to the input.

    Args:
        channels: Channels of input and output.
        act: Factory of the activation.
        dropout: Probability of dropping a channel.
        dilation: Dilation of the 3x3 convolution, or "5" for a 5x1 and a 1x5 convolution in its place.
    """

    def __init__(self, channels: int, act: Act, dropout: float, dilation: int | str = 1) -> None:
        super().__init__()
        c = max(1, channels // 4)
        if dilation == "5":
            middle = [nn.Conv2d(c, c, k, padding=p, bias=False) for k, p in (((5, 1), (2, 0)), ((1, 5), (0, 2)))]
        else:
            d = int(dilation)
            middle = [nn.Conv2d(c, c, 3, padding=d, dilation=d, bias=False)]
        convs = [nn.Conv2d(channels, c, 1, bias=False), *middle, nn.Conv2d(c, channels, 1, bias=False)]
        self.body = nn.Sequential(*(module for conv in convs for module in layer(conv, act)), nn.Dropout2d(dropout))
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x + self.body(x))


class Down(nn.Module):
    """Max pooling padded with zero channels, plus a 2x2 strided, a 3x3 and a 1x1 convolution.

    Returns the map and the indices of the pooled maxima.
    """

    def __init__(self, c_in: int, c_out: int, act: Act, dropout: float) -> None:
        super().__init__()
        c = max(1, c_in // 4)
        convs = [
            nn.Conv2d(c_in, c, 2, stride=2, bias=False),
            nn.Conv2d(c, c, 3, padding=1, bias=False),
            nn.Conv2d(c, c_out, 1, bias=False),
        ]
        self.body = nn.Sequential(*(module for conv in convs for module in layer(conv, act)), nn.Dropout2d(dropout))
        self.new_channels = c_out - c_in
        self.act = act()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, c_in, H, W) to (N, c_out, H / 2, W / 2) and the indices (N, c_in, H / 2, W / 2) of the maxima."""
        pooled, indices = max_pool_indices(x)
        return self.act(F.pad(pooled, (0, 0, 0, 0, 0, self.new_channels)) + self.body(x)), indices


def enlarged(up: nn.ConvTranspose2d, x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return x (N, C, H, W) after a transposed convolution of stride 2 that gives it a size (H', W')."""
    if not exporting():
        return up(x, output_size=size)
    # ONNX takes no output padding that depends on the size; the largest one adds rows and columns at the end only.
    larger = F.conv_transpose2d(x, up.weight, up.bias, 2, up.padding, 1)  # pyright: ignore[reportArgumentType]
    return larger[..., : size[0], : size[1]]


class Up(nn.Module):
    """Unpooled 1x1 convolution, plus a 1x1, a 2x2 transposed and a 1x1 convolution."""

    def __init__(self, c_in: int, c_out: int, act: Act, dropout: float) -> None:
        super().__init__()
        c = max(1, c_in // 4)
        self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))
        self.reduce = nn.Sequential(*layer(nn.Conv2d(c_in, c, 1, bias=False), act))
        self.up = nn.ConvTranspose2d(c, c, 2, stride=2, bias=False)
        self.expand = nn.Sequential(
            nn.BatchNorm2d(c), act(), nn.Conv2d(c, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.Dropout2d(dropout)
        )
        self.act = act()

    def forward(self, x: Tensor, indices: Tensor, like: Tensor) -> Tensor:
        """Upsample x, unpooling by ``indices`` (of the matching `Down`), to the height and width of ``like``."""
        unpooled = max_unpool(self.shortcut(x), indices, like)
        return self.act(unpooled + self.expand(enlarged(self.up, self.reduce(x), spatial(like))))


class ENet(AnySize):
    """Initial block, two `Down`s with 4 and 16 bottlenecks, two `Up`s with two and one.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels after the initial block; they include the pooled image, so at least ``in_channels + 1`` are
            used.
        encoder_relu: Use ReLU in place of PReLU in the encoder.
        decoder_relu: Use ReLU in place of PReLU in the decoder.

    Raises:
        UnetzooError: If ``width`` is not a positive whole number.
    """

    least = 7

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 16,
        encoder_relu: bool = False,
        decoder_relu: bool = True,
    ) -> None:
        super().__init__()
        whole(width=width)
        into, back = (nn.ReLU if relu else nn.PReLU for relu in (encoder_relu, decoder_relu))
        first = max(width, in_channels + 1)
        second = max(4 * width, first)
        third = 2 * second
        self.image = nn.Conv2d(in_channels, first - in_channels, 3, stride=2, padding=1, bias=False)
        self.initial = nn.Sequential(nn.BatchNorm2d(first), into())
        self.down1 = Down(first, second, into, 0.01)
        self.stage1 = nn.Sequential(*(Bottleneck(second, into, 0.01) for _ in range(4)))
        self.down2 = Down(second, third, into, 0.1)
        self.stage2 = nn.Sequential(*(Bottleneck(third, into, 0.1, dilation) for dilation in CONTEXT))
        self.stage3 = nn.Sequential(*(Bottleneck(third, into, 0.1, dilation) for dilation in CONTEXT))
        self.up2 = Up(third, second, back, 0.1)
        self.stage4 = nn.Sequential(*(Bottleneck(second, back, 0.1) for _ in range(2)))
        self.up1 = Up(second, first, back, 0.1)
        self.stage5 = Bottleneck(first, back, 0.1)
        self.head = nn.ConvTranspose2d(first, num_classes, 3, stride=2, padding=1, bias=False)

    def logits(self, x: Tensor) -> Tensor:
        size = spatial(x)
        finest = self.initial(torch.cat((self.image(x), F.max_pool2d(x, 3, stride=2, padding=1)), dim=1))
        x, indices1 = self.down1(finest)
        middle = self.stage1(x)
        x, indices2 = self.down2(middle)
        x = self.stage3(self.stage2(x))
        x = self.stage4(self.up2(x, indices2, like=middle))
        x = self.stage5(self.up1(x, indices1, like=finest))
        return enlarged(self.head, x, size)
