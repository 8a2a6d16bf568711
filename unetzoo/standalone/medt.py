"""Gated axial attention: a U-Net of it, and MedT, which adds a branch on patches.

References:
    Valanarasu et al. 2021, Medical Transformer: Gated Axial-Attention for Medical Image Segmentation, arXiv 2102.10662.
    Code: jeya-maria-jose/Medical-Transformer, lib/models/axialnet.py, gated and MedT.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import exporting, spatial
from unetzoo.nn.tokens import fitting_heads
from unetzoo.standalone.common import AnySize, whole

BLOCKS = (1, 2, 4, 1)  # of each level
PATCHES = 4  # to a side of the image, in MedT's second branch
GATES = (1.0, 0.1, 0.1, 0.1)  # initially, of values, queries' positions, keys' positions, values' positions


class AxialAttention(nn.Module):
    """Self-attention along one axis of (N, C, H, W), with learnt positions of queries, keys and values, each gated.

    Args:
        channels: Channels of input and output.
        heads: Number of heads.
        axis: 2 for attention along the columns, 3 along the rows.
        side: Tokens of the axis for which positions are learnt, interpolated for other lengths; None for no positions.
        learn_gates: False freezes the gates at their initial values, as the code does for its first epochs.
    """

    def __init__(self, channels: int, heads: int, axis: int, side: int | None, *, learn_gates: bool) -> None:
        super().__init__()
        self.heads, self.axis = heads, axis
        kinds = 1 if side is None else 3
        self.project = nn.Conv1d(channels, 2 * channels, 1, bias=False)
        self.norm_projected = nn.BatchNorm1d(2 * channels)
        self.norm_scores = nn.BatchNorm2d(kinds * heads)
        self.norm_out = nn.BatchNorm1d(channels * (1 if side is None else 2))
        nn.init.normal_(self.project.weight, std=math.sqrt(1 / channels))
        self.positions = None
        if side is not None:
            few = channels // heads
            self.positions = nn.Parameter(torch.randn(2 * few, 2 * side - 1) * math.sqrt(1 / few))
            self.gates = nn.ParameterList(nn.Parameter(torch.tensor(gate), learn_gates) for gate in GATES)

    def forward(self, x: Tensor) -> Tensor:
        n, c = x.shape[:2]
        lines = x.movedim(self.axis, -1).movedim(1, 2)  # (N, others, C, L)
        others, length = lines.shape[1], lines.shape[3]
        projected = self.norm_projected(self.project(lines.flatten(0, 1))).unflatten(1, (self.heads, -1))
        few = c // self.heads
        query, key, value = projected.split((few // 2, few // 2, few), dim=2)
        scores = query.transpose(2, 3) @ key
        if self.positions is None:
            weights = self.norm_scores(scores).softmax(dim=-1)
            y = self.norm_out((value @ weights.transpose(2, 3)).flatten(1, 2))
        else:
            of_query, of_key, of_value = self._positions(length).split((few // 2, few // 2, few))
            of_queries = torch.einsum("nhci,cij->nhij", query, of_query) * self.gates[1]
            of_keys = torch.einsum("nhcj,cji->nhij", key, of_key) * self.gates[2]
            scores = self.norm_scores(torch.cat((scores, of_queries, of_keys), dim=1))
            weights = scores.unflatten(1, (3, -1)).sum(dim=1).softmax(dim=-1)
            content = value @ weights.transpose(2, 3) * self.gates[0]
            places = torch.einsum("nhij,cij->nhci", weights, of_value) * self.gates[3]
            # As in the code, a head's channels of both come after one another and are then joined in pairs.
            joined = torch.cat((content, places), dim=-1).reshape(n * others, 2 * c, length)
            y = self.norm_out(joined).unflatten(1, (c, 2)).sum(dim=2)
        return y.unflatten(0, (n, others)).movedim(2, 1).movedim(-1, self.axis)

    def _positions(self, length: int) -> Tensor:
        """Return the positions of every two tokens, (2 * channels / heads, L, L)."""
        table = self.positions
        assert table is not None
        if exporting() or table.shape[1] != 2 * length - 1:
            table = F.interpolate(table[None], size=2 * length - 1, mode="linear", align_corners=True)[0]
        at = torch.arange(length, device=table.device)
        return table[:, (at[:, None] - at + length - 1).flatten()].unflatten(1, (length, length))


class AxialBlock(nn.Module):
    """Bottleneck block of ResNet with attention along columns and rows in place of its 3x3 convolution.

    Args:
        c_in: Channels of the input.
        channels: Channels of the attention, half of those of the output.
        stride: 2 averages 2x2 pixels after the attention.
        side: As in `AxialAttention`, of the input.
        learn_gates: As in `AxialAttention`.
    """

    def __init__(self, c_in: int, channels: int, stride: int, side: int | None, *, learn_gates: bool) -> None:
        super().__init__()
        heads = fitting_heads(channels // 2, 8)
        attention = (AxialAttention(channels, heads, axis, side, learn_gates=learn_gates) for axis in (2, 3))
        pool = [nn.AvgPool2d(stride)] if stride > 1 else []
        self.layers = nn.Sequential(
            nn.Conv2d(c_in, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            *attention,
            *pool,
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, 2 * channels, 1, bias=False),
            nn.BatchNorm2d(2 * channels),
        )
        self.shortcut = nn.Sequential()
        if stride > 1 or c_in != 2 * channels:
            conv = nn.Conv2d(c_in, 2 * channels, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(2 * channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layers(x) + self.shortcut(x))


def doubled(conv: nn.Module, x: Tensor) -> Tensor:
    """Return the ReLU of a convolution of (N, C, H, W), interpolated bilinearly to twice its size."""
    return F.relu(F.interpolate(conv(x), scale_factor=2.0, mode="bilinear", align_corners=False))


class AxialBranch(nn.Module):
    """Three convolutions to half the size, levels of `AxialBlock`s, and a decoder of convolutions; skips are added.

    Args:
        in_channels: Channels of the image.
        width: A quarter of the channels of the finest level; level i has ``4 * width * 2**i``.
        stem: Channels of the stem, as a multiple of ``width``.
        levels: Number of levels, 2 or 4. The coarsest of four is also halved and doubled again.
        side: Pixels to a side of the image for which positions are learnt; None for no positions.
        learn_gates: As in `AxialAttention`.
    """

    def __init__(
        self, in_channels: int, width: int, stem: int, levels: int, side: int | None, *, learn_gates: bool
    ) -> None:
        super().__init__()
        first, middle = stem * width, 16 * width
        convs: list[nn.Module] = []
        for c_in, c_out, kernel in ((in_channels, first, 7), (first, middle, 3), (middle, first, 3)):
            stride = 2 if kernel == 7 else 1
            conv = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)
            convs += [conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
        self.stem = nn.Sequential(*convs)
        c = [4 * width * 2**i for i in range(levels)]
        self.levels = nn.ModuleList()
        for i in range(levels):
            row = []
            for j in range(BLOCKS[i]):
                halves = i > 0 and j == 0
                factor = 2**i if halves else 2 ** (i + 1)  # of the image's size over the block's input
                of_block = None if side is None else side // factor
                c_in = c[i] if j else (c[i - 1] if i else first)
                row.append(AxialBlock(c_in, c[i] // 2, 2 if halves else 1, of_block, learn_gates=learn_gates))
            self.levels.append(nn.Sequential(*row))
        self.bottom = nn.Conv2d(c[-1], c[-1], 3, stride=2, padding=1) if levels == 4 else None
        self.decoder = nn.ModuleList(
            nn.Conv2d(below, a, 3, padding=1) for a, below in zip((2 * width, *c), c, strict=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 2 * width, H, W)."""
        x, pyramid = self.stem(x), []
        for level in self.levels:
            x = level(x)
            pyramid.append(x)
        if self.bottom is not None:
            x = doubled(self.bottom, x) + x
        for i in reversed(range(1, len(pyramid))):
            x = doubled(self.decoder[i], x) + pyramid[i - 1]
        return doubled(self.decoder[0], x)


class GatedAxialUNet(AnySize):
    """`AxialBranch` of four levels and a head.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the stem; level i has ``4 * width * 2**i``.
        side: Pixels to a side of the image for which positions are learnt, a multiple of 32; for other images they are
            interpolated.
        learn_gates: Train the gates of the positions, which the code does from its 11th epoch on.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = 32

    def __init__(
        self, in_channels: int, num_classes: int, *, width: int = 8, side: int = 128, learn_gates: bool = False
    ) -> None:
        super().__init__()
        check_options(width, side, self.multiple)
        self.branch = AxialBranch(in_channels, width, 1, 4, side, learn_gates=learn_gates)
        self.head = nn.Conv2d(2 * width, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        return self.head(self.branch(x))


class MedT(AnySize):
    """Two levels of `AxialBranch` on the image, plus four levels without positions on each of its 4x4 patches.

    The patches' stem has eight times the channels of the image's, as in the code.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the image's stem; level i has ``4 * width * 2**i``.
        side: Pixels to a side of the image for which positions are learnt, a multiple of 128; for other images they
            are interpolated.
        learn_gates: Train the gates of the positions, which the code does from its 11th epoch on.

    Raises:
        UnetzooError: If an option is out of range.
    """

    multiple = PATCHES * 32

    def __init__(
        self, in_channels: int, num_classes: int, *, width: int = 8, side: int = 128, learn_gates: bool = False
    ) -> None:
        super().__init__()
        check_options(width, side, self.multiple)
        self.whole = AxialBranch(in_channels, width, 1, 2, side, learn_gates=learn_gates)
        self.patches = AxialBranch(in_channels, width, 8, 4, None, learn_gates=learn_gates)
        self.join = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.head = nn.Conv2d(2 * width, num_classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.join(self.whole(x) + together(self.patches(apart(x)), x.shape))))


def apart(x: Tensor) -> Tensor:
    """Cut (N, C, H, W) into patches (N * 16, C, H / 4, W / 4)."""
    h, w = spatial(x)
    x = x.unflatten(3, (PATCHES, w // PATCHES)).unflatten(2, (PATCHES, h // PATCHES))
    return x.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def together(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Put patches (N * 16, C, H / 4, W / 4) together to a map (N, C, H, W), ``shape`` being that of the image."""
    x = x.unflatten(0, (shape[0], PATCHES, PATCHES))
    return x.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def check_options(width: int, side: int, multiple: int) -> None:
    """Check the options of both networks.

    Raises:
        UnetzooError: If one is out of range.
    """
    whole(width=width, side=side)
    if side % multiple:
        raise UnetzooError(f"option side = {side}: must be a multiple of {multiple} px")
