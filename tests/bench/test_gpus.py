"""Trials get their GPUs from a list, also of GPUs that this machine does not have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from unetzoo.bench.execute import _on_gpus, _places
from unetzoo.bench.gpus import emptiest, places, visible
from unetzoo.bench.side_by_side import Measured
from unetzoo.bench.watcher import Watcher

GIB = 2**30


@pytest.mark.parametrize(
    ("memory", "devices", "per_device", "peak", "expected", "why"),
    [
        ([80, 80], 1, 1, 10, [(0,), (1,)], ""),
        ([80, 80], 1, 2, 10, [(0,), (1,), (0,), (1,)], ""),
        ([80, 24], 1, 3, 10, [(0,), (1,)], "1 trials a GPU and not 3: one needs 13.6 GiB, and a GPU has 24.0"),
        ([24], 1, 2, 30, [(0,)], "1 trials a GPU and not 2"),  # it may still fit, and fails as it would alone
        ([80, 80], 1, 2, None, [(0,), (1,), (0,), (1,)], ""),
        ([80] * 5, 2, 1, 10, [(0, 1), (2, 3)], ""),
        ([80], 2, 1, 10, [], ""),
        ([], 1, 2, 10, [], ""),
    ],
)
def test_as_many_trials_as_fit_share_a_gpu(
    memory: list[int], devices: int, per_device: int, peak: int | None, expected: list[Any], why: str
) -> None:
    found, said = places([size * GIB for size in memory], devices, per_device, None if peak is None else peak * GIB)
    assert found == expected
    assert said.startswith(why)
    assert bool(said) == bool(why)


def test_a_trial_gets_the_emptiest_gpu() -> None:
    taken: list[Any] = []
    for _ in range(5):
        taken.append(emptiest([(0,), (1,), (0,), (1,)], taken))
    assert taken == [(0,), (1,), (0,), (1,), (0,)]
    taken.remove((1,))
    assert emptiest([(0,), (1,)], taken) == (1,)
    assert emptiest([], []) == ()


def test_the_harness_may_see_only_some_gpus_itself() -> None:
    assert visible((1,), {}) == "1"
    assert visible((0, 1), {"CUDA_VISIBLE_DEVICES": "GPU-a, 5"}) == "GPU-a,5"
    assert visible((), {"CUDA_VISIBLE_DEVICES": "3"}) == ""


def job(costs: str, devices: int = 1, minutes: float | None = None, per_device: int = 1) -> Any:
    recipe = SimpleNamespace(devices=devices, minutes=minutes)
    limits = SimpleNamespace(per_device=per_device)
    return SimpleNamespace(trial=SimpleNamespace(costs_id=costs, train=recipe), suite=SimpleNamespace(limits=limits))


def test_all_gpus_are_used_and_the_largest_model_decides() -> None:
    said: list[str] = []
    watcher = Watcher()
    watcher.decided = said.append  # type: ignore[method-assign]
    todo = [job("small", per_device=2), job("large", per_device=2), job("baseline")]
    measured = {
        "small": Measured(0.1, GIB, "cuda", (40 * GIB, 40 * GIB)),
        "large": Measured(0.1, 20 * GIB, "cuda", (40 * GIB, 40 * GIB)),
    }
    assert _places(todo, measured, watcher) == [(0,), (1,)]
    (line,) = said
    assert line.startswith("1 trials a GPU and not 2: one needs 26.3 GiB")
    assert _places(todo, {"small": measured["small"]}, watcher) == [(0,), (1,)] * 2
    assert _places(todo, {"small": Measured(0.1, GIB, "cpu")}, watcher) == []
    assert _on_gpus(todo, [(0,), (1,)] * 4) == 3
    assert _on_gpus([*todo, job("small", minutes=5)], [(0,), (1,)]) == 0
    assert _on_gpus(todo, []) == 0
