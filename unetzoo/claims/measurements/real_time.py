"""Images per second by network, size and precision, on this machine's GPU if it has one, else on its CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from unetzoo.claims.measured import Estimate, Measured, Plot, Table
from unetzoo.claims.measurements import Context
from unetzoo.machine.device import cpu_has_bfloat16, cpu_name, resolve_device
from unetzoo.measure.counts import count_macs
from unetzoo.measure.latency import time_calmly
from unetzoo.models.factory import resolve_model
from unetzoo.records.measured import Timing

NETWORKS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("unet (width 64)", "unet", {}),
    ("unet, width 32", "unet", {"width": 32}),
    ("unet, width 16", "unet", {"width": 16}),
    ("unet, width 8", "unet", {"width": 8}),
    ("unet, width 4", "unet", {"width": 4}),
    ("unet_d3, width 16", "unet_d3", {"width": 16}),
    ("mobile_unet, width 16", "mobile_unet", {"width": 16}),
    ("unext", "unext", {}),
    ("ulite", "ulite", {}),
    ("unet_noskip, width 16", "unet_noskip", {"width": 16}),
)
SIDES = (256, 512)
WANTED = 30  # images per second


def measure(
    context: Context, networks: Sequence[tuple[str, str, dict[str, Any]]] = NETWORKS, sides: Sequence[int] = SIDES,
    precisions: Sequence[str] | None = None, seconds: float = 2.0,
) -> Measured:  # fmt: skip
    """Time forward passes of single images, whole models in each precision, channels_last.

    Args:
        context: Progress.
        networks: Label, registered name and options of each.
        sides: Sides of the images.
        precisions: 'float32', 'bfloat16'; None for float32, and bfloat16 unless a CPU would emulate it (slower than
            float32 many times over).
        seconds: Time limit of an attempt at a timing.
    """
    device = resolve_device("auto")
    if precisions is None:
        precisions = ["float32", "bfloat16"] if device != "cpu" or cpu_has_bfloat16() else ["float32"]
    rows: list[list[str | float | int | bool | None]] = []
    best: dict[tuple[str, int], Estimate] = {}
    for label, name, options in networks:
        model = resolve_model(name, num_classes=2, options=options).build(weights=False).eval().to(device)
        for precision in precisions:
            dtype = getattr(torch, precision)
            model = model.to(dtype)
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            for side in sides:
                context.progress(f"real time: {label}, {side} px, {precision}")
                image = torch.rand(1, 3, side, side, device=device, dtype=dtype).contiguous(
                    memory_format=torch.channels_last
                )
                with torch.inference_mode():
                    timing = time_calmly(
                        lambda model=model, image=image: model(image),
                        device=device,
                        precision=precision,
                        shape=(1, 3, side, side),
                        macs=count_macs(model, image),
                        seconds=seconds,
                    )
                rate = _rate(timing)
                rows.append([label, side, precision, rate.value, rate.low, rate.high, timing.noisy])
                if (label, side) not in best or rate.value > best[label, side].value:
                    best[label, side] = rate
    largest = max(sides)
    quantities = {f"{label} at {side}": rate for (label, side), rate in best.items()}
    drawn: list[list[str | float | int | bool | None]] = [
        [label, best[label, largest].value] for label, _, _ in networks
    ]
    return Measured(
        quantities=quantities,
        tables=[
            Table(
                title=f"Images per second, one at a time, on {device} "
                f"({_machine(device)})",
                columns=["network", "side", "precision", "images/s", "low", "high", "noisy"],
                rows=rows,
            ),
            Table(title=f"Best precision at {largest} px", columns=["network", "images/s"], rows=drawn),
        ],
        plot=Plot(table=1, kind="bars", x="network", y="images/s", line=float(WANTED), log=True,
                  caption=f"Images per second at {largest}x{largest}, in the faster precision; line: {WANTED}."),
        method=f"Forward passes of one image in eval mode, whole model in {' and in '.join(precisions)}, "
        "channels_last, each synchronised, between two calibrations and repeated while these disagree; low and high: "
        "90th and 10th percentile of the passes. Loading, normalising and writing are not included. The device and its "
        "threads stand over the table.",
    )  # fmt: skip


def _machine(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else f"{cpu_name()}, {torch.get_num_threads()} threads"


def _rate(timing: Timing) -> Estimate:
    """Return images per second with the percentiles of the repetitions as bounds."""
    fast = max(timing.p90_ms - timing.spread * timing.p50_ms, 1e-6)
    rates = [round(1000 / ms, 3) for ms in (timing.p50_ms, timing.p90_ms, fast)]
    return Estimate(value=rates[0], low=rates[1], high=rates[2], n=timing.repeats, noisy=timing.noisy)
