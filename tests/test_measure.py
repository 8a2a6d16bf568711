"""Counts against arithmetic; memory and latency against what is known of the work."""

from __future__ import annotations

import time

import pytest
import torch

import unetzoo
from unetzoo import registry
from unetzoo.measure.counts import count_macs, count_parameters, stages
from unetzoo.measure.environment import environment
from unetzoo.measure.latency import measure_latency
from unetzoo.measure.memory import PeakMemory
from unetzoo.registry import resolve_model


def test_macs_of_a_small_network_by_hand() -> None:
    """depth 2, width 2, 1 -> 2, 8x8: 3x3 convolutions, one 2x2 transposed one, the head."""
    model = unetzoo.create_model("unet", in_channels=1, num_classes=2, width=2, depth=2)
    encoder = 64 * 9 * (1 * 2 + 2 * 2) + 16 * 9 * (2 * 4 + 4 * 4)
    decoder = 16 * 4 * 4 * 2 + 64 * 9 * (4 * 2 + 2 * 2)
    assert count_macs(model, torch.zeros(1, 1, 8, 8)) == encoder + decoder + 64 * 2 * 2


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_stages_add_up(name: str) -> None:
    config = resolve_model(name, in_channels=1, num_classes=2, changes={"width": 2})
    rows = stages(config, 220, 220)
    assert sum(row.params for row in rows) == count_parameters(config.build())
    assert rows[-1].name == "head"
    assert sum(row.macs for row in rows) == count_macs(config.build(), torch.zeros(1, 1, 220, 220))


def test_a_model_that_cannot_run_on_the_meta_device_is_counted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Awkward(torch.nn.Module):
        def __init__(self, in_channels: int, num_classes: int) -> None:
            super().__init__()
            self.head = torch.nn.Conv2d(in_channels, num_classes, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x) * float(x.max() + 1)  # a value, which meta tensors have not

    monkeypatch.setattr(registry._REGISTRY, "entries", dict(registry.entries()))
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


def test_latency_repeats_and_orders() -> None:
    calls = []
    latency = measure_latency(lambda: calls.append(time.sleep(0.002)), "cpu", repeats=9)
    assert latency.repeats == 9
    assert len(calls) == 9 + 3
    assert 2 <= latency.p50_ms <= latency.p90_ms


def test_environment_is_plain_json() -> None:
    import json

    facts = environment("cpu", "float32")
    assert json.loads(json.dumps(facts)) == facts
    assert facts["torch"] == torch.__version__.split("+")[0] or facts["torch"] == torch.__version__
    assert facts["precision"] == "float32"
