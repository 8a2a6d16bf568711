"""Latency of a forward pass: warm-up, synchronisation, median and 90th percentile, never the best run.

On a shared machine the same pass may take ten times as long a minute later. So each timing lies between two runs of a
fixed matrix product, the calibration. If the two, or the repetitions of the pass, disagree, the timing is repeated; if
they still do after the last attempt, it is marked as noisy. The speed of the matrix product is also the reference for
the utilisation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from unetzoo.machine.device import cpu_has_bfloat16
from unetzoo.machine.lock import no_beat
from unetzoo.records.measured import Timing

WARM_UP = 3
FEWEST = 5  # repetitions of a model so slow that the time limit comes first
CALIBRATION_BOUND = 0.10  # |before - after| / max(before, after)
REPETITION_BOUND = 0.20  # (p90 - p10) / median
PRODUCT_SIDE = {"cpu": 1024, "mps": 2048, "cuda": 4096}
EMULATED_SIDE = 256  # for bfloat16 on a CPU that emulates it, where 1024 takes seconds
PRODUCTS = 4
METHOD = (
    f"forward pass in eval mode, {WARM_UP} to warm up, each synchronised; between two calibrations (a square matrix "
    f"product, median of {PRODUCTS}); noisy where these differ by over {CALIBRATION_BOUND:.0%} or the repetitions' "
    f"(p90 - p10) / median is over {REPETITION_BOUND:.0%} in every attempt, of which the calmest stands"
)


@dataclass(frozen=True)
class Latency:
    """Percentiles of the time of a piece of work in milliseconds, over ``repeats`` repetitions."""

    p10_ms: float
    p50_ms: float
    p90_ms: float
    repeats: int

    @property
    def spread(self) -> float:
        """Relative spread of the repetitions: (p90 - p10) / median."""
        return (self.p90_ms - self.p10_ms) / self.p50_ms


def measure_latency(
    work: Callable[[], object],
    device: str,
    repeats: int = 30,
    seconds: float = 5.0,
    warm_up: int = WARM_UP,
    beat: Callable[[], None] = no_beat,
) -> Latency:
    """Time a piece of work, synchronising the device before and after each repetition.

    Args:
        work: The work.
        device: 'cuda', 'mps' or 'cpu'.
        repeats: Number of repetitions.
        seconds: Timed seconds after which there are no more repetitions, once there were five.
        warm_up: Repetitions before the first that is timed.
        beat: Called before each timed repetition, outside of the timed span.
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
    """A fixed square matrix product; a call returns the FLOP/s that it reaches at present (median of a few runs).

    Args:
        device: 'cuda', 'mps' or 'cpu'.
        precision: 'float32' or 'bfloat16'.
    """

    def __init__(self, device: str, precision: str) -> None:
        emulated = device == "cpu" and precision == "bfloat16" and not cpu_has_bfloat16()
        self.side, self.device = EMULATED_SIDE if emulated else PRODUCT_SIDE[device], device
        dtype = getattr(torch, precision)
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
    beat: Callable[[], None] = no_beat,
) -> Timing:
    """Time a forward pass between two calibrations, and again while calibrations or repetitions disagree.

    The attempt with the least disagreement is returned; it is noisy if even that one exceeds a bound.

    Args:
        work: The forward pass.
        device: 'cuda', 'mps' or 'cpu'.
        precision: 'float32' or 'bfloat16'.
        shape: Shape of the images, (N, C, H, W).
        macs: Multiply-accumulates for one image, for the utilisation.
        repeats: Number of repetitions in an attempt.
        seconds: Timed seconds after which an attempt has no more repetitions, once there were five.
        attempts: Largest number of attempts.
        beat: Called before each timed repetition, outside of the timed span.
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
    """Wait until a device has finished all its work; on a CPU there is nothing to wait for.

    Args:
        device: 'cuda', 'mps' or 'cpu'.
    """
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()
