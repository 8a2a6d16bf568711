"""The lookup table from options of `UNetSpec` and their values to the callables that build the parts.

Its keys equal the ``Literal`` values there (tested). A part's norm, activation and convolution, which come from other
options, are bound here by `partial`, so that the code of the network never sees the name of an option.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn import functional as F

from unetzoo.nn import attention, bottlenecks, decoders, downsample, full_scale, norms, residual, skips, upsample
from unetzoo.nn.blocks import ConvNormAct, DenseBlock, DoubleConv, InceptionLayer, SeparableLayer
from unetzoo.nn.dropout import DropBlock

if TYPE_CHECKING:
    from unetzoo.grid.spec import UNetSpec
    from unetzoo.nn.blocks import MakeModule

NORMS: dict[str, MakeModule] = {
    "batch": nn.BatchNorm2d,
    "instance": norms.InstanceNorm,
    "group": partial(norms.GroupNorm, groups=8),
    "layer": partial(norms.GroupNorm, groups=1),
    "layer_per_pixel": norms.PixelLayerNorm,
    "none": norms.NoNorm,
}
ACTS: dict[str, MakeModule] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, inplace=True),
    "prelu": nn.PReLU,
    "elu": partial(nn.ELU, inplace=True),
    "gelu": nn.GELU,
    "silu": partial(nn.SiLU, inplace=True),
}
DROPOUTS: dict[str, MakeModule] = {"element": nn.Dropout, "channel": nn.Dropout2d, "block": DropBlock}
DOWNS: dict[str, MakeModule] = {
    "maxpool": downsample.MaxPool,
    "strided": downsample.StridedDown,
    "avgpool": downsample.AveragePool,
    "blurpool": downsample.BlurPool,
}
ATTENTIONS: dict[str, MakeModule | None] = {
    "none": None,
    "se": attention.SqueezeExcite,
    "scse": attention.ConcurrentSqueezeExcite,
    "cbam": attention.CBAM,
}
# Plain interpolations. The full-scale decoder accepts no other ``up``, because it jumps several levels at once.
INTERPOLATIONS: dict[str, dict[str, Any]] = {
    "bilinear": {"mode": "bilinear", "align_corners": False},
    "bilinear_aligned": {"mode": "bilinear", "align_corners": True},
    "bicubic": {"mode": "bicubic", "align_corners": False},
    "nearest": {"mode": "nearest"},
}


def layer(spec: UNetSpec, *, kernel_size: int = 3, padded: bool | None = None, dropped: bool = True) -> MakeModule:
    """Return the spec's layer (c_in, c_out): convolution, dropout if it belongs here, norm, activation.

    Args:
        spec: The options of the network.
        kernel_size: Side of the convolution's kernel.
        padded: Pad so that the size is kept; None follows the spec's ``padding``.
        dropped: Include dropout if the spec puts it into layers.
    """
    drop = dropped and spec.dropout > 0 and spec.dropout_at == "layers"
    return partial(
        ConvNormAct,
        conv=_conv(spec, kernel_size, padded=spec.padding == "same" if padded is None else padded),
        norm=_norm(spec),
        act=ACTS[spec.act],
        drop=partial(DROPOUTS[spec.dropout_kind], spec.dropout) if drop else None,
    )


def _conv(spec: UNetSpec, kernel_size: int, *, padded: bool = True) -> MakeModule:
    """Return the convolution of a layer; it has no bias if a norm follows, unless the spec asks for one."""
    bias = spec.conv_bias or spec.norm == "none"
    return partial(nn.Conv2d, kernel_size=kernel_size, padding=kernel_size // 2 if padded else 0, bias=bias)


def _norm(spec: UNetSpec) -> MakeModule:
    return partial(NORMS[spec.norm], eps=spec.norm_eps)


def callables(spec: UNetSpec) -> dict[str, dict[str, Any]]:
    """Return the callable for each value of each option, bound to the spec's norm, activation and convolution.

    Args:
        spec: The options of the network.
    """
    norm_act: dict[str, MakeModule] = {"norm": _norm(spec), "act": ACTS[spec.act]}
    two_sizes = {"spatial": layer(spec), "pointwise": layer(spec, kernel_size=1)}
    return {
        "norm": NORMS,
        "act": ACTS,
        "dropout_kind": DROPOUTS,
        "down": DOWNS,
        "attention": ATTENTIONS,
        "up": {
            "transposed": upsample.TransposedUp,
            "transposed_3x3": partial(upsample.TransposedUp, kernel_size=3),
            "transposed_4x4": partial(upsample.TransposedUp, kernel_size=4),
            **{name: partial(upsample.InterpolateUp, **how) for name, how in INTERPOLATIONS.items()},
            "nearest_conv3x3": partial(upsample.NearestLayerUp, layer=layer(spec, padded=True, dropped=False)),
            "pixelshuffle": upsample.PixelShuffleUp,
            "pixelshuffle_icnr": partial(upsample.PixelShuffleUp, icnr=True),
            "unpool": upsample.UnpoolUp,
            "carafe": upsample.CarafeUp,
            "dysample": upsample.DySampleUp,
        },
        "skip": {
            "concat": skips.ConcatSkip,
            "concat_up_first": partial(skips.ConcatSkip, up_first=True),
            "add": skips.AddSkip,
            "none": skips.NoSkip,
            "attention": partial(skips.AttentionSkip, conv=_conv(spec, 1), **norm_act),
            "gated": skips.GatedSkip,
        },
        "block": {
            "double": partial(DoubleConv, layer=layer(spec)),
            "residual": partial(residual.ResidualBlock, conv=_conv(spec, 3), pointwise=_conv(spec, 1), **norm_act),
            "dense": partial(DenseBlock, **two_sizes),
            "inception": partial(DoubleConv, layer=partial(InceptionLayer, **two_sizes)),
            "recurrent": partial(residual.RecurrentResidualBlock, layer=layer(spec), t=spec.t),
            "convnext": partial(residual.ConvNeXtBlock, depthwise=_conv(spec, 7), pointwise=_conv(spec, 1), **norm_act),
            "separable": partial(DoubleConv, layer=partial(SeparableLayer, **two_sizes)),
        },
        "bottleneck": {
            "plain": None,
            "aspp": partial(
                bottlenecks.ASPP,
                dilated=layer(spec, padded=True, dropped=False),
                pointwise=layer(spec, kernel_size=1, dropped=False),
            ),
            "transformer": bottlenecks.Transformer,
            "spatial_attention": attention.SpatialAttention,
        },
        "decoder": {
            "chain": decoders.ChainDecoder,
            "nested": decoders.NestedDecoder,
            "full_scale": partial(
                full_scale.FullScaleDecoder, resize=partial(F.interpolate, **INTERPOLATIONS.get(spec.up, {}))
            ),
        },
    }
