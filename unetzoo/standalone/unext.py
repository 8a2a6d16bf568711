"""UNeXt (Valanarasu & Patel 2022, arXiv 2203.04967): convolutions above, shifted MLPs on tokens below."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.standalone.common import AnySize, fraction, resize, whole, wholes


def shift(x: Tensor, dim: int, groups: int = 5) -> Tensor:
    """Channel groups of (N, C, H, W) moved by -2, -1, 0, 1, 2 pixels along ``dim``; zeros come in."""
    reach = groups // 2
    padded = F.pad(x, (reach, reach, reach, reach))
    chunks = padded.chunk(groups, dim=1)
    moved = [chunk.roll(by, dim) for by, chunk in zip(range(-reach, reach + 1), chunks, strict=False)]
    h, w = spatial(x)
    return torch.cat(moved, dim=1)[..., reach : reach + h, reach : reach + w]


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ChannelLinear(nn.Linear):
    """Linear layer over the channels of (N, C, H, W): a 1x1 convolution by another name, as the authors have it."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ShiftedMLP(nn.Module):
    """Tokenised MLP: norm; shift rows, linear, depthwise 3x3, GELU; shift columns, linear; residual.

    ``drop_path`` is the chance that an image skips the block in training.
    """

    def __init__(self, channels: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.rows = ChannelLinear(channels, channels)
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.columns = ChannelLinear(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        y = self.rows(shift(self.norm(x), dim=2))
        y = self.dropout(F.gelu(self.position(y)))
        y = self.dropout(self.columns(shift(y, dim=3)))
        if self.training and self.drop_path:
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop_path
            y = y * kept / (1 - self.drop_path)
        return x + y


class Tokens(nn.Module):
    """Down to tokens: overlapping 3x3 patches with stride 2, layer norm, `ShiftedMLP`, layer norm."""

    def __init__(self, c_in: int, c_out: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.embed = nn.Conv2d(c_in, c_out, 3, stride=2, padding=1)
        self.norm = ChannelNorm(c_out)
        self.block = ShiftedMLP(c_out, dropout, drop_path)
        self.norm_out = ChannelNorm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm_out(self.block(self.norm(self.embed(x))))


class UNeXt(AnySize):
    """Three convolution levels, two token levels, and as many back; skips are added.

    Level i has ``width * multiples[i]`` channels and stride 2**(i + 1). ``dropout`` is in the MLPs. Raises
    `UnetzooError` on a bad option.
    """

    multiple = 32

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 16,
        multiples: Sequence[int] = (1, 2, 8, 10, 16),
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        whole(width=width)
        wholes(5, multiples=multiples)
        fraction(dropout=dropout, drop_path=drop_path)
        c = [width * multiple for multiple in multiples]

        def conv_norm(c_in: int, c_out: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out))

        self.convs = nn.ModuleList(conv_norm(a, b) for a, b in zip((in_channels, *c[:2]), c[:3], strict=True))
        # The chance to skip a block grows linearly over the two token levels of three steps in all, as in the code.
        paths = (0.0, drop_path / 2)
        self.tokens = nn.ModuleList(Tokens(c[i + 2], c[i + 3], dropout, paths[i]) for i in range(2))
        self.back = nn.ModuleList(conv_norm(c[i + 1], c[i]) for i in range(4))
        self.back_tokens = nn.ModuleList(
            nn.Sequential(ShiftedMLP(c[3 - i], dropout, paths[i]), ChannelNorm(c[3 - i])) for i in range(2)
        )
        self.last = nn.Conv2d(c[0], c[0], 3, padding=1)
        for module in (*self.tokens.modules(), *self.back_tokens.modules()):
            _init(module)
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


def _init(module: nn.Module) -> None:
    """The authors' initial weights: linear layers N(0, 0.02), convolutions by their fan-out; bias 0.

    Their truncation at 2, a hundred standard deviations, cuts nothing.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
