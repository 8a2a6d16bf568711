"""Predicted memory compared with real tensors and arithmetic; plans checked for consistency."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
import torch
from torch import nn

import unetzoo
from support.entries import narrow_config
from unetzoo.bench import need as needs
from unetzoo.bench import plan as planning
from unetzoo.bench.limits import PROCESS_BASE, PROCESS_FACTOR
from unetzoo.bench.need import largest_batch, predict, process_bytes
from unetzoo.bench.plan import plan_suite
from unetzoo.bench.profile import profile_model
from unetzoo.bench.suite import Suite
from unetzoo.errors import UnetzooError
from unetzoo.measure.counts import count_parameters, stages
from unetzoo.measure.rehearsal import tensor_memory
from unetzoo.models.factory import resolve_model
from unetzoo.train.recipe import Recipe

TRAIN, INFER = (2, 1, 64, 64), (1, 1, 96, 96)


@pytest.fixture
def own_models(clean_registry: dict) -> Callable[..., object]:
    return unetzoo.register_model


@pytest.fixture
def _no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the search for the largest batch, which takes most of a plan's time and has tests of its own."""
    monkeypatch.setattr(needs, "largest_batch", lambda bytes_at, limit, start: int(bytes_at(1) <= limit))


class Awkward(nn.Module):
    """A network that reads values, which fake tensors do not have."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(in_channels, num_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x) * float(x.max() + 1)


def test_a_model_that_cannot_be_faked(own_models: Callable[..., object]) -> None:
    own_models("awkward")(Awkward)
    config = resolve_model("awkward", in_channels=1, num_classes=2)
    assert tensor_memory(config, 2, TRAIN, INFER, precision="float32") is None
    real = tensor_memory(config, 2, TRAIN, INFER, precision="float32", fake=False)
    assert real is not None
    assert real.train.skips is None
    profile = profile_model(config, size=32, timed=False)
    assert profile.need.memory is None
    assert profile.need.problem
    assert profile.need.params == 4


@pytest.mark.parametrize(
    "bytes_at",
    [
        lambda b: 100 + 7 * b,
        lambda b: max(500 + 2 * b, 9 * b),
        lambda b: 100 + b * b,
        lambda b: 64 * (b // 5 + 1),
    ],
)
@pytest.mark.parametrize("start", [1, 2, 37])
def test_largest_batch(bytes_at: Callable[[int], int], start: int) -> None:
    for limit in (0, 99, 107, 108, 511, 1000, 12345):
        asked: list[int] = []
        found = largest_batch(lambda b, asked=asked: asked.append(b) or bytes_at(b), limit, start)
        assert found == max((b for b in range(1, 20_000) if bytes_at(b) <= limit), default=0)
        assert min(asked) >= 1
        assert len(asked) < 25


def test_largest_batch_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    config, limit = narrow_config("unet_d3"), PROCESS_BASE + 64 * 2**20
    need = profile_model(config, size=64, batch=2, precision="float32", limit=limit, timed=False).need
    assert need.largest_batch is not None
    assert need.largest_batch > 2
    monkeypatch.setattr(needs, "largest_batch", lambda *_: None)  # it was found above
    for batch, fits in ((need.largest_batch, True), (need.largest_batch + 1, False)):
        there = profile_model(config, size=64, batch=batch, precision="float32", limit=limit, timed=False).need
        assert there.fits is fits


def test_a_batch_that_cannot_be_trained_does_not_hide_the_memory() -> None:
    """At 16 px the deepest of five levels has one pixel, so batch norm refuses to train on one image."""
    shape = (8, 1, 16, 16)
    need = predict(narrow_config("unet"), shape, (1, 1, 64, 64), None, Recipe(), "cpu", "float32", 1)
    assert (need.fits, need.largest_batch, need.problem) == (False, None, None)
    assert need.memory is not None


@pytest.fixture
def suite() -> Suite:
    return Suite.from_mapping(
        {
            "name": "tiny",
            "models": ["unet_d2", {"name": "unet_d3", "label": "three"}],
            "set": {"width": 4},
            "seeds": 2,
            "data": {"options": {"n_train": 2, "n_val": 2, "n_test": 3, "size": 48}},
            "train": {"steps": 40, "batch_size": 2, "crop": 32, "validate_every": 15, "precision": "float32"},
            "measure": {"size": 32},
        },
        "suite",
    )


@pytest.mark.usefixtures("_no_search")
def test_plan_of_a_suite(suite: Suite) -> None:
    heard: list[str] = []
    plan = plan_suite(suite, on_model=heard.append)
    assert heard == [row.label for row in plan.rows] == ["unet_d2", "three"]
    for row, name in zip(plan.rows, ("unet_d2", "unet_d3"), strict=True):
        assert row.trials == 2
        assert row.need.params == count_parameters(narrow_config(name, width=4).build())
        assert row.need.train_shape == (2, 1, 32, 32)
        assert row.need.memory == tensor_memory(
            narrow_config(name, width=4), 2, (2, 1, 32, 32), (1, 1, 32, 32), precision="float32"
        )
        assert row.step_seconds is not None
        assert row.image_seconds is not None
        assert row.step_seconds > 0
        # 3 validations (after 15, 30 and 40 steps) of 2 images, then 3 test images
        assert row.trial_seconds == pytest.approx(40 * row.step_seconds + 9 * row.image_seconds, rel=0.05)
    assert plan.seconds == pytest.approx(2 * sum(row.trial_seconds or 0 for row in plan.rows))


@pytest.mark.usefixtures("_no_search")
def test_plan_with_a_budget_of_minutes(suite: Suite) -> None:
    recipe = suite.train.model_copy(update={"steps": None, "minutes": 2.0})
    row = plan_suite(suite.model_copy(update={"train": recipe, "models": suite.models[:1]})).rows[0]
    assert row.trial_seconds is not None
    assert row.trial_seconds > 120


def test_plan_for_a_machine_that_is_too_small(suite: Suite) -> None:
    plan = plan_suite(suite, limit=PROCESS_BASE // 2)
    assert [(row.need.fits, row.need.largest_batch, row.trial_seconds) for row in plan.rows] == [(False, 0, None)] * 2
    assert plan.seconds is None


@pytest.mark.usefixtures("_no_search")
def test_what_does_not_fit_here_is_not_timed_for_a_larger_machine(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "memory_limit", lambda device: (PROCESS_BASE, "physical memory"))
    plan = plan_suite(suite, limit=2**50)
    assert [(row.need.fits, row.trial_seconds) for row in plan.rows] == [(True, None)] * 2


@pytest.mark.usefixtures("_no_search")
def test_a_broken_model_leaves_the_others(suite: Suite, own_models: Callable[..., object]) -> None:
    own_models("fails")(lambda in_channels, num_classes, width=1: nn.Conv2d(in_channels, num_classes, 3))
    broken = Suite.from_mapping({**suite.model_dump(), "models": ["fails", "unet_d2"]}, "suite")
    first, second = plan_suite(broken, timed=False).rows
    assert first.need.memory is None
    assert first.need.problem == "Conv2d must return logits of shape (1, 2, 32, 32), got (1, 2, 30, 30)"
    assert second.need.problem is None
    assert second.need.fits


@pytest.mark.usefixtures("_no_search")
def test_nothing_is_run_without_time(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "time_model", lambda *_: pytest.fail("a step was run"))
    assert plan_suite(suite, timed=False).seconds is None
    with pytest.raises(pytest.fail.Exception):
        plan_suite(suite)


def test_the_assumed_process_covers_every_measured_one() -> None:
    """The constants match the committed measurement."""
    folder = Path(__file__).parents[2] / "reports" / "memory-prediction"
    rows = json.loads((folder / "measured.json").read_text())
    ratios = [row["process"]["train"] / row["predicted"]["train"]["total"] for row in rows]
    assert round(median(ratios), 2) == PROCESS_FACTOR
    base = median(row["base"] for row in rows)
    for row in rows:
        need = process_bytes(max(row["predicted"][what]["total"] for what in ("train", "infer")), "cpu")
        assert need >= base + max(row["process"].values())
        for what in ("train", "infer"):
            assert row["predicted"][what]["total"] == pytest.approx(row["tracked"][what]["total"], rel=0.1)


@pytest.mark.usefixtures("_no_search")
def test_profile() -> None:
    config = narrow_config("unet_d2")
    profile = profile_model(config, size=32, batch=3, precision="float32")
    assert profile.need.train_shape == profile.need.infer_shape == (3, 1, 32, 32)
    assert profile.latency_p50_ms is not None
    assert 0 < profile.latency_p50_ms <= (profile.latency_p90_ms or 0)
    with pytest.raises(UnetzooError, match="precision = 'float8' is not a choice"):
        profile_model(config, precision="float8", timed=False)


@pytest.mark.usefixtures("_no_search")
def test_profile_tells_what_a_valid_network_reads() -> None:
    config = narrow_config("unet_paper")
    profile = profile_model(config, size=64, precision="float32", timed=False)
    assert profile.need.train_shape[-1] == 64
    assert profile.reads == 252
    assert profile.need.macs == sum(stage.macs for stage in stages(config, 252, 252))


def test_profile_of_what_cannot_be_built(own_models: Callable[..., object]) -> None:
    @own_models("raises")
    def raises(in_channels: int, num_classes: int) -> nn.Module:
        raise KeyError("no such thing")

    with pytest.raises(UnetzooError, match="model 'raises': KeyError: 'no such thing'"):
        profile_model(resolve_model("raises"), timed=False)
