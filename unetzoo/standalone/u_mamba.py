"""U-Mamba: nnU-Net's residual U-Net with Mamba in its encoder or its bottleneck.

References:
    Ma et al. 2024, U-Mamba: Enhancing Long-range Dependency for Biomedical Image Segmentation, arXiv 2401.04722.
    Code: bowang-lab/U-Mamba, umamba/nnunetv2/nets/UMambaBot_2d.py and UMambaEnc_2d.py, UMambaBot and UMambaEnc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.errors import UnetzooError
from unetzoo.nn.blocks import spatial
from unetzoo.nn.norms import InstanceNorm
from unetzoo.nn.state_space import CHUNK, Mamba
from unetzoo.nn.tokens import as_map
from unetzoo.standalone.common import AnySize, one_of
from unetzoo.standalone.nnunet import SLOPE, Act, channels_of, conv, layers

PLACES = ("bottleneck", "encoder")


class ResidualLayers(nn.Module):
    """Two layers and a shortcut, which is a 1x1 convolution with bias or, with ``project=False``, the input."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1, *, project: bool = True) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers(c_in, c_out, 1, stride), conv(c_out, c_out), InstanceNorm(c_out))
        self.shortcut = nn.Conv2d(c_in, c_out, 1, stride=stride) if project else nn.Identity()
        self.act = Act()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.layers(x) + self.shortcut(x))


def stage(c_in: int, c_out: int, count: int, stride: int = 1) -> nn.Sequential:
    """Build ``count`` `ResidualLayers`, of which the first changes channels and size and has a projected shortcut."""
    rest = (ResidualLayers(c_out, c_out, project=False) for _ in range(count - 1))
    return nn.Sequential(ResidualLayers(c_in, c_out, stride), *rest)


def _without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Compute in the precision of the tensors; the meta device has no autocast to leave out."""
    return nullcontext() if x.device.type == "meta" else torch.autocast(x.device.type, enabled=False)


class PixelMamba(nn.Module):
    """`Mamba` over the pixels of (N, C, H, W) row by row, after a layer norm, without a shortcut."""

    def __init__(self, channels: int, *, chunk: int) -> None:
        super().__init__()
        self.norm, self.mamba = nn.LayerNorm(channels), Mamba(channels, chunk=chunk)

    def forward(self, x: Tensor) -> Tensor:
        with _without_autocast(x):  # as in the code
            tokens = x.to(self.norm.weight.dtype).flatten(2).transpose(1, 2)
            return as_map(self.mamba(self.norm(tokens)), spatial(x))


class ChannelMamba(nn.Module):
    """`Mamba` over the channels of (N, C, H, W), whose tokens are whole maps, after a layer norm; no shortcut.

    Args:
        size: H and W.
        chunk: Tokens that a scan takes at a time.
    """

    def __init__(self, size: tuple[int, int], *, chunk: int) -> None:
        super().__init__()
        self.norm, self.mamba = nn.LayerNorm(math.prod(size)), Mamba(math.prod(size), chunk=chunk)

    def forward(self, x: Tensor) -> Tensor:
        with _without_autocast(x):  # as in the code
            return self.mamba(self.norm(x.to(self.norm.weight.dtype).flatten(2))).unflatten(2, spatial(x))


class UMamba(AnySize):
    """Residual U-Net of stages with ``width * 2**i`` channels up to ``max_width``; nearest neighbours on the way up.

    The stem and the finer half of the encoder's stages have two blocks, the coarser ones one; so have the coarser and
    the finer stages of the decoder. The finest stage has no skip. With ``deep_supervision``, ``forward_all`` returns
    the logits of every stage of the decoder, each at its own size.

    Args:
        in_channels: Channels of the image.
        num_classes: Number of classes, the channels of the logits.
        width: Channels of the first stage.
        mamba: "bottleneck" (the paper's U-Mamba_Bot), or "encoder": after every second stage, the last among them
            (U-Mamba_Enc).
        stages: Number of stages, at least 2.
        max_width: Most channels of any stage.
        size: Height and width of the images, for mamba = "encoder". If given, Mamba's tokens are channels at stages
            whose maps have no more pixels than channels, as in the code, and images of other sizes are refused. By
            default tokens are pixels everywhere, and images of any size are accepted.
        deep_supervision: Supervise every stage of the decoder, not the finest alone.
        chunk: Tokens that a scan takes at a time, which bounds its memory.

    Raises:
        UnetzooError: If an option is out of range, or images do not have the ``size`` that was given.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        width: int = 32,
        mamba: str = "bottleneck",
        stages: int = 7,
        max_width: int = 512,
        size: Sequence[int] | None = None,
        deep_supervision: bool = True,
        chunk: int = CHUNK,
    ) -> None:
        super().__init__()
        one_of(PLACES, mamba=mamba)
        c = channels_of(width, stages, max_width)
        self.multiple = 2 ** (stages - 1)
        self.size = self._checked(size, mamba)
        first_single = math.ceil(stages / 2)
        counts = [1 if i >= first_single else 2 for i in range(stages)]
        doubled = math.ceil(stages / 2)  # stages of the decoder with two blocks, from the coarsest on
        counts_up = [1 if stages - 2 - i >= doubled else 2 for i in range(stages - 1)]
        self.stem = stage(in_channels, c[0], counts[0])
        self.encoder = nn.ModuleList(stage(c[max(0, i - 1)], c[i], counts[i], 2 if i else 1) for i in range(stages))
        self.mamba = nn.ModuleDict()
        for i in range(stages):
            if i == stages - 1 or (mamba == "encoder" and (stages - 1 - i) % 2 == 0):
                self.mamba[str(i)] = self._scan(i, c[i], chunk)
        pairs = list(pairwise(c))
        self.ups = nn.ModuleList(nn.Conv2d(below, a, 1) for a, below in pairs)
        self.decoder = nn.ModuleList(stage(2 * a if i else a, a, counts_up[i]) for i, (a, _) in enumerate(pairs))
        self.heads = nn.ModuleList(nn.Conv2d(a, num_classes, 1) for a, _ in (pairs if deep_supervision else pairs[:1]))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _checked(self, size: Sequence[int] | None, mamba: str) -> tuple[int, int] | None:
        """Return ``size`` as a tuple.

        Raises:
            UnetzooError: If it is not two whole numbers that suit the number of stages, or Mamba is in the bottleneck.
        """
        if size is None:
            return None
        if mamba != "encoder":
            raise UnetzooError(f"option size = {size!r} applies only to mamba = 'encoder', not to mamba = {mamba!r}")
        m = self.multiple
        good = isinstance(size, list | tuple) and len(size) == 2 and all(type(n) is int and n > 0 for n in size)
        if not good or size[0] % m or size[1] % m:
            raise UnetzooError(f"option size = {size!r}: must be a height and a width, both multiples of {m} px")
        return size[0], size[1]

    def _scan(self, i: int, channels: int, chunk: int) -> nn.Module:
        if self.size is not None:
            h, w = (side // 2**i for side in self.size)
            if h * w <= channels:
                return ChannelMamba((h, w), chunk=chunk)
        return PixelMamba(channels, chunk=chunk)

    def fit(self, x: Tensor) -> Tensor:
        """Return the image as `AnySize.fit` does.

        Raises:
            UnetzooError: If the network was built for another size.
        """
        if self.size is not None and spatial(x) != self.size:
            (h, w), (height, width) = spatial(x), self.size
            raise UnetzooError(f"images of {h}x{w} px: this network was built for size = {height}x{width} px alone")
        return super().fit(x)

    def logits(self, x: Tensor) -> Tensor:
        return self.heads[0](self._decoded(x)[0])

    def scales(self, x: Tensor) -> list[Tensor]:
        return [head(level) for head, level in zip(self.heads, self._decoded(x), strict=False)]

    def _decoded(self, x: Tensor) -> list[Tensor]:
        """Return the decoder's maps, finest first.

        With Mamba in the encoder they are computed without autocast: instance norms magnify the small differences
        between the pixels of its maps, which bfloat16 rounds away.
        """
        if len(self.mamba) == 1:
            return self._maps(x)
        with _without_autocast(x):
            return self._maps(x.to(next(self.heads.parameters()).dtype))

    def _maps(self, x: Tensor) -> list[Tensor]:
        x, pyramid = self.stem(x), []
        for i, stage in enumerate(self.encoder):
            x = stage(x)
            if str(i) in self.mamba:
                x = self.mamba[str(i)](x)
            pyramid.append(x)
        decoded: list[Tensor] = []
        for i in reversed(range(len(self.decoder))):
            x = self.ups[i](F.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = self.decoder[i](torch.cat((x, pyramid[i]), dim=1) if i else x)
            decoded.insert(0, x)
        return decoded
