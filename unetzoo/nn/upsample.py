"""Up: ``up(c_in, c_out)`` doubles height and width of a map (N, c_in, H, W) and sets the channels.

One Up can replace another and nothing else in the network changes. Its ``forward`` takes the map and the encoder's map
of the finer level, whose maxima `UnpoolUp` needs. If the channels change, an Up that interpolates or samples begins
with a 1x1 convolution (`project`). Interpolation weights sum to 1, so the order of the two does not change the result,
but this one costs a quarter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import MakeModule, spatial


def project(c_in: int, c_out: int) -> nn.Module:
    """Return a 1x1 convolution, or an identity if the channels stay the same."""
    return nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, kernel_size=1)


class TransposedUp(nn.ConvTranspose2d):
    """Transposed convolution with stride 2.

    Kernels larger than 2x2 overlap; the output is cropped to twice the size of the input, with half of the excess
    (rounded down) cut off at the start, like TensorFlow's padding 'same'.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        kernel_size: Side of the kernel; with 2, the 2015 paper's, each output pixel sees one input pixel.

    References:
        Ronneberger et al. 2015, arXiv 1505.04597 ("up-convolution").
    """

    def __init__(self, c_in: int, c_out: int, *, kernel_size: int = 2) -> None:
        super().__init__(c_in, c_out, kernel_size=kernel_size, stride=2, padding=(kernel_size - 2) // 2)

    def forward(self, input: Tensor, *_: object) -> Tensor:  # type: ignore[override]
        """Map (N, c_in, H, W) to (N, c_out, 2 * H, 2 * W)."""
        h, w = spatial(input)
        return super().forward(input)[..., : 2 * h, : 2 * w]


class InterpolateUp(nn.Module):
    """1x1 convolution, then interpolation to twice the size.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        mode: Mode of `F.interpolate`.
        align_corners: As in `F.interpolate`.

    References:
        "Resize-convolution", Odena et al. 2016, doi 10.23915/distill.00003.
    """

    def __init__(self, c_in: int, c_out: int, *, mode: str, align_corners: bool | None = None) -> None:
        super().__init__()
        self.project = project(c_in, c_out)
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, 2 * H, 2 * W)."""
        return F.interpolate(self.project(x), scale_factor=2.0, mode=self.mode, align_corners=self.align_corners)


class NearestLayerUp(nn.Module):
    """Nearest-neighbour interpolation to twice the size, then a layer.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        layer: The layer.

    References:
        "Up-convolution" in LeeJunHyun/Image_Segmentation on GitHub.
    """

    def __init__(self, c_in: int, c_out: int, *, layer: MakeModule) -> None:
        super().__init__()
        self.layer = layer(c_in, c_out)

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, 2 * H, 2 * W)."""
        return self.layer(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class PixelShuffleUp(nn.Sequential):
    """Sub-pixel convolution: a 3x3 convolution to 4 c_out channels, then a pixel shuffle.

    The kernel is 3x3 as in the paper; with 1x1 the layer would equal the 2x2 transposed convolution.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        icnr: Whether the four kernels of a channel start equal, so that the shuffle starts as a nearest-neighbour
            interpolation.

    References:
        Shi et al. 2016, arXiv 1609.05158; ICNR: Aitken et al. 2017, arXiv 1707.02937.
    """

    def __init__(self, c_in: int, c_out: int, *, icnr: bool = False) -> None:
        super().__init__(nn.Conv2d(c_in, 4 * c_out, kernel_size=3, padding=1), nn.PixelShuffle(2))
        self.icnr = icnr
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """With ICNR, make the four kernels of each channel equal."""
        if self.icnr:
            for parameter in self[0].parameters():  # channels 4c to 4c + 3 become channel c of the shuffled map
                parameter.copy_(parameter[::4].repeat_interleave(4, dim=0))

    def forward(self, input: Tensor, *_: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, 2 * H, 2 * W)."""
        return super().forward(input)


class UnpoolUp(nn.Module):
    """Max unpooling: each value goes where the encoder's 2x2 maximum was, all other values are zero.

    Args:
        c_in: Input channels.
        c_out: Output channels, which must be those of the encoder's finer map.

    References:
        SegNet, Badrinarayanan et al. 2015, arXiv 1511.00561, figure 3.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.project = project(c_in, c_out)

    def forward(self, x: Tensor, finer: Tensor) -> Tensor:
        """Map (N, c_in, H', W') and the encoder's map (N, c_out, H, W) to (N, c_out, H, W)."""
        h, w = spatial(finer)
        window = (min(2, h), min(2, w))
        _, places = F.max_pool2d(finer, window, return_indices=True)
        coarse = self.project(x).flatten(2)
        fine = coarse.new_zeros(*coarse.shape[:2], h * w)  # torch calls its max_unpool2d nondeterministic
        return fine.scatter(2, places.flatten(2), coarse).unflatten(2, (h, w))


class CarafeUp(nn.Module):
    """Content-aware reassembly (CARAFE): each fine pixel is a weighted mean of 5x5 coarse ones.

    The weights are predicted from the map as in the paper: 64 channels (here at most c_out), a 3x3 convolution, softmax
    over the 25 weights.

    Args:
        c_in: Input channels.
        c_out: Output channels.

    References:
        Wang et al. 2019, arXiv 1905.02188.
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
        """Initialise the prediction so that all 25 weights start nearly equal."""
        nn.init.normal_(self.encode.weight, std=1e-3)
        if self.encode.bias is not None:
            nn.init.zeros_(self.encode.bias)

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, 2 * H, 2 * W)."""
        x = self.project(x)
        n, c, h, w = x.shape
        weights = self.encode(self.compress(x)).unflatten(1, (self.window**2, 4)).softmax(dim=1)
        around = F.unfold(x, self.window, padding=self.window // 2).view(n, c, self.window**2, h, w)
        fine = torch.einsum("nckhw,nkshw->ncshw", around, weights)  # s: the four fine pixels of a coarse one
        return F.pixel_shuffle(fine.flatten(1, 2), 2)


class DySampleUp(nn.Module):
    """Bilinear sampling at positions shifted by predicted offsets (DySample).

    This is the paper's variant 'LP' with static scope 0.25. Beyond the border the border's value counts.

    Args:
        c_in: Input channels.
        c_out: Output channels.
        groups: Groups of channels with offsets of their own, 4 in the paper; the greatest common divisor with ``c_out``
            is used.

    References:
        Liu et al. 2023, arXiv 2308.15085.
    """

    def __init__(self, c_in: int, c_out: int, *, groups: int = 4) -> None:
        super().__init__()
        self.project = project(c_in, c_out)
        self.groups = math.gcd(groups, c_out)
        self.offset = nn.Conv2d(c_out, 2 * 4 * self.groups, kernel_size=1)
        self.init_weights()

    def init_weights(self) -> None:
        """Initialise the offsets near 0, which is bilinear interpolation."""
        nn.init.normal_(self.offset.weight, std=1e-3)
        if self.offset.bias is not None:
            nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, 2 * H, 2 * W)."""
        x = self.project(x)
        n, _c, h, w = x.shape
        # Positions need more than the eight significant bits of bfloat16.
        precise = torch.promote_types(x.dtype, torch.float32)
        moved = F.pixel_shuffle(0.25 * self.offset(x), 2).to(precise)
        size = torch.tensor([w, h], dtype=precise, device=x.device)
        rows, columns = (torch.arange(2 * side, dtype=precise, device=x.device) for side in (h, w))
        centres = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).add(0.5) / 2
        places = centres + moved.reshape(n * self.groups, 2, 2 * h, 2 * w).permute(0, 2, 3, 1)
        places = 2 * places.clamp(min=torch.full_like(size, 0.5), max=size - 0.5) / size - 1
        grouped = x.reshape(n * self.groups, -1, h, w).to(precise)
        return F.grid_sample(grouped, places, align_corners=False).reshape(n, -1, 2 * h, 2 * w).to(x.dtype)
