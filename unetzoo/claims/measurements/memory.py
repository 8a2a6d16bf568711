"""Bytes that skip connections hold, and what recomputation or a network without skips gives back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from unetzoo.claims.measured import Measured, Plot, Table, exact
from unetzoo.claims.measurements import Context
from unetzoo.measure.counts import count_training_flops
from unetzoo.measure.rehearsal import tensor_memory
from unetzoo.measure.skip_memory import skip_bytes
from unetzoo.models.factory import ModelConfig, resolve_model
from unetzoo.nn.recompute import Recompute, recomputing

MIB = 2**20
SIDES, WIDTHS, DEPTHS = (256, 512, 1024), (16, 32, 64), (3, 4, 5, 6)
BASE = {"width": 64, "depth": 5}
WAYS: tuple[tuple[str, str, Recompute], ...] = (
    ("as it is", "unet", "none"),
    ("recompute skips", "unet", "skips"),
    ("recompute decoder", "unet", "decoder"),
    ("recompute all", "unet", "all"),
    ("no skips", "unet_noskip", "none"),
)


def measure(
    context: Context, side: int = 512, sides: Sequence[int] = SIDES, widths: Sequence[int] = WIDTHS,
    depths: Sequence[int] = DEPTHS,
) -> Measured:  # fmt: skip
    """Predict memory on fake tensors, by depth, width and side around `unet` as registered.

    Args:
        context: Progress.
        side: Side of the images at which the ways to save memory are compared.
        sides: Sides to vary.
        widths: Widths to vary.
        depths: Depths to vary.
    """
    cases = [("side", BASE, s) for s in sides] + [("width", BASE | {"width": w}, side) for w in widths]
    cases += [("depth", BASE | {"depth": d}, side) for d in depths]
    rows: list[list[str | float | int | bool | None]] = []
    for varied, options, s in cases:
        context.progress(f"memory: {varied}, {options} at {s} px")
        config = resolve_model("unet", num_classes=2, options=options)
        held = skip_bytes(config, s, s)
        train, infer = _peaks(config, s, "none")
        value = s if varied == "side" else options[varied]
        rows.append([varied, value, _mib(held), _mib(train), held / train, _mib(infer), held / infer])
    ways: list[list[str | float | int | bool | None]] = []
    peaks: dict[str, tuple[int, int]] = {}
    flops: dict[str, int] = {}
    for label, name, which in WAYS:
        context.progress(f"memory: {label}")
        config = resolve_model(name, num_classes=2, options=BASE)
        peaks[label] = _peaks(config, side, which)
        flops[label] = _flops(config, side, which)
        first, cost = peaks["as it is"], flops[label] / flops["as it is"]
        saved = [1 - now / before for now, before in zip(peaks[label], first, strict=True)]
        ways.append([label, _mib(peaks[label][0]), saved[0], _mib(peaks[label][1]), saved[1], cost])
    base = resolve_model("unet", num_classes=2, options=BASE)
    held, (train, infer) = skip_bytes(base, side, side), peaks["as it is"]

    def saved_by(label: str, k: int) -> float:
        return 1 - peaks[label][k] / peaks["as it is"][k]

    return Measured(
        quantities={
            "skip_share_training": exact(held / train),
            "skip_share_inference": exact(held / infer),
            "noskip_saves_training": exact(saved_by("no skips", 0)),
            "noskip_saves_inference": exact(saved_by("no skips", 1)),
            "recompute_saves_training": exact(saved_by("recompute all", 0)),
            "recompute_flops": exact(flops["recompute all"] / flops["as it is"]),
        },
        tables=[
            Table(
                title="Memory by side, width and depth (float32, batch of 1)",
                columns=["varied", "value", "skips MiB", "training MiB", "skips / training", "inference MiB",
                         "skips / inference"],
                rows=rows,
            ),
            Table(
                title=f"What gives memory back ({side} px); cost: operations of a training step relative to the "
                f"first row",
                columns=["way", "training MiB", "saved", "inference MiB", "saved in inference", "operations"],
                rows=ways,
            ),
        ],
        plot=Plot(table=1, kind="bars", x="way", y="training MiB",
                  caption="Peak of the tensors of one training step, AdamW, batch of 1."),
        method="Peak bytes of the tensors of one training step (AdamW) and of one forward pass on fake tensors; "
        "skips: the "
        "encoder's levels but the coarsest, by shape. The encoder keeps the same maps for its own backward pass, so in "
        "training their share is not what leaving skips out saves; that is measured beside it.",
    )  # fmt: skip


def _peaks(config: ModelConfig, side: int, which: Recompute) -> tuple[int, int]:
    shape = (1, config.in_channels, side, side)
    found = tensor_memory(config, 2, shape, shape, precision="float32", recompute=which)
    assert found is not None
    return found.train.total, found.infer.total


def _flops(config: ModelConfig, side: int, which: Recompute) -> int:
    with ExitStack() as held:

        def prepare(network: Any) -> None:
            held.enter_context(recomputing(network, which))

        return count_training_flops(config, (1, config.in_channels, side, side), prepare)


def _mib(value: int) -> float:
    return round(value / MIB, 1)
