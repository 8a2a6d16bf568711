"""Three convolutional levels, two levels of tokens, and as many back: the shape of UNeXt and U-KAN.

References:
    Those of `unetzoo.standalone.unext` and `unetzoo.standalone.ukan`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import MakeModule
from unetzoo.nn.dropout import DropPath
from unetzoo.nn.norms import PixelLayerNorm
from unetzoo.standalone.common import AnySize, init_by_fan_out, resize


class TokenBlock(nn.Module):
    """Residual block x + mix(norm(x)) on (N, C, H, W).

    Args:
        channels: Channels of input and output.
        mix: Module that mixes the tokens; it keeps the shape.
        drop_path: Chance that an image skips ``mix`` in training.
    """

    def __init__(self, channels: int, mix: nn.Module, drop_path: float) -> None:
        super().__init__()
        self.residual = nn.Sequential(PixelLayerNorm(channels), mix, DropPath(drop_path))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)


class TokenUNet(AnySize):
    """U-Net of three convolutional levels and two levels of tokens; skips are added.

    Level i has ``channels[i]`` and stride ``2**(i + 1)``.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        channels: Channels of the five levels, finest first.
        conv: Factory ``conv(c_in, c_out)`` of the layers before a pooling.
        back: Factory ``back(c_in, c_out)`` of the layers before an interpolation.
        last: Layers at the image's size, before the head.
        mix: Factory ``mix(channels)`` of what a `TokenBlock` adds.
        drop_path: Chance that an image skips a block's branch in training: 0 at the finer token level, half of this at
            the coarser.
    """

    multiple = 32

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int],
        *,
        conv: MakeModule,
        back: MakeModule,
        last: nn.Module,
        mix: Callable[[int], nn.Module],
        drop_path: float,
    ) -> None:
        super().__init__()
        c = channels

        def block(level: int, drop_path: float) -> nn.Sequential:
            return nn.Sequential(TokenBlock(c[level], mix(c[level]), drop_path), PixelLayerNorm(c[level]))

        def down(level: int, drop_path: float) -> nn.Sequential:
            """Build the layers that make tokens: overlapping 3x3 patches with stride 2, norm, block, norm."""
            embed = nn.Conv2d(c[level - 1], c[level], 3, stride=2, padding=1)
            return nn.Sequential(embed, PixelLayerNorm(c[level]), *block(level, drop_path))

        self.convs = nn.ModuleList(conv(a, b) for a, b in zip((in_channels, *c[:2]), c[:3], strict=True))
        # As in the code, chances grow linearly from 0 to drop_path over three blocks; token levels have the first two.
        paths = (0.0, drop_path / 2)
        self.tokens = nn.ModuleList(down(i + 3, paths[i]) for i in range(2))
        self.back = nn.ModuleList(back(c[i + 1], c[i]) for i in range(4))
        self.back_tokens = nn.ModuleList(block(3 - i, paths[i]) for i in range(2))
        self.last = last
        self.tokens.apply(init_by_fan_out)
        self.back_tokens.apply(init_by_fan_out)
        self.head = nn.Conv2d(c[0], num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        image, pyramid = x, []
        for conv in self.convs:
            x = F.relu(F.max_pool2d(conv(x), 2))
            pyramid.append(x)
        for tokens in self.tokens:
            x = tokens(x)
            pyramid.append(x)
        pyramid.pop()
        for level in reversed(range(4)):
            x = F.relu(resize(self.back[level](x), pyramid[level])) + pyramid[level]
            if level > 1:
                x = self.back_tokens[3 - level](x)
        return self.head(F.relu(resize(self.last(x), image)))
