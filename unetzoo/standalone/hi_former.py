"""HiFormer: a ResNet whose maps feed the levels of a Swin transformer; the finest and the coarsest are decoded.

References:
    Heidari et al. 2022, HiFormer: Hierarchical Multi-scale Representations Using Transformers for Medical Image
        Segmentation, arXiv 2207.08518.
    Code: amirhossein-kz/HiFormer, models/HiFormer.py, HiFormer; FengheTan9/U-Bench, models/Hybrid/HiFormer.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import exporting
from unetzoo.nn.norms import GroupNorm
from unetzoo.nn.tokens import attend, fitting_heads
from unetzoo.standalone.common import AnySize, fraction, whole, wholes
from unetzoo.standalone.resnet import ResNetEncoder
from unetzoo.standalone.swin_unet import Merge, SwinLayer
from unetzoo.standalone.unetr import TransformerLayer

PATCH = 4  # pixels to a side of a token at the finest level
STRIDE = 16  # and at the coarsest
BLOCKS = (3, 4, 6)  # of ResNet-50 without its last level
DEPTHS = (2, 2, 6)  # of Swin-T without its last level
SWIN_HEADS = (3, 6, 12)
WINDOW = 7


class Positions(nn.Module):
    """A learnt vector for the class token and for each token of a square grid, interpolated to other grids.

    Args:
        side: Side of the grid in tokens.
        channels: Channels of a token.
    """

    def __init__(self, side: int, channels: int) -> None:
        super().__init__()
        self.side = side
        self.table = nn.Parameter(torch.empty(1, 1 + side * side, channels))
        nn.init.normal_(self.table, std=0.02)  # the code truncates at 2, a hundred of those, which cuts nothing

    @property
    def of_class(self) -> Tensor:
        """Vector of the class token, (1, 1, C)."""
        return self.table[:, :1].clone()  # a view would keep torch from counting operations without gradients

    def forward(self, h: int, w: int) -> Tensor:
        """Return the vectors of an ``h`` x ``w`` grid, (1, h, w, C)."""
        grid = self.table[:, 1:].unflatten(1, (self.side, self.side))
        if not exporting() and (h, w) == (self.side, self.side):
            return grid
        grid = grid.permute(0, 3, 1, 2)
        return F.interpolate(grid, size=(h, w), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def project(c_in: int, c_out: int) -> nn.Sequential:
    """Build norm, GELU and a linear layer."""
    return nn.Sequential(nn.LayerNorm(c_in), nn.GELU(), nn.Linear(c_in, c_out))


class ClassFusion(nn.Module):
    """A branch's class token, the mean of its tokens, attends to the other branch's tokens and comes back.

    Args:
        channels: Channels of the branch.
        c_other: Channels of the other branch.
        heads: Heads of the attention.
    """

    def __init__(self, channels: int, c_other: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_mean = nn.LayerNorm(channels)
        self.go, self.come = project(channels, c_other), project(c_other, channels)
        self.norm = nn.LayerNorm(c_other)
        self.query, self.key, self.value, self.out = (nn.Linear(c_other, c_other) for _ in range(4))

    def forward(self, own: Tensor, position: Tensor, others: Tensor) -> Tensor:
        """Return the class token (N, 1, C).

        Args:
            own: The branch's map, (N, H, W, C).
            position: Position of its class token, (1, 1, C).
            others: Tokens of the other branch, (N, L, c_other).
        """
        token = self.go(self.norm_mean(own).mean(dim=(1, 2)).unsqueeze(1) + position)
        seen = self.norm(torch.cat((token, others), dim=1))
        attended = attend(self.query(seen[:, :1]), self.key(seen), self.value(seen), self.heads)
        return self.come(token + self.out(attended))


class Pyramid(nn.Module):
    """ResNet-50 to stride 16; its maps are added to the results of Swin-T's first three levels.

    Args:
        in_channels: Channels of the image.
        width: Channels of a head of the Swin transformer; the ResNet's stem has twice as many.
        drop_path: Chance that an image skips a branch of a Swin layer in training: 0 for the first, growing linearly to
            this at the last.
    """

    def __init__(self, in_channels: int, width: int, drop_path: float) -> None:
        super().__init__()
        self.channels = [heads * width for heads in SWIN_HEADS]
        self.resnet = ResNetEncoder(in_channels, blocks=BLOCKS, width=2 * width, block=Bottleneck)
        self.embed = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(self.resnet.channels, self.channels, strict=True))
        chances = [drop_path * i / (sum(DEPTHS) - 1) for i in range(sum(DEPTHS))]
        self.swin = nn.ModuleList(
            nn.Sequential(
                *(
                    SwinLayer(c, heads, WINDOW, j % 2 * (WINDOW // 2), 0.0, chances[sum(DEPTHS[:i]) + j])
                    for j in range(DEPTHS[i])
                )
            )
            for i, (c, heads) in enumerate(zip(self.channels, SWIN_HEADS, strict=True))
        )
        self.merges = nn.ModuleList(Merge(c) for c in self.channels[:-1])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (N, C, H, W) to tokens (N, H / 4, W / 4, 3 * width) and (N, H / 16, W / 16, 12 * width)."""
        maps = [embed(y).permute(0, 2, 3, 1) for embed, y in zip(self.embed, self.resnet(x)[1:], strict=True)]
        fine = maps[0] + self.swin[0](maps[0])
        x = self.merges[0](fine)
        x = maps[1] + self.swin[1](x)
        x = self.merges[1](x)
        return fine, maps[2] + self.swin[2](x)


def tower(*channels: int, enlarge: bool) -> nn.Sequential:
    """Build 3x3 convolutions with group norm and ReLU, each before a bilinear doubling if ``enlarge``."""
    layers: list[nn.Module] = []
    for c_in, c_out in itertools.pairwise(channels):
        layers += [nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), GroupNorm(c_out, groups=32), nn.ReLU()]
        if enlarge:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)


class HiFormer(AnySize):
    """`Pyramid`, a fusion of its finest and coarsest tokens by `ClassFusion`, and a decoder of both.

    In the code the fused class tokens pass transformer layers together with the tokens, but their result is dropped, so
    that class tokens reach no output. So it is here without ``layers``: the fusion is computed, as in the code, but has
    no effect and a gradient of zero. With ``layers`` the network is the paper's.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of a head of the Swin transformer, whose levels have 3, 6 and 12 of them.
        heads: Heads of the fine and the coarse branch in the fusion, or as many as divide their channels.
        layers: Transformer layers of the fine and the coarse branch after the fusion: (1, 2) in the paper's HiFormer-B,
            (0, 0) in effect in the code.
        image_size: Pixels to a side of the images for which positions are learnt.
        drop_path: Chance that an image skips a branch of the last Swin layer in training; less in those before.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = STRIDE
    least = 2 * STRIDE  # one pixel alone leaves batch norm nothing to normalise

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        heads: Sequence[int] = (6, 12),
        layers: Sequence[int] = (0, 0),
        image_size: int = 224,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        whole(width=width)
        whole(STRIDE, image_size=image_size)
        wholes(2, heads=heads)
        fraction(drop_path=drop_path)
        good = isinstance(layers, list | tuple) and all(type(n) is int and n >= 0 for n in layers)
        if not good or len(layers) != 2 or (any(layers) and not all(layers)):
            raise UnetzooError(f"option layers = {layers!r}: must be two whole numbers of at least 1, or [0, 0]")
        self.pyramid = Pyramid(in_channels, width, drop_path)
        c = self.pyramid.channels[0], self.pyramid.channels[-1]
        fitting = [fitting_heads(channels, most) for channels, most in zip(c, heads, strict=True)]
        self.positions = nn.ModuleList(
            Positions(max(1, image_size // stride), channels)
            for stride, channels in zip((PATCH, STRIDE), c, strict=True)
        )
        self.fusion = nn.ModuleList((ClassFusion(c[0], c[1], fitting[1]), ClassFusion(c[1], c[0], fitting[0])))
        self.layers = nn.ModuleList(
            nn.Sequential(*(TransformerLayer(c[i], fitting[i], qkv_bias=True, expansion=2) for _ in range(layers[i])))
            for i in range(2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in c)
        for module in self.modules():  # the code truncates at 2, a hundred standard deviations, which cuts nothing
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        last, few = 4 * width, max(1, width // 2)
        self.fine = tower(c[0], last, enlarge=False)
        self.coarse = tower(c[1], last, last, enlarge=True)
        self.squeeze = nn.Sequential(nn.Conv2d(last, few, 1), nn.ReLU(inplace=True))
        self.head = nn.Conv2d(few, num_classes, 3, padding=1)

    def logits(self, x: Tensor) -> Tensor:
        pyramid = self.pyramid(x)
        branches = [y + positions(*y.shape[1:3]) for positions, y in zip(self.positions, pyramid, strict=True)]
        branches = self._fused(pyramid, branches)
        fine, coarse = (norm(y).permute(0, 3, 1, 2) for norm, y in zip(self.norms, branches, strict=True))
        x = self.squeeze(self.fine(fine) + self.coarse(coarse))
        return self.head(F.interpolate(x, scale_factor=float(PATCH), mode="bilinear", align_corners=False))

    def _fused(self, pyramid: Sequence[Tensor], branches: list[Tensor]) -> list[Tensor]:
        """Return the branches (N, H, W, C) after their class tokens' exchange and the transformer layers."""
        tokens = [x.flatten(1, 2) for x in branches]
        fused: list[Tensor] = []
        for i, layers in enumerate(self.layers):
            token = self.fusion[i](pyramid[i], self.positions[i].of_class, tokens[1 - i])
            together = layers(torch.cat((token, tokens[i]), dim=1))
            fused.append(together[:, 1:].unflatten(1, branches[i].shape[1:3]))
        return fused
