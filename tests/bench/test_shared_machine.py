"""Costs where other jobs share the machine: with ``where = "exclusive"`` or "off", records keep no times from there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unetzoo.bench import model_costs
from unetzoo.bench.model_costs import ModelCosts, costs_of
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.run import run
from unetzoo.bench.suite import Suite
from unetzoo.errors import UnetzooError
from unetzoo.records.parts import NOT_MEASURED, SHARED
from unetzoo.records.record import read_record
from unetzoo.report import write_report
from unetzoo.train.compute import Compute, ComputeChoice

REPORTS = Path(__file__).resolve().parents[2] / "reports"
CONDITIONS = dict.fromkeys(("unetzoo", "torch", "cpu", "device", "device_name", "precision"), "x")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Play the measurement; return a list with an entry for each."""
    file = next(path for path in sorted(REPORTS.glob("zoo-cells/records/unet-*.json")))
    cost = read_record(file).cost
    assert cost is not None
    choice = ComputeChoice(compute=Compute(precision="float32", channels_last=False))
    done: list[str] = []

    def measure(*_: object) -> ModelCosts:
        done.append("measured")
        return ModelCosts(conditions=CONDITIONS, cost=cost, step_flops=7, step_seconds=0.5, choice=choice)

    monkeypatch.setattr(model_costs, "_measure", measure)
    return done


def known(out: Path, where: str, **conditions: str) -> ModelCosts:
    """Return the costs that a trial gets."""
    trial: Any = SimpleNamespace(costs_id="c", measure=SimpleNamespace(where=where))
    setting: Any = SimpleNamespace(conditions=CONDITIONS | conditions)
    channel: Any = SimpleNamespace(send=lambda message: None)
    info: Any = None
    return costs_of(trial, info, setting, OutputFolders(out), channel, lambda phase: None)  # type: ignore[arg-type]


def test_times_are_taken_where_no_other_job_is(
    tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_costs, "whole_machine", lambda: False)
    assert known(tmp_path / "any", "any").cost.latency_p50_ms is not None
    shared = known(tmp_path, "exclusive")
    assert not shared.timed
    assert (shared.cost.latency_p50_ms, shared.cost.train_seconds, shared.cost.timings) == (None, None, [])
    assert shared.cost.latency_method == SHARED
    assert (shared.cost.params > 0, shared.step_flops) == (True, 7)
    assert known(tmp_path, "exclusive") == shared
    assert len(measured) == 2
    monkeypatch.setattr(model_costs, "whole_machine", lambda: True)
    alone = known(tmp_path, "exclusive")
    assert alone.cost.latency_p50_ms is not None
    monkeypatch.setattr(model_costs, "whole_machine", lambda: False)
    assert known(tmp_path, "exclusive") == alone  # the times of a machine of its kind
    assert len(measured) == 3


def test_each_kind_of_machine_has_its_own_costs(tmp_path: Path, measured: list[str]) -> None:
    for name in ("x", "another GPU", "x"):
        known(tmp_path, "any", device_name=name)
    assert len(list((tmp_path / "costs").iterdir())) == 2


def test_a_report_shows_records_without_times(tmp_path: Path) -> None:
    file = next(path for path in sorted(REPORTS.glob("zoo-cells/records/unet-*.json")))
    timed = read_record(file)
    assert timed.cost is not None
    (tmp_path / "records").mkdir()
    for n, cost in enumerate((timed.cost, timed.cost.without_times())):
        trial = {**timed.trial, "model": {**timed.trial["model"], "label": f"unet {n}"}}
        made = timed.model_copy(update={"id": f"{n:012x}", "trial": trial, "cost": cost, "samples": []})
        (tmp_path / "records" / f"unet-s0-{made.id}.json").write_text(made.to_json())
    assert "unet 1" in write_report(tmp_path).read_text()


def test_with_off_a_trial_only_counts(tmp_path: Path) -> None:
    """No time is taken, of the model or of its training, and nothing is measured before the first trial."""
    made = {"name": "s", "models": ["unet_d2"], "set": {"width": 4}, "baselines": False, "measure": {"where": "off"}}
    data = {"name": "cells", "options": {"n_train": 3, "n_val": 1, "n_test": 2, "size": 48}}
    train = {"steps": 2, "batch_size": 2, "crop": 32, "validate_every": 2, "threads": 1}
    suite = Suite.from_mapping({**made, "data": data, "train": train}, "s.toml")
    assert list(run(suite, tmp_path)["status"]) == ["ok"]
    (path,) = (tmp_path / "records").glob("*.json")
    cost = read_record(path).cost
    assert cost is not None
    assert (cost.params > 0, cost.macs > 0, (cost.train_flops or 0) > 0) == (True, True, True)
    assert (cost.latency_p50_ms, cost.peak_train_bytes, cost.train_seconds, cost.phases) == (None, None, None, {})
    assert cost.latency_method == NOT_MEASURED
    assert not (tmp_path / "costs").exists()
    with pytest.raises(UnetzooError, match="compute = 'auto' chooses by timings"):
        Suite.from_mapping({**made, "data": data, "train": {**train, "compute": "auto"}}, "s.toml")
