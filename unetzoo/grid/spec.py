"""UNetSpec, a U-Net as data: its options, and which of them are incompatible.

A new part needs a class in `unetzoo.nn`, a value in a ``Literal`` here, and a line in `unetzoo.grid.parts`, the only
place where a string becomes a class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from unetzoo.encoders.suffixes import WEIGHT_FILES
from unetzoo.errors import Strict


def _whole(number: float) -> float:
    """Return 16 for 16.0, so that equal numbers give equal JSON and equal trial ids."""
    return int(number) if number == int(number) else number


# The serializer keeps the int an int in JSON, where a float field would be written as 16.0.
Width = Annotated[float, AfterValidator(_whole), PlainSerializer(_whole, return_type=Any)]

Block = Literal["double", "residual", "dense", "inception", "recurrent", "convnext", "separable"]
BLOCKS: tuple[Block, ...] = get_args(Block)


class UNetSpec(Strict):
    """Every option of the grid; the defaults are `unet`. One option changes one thing.

    Raises:
        UnetzooError: If an option or value is unknown, with the nearest valid ones; or if options are incompatible.

    Examples:
        >>> spec = UNetSpec(width=16, depth=4, up="bilinear")
        >>> spec.channels
        [16, 32, 64, 128]
    """

    width: Width = Field(
        64,
        gt=0,
        description="channels of the finest level, doubled at each level below; a fraction, as matching of sizes "
        "uses, is rounded at each level",
    )
    depth: int = Field(5, ge=2, le=8, description="resolution levels, the bottleneck included")
    padding: Literal["same", "valid"] = Field(
        "same", description="padding of 3x3 convolutions: 'same' keeps the size, 'valid' loses the border as in 2015"
    )
    norm: Literal["batch", "instance", "group", "layer", "layer_per_pixel", "none"] = Field(
        "batch",
        description="norm after each convolution; 'group' has 8 groups, 'layer' is over channels, height and width",
    )
    norm_eps: float = Field(1e-5, gt=0, le=1, description="number added to the variance in a norm")
    act: Literal["relu", "leaky_relu", "prelu", "elu", "gelu", "silu"] = Field(
        "relu", description="activation after each norm"
    )
    conv_bias: bool = Field(
        False,
        description="biases also in convolutions before a norm; before batch or instance norm they have no effect",
    )
    block: Block = Field("double", description="block at each level")
    t: int = Field(2, ge=1, le=8, description="how often a recurrent layer is applied to its own output")
    attention: Literal["none", "se", "scse", "cbam"] = Field("none", description="attention after each block")
    encoder: str = Field(
        "plain",
        min_length=1,
        description="'plain': the blocks chosen here; or a timm model such as 'resnet34', with plain blocks at finer "
        "levels that it lacks, where width is that of the decoder",
    )
    pretrained: bool | str = Field(
        False, description=f"weights of the encoder: those timm knows (true), or a file ({', '.join(WEIGHT_FILES)})"
    )
    down: Literal["maxpool", "strided", "avgpool", "blurpool"] = Field(
        "maxpool", description="how the encoder halves the resolution"
    )
    bottleneck: Literal["plain", "aspp", "transformer", "spatial_attention"] = Field(
        "plain", description="module after the coarsest block ('spatial_attention': between its two layers)"
    )
    decoder: Literal["chain", "nested", "full_scale"] = Field(
        "chain", description="decoder of U-Net, UNet++ or UNet 3+"
    )
    up: Literal[
        "transposed",
        "transposed_3x3",
        "transposed_4x4",
        "bilinear",
        "bilinear_aligned",
        "bicubic",
        "nearest",
        "nearest_conv3x3",
        "pixelshuffle",
        "pixelshuffle_icnr",
        "unpool",
        "carafe",
        "dysample",
    ] = Field("transposed", description="how the decoder doubles the resolution; widths do not depend on it")
    up_act: bool = Field(False, description="activation after each Up")
    up_width: Literal["halved", "kept"] = Field(
        "halved",
        description="an Up outputs the decoder's channels of the level it reaches, or those of the level below",
    )
    keep_last_up_width: bool = Field(False, description="the last Up keeps its channels instead of halving them")
    halve_before_up: bool = Field(
        False, description="the block before an Up halves the channels in its second layer, and the Up keeps them"
    )
    skip: Literal["concat", "concat_up_first", "add", "none", "attention", "gated"] = Field(
        "concat", description="how an encoder map is merged with the upsampled one"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="share of values that are dropped in training")
    dropout_kind: Literal["element", "channel", "block"] = Field(
        "element", description="values that are dropped together ('block': 7x7 pixels of a channel)"
    )
    dropout_at: Literal["coarsest_two", "bottleneck", "encoder", "decoder", "blocks", "layers"] = Field(
        "coarsest_two",
        description="blocks followed by dropout ('coarsest_two': of the encoder); 'layers': before each norm of blocks",
    )
    head_kernel: Literal[1, 3] = Field(1, description="kernel size of the last convolution")
    deep_supervision: bool = Field(
        False, description="a head for every map that the decoder returns: one per level, in 'nested' all of the finest"
    )
    class_guided: bool = Field(
        False,
        description="multiply logits by 0 or 1, where the bottleneck decides if there is foreground (UNet 3+)",
    )
    init: Literal["torch", "he_normal"] = Field(
        "torch", description="initial weights: torch's own, or N(0, sqrt(2 / fan-in)) as in 2015"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> UNetSpec:
        for asked_for, why in _clashes(self):
            if asked_for:
                raise ValueError(why)
        return self

    @property
    def channels(self) -> list[int]:
        """Channels of each level, finest first: ``round(width * 2**i)``, at least 1."""
        return [max(1, round(self.width * 2**level)) for level in range(self.depth)]


def _clashes(spec: UNetSpec) -> Iterator[tuple[bool, str]]:
    """Yield (True if the spec has this incompatible combination, reason) for every such combination."""
    yield (
        spec.pretrained is not False and spec.encoder == "plain",
        f"pretrained = {spec.pretrained!r} needs an encoder of timm; encoder = 'plain' has no pretrained weights",
    )
    if spec.encoder != "plain":
        yield from _clashes_with_timm(spec)
    same_width = spec.up_width == "halved" and not spec.keep_last_up_width
    kept = f"up_width = {spec.up_width!r} and keep_last_up_width = {spec.keep_last_up_width}"
    yield (
        spec.skip == "add" and not same_width,
        f"skip = 'add' needs an Up that outputs the skip's channels; {kept} keep those of the level below",
    )
    yield (
        spec.up == "unpool" and not same_width,
        f"up = 'unpool' needs an Up that outputs the encoder's channels; {kept} keep those of the level below",
    )
    yield (
        spec.up_act and spec.up == "nearest_conv3x3",
        "up_act = True has no effect: the layer of up = 'nearest_conv3x3' already ends in an activation",
    )
    yield (
        spec.up == "unpool" and spec.down != "maxpool",
        f"up = 'unpool' needs the indices of a max pool, which down = {spec.down!r} lacks; use down = 'maxpool'",
    )
    yield (
        spec.skip == "attention" and spec.norm == "layer_per_pixel",
        "skip = 'attention' norms a map of one channel, which norm = 'layer_per_pixel' would make constant",
    )
    yield (
        spec.t != 2 and spec.block != "recurrent",
        f"t = {spec.t} applies only to block = 'recurrent', not to block = {spec.block!r}",
    )
    layered = ("double", "dense", "inception", "recurrent", "separable")
    yield (
        spec.dropout_at == "layers" and spec.block not in layered,
        f"dropout_at = 'layers' needs one of the blocks {', '.join(layered)}; block = {spec.block!r} has no layers",
    )
    for option, value in (("halve_before_up", True), ("bottleneck", "spatial_attention")):
        yield (
            getattr(spec, option) == value and spec.block != "double",
            f"{option} = {value!r} needs a block of two layers: block = 'double', not {spec.block!r}",
        )
    yield (
        spec.halve_before_up and not same_width,
        f"halve_before_up = True needs up_width = 'halved' and keep_last_up_width = False, not {kept}",
    )
    if spec.padding == "valid":
        for option, value in (("block", "double"), ("decoder", "chain"), ("deep_supervision", False)):
            yield (
                getattr(spec, option) != value,
                f"padding = 'valid' needs {option} = {value!r}: the sizes of unpadded maps do not match with "
                f"{option} = {getattr(spec, option)!r}",
            )
        yield spec.up == "unpool", "up = 'unpool' needs padding = 'same': valid maps are smaller than the pooled ones"
    if spec.decoder == "nested":
        yield (
            spec.skip in ("add", "none"),
            f"decoder = 'nested' has several skips a stage, which skip = {spec.skip!r} cannot merge",
        )
        yield spec.halve_before_up, "halve_before_up = True needs decoder = 'chain', not 'nested'"
    if spec.decoder == "full_scale":
        resizes = ("bilinear", "bilinear_aligned", "bicubic", "nearest")
        yield (
            spec.up not in resizes,
            f"decoder = 'full_scale' resizes maps by several levels at once: up must be one of "
            f"{', '.join(resizes)}, not {spec.up!r}",
        )
        neutral = {"skip": "concat", "up_act": False, "up_width": "halved", "keep_last_up_width": False}
        for option, value in {**neutral, "halve_before_up": False}.items():
            yield (
                getattr(spec, option) != value,
                f"decoder = 'full_scale' has neither Up nor Skip modules: {option} = {getattr(spec, option)!r} "
                f"would have no effect; it must be {value!r}",
            )


def _clashes_with_timm(spec: UNetSpec) -> Iterator[tuple[bool, str]]:
    """Yield combinations of a timm encoder with options that only the plain encoder supports, as `_clashes` does."""
    plain = {"padding": "same", "down": "maxpool", "halve_before_up": False}
    for option, value in plain.items():
        yield (
            getattr(spec, option) != value,
            f"{option} = {getattr(spec, option)!r} needs encoder = 'plain'; encoder = {spec.encoder!r} supports only "
            f"{value!r}",
        )
    yield (
        spec.bottleneck == "spatial_attention",
        f"bottleneck = 'spatial_attention' lies within a plain block: it needs encoder = 'plain', not {spec.encoder!r}",
    )
    yield (
        spec.skip == "none" and spec.up == "unpool",
        f"up = 'unpool' needs plain blocks at levels that encoder = {spec.encoder!r} lacks; skip = 'none' omits them",
    )
    yield (
        spec.dropout > 0 and spec.dropout_at not in ("decoder", "layers"),
        f"dropout_at = {spec.dropout_at!r} needs encoder = 'plain'; encoder = {spec.encoder!r} supports only 'decoder' "
        "and 'layers' (those of the plain blocks)",
    )


S = TypeVar("S", bound=Strict)


def replace(spec: S, **changes: Any) -> S:
    """Return a copy of a spec with some options changed.

    Args:
        spec: The spec; it stays as it is.
        **changes: Options and their new values.

    Raises:
        UnetzooError: If an option or value is not valid, or options are incompatible.

    Examples:
        >>> replace(UNetSpec(), width=16).channels
        [16, 32, 64, 128, 256]
    """
    return type(spec)(**{**spec.model_dump(), **changes})


def diff(spec: UNetSpec, base: UNetSpec) -> dict[str, tuple[Any, Any]]:
    """Return the options in which two specs differ.

    Args:
        spec: The spec.
        base: The spec that it is compared with.

    Returns:
        Option -> (value in ``base``, value in ``spec``).

    Examples:
        >>> diff(UNetSpec(skip="none"), UNetSpec())
        {'skip': ('concat', 'none')}
    """
    ours, theirs = spec.model_dump(), base.model_dump()
    return {name: (theirs[name], ours[name]) for name in ours if ours[name] != theirs[name]}
