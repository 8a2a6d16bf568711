"""Build the network that a `UNetSpec` describes: choose the parts and the channels of each level."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from unetzoo.grid.parts import callables, layer
from unetzoo.grid.spec import UNetSpec, replace
from unetzoo.nn import blocks, encoders, skips
from unetzoo.nn.blocks import MakeModule
from unetzoo.nn.sizes import ValidSizes
from unetzoo.nn.unet import ClassificationGate, UNet


def build(spec: UNetSpec, in_channels: int, num_classes: int, *, weights: bool = True) -> UNet:
    """Build the network that ``spec`` describes.

    Args:
        spec: All options of the network.
        in_channels: Channels of the images (N, in_channels, H, W).
        num_classes: Channels of the logits (N, num_classes, H, W).
        weights: Load pretrained weights if the spec asks for them; False for a network whose weights will be
            replaced or which is only counted.

    Raises:
        UnetzooError: If the encoder does not fit the spec, or its weights cannot be obtained.
    """
    if not weights:
        spec = replace(spec, pretrained=False)
    chosen = {option: values[getattr(spec, option)] for option, values in callables(spec).items()}
    # Keep the order encoder, decoder, head: it decides which initial weights a seed gives to which module.
    encoder = _plain_encoder(spec, chosen, in_channels) if spec.encoder == "plain" else _timm(spec, chosen, in_channels)
    pyramid = list(encoder.channels)
    decoder = _decoder(spec, chosen, pyramid)
    head = partial(nn.Conv2d, kernel_size=spec.head_kernel, padding=spec.head_kernel // 2)
    network = UNet(
        encoder,
        decoder,
        head(decoder.channels[0], num_classes),
        aux_heads=[head(c, num_classes) for c in decoder.channels[1:]] if spec.deep_supervision else (),
        gate=ClassificationGate(pyramid[-1]) if spec.class_guided else None,
        sizes=ValidSizes(spec.depth) if spec.padding == "valid" else None,
    )
    if spec.init == "he_normal":
        body = getattr(encoder, "body", None)  # keeps the weights of timm, random or pretrained
        own = set(network.modules()) - set(body.modules() if body is not None else ())
        for initialise in (blocks.he_normal, blocks.own_initial_weights):
            for module in network.modules():
                if module in own:
                    initialise(module)
    return network


def _plain_encoder(spec: UNetSpec, chosen: dict[str, Any], in_channels: int) -> encoders.PlainEncoder:
    # If the channels are halved before each Up, the bottleneck has the channels of the level above it.
    pyramid = [*spec.channels[:-1], spec.channels[-2 if spec.halve_before_up else -1]]
    return encoders.PlainEncoder(in_channels, pyramid, blocks=_encoder_blocks(spec, chosen), down=chosen["down"])


def _timm(spec: UNetSpec, chosen: dict[str, Any], in_channels: int) -> encoders.PlainEncoder:
    from unetzoo.encoders.pretrained import create_pretrained
    from unetzoo.encoders.timm_encoder import TimmEncoder

    # Levels finer than timm's serve only the skips. Without skips the decoder reads nothing but their sizes, so the
    # downsampled image will do.
    seen_only: MakeModule = lambda c_in, c_out: nn.Identity()  # noqa: E731
    fine = _finished(spec, chosen, chosen["block"], drop=False) if spec.skip != "none" else seen_only
    return TimmEncoder(
        spec.encoder,
        in_channels,
        spec.depth,
        fine_channels=spec.channels,
        block=fine,
        down=chosen["down"],
        after=chosen["bottleneck"],
        **({"create": partial(create_pretrained, spec.pretrained)} if spec.pretrained is not False else {}),
    )


def _encoder_blocks(spec: UNetSpec, chosen: dict[str, Any]) -> list[MakeModule]:
    """Return one block per level, finest first, each with its attention, dropout and bottleneck."""
    coarsest = chosen["block"]
    if spec.bottleneck == "spatial_attention":
        coarsest = partial(coarsest, between=chosen["bottleneck"])
    found = [chosen["block"]] * (spec.depth - 1) + [coarsest]
    dropped = {"encoder": spec.depth, "blocks": spec.depth, "coarsest_two": 2, "bottleneck": 1}
    last = dropped.get(spec.dropout_at, 0)
    found = [_finished(spec, chosen, block, drop=i >= spec.depth - last) for i, block in enumerate(found)]
    if spec.bottleneck in ("aspp", "transformer"):
        found[-1] = partial(blocks.FollowedBySized, found[-1], chosen["bottleneck"])
    return found


def _decoder(spec: UNetSpec, chosen: dict[str, Any], pyramid: list[int]) -> Any:
    levels, drop = spec.channels[:-1], spec.dropout_at in ("decoder", "blocks")
    if spec.decoder == "full_scale":
        fuse = _finished(spec, chosen, layer(spec), drop=drop)
        return chosen["decoder"](pyramid, spec.channels[0], layer=layer(spec), fuse=fuse)
    made, found = levels, [chosen["block"]] * len(levels)
    if spec.halve_before_up:
        made = [levels[0], *levels[:-1]]
        found = [partial(block, c_mid=c) for block, c in zip(found, levels, strict=True)]
    below = [*made[1:], pyramid[-1]]
    ups = below if spec.up_width == "kept" else levels
    if spec.skip == "add" or spec.up == "unpool":  # both need exactly the channels of the encoder's map
        ups = pyramid[:-1]
    if spec.keep_last_up_width:
        ups = [below[0], *ups[1:]]
    return chosen["decoder"](
        pyramid,
        ups,
        made,
        up=partial(blocks.FollowedBy, chosen["up"], chosen["act"]) if spec.up_act else chosen["up"],
        skip=chosen["skip"],
        blocks=[_finished(spec, chosen, block, drop=drop) for block in found],
        align=skips.pad_to_skip if spec.padding == "same" else skips.crop_to_up,
    )


def _finished(spec: UNetSpec, chosen: dict[str, Any], block: MakeModule, *, drop: bool) -> MakeModule:
    """Return the block followed by its attention and, if ``drop``, its dropout."""
    if chosen["attention"] is not None:
        block = partial(blocks.FollowedBySized, block, chosen["attention"])
    if drop and spec.dropout:
        block = partial(blocks.FollowedBy, block, partial(chosen["dropout_kind"], spec.dropout))
    return block
