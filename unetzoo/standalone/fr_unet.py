"""FR-UNet: a triangular grid of blocks that keeps full resolution.

References:
    Liu et al. 2022, Full-Resolution Network and Dual-Threshold Iteration for Retinal Vessel and Coronary Angiograph
        Segmentation, doi 10.1109/JBHI.2022.3188710.
    Code: lseventeen/FR-UNet, models/fr_unet.py, FR_UNet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unetzoo.standalone.common import AnySize, fraction, whole


def norm_act(channels: int) -> tuple[nn.Module, nn.Module]:
    """Return batch norm and leaky ReLU."""
    return nn.BatchNorm2d(channels), nn.LeakyReLU(0.1)


class FeatureFuse(nn.Module):
    """Sum of a 1x1, a 3x3 and a dilated 3x3 convolution (dilation 2), then batch norm."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(c_in, c_out, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=False)
            for kernel, dilation in ((1, 1), (3, 1), (3, 2))
        )
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convs[0](x) + self.convs[1](x) + self.convs[2](x))


class Node(nn.Module):
    """Projection where the channels change, then two 3x3 convolutions.

    Args:
        c_in: Channels of the input.
        c_out: Channels of the map.
        fuse: Project with `FeatureFuse`; if False, with a 1x1 convolution.
        dropout: Probability of dropping a channel.
        up: Build the transposed convolution for the finer row.
        down: Build the strided convolution for the coarser row.
    """

    def __init__(self, c_in: int, c_out: int, *, fuse: bool, dropout: float, up: bool, down: bool) -> None:
        super().__init__()
        projection = FeatureFuse(c_in, c_out) if fuse else nn.Conv2d(c_in, c_out, 1)
        self.fuse = projection if c_in != c_out else nn.Identity()
        layers: list[nn.Module] = []
        for _ in range(2):
            norm, act = norm_act(c_out)
            layers += [nn.Conv2d(c_out, c_out, 3, padding=1, bias=False), norm, nn.Dropout2d(dropout), act]
        self.block = nn.Sequential(*layers)
        half, twice = c_out // 2, 2 * c_out
        self.up = (
            nn.Sequential(nn.ConvTranspose2d(c_out, half, 2, stride=2, bias=False), *norm_act(half)) if up else None
        )
        self.down = nn.Sequential(nn.Conv2d(c_out, twice, 2, stride=2, bias=False), *norm_act(twice)) if down else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the map (N, C, H, W), its upsampling (N, C / 2, 2H, 2W) and its downsampling (N, 2C, H / 2, W / 2).

        Either of the last two is None where no other node uses it.
        """
        x = self.block(self.fuse(x))
        return x, self.up(x) if self.up else None, self.down(x) if self.down else None


class FRUNet(AnySize):
    """Rows of `Node`s, finest first, each row two nodes shorter than the one above.

    A node sees the downsampled map of the row above, the node before it, and the upsampled map of the row below. Row r
    has ``width * 2**r`` channels.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the finest row.
        depth: Number of rows, at least 2.
        dropout: Probability of dropping a channel.
        fuse: False replaces each `FeatureFuse` by a 1x1 convolution.
        average: Return the mean logits of the finest row's nodes from the third on; if False, those of its last node.

    Raises:
        UnetzooError: If an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        depth: int = 4,
        dropout: float = 0.2,
        fuse: bool = True,
        average: bool = True,
    ) -> None:
        super().__init__()
        whole(width=width)
        whole(2, depth=depth)
        fraction(dropout=dropout)
        self.multiple = 2 ** (depth - 1)
        nodes = [2 * (depth - row) - 1 for row in range(depth)]
        # A node needs nodes that are one step nearer to the image, so sorting by row + column gives an order.
        self.order = sorted(((r, k) for r in range(depth) for k in range(nodes[r])), key=lambda at: (sum(at), -at[0]))
        self.nodes = nn.ModuleList()
        for r, k in self.order:
            inputs = (r > 0) + (k > 0) + (k > 1 and r < depth - 1)
            c = width * 2**r
            down = r + 1 < depth and k < nodes[r + 1]
            self.nodes.append(Node(c * inputs or in_channels, c, fuse=fuse, dropout=dropout, up=r > 0, down=down))
        heads = nodes[0] - 2 if average else 1
        self.heads = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for _ in range(heads))

    def logits(self, x: Tensor) -> Tensor:
        maps: dict[tuple[int, int], Tensor] = {}
        ups: dict[tuple[int, int], Tensor | None] = {}
        downs: dict[tuple[int, int], Tensor | None] = {}
        for (r, k), node in zip(self.order, self.nodes, strict=True):
            seen = (downs.get((r - 1, k)), maps.get((r, k - 1)), ups.get((r + 1, k - 2)))
            inputs = [source for source in seen if source is not None]
            maps[r, k], ups[r, k], downs[r, k] = node(torch.cat(inputs, dim=1) if inputs else x)
        finest = [m for (r, _), m in maps.items() if r == 0][-len(self.heads) :]
        outputs = torch.stack([head(m) for head, m in zip(self.heads, finest, strict=True)])
        return outputs.mean(dim=0)
