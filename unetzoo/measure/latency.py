"""How long one forward pass takes: warm-up, synchronised, median and 90th percentile, never the best run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

WARM_UP = 3
MOST_SECONDS = 20.0  # a slow model is timed with fewer repetitions, which are recorded
FEWEST = 5


@dataclass(frozen=True)
class Latency:
    p50_ms: float
    p90_ms: float
    repeats: int


def measure_latency(work: Callable[[], object], device: str, repeats: int) -> Latency:
    """Time ``work`` up to ``repeats`` times after a warm-up; each repetition is waited for."""
    for _ in range(WARM_UP):
        work()
    seconds: list[float] = []
    while len(seconds) < repeats and (len(seconds) < FEWEST or sum(seconds) < MOST_SECONDS):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    p50, p90 = np.percentile(1000 * np.array(seconds), [50, 90])
    return Latency(round(float(p50), 4), round(float(p90), 4), len(seconds))


def synchronize(device: str) -> None:
    """Wait until the device has done what it was given; a CPU always has."""
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()
