"""Counts checked against arithmetic, memory and latency against work of known cost."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import unetzoo
from support.entries import different, narrow, of_each_class, rest_nightly
from unetzoo.machine.environment import environment
from unetzoo.machine.lock import MachineLock
from unetzoo.measure import latency
from unetzoo.measure.counts import count_macs, count_parameters, count_training_flops, stages
from unetzoo.measure.latency import Calibration, measure_latency, time_calmly
from unetzoo.measure.memory import PeakMemory
from unetzoo.models.factory import resolve_model
from unetzoo.nn.sizes import ValidSizes

MODELS = different(unetzoo.list_models())


def test_macs_of_a_small_network_by_hand() -> None:
    """Count depth 2, width 2, 1 channel, 2 classes, 8x8 px: 3x3 convolutions, one 2x2 transposed one, the head."""
    model = unetzoo.create_model("unet", in_channels=1, num_classes=2, width=2, depth=2)
    encoder = 64 * 9 * (1 * 2 + 2 * 2) + 16 * 9 * (2 * 4 + 4 * 4)
    decoder = 16 * 4 * 4 * 2 + 64 * 9 * (4 * 2 + 2 * 2)
    assert count_macs(model, torch.zeros(1, 1, 8, 8)) == encoder + decoder + 64 * 2 * 2


@pytest.mark.parametrize("name", rest_nightly(MODELS, of_each_class(MODELS)))
def test_stages_add_up(name: str) -> None:
    config = resolve_model(name, in_channels=1, num_classes=2, options=narrow(name, width=2))
    network = config.build().eval()
    side = 220 if isinstance(getattr(network, "sizes", None), ValidSizes) else 76
    rows = stages(config, side, side)
    assert sum(row.params for row in rows) == count_parameters(network)
    assert any("head" in row.name for row in rows)
    assert sum(row.macs for row in rows) == count_macs(network, torch.zeros(1, 1, side, side))


def test_a_model_that_cannot_run_on_the_meta_device_is_counted_all_the_same(clean_registry: dict) -> None:
    class Awkward(torch.nn.Module):
        def __init__(self, in_channels: int, num_classes: int) -> None:
            super().__init__()
            self.head = torch.nn.Conv2d(in_channels, num_classes, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x) * float(x.max() + 1)  # reads a value, which meta tensors do not have

    unetzoo.register_model("awkward")(Awkward)
    rows = stages(resolve_model("awkward", in_channels=1, num_classes=2), 8, 8)
    assert [(row.name, row.shape, row.macs) for row in rows] == [("head", (2, 8, 8), 128)]
    unetzoo.register_model("layer")(lambda in_channels, num_classes: torch.nn.Conv2d(in_channels, num_classes, 1))
    rows = stages(resolve_model("layer", in_channels=1, num_classes=2), 8, 8)
    assert [(row.name, row.params, row.macs) for row in rows] == [("Conv2d", 4, 128)]


def test_peak_memory_sees_what_is_allocated_and_freed() -> None:
    torch.ones(1000)
    memory = PeakMemory("cpu")
    size = 200 * 2**20
    block = torch.ones(size // 4)
    del block
    assert 0.98 * size <= memory.peak() < 1.2 * size  # the kernel counts RSS in batches
    again = PeakMemory("cpu")
    if again.resettable:
        assert again.peak() < 0.1 * size


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can forget a peak")
def test_memory_that_was_free_before_counts_when_it_is_used_again() -> None:
    blocks, floats = 3000, 2**14  # of 64 KiB, so small that glibc keeps them when they are freed
    kept = [torch.ones(floats) for _ in range(blocks)]
    last = kept.pop()
    del kept
    memory = PeakMemory("cpu")
    again = [torch.ones(floats) for _ in range(blocks // 2)]
    assert memory.peak() > 0.9 * 4 * floats * len(again)
    del last


def test_latency_repeats_and_orders() -> None:
    calls = []
    latency = measure_latency(lambda: calls.append(time.sleep(0.002)), "cpu", repeats=9)
    assert latency.repeats == 9
    assert len(calls) == 9 + 3
    assert 2 <= latency.p50_ms <= latency.p90_ms


def test_environment_is_plain_json() -> None:
    import json

    found = environment("cpu", "float32")
    assert json.loads(json.dumps(found)) == found
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert found["precision"] == "float32"


# --- timings one can trust --------------------------------------------------------------------------------------

WORK = {"device": "cpu", "precision": "float32", "shape": (2, 1, 8, 8), "macs": 10**6}


class Clockwork:
    """A fake clock that work advances by given seconds; the calibration's products take given times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, passes: Iterator[float], rates: Iterator[float]) -> None:
        self.now, self.passes = 0.0, passes
        monkeypatch.setattr(latency.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(latency.Calibration, "__call__", lambda _: next(rates))

    def work(self) -> None:
        self.now += next(self.passes)


def test_a_calm_timing_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork(monkeypatch, itertools.repeat(0.010), itertools.repeat(4e9))
    timing = time_calmly(clock.work, **WORK)
    assert (timing.attempts, timing.noisy, timing.repeats) == (1, False, 30)
    assert timing.p50_ms == pytest.approx(10)
    assert timing.images_per_second == pytest.approx(200)
    assert timing.utilisation == pytest.approx(2 * 2e6 / 0.010 / 4e9)  # two images, two operations per MAC


def test_noise_is_timed_again_and_marked_where_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    restless = itertools.cycle([0.010, 0.020])
    timing = time_calmly(Clockwork(monkeypatch, restless, itertools.repeat(4e9)).work, **WORK)
    assert (timing.attempts, timing.noisy) == (3, True)

    rates = iter([4e9, 2e9, 4e9, 3.9e9])  # the machine was busy only in the first attempt
    timing = time_calmly(Clockwork(monkeypatch, itertools.repeat(0.010), rates).work, **WORK)
    assert (timing.attempts, timing.noisy, timing.calibration) == (2, False, (4e9, 3.9e9))


def test_the_calmest_of_noisy_attempts_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = iter([4e9, 1e9, 4e9, 3e9, 4e9, 2e9])
    timing = time_calmly(Clockwork(monkeypatch, itertools.repeat(0.010), rates).work, **WORK)
    assert (timing.attempts, timing.noisy, timing.calibration) == (3, True, (4e9, 3e9))


def test_a_slow_model_is_timed_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork(monkeypatch, itertools.repeat(2.0), itertools.repeat(4e9))
    assert time_calmly(clock.work, **WORK).repeats == 5
    assert time_calmly(clock.work, **WORK, repeats=7, seconds=100).repeats == 7


def test_the_calibration_is_a_rate_of_this_machine() -> None:
    assert 0 < Calibration("cpu", "float32")() < 1e15


def hold(folder: str, alone: bool, entered: Any, leave: Any) -> None:
    lock = MachineLock(Path(folder))
    with lock.alone() if alone else lock.shared():
        entered.set()
        leave.wait(20)


def test_a_folder_for_locks_that_is_not_ours_costs_the_locks_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")  # as another user might leave there
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    for name in ("file", "folder"):
        lock = MachineLock(tmp_path / name)
        assert not lock.exclusive
        with lock.alone(), lock.shared():
            pass


@pytest.mark.skipif(not MachineLock().exclusive, reason="this system has no flock")
@pytest.mark.parametrize(("first", "second", "together"), [(0, 0, True), (0, 1, False), (1, 0, False), (1, 1, False)])
def test_timings_are_alone_and_steps_are_not(tmp_path: Path, first: int, second: int, together: bool) -> None:
    context = multiprocessing.get_context("fork")
    events = [context.Event() for _ in range(4)]
    holders = [
        context.Process(target=hold, args=(str(tmp_path), bool(alone), entered, leave))
        for alone, entered, leave in ((first, *events[:2]), (second, *events[2:]))
    ]
    holders[0].start()
    assert events[0].wait(10)
    holders[1].start()
    assert events[2].wait(10 if together else 0.3) == together
    events[1].set()
    assert events[2].wait(10)
    events[3].set()
    for holder in holders:
        holder.join(10)
        assert holder.exitcode == 0


@pytest.mark.skipif(not MachineLock().exclusive, reason="this system has no flock")
def test_a_killed_timing_lets_the_others_go_on(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    entered, leave = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(str(tmp_path), True, entered, leave))
    holder.start()
    assert entered.wait(10)
    holder.kill()
    holder.join()
    beats: list[int] = []
    with MachineLock(tmp_path, beat=lambda: beats.append(1)).shared():
        pass
    assert len(beats) < 100


def test_flops_of_a_training_step_are_three_times_those_of_a_forward_pass() -> None:
    config = resolve_model("unet", in_channels=1, num_classes=2, options={"width": 4})
    macs = count_macs(config.build(), torch.zeros(1, 1, 32, 32))
    flops = count_training_flops(config, (3, 1, 32, 32))
    assert 0.95 * 3 * 2 * 3 * macs < flops < 3 * 2 * 3 * macs  # no gradient is computed for the image itself
