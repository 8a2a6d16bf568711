"""Memory, operations and time against the side of the image, with fitted exponents, and what tiles change."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unetzoo.claims.measured import Estimate, Measured, Plot, Table, exponent_of
from unetzoo.claims.measurements import Context
from unetzoo.measure.counts import count_macs
from unetzoo.measure.latency import time_calmly
from unetzoo.measure.rehearsal import tensor_memory
from unetzoo.models.factory import resolve_model

MIB = 2**20
SIDES, TIMED, TILE, CLASSES = (256, 512, 1024, 2048, 4096), (128, 192, 256, 384, 512, 768), 512, 2


def measure(
    context: Context, sides: Sequence[int] = SIDES, timed: Sequence[int] = TIMED, width: int = 64,
    timed_width: int = 16, seconds: float = 2.0,
) -> Measured:  # fmt: skip
    """Predict memory and operations by side, and time forward passes.

    Args:
        context: Progress.
        sides: Sides for memory and operations, on fake tensors.
        timed: Sides of the timed passes.
        width: Width of the predicted network.
        timed_width: Width of the timed network.
        seconds: Time limit of an attempt at a timing.
    """
    config = resolve_model("unet", num_classes=CLASSES, options={"width": width})
    rows: list[list[str | float | int | bool | None]] = []
    costs: dict[str, list[float]] = {name: [] for name in ("training", "inference", "tiled", "operations")}
    with torch.device("meta"):
        network = config.build(weights=False).eval()
    tile_peak = 0.0
    for side in sides:
        context.progress(f"large inputs: memory at {side} px")
        shape = (1, 3, side, side)
        found = tensor_memory(config, CLASSES, shape, shape, precision="float32")
        assert found is not None
        fixed = found.infer.parameters
        training = found.train.total - found.train.parameters - found.train.gradients - found.train.optimizer
        if side <= TILE or not tile_peak:
            tile_peak = float(found.infer.total - fixed)
        # the image in float32, the sum of weighted logits of all classes, and the sum of weights
        tiled = min(tile_peak, found.infer.total - fixed) + 4.0 * side * side * (3 + CLASSES + 1)
        values = [training, found.infer.total - fixed, tiled, count_macs(network, torch.zeros(shape, device="meta"))]
        for name, value in zip(costs, values, strict=True):
            costs[name].append(float(value))
        rows.append([side, *(round(v / MIB, 1) for v in values[:3]), round(values[3] / 1e9, 2)])
    times = _times(context, timed, timed_width, seconds)
    quantities: dict[str, Estimate] = {f"{name}_exponent": exponent_of(sides, costs[name]) for name in costs}
    time_fit = exponent_of(timed, [float(row[1]) for row in times])  # type: ignore[arg-type]
    quantities["time_exponent"] = time_fit.model_copy(update={"noisy": any(row[3] for row in times)})
    drawn = [["training", r[0], r[1]] for r in rows] + [["inference, whole", r[0], r[2]] for r in rows]
    drawn += [["inference, tiles of 512", r[0], r[3]] for r in rows]
    return Measured(
        quantities=quantities,
        tables=[
            Table(
                title=f"unet of width {width}: memory without weights, gradients and optimizer; multiply-accumulates",
                columns=["side", "training MiB", "inference MiB", "inference in tiles MiB", "GMACs"],
                rows=rows,
            ),
            Table(
                title=f"unet of width {timed_width}, float32: time of a forward pass",
                columns=["side", "median ms", "p90 ms", "noisy"],
                rows=times,
            ),
            Table(title="Memory by side, as drawn", columns=["what", "side", "MiB"], rows=drawn),
        ],
        plot=Plot(table=2, kind="lines", x="side", y="MiB", series="what", log=True,
                  caption="Memory against the side of the image. Whole images: parallel to the number of "
                  "pixels. Tiles: "
                  "the network's maps stay those of one tile, and only image and result grow."),
        method="Exponents of the side, fitted in logarithms: 2 is in proportion to the number of pixels. Memory "
        "on fake "
        "tensors, operations by torch's counter, times between calibrations, repeated while these disagree. In "
        "tiles: the "
        "peak of one tile of 512 px plus image, sum of logits and sum of weights in float32.",
    )  # fmt: skip


def _times(
    context: Context, sides: Sequence[int], width: int, seconds: float
) -> list[list[str | float | int | bool | None]]:
    model = resolve_model("unet", num_classes=CLASSES, options={"width": width}).build().eval()
    rows: list[list[str | float | int | bool | None]] = []
    for side in sides:
        context.progress(f"large inputs: time at {side} px")
        image = torch.rand(1, 3, side, side)
        with torch.inference_mode():
            timing = time_calmly(
                lambda image=image: model(image),
                device="cpu",
                precision="float32",
                shape=(1, 3, side, side),
                macs=0,
                seconds=seconds,
            )
        rows.append([side, timing.p50_ms, timing.p90_ms, timing.noisy])
    return rows
