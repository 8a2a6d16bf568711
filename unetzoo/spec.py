"""UNetSpec: a U-Net as data. The only place where a string becomes a class.

A new part costs a class in `unetzoo.nn`, a value in a ``Literal`` here, and a line in `_parts`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from unetzoo.errors import Strict

if TYPE_CHECKING:
    from unetzoo.nn.unet import UNet


def _whole(number: float) -> float:
    """16.0 is 16: equal numbers give equal JSON, and so equal trial ids."""
    return int(number) if number == int(number) else number


# The serializer keeps the int an int in JSON, where a float field would be written as 16.0.
Width = Annotated[float, AfterValidator(_whole), PlainSerializer(_whole, return_type=Any)]


class UNetSpec(Strict):
    """Every option of the grid; the defaults are `unet`. One option changes one thing.

    Raises `UnetzooError` on an unknown option or value, with the nearest valid ones.
    """

    width: Width = Field(
        64,
        gt=0,
        description="channels of the finest level, doubled at each level below; a fraction, which sizes can be "
        "matched with, is rounded level by level",
    )
    depth: int = Field(5, ge=2, le=8, description="resolution levels, the bottleneck included")
    padding: Literal["same", "valid"] = Field(
        "same", description="3x3 convolutions: 'same' keeps the size, 'valid' loses the border as in 2015"
    )
    norm: Literal["batch", "none"] = Field("batch", description="after each 3x3 convolution")
    up: Literal["transposed", "bilinear", "nearest", "pixelshuffle"] = Field(
        "transposed", description="how the decoder doubles the resolution; widths stay"
    )
    up_act: bool = Field(False, description="ReLU after each Up")
    keep_last_up_width: bool = Field(False, description="the last Up keeps its channels instead of halving them")
    skip: Literal["concat", "concat_up_first", "add", "none"] = Field(
        "concat", description="how an encoder map meets the upsampled one"
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="dropout after the second convolution of the encoder's two coarsest levels",
    )
    init: Literal["torch", "he_normal"] = Field(
        "torch", description="initial weights: torch's own, or N(0, sqrt(2 / fan-in)) as in 2015"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> UNetSpec:
        if self.keep_last_up_width and self.skip == "add":
            raise ValueError("skip = 'add' needs equal channels, so keep_last_up_width cannot be true with it")
        return self

    @property
    def channels(self) -> list[int]:
        """Channels of each level, finest first: ``round(width * 2**i)``, at least 1."""
        return [max(1, round(self.width * 2**level)) for level in range(self.depth)]

    def build(self, in_channels: int, num_classes: int) -> UNet:
        """The network this describes, for images (N, in_channels, H, W) and logits (N, num_classes, H, W)."""
        from torch import nn

        from unetzoo.nn import blocks, decoders, encoders, sizes, skips, unet

        parts = _parts()
        conv = partial(nn.Conv2d, kernel_size=3, padding=1 if self.padding == "same" else 0, bias=self.norm == "none")
        act = partial(nn.ReLU, inplace=True)
        layer = partial(blocks.ConvNormAct, conv=conv, norm=parts["norm"][self.norm], act=act)
        block = partial(blocks.DoubleConv, layer=layer)
        up = parts["up"][self.up]
        if self.up_act:
            up = partial(blocks.Then, up, act)
        by_level: list[blocks.Part] = [block] * self.depth
        if self.dropout:
            dropped = partial(blocks.Then, block, partial(nn.Dropout, self.dropout))
            by_level[-2:] = [dropped, dropped]

        encoder = encoders.PlainEncoder(in_channels, self.channels, blocks=by_level, down=parts["down"]["maxpool"])
        up_channels = list(encoder.channels[:-1])
        if self.keep_last_up_width:
            up_channels[0] = encoder.channels[1]
        network = unet.UNet(
            encoder,
            decoders.ChainDecoder(
                encoder.channels,
                up_channels,
                up=up,
                skip=parts["skip"][self.skip],
                block=block,
                align=skips.pad_to_skip if self.padding == "same" else skips.crop_to_up,
            ),
            nn.Conv2d(encoder.channels[0], num_classes, kernel_size=1),
            sizes=sizes.ValidSizes(self.depth) if self.padding == "valid" else None,
        )
        if self.init == "he_normal":
            network.apply(blocks.he_normal)
        return network


def _parts() -> dict[str, dict[str, Any]]:
    """The lookup: option -> value -> callable. Keys equal the ``Literal`` values above (tested)."""
    from torch import nn

    from unetzoo.nn import resample, skips

    return {
        "down": {"maxpool": resample.MaxPool},
        "norm": {"batch": nn.BatchNorm2d, "none": nn.Identity},
        "up": {
            "transposed": resample.TransposedUp,
            "bilinear": partial(resample.InterpolateUp, mode="bilinear"),
            "nearest": partial(resample.InterpolateUp, mode="nearest"),
            "pixelshuffle": resample.PixelShuffleUp,
        },
        "skip": {
            "concat": skips.ConcatSkip,
            "concat_up_first": partial(skips.ConcatSkip, up_first=True),
            "add": skips.AddSkip,
            "none": skips.NoSkip,
        },
    }


S = TypeVar("S", bound=Strict)


def replace(spec: S, **changes: Any) -> S:
    """A copy with some options changed, validated again."""
    return type(spec)(**{**spec.model_dump(), **changes})


def diff(spec: UNetSpec, base: UNetSpec) -> dict[str, tuple[Any, Any]]:
    """Option -> (its value in ``base``, its value in ``spec``), where they differ."""
    ours, theirs = spec.model_dump(), base.model_dump()
    return {name: (theirs[name], ours[name]) for name in ours if ours[name] != theirs[name]}
