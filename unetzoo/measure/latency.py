"""How long one forward pass takes: warm-up, synchronised, median and 90th percentile, never the best run.

On a shared machine the same pass can take ten times as long a minute later. So every timing stands between two runs of
a fixed matrix product, the calibration: where these or the repetitions disagree, it is done again, and where they
still do it is called noisy. What the matrix product reaches is also what the model is held against (utilisation).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from unetzoo.machine.device import cpu_has_bfloat16
from unetzoo.machine.quiet import nothing
from unetzoo.records.measured import Timing

WARM_UP = 3
FEWEST = 5  # repetitions of a model so slow that the time floor comes first
CALIBRATION_BOUND = 0.10  # |before - after| over the higher
REPETITION_BOUND = 0.20  # (p90 - p10) over the median
PRODUCT_SIDE = {"cpu": 1024, "mps": 2048, "cuda": 4096}
EMULATED_SIDE = 256  # of bfloat16 on a CPU without it, where 1024 takes seconds
PRODUCTS = 4
METHOD = (
    f"forward pass in eval mode, {WARM_UP} to warm up, each synchronised; between two calibrations (a square matrix "
    f"product, median of {PRODUCTS}); noisy where these differ by over {CALIBRATION_BOUND:.0%} or the repetitions' "
    f"(p90 - p10) / median is over {REPETITION_BOUND:.0%} in every attempt, of which the calmest stands"
)


@dataclass(frozen=True)
class Latency:
    p10_ms: float
    p50_ms: float
    p90_ms: float
    repeats: int

    @property
    def spread(self) -> float:
        return (self.p90_ms - self.p10_ms) / self.p50_ms


def measure_latency(
    work: Callable[[], object],
    device: str,
    repeats: int = 30,
    seconds: float = 5.0,
    warm_up: int = WARM_UP,
    beat: Callable[[], None] = nothing,
) -> Latency:
    """Time ``work`` ``repeats`` times, fewer (5 at least) once ``seconds`` have gone; each repetition is waited for.

    ``beat`` is called between repetitions, outside what is timed.
    """
    for _ in range(warm_up):
        work()
    taken: list[float] = []
    while len(taken) < repeats and (len(taken) < FEWEST or sum(taken) < seconds):
        beat()
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        taken.append(time.perf_counter() - start)
    p10, p50, p90 = np.percentile(1000 * np.array(taken), [10, 50, 90])
    return Latency(float(p10), float(p50), float(p90), len(taken))


class Calibration:
    """A fixed square matrix product; calling it gives the FLOP/s it reaches now (median of a few)."""

    def __init__(self, device: str, precision: str) -> None:
        emulated = device == "cpu" and precision == "bfloat16" and not cpu_has_bfloat16()
        self.side, self.device = EMULATED_SIDE if emulated else PRODUCT_SIDE[device], device
        dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
        values = torch.linspace(-1, 1, self.side**2, device=device).reshape(self.side, self.side)
        self.a, self.b = values.to(dtype), values.T.contiguous().to(dtype)

    def __call__(self) -> float:
        product = measure_latency(lambda: self.a @ self.b, self.device, PRODUCTS, warm_up=1)
        return 2 * self.side**3 / (product.p50_ms / 1000)


def time_calmly(
    work: Callable[[], object],
    *,
    device: str,
    precision: str,
    shape: tuple[int, int, int, int],
    macs: int,
    repeats: int = 30,
    seconds: float = 5.0,
    attempts: int = 3,
    beat: Callable[[], None] = nothing,
) -> Timing:
    """Time ``work``, one forward pass of ``shape`` (N, C, H, W) and ``macs`` an image, between calibrations.

    Timed again, up to ``attempts`` times in all, while calibrations or repetitions disagree by more than their
    bounds; the attempt with the least disagreement is returned, ``noisy`` where even that one was over.
    """
    calibration = Calibration(device, precision)
    best: tuple[float, Latency, tuple[float, float]] | None = None
    taken = 0
    while taken < attempts and (best is None or best[0] > 1):
        taken += 1
        before = calibration()
        latency = measure_latency(work, device, repeats, seconds, beat=beat)
        after = calibration()
        unrest = max(abs(before - after) / max(before, after) / CALIBRATION_BOUND, latency.spread / REPETITION_BOUND)
        if best is None or unrest < best[0]:
            best = (unrest, latency, (before, after))
    assert best is not None
    unrest, latency, rates = best
    rate = 2 * macs * shape[0] / (latency.p50_ms / 1000)
    return Timing(
        precision=precision,
        shape=shape,
        p50_ms=round(latency.p50_ms, 4),
        p90_ms=round(latency.p90_ms, 4),
        spread=round(latency.spread, 4),
        repeats=latency.repeats,
        images_per_second=round(1000 * shape[0] / latency.p50_ms, 3),
        calibration=(round(rates[0]), round(rates[1])),
        utilisation=round(2 * rate / sum(rates), 4) if macs else None,
        attempts=taken,
        noisy=unrest > 1,
    )


def synchronize(device: str) -> None:
    """Wait until the device has done what it was given; a CPU always has."""
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()
