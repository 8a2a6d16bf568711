"""MT-UNet: a U-Net whose coarser levels are transformer modules of local, global and external attention.

References:
    Wang et al. 2021, Mixed Transformer U-Net For Medical Image Segmentation, arXiv 2111.04734.
    Code: Dootmaan/MT-UNet, MTUNet.py, MTUNet.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.nn.tokens import Positions, attend, fitting_heads
from unetzoo.standalone.common import AnySize, whole

STRIDE = 8  # pixels to a token at the finest level of tokens
COEF = 4  # factor by which external attention has more heads and channels, as in the code


class Block(nn.Module):
    """Two 3x3 layers, the second without ReLU, then a normed 1x1 convolution with a shortcut, and ReLU."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(c_out, c_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        self.residual = nn.Sequential(nn.Conv2d(c_out, c_out, 1), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(x)
        return F.relu(x + self.residual(x))


class ExternalAttention(nn.Module):
    """Attention of (N, H, W, C) to learnt keys and values (arXiv 2105.02358), of many heads that share them.

    Args:
        channels: Channels of input and output.
        heads: Number of heads; must divide ``COEF * channels``.
        memory: Number of keys and values.
    """

    def __init__(self, channels: int, heads: int, memory: int) -> None:
        super().__init__()
        self.heads, inner = heads, COEF * channels
        self.query = nn.Linear(channels, inner)
        self.keys, self.values = nn.Linear(inner // heads, memory), nn.Linear(memory, inner // heads)
        self.out = nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[1:3]
        weights = self.keys(self.query(x).flatten(1, 2).unflatten(-1, (self.heads, -1))).softmax(dim=1)
        weights = weights / (1e-9 + weights.sum(dim=-1, keepdim=True))
        return self.out(self.values(weights).flatten(2)).unflatten(1, size)


class GaussianAxial(nn.Module):
    """Attention along each row and each column, with scores that fall with the square of the distance; both summed.

    Args:
        channels: Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        # A bias on all scores changes no softmax: it is the code's, and its gradient is zero but for rounding.
        self.bias, self.shift = nn.Parameter(-torch.randn(1).abs()), nn.Parameter(torch.randn(1).abs())

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.query(x), self.key(x), self.value(x)
        along_rows = self._attend(query, key, value)
        along_columns = self._attend(*(y.transpose(1, 2) for y in (query, key, value)))
        return along_rows + along_columns.transpose(1, 2)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend within the rows of (N, H, W, C)."""
        at = torch.arange(query.shape[2], device=query.device)
        apart = (at[:, None] - at).square().to(query.dtype)
        scores = query @ key.transpose(2, 3) - (self.shift * apart + self.bias)
        return scores.softmax(dim=-1) @ value


class LocalGlobalAttention(nn.Module):
    """Attention within windows, then `GaussianAxial` among one summary of each window; a linear layer joins both.

    A map that the window does not divide is padded with zeros at the bottom and the right, but for their corner, which
    repeats the map's own, as in the code.

    Args:
        channels: Channels of input and output.
        heads: Heads within windows; must divide ``channels``.
        window: Tokens to a side of a window.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.query, self.key, self.value, self.out = (nn.Linear(channels, channels) for _ in range(4))
        self.weigh = nn.Linear(channels, window**2)
        self.far = GaussianAxial(channels)
        self.join = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        h, w = x.shape[1:3]
        size = self.window
        x = self._padded(x)
        x = x.unflatten(2, (-1, size)).unflatten(1, (-1, size)).transpose(2, 3).flatten(3, 4)  # (N, H', W', tokens, C)
        x = self.out(attend(self.query(x), self.key(x), self.value(x), self.heads))
        summary = (self.weigh(x.mean(dim=3)).softmax(dim=-1).unsqueeze(3) @ x).squeeze(3)
        far = self.far(summary).permute(0, 3, 1, 2)
        far = F.interpolate(far, scale_factor=float(size), mode="bilinear", align_corners=True).permute(0, 2, 3, 1)
        near = x.unflatten(3, (size, size)).transpose(2, 3).flatten(1, 2).flatten(2, 3)
        return self.join(torch.cat((far, near), dim=-1))[:, :h, :w]

    def _padded(self, x: Tensor) -> Tensor:
        """Pad (N, H, W, C) to whole windows."""
        h, w = x.shape[1:3]
        below, right = ((-side) % self.window for side in (h, w))
        corner = x[:, h - below :, w - right :]
        return F.pad(x, (0, 0, 0, right, 0, below)) + F.pad(corner, (0, 0, w, 0, h, 0))


class MixedModule(nn.Module):
    """Mixed transformer module: `LocalGlobalAttention` and `ExternalAttention`, after norms and with shortcuts."""

    def __init__(self, channels: int, heads: int, window: int, memory: int) -> None:
        super().__init__()
        heads = fitting_heads(channels, heads)
        self.attend = nn.Sequential(nn.LayerNorm(channels, eps=1e-6), LocalGlobalAttention(channels, heads, window))
        self.recall = nn.Sequential(nn.LayerNorm(channels, eps=1e-6), ExternalAttention(channels, COEF * heads, memory))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x.permute(0, 2, 3, 1)
        x = x + self.attend(x)
        return (x + self.recall(x)).permute(0, 3, 1, 2)


def double(c_in: int, c_out: int) -> nn.Module:
    """Build a transposed convolution to twice the size."""
    return nn.ConvTranspose2d(c_in, c_out, 2, stride=2)


class MTUNet(AnySize):
    """Three levels of `Block`s, then three of two `MixedModule`s each, and back.

    A `Block`'s level i has ``width * 2**i`` channels. The first level of modules has as many as the last `Block`, and
    each further one twice as many.
    Positions are learnt for images of ``image_size`` and interpolated to others.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels at the finest level.
        heads: Heads within windows, or as many as divide a level's channels; external attention has four times as many.
        window: Tokens to a side of a window.
        memory: Keys and values of external attention.
        image_size: Pixels to a side of the images for which positions are learnt.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 4 * STRIDE

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 64,
        heads: int = 8,
        window: int = 4,
        memory: int = 64,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        whole(width=width, heads=heads, window=window, memory=memory)
        whole(STRIDE, image_size=image_size)
        # The corner of a padded map repeats as many tokens as a window lacks; batch norm needs two pixels.
        self.least = self.multiple * max(2, (window + 1) // 2)
        c = [width * 2**i for i in range(5)]

        def mixed(channels: int) -> nn.Sequential:
            return nn.Sequential(*(MixedModule(channels, heads, window, memory) for _ in range(2)))

        self.encoder = nn.ModuleList(Block(a, b) for a, b in zip((in_channels, *c), c[:3], strict=False))
        self.embed = nn.Sequential(nn.Conv2d(c[2], c[2], 1, bias=False), nn.BatchNorm2d(c[2]), nn.ReLU(inplace=True))
        self.positions = Positions(image_size // STRIDE, c[2])
        self.mixed = nn.ModuleList(mixed(c[i]) for i in (2, 3, 4))
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 2, stride=2, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
            for a, b in itertools.pairwise(c[2:])
        )
        self.mixed_ups = nn.ModuleList((double(c[3], c[2]), double(c[4], c[3])))
        self.mixed_back = nn.ModuleList((mixed(c[3]), nn.Sequential(nn.Conv2d(c[4], c[3], 1), *mixed(c[3]))))
        self.ups = nn.ModuleList(double(2 * b, b) for b in c[:3])
        self.back = nn.ModuleList(Block(2 * b, b) for b in c[:3])
        self.head = nn.Conv2d(width, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid: list[Tensor] = []
        for block in self.encoder:
            x = block(x)
            pyramid.append(x)
            x = F.max_pool2d(x, 2)
        x = self.embed(x)
        h, w = spatial(x)
        x = x + self.positions(h, w).transpose(1, 2).unflatten(2, (h, w))
        skips: list[Tensor] = []
        for mixed, down in zip(self.mixed, self.downs, strict=False):
            skips.append(mixed(x))
            x = down(skips[-1])
        x = self.mixed[-1](x)
        for up, back, skip in reversed(list(zip(self.mixed_ups, self.mixed_back, skips, strict=True))):
            x = back(torch.cat((up(x), skip), dim=1))
        for up, block, skip in reversed(list(zip(self.ups, self.back, pyramid, strict=True))):
            x = block(torch.cat((skip, up(x)), dim=1))
        return self.head(x)
