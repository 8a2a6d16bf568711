"""The encoder of SegFormer (Xie et al. 2021, arXiv 2105.15203), which timm lacks.

Modules are named as in the authors' code, so that its weights, as distributed by segmentation-models-pytorch, can be
loaded by name.
"""

from __future__ import annotations

from functools import partial

from timm.layers.drop import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo.nn.blocks import spatial
from unetzoo.nn.tokens import ReducedAttention, as_map

# Table 6 of the paper: channels and blocks of the four stages, whose strides are 4, 8, 16 and 32.
VARIANTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "mit_b0": ((32, 64, 160, 256), (2, 2, 2, 2)),
    "mit_b1": ((64, 128, 320, 512), (2, 2, 2, 2)),
    "mit_b2": ((64, 128, 320, 512), (3, 4, 6, 3)),
    "mit_b3": ((64, 128, 320, 512), (3, 4, 18, 3)),
    "mit_b4": ((64, 128, 320, 512), (3, 8, 27, 3)),
    "mit_b5": ((64, 128, 320, 512), (3, 6, 40, 3)),
}
HEADS, REDUCTIONS = (1, 2, 5, 8), (8, 4, 2, 1)
EXPANSION, DROP_PATH = 4, 0.1
LayerNorm = partial(nn.LayerNorm, eps=1e-6)


class MixTransformer(nn.Module):
    """Mix Transformer (MiT): four stages of transformer blocks, whose normalised maps have strides 4, 8, 16 and 32.

    Args:
        name: A key of `VARIANTS`.
        in_channels: Channels of the image.
        stages: Number of stages to build, from the finest on.

    References:
        SegFormer, Xie et al. 2021, arXiv 2105.15203, section 3.1 and table 6.
    """

    def __init__(self, name: str, in_channels: int, stages: int = 4) -> None:
        super().__init__()
        channels, depths = VARIANTS[name]
        rates = iter([DROP_PATH * i / (sum(depths) - 1) for i in range(sum(depths))])
        self.stages = range(1, stages + 1)
        for i, c_in, c in zip(self.stages, (in_channels, *channels), channels, strict=False):
            part = (HEADS[i - 1], REDUCTIONS[i - 1])
            self.add_module(f"patch_embed{i}", OverlapPatchEmbed(c_in, c, kernel_size=3 if i > 1 else 7))
            blocks = (TransformerBlock(c, *part, drop_path=next(rates)) for _ in range(depths[i - 1]))
            self.add_module(f"block{i}", nn.ModuleList(blocks))
            self.add_module(f"norm{i}", LayerNorm(c))
        self.apply(_initialise)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, C, H, W), H and W multiples of 32, to a list of one map (N, C', H', W') per stage."""
        maps = []
        for i in self.stages:
            tokens, size = self.get_submodule(f"patch_embed{i}")(x)
            for block in self.get_submodule(f"block{i}").children():
                tokens = block(tokens, size)
            x = as_map(self.get_submodule(f"norm{i}")(tokens), size)
            maps.append(x)
        return maps


class OverlapPatchEmbed(nn.Module):
    """A strided convolution with overlapping patches, and layer norm.

    Args:
        c_in: Input channels.
        c_out: Channels of the tokens.
        kernel_size: Side of a patch, an odd number; the stride is half of it, rounded up.
    """

    def __init__(self, c_in: int, c_out: int, *, kernel_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(c_in, c_out, kernel_size, stride=(kernel_size + 1) // 2, padding=kernel_size // 2)
        self.norm = nn.LayerNorm(c_out)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Map (N, c_in, H, W) to tokens (N, H' * W', c_out) and (H', W')."""
        x = self.proj(x)
        return self.norm(x.flatten(2).transpose(1, 2)), spatial(x)


class TransformerBlock(nn.Module):
    """Attention, then the Mix-FFN, each after a norm and with a shortcut.

    Args:
        channels: Channels of the tokens.
        heads: Attention heads.
        reduction: Factor by which keys and values are reduced along each side.
        drop_path: Rate of stochastic depth.
    """

    def __init__(self, channels: int, heads: int, reduction: int, *, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = LayerNorm(channels), LayerNorm(channels)
        self.attn = ReducedAttention(channels, heads, reduction)
        self.mlp = MixFFN(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (N, H * W, C) of a map of ``size`` (H, W) to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x), size))
        return x + self.drop_path(self.mlp(self.norm2(x), size))


class MixFFN(nn.Module):
    """Two linear layers with a depthwise 3x3 convolution, which encodes positions, and GELU between them (equation 3).

    Args:
        channels: Channels of the tokens.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = EXPANSION * channels
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.dwconv = nn.ModuleDict({"dwconv": nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)})

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (N, H * W, C) of a map of ``size`` (H, W) to the same shape."""
        y = self.dwconv["dwconv"](as_map(self.fc1(x), size)).flatten(2).transpose(1, 2)
        return self.fc2(F.gelu(y))


def _initialise(module: nn.Module) -> None:
    """Initialise like the authors: linear layers N(0, 0.02), convolutions He-normal by fan-out, biases 0.

    The authors truncate the normal distribution of linear layers at 100 standard deviations, which changes nothing.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
