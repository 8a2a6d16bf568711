"""Paired timing of two pieces of work, for machines whose speed changes all the time."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from unetzoo.gallery.measured import Ratio
from unetzoo.measure.latency import FEWEST, WARM_UP, synchronize


def time_ratio(
    work: Callable[[], object],
    other: Callable[[], object],
    *,
    device: str = "cpu",
    rounds: int = 21,
    seconds: float = 60.0,
) -> Ratio:
    """Compare the time of two pieces of work by running both in every round, in alternating order.

    The two run immediately after each other, so that anything that slows the machine for longer slows both.

    Args:
        work: The work whose relative time is wanted.
        other: The work to compare with.
        device: 'cuda', 'mps' or 'cpu'.
        rounds: Number of rounds.
        seconds: Seconds after which there are no more rounds, once there were five.
    """
    for _ in range(WARM_UP):
        work()
        other()
    taken: list[tuple[float, float]] = []
    begun = time.perf_counter()
    while len(taken) < rounds and (len(taken) < FEWEST or time.perf_counter() - begun < seconds):
        if len(taken) % 2:
            second, first = _timed(other, device), _timed(work, device)
        else:
            first, second = _timed(work, device), _timed(other, device)
        taken.append((first, second))
    times = np.array(taken)
    ratios = times[:, 0] / times[:, 1]
    p10, median, p90 = (round(float(q), 4) for q in np.percentile(ratios, [10, 50, 90]))
    p50_ms, other_p50_ms = (round(float(q), 3) for q in 1000 * np.median(times, axis=0))
    return Ratio(median=median, p10=p10, p90=p90, rounds=len(taken), p50_ms=p50_ms, other_p50_ms=other_p50_ms)


def _timed(work: Callable[[], object], device: str) -> float:
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start
