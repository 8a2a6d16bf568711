"""Up: ``up(c_in, c_out)`` doubles a map (N, c_in, H, W) and sets the channels.

One way up can be exchanged for another and nothing else in the network changes. It is called with the map and with the
encoder's of the finer level, whose maxima `UnpoolUp` needs. Those that interpolate or sample first change
the channels by a 1x1 convolution (`project`), where they change: their weights sum to 1, so the order changes nothing
but the cost, which is four times less.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import Part, spatial


def project(c_in: int, c_out: int) -> nn.Module:
    """1x1 convolution where the channels change."""
    return nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, kernel_size=1)


class TransposedUp(nn.ConvTranspose2d):
    """Up-convolution with stride 2; 2x2 as in arXiv 1505.04597, where each output pixel sees one input pixel.

    Larger kernels overlap; what they give beyond twice the size is cut off, half of it (rounded down) at the start,
    as TensorFlow's padding 'same' does.
    """

    def __init__(self, c_in: int, c_out: int, *, kernel_size: int = 2) -> None:
        super().__init__(c_in, c_out, kernel_size=kernel_size, stride=2, padding=(kernel_size - 2) // 2)

    def forward(self, input: Tensor, *_: object) -> Tensor:  # type: ignore[override]
        h, w = spatial(input)
        return super().forward(input)[..., : 2 * h, : 2 * w]


class InterpolateUp(nn.Module):
    """1x1 convolution, then interpolation by 2 ("resize-convolution", Odena 2016, doi 10.23915/distill.00003)."""

    def __init__(self, c_in: int, c_out: int, *, mode: str, align_corners: bool | None = None) -> None:
        super().__init__()
        self.project = project(c_in, c_out)
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        return F.interpolate(self.project(x), scale_factor=2.0, mode=self.mode, align_corners=self.align_corners)


class NearestLayerUp(nn.Module):
    """Nearest neighbour, then a layer on the fine map: "up-convolution" in LeeJunHyun/Image_Segmentation."""

    def __init__(self, c_in: int, c_out: int, *, layer: Part) -> None:
        super().__init__()
        self.layer = layer(c_in, c_out)

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        return self.layer(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class PixelShuffleUp(nn.Sequential):
    """Sub-pixel convolution: 3x3 to 4 c_out channels, then a shuffle (Shi et al. 2016, arXiv 1609.05158).

    3x3 as in that paper: with a 1x1 kernel the layer would be the 2x2 transposed convolution again. With ``icnr`` the
    four kernels of a channel start equal, and it as nearest neighbour (Aitken et al. 2017, arXiv 1707.02937).
    """

    def __init__(self, c_in: int, c_out: int, *, icnr: bool = False) -> None:
        super().__init__(nn.Conv2d(c_in, 4 * c_out, kernel_size=3, padding=1), nn.PixelShuffle(2))
        self.icnr = icnr
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        if self.icnr:
            for parameter in self[0].parameters():  # channel c of the shuffled map is made from 4 c to 4 c + 3
                parameter.copy_(parameter[::4].repeat_interleave(4, dim=0))

    def forward(self, input: Tensor, *_: Tensor) -> Tensor:
        return super().forward(input)


class UnpoolUp(nn.Module):
    """Each value goes where the encoder's 2x2 maximum was, zeros elsewhere (SegNet, arXiv 1511.00561, figure 3).

    The places are those of the maxima of the encoder's finer map, which must have c_out channels.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.project = project(c_in, c_out)

    def forward(self, x: Tensor, finer: Tensor) -> Tensor:
        h, w = spatial(finer)
        window = (min(2, h), min(2, w))
        _, places = F.max_pool2d(finer, window, return_indices=True)
        coarse = self.project(x).flatten(2)
        fine = coarse.new_zeros(*coarse.shape[:2], h * w)  # torch's own max_unpool2d counts as not deterministic
        return fine.scatter(2, places.flatten(2), coarse).unflatten(2, (h, w))


class CarafeUp(nn.Module):
    """Each fine pixel is a mean of 5x5 coarse ones with weights predicted from the map (CARAFE, arXiv 1905.02188).

    As in the paper: 64 channels for the prediction (at most c_out here), a 3x3 encoder, softmax over the 25 weights.
    """

    window = 5

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.project = project(c_in, c_out)
        few = min(64, c_out)
        self.compress = nn.Conv2d(c_out, few, kernel_size=1)
        self.encode = nn.Conv2d(few, 4 * self.window**2, kernel_size=3, padding=1)
        self.init_weights()

    def init_weights(self) -> None:
        """All 25 weights start nearly equal."""
        nn.init.normal_(self.encode.weight, std=1e-3)
        if self.encode.bias is not None:
            nn.init.zeros_(self.encode.bias)

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        x = self.project(x)
        n, c, h, w = x.shape
        weights = self.encode(self.compress(x)).unflatten(1, (self.window**2, 4)).softmax(dim=1)
        around = F.unfold(x, self.window, padding=self.window // 2).view(n, c, self.window**2, h, w)
        fine = torch.einsum("nckhw,nkshw->ncshw", around, weights)  # s: the four fine pixels of a coarse one
        return F.pixel_shuffle(fine.flatten(1, 2), 2)


class DySampleUp(nn.Module):
    """Bilinear sampling at places moved by predicted offsets (DySample, arXiv 2308.15085; its 'LP', static scope 0.25).

    ``groups`` of channels have offsets of their own: 4 as in the paper, or what divides the channels. Beyond the border
    the border's value counts.
    """

    def __init__(self, c_in: int, c_out: int, *, groups: int = 4) -> None:
        super().__init__()
        self.project = project(c_in, c_out)
        self.groups = math.gcd(groups, c_out)
        self.offset = nn.Conv2d(c_out, 2 * 4 * self.groups, kernel_size=1)
        self.init_weights()

    def init_weights(self) -> None:
        """Offsets start near 0: bilinear interpolation."""
        nn.init.normal_(self.offset.weight, std=1e-3)
        if self.offset.bias is not None:
            nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        x = self.project(x)
        n, _c, h, w = x.shape
        # Places need more than the eight bits of bfloat16.
        precise = torch.promote_types(x.dtype, torch.float32)
        moved = F.pixel_shuffle(0.25 * self.offset(x), 2).to(precise)
        size = torch.tensor([w, h], dtype=precise, device=x.device)
        rows, columns = (torch.arange(2 * side, dtype=precise, device=x.device) for side in (h, w))
        centres = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).add(0.5) / 2
        places = centres + moved.reshape(n * self.groups, 2, 2 * h, 2 * w).permute(0, 2, 3, 1)
        places = 2 * places.clamp(min=torch.full_like(size, 0.5), max=size - 0.5) / size - 1
        grouped = x.reshape(n * self.groups, -1, h, w).to(precise)
        return F.grid_sample(grouped, places, align_corners=False).reshape(n, -1, 2 * h, 2 * w).to(x.dtype)
