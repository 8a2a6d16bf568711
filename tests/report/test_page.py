"""The report on records with every field: baselines, flags, noise, budgets, memory, phases, metrics, order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support.records import (
    everything,
    folder_of,
    full,
    load,
    outputs,
    record,
    timing,
    variables_of,
)
from unetzoo.report import write_report
from unetzoo.report.plots import NAMES


def test_a_full_report(tmp_path: Path):
    folder = everything(tmp_path / "a")
    made = outputs(write_report(folder).parent)
    page, summary = made["index.html"].decode(), made["summary.md"].decode()
    drawn = set(NAMES) - {"predictions", "size_scaling"}  # no samples here, and no two that differ in width alone
    assert {name for name in made if name.startswith("plots/")} == {
        f"plots/{n}.{s}" for n in drawn for s in ("png", "svg")
    }
    assert "<b>x|y" not in page + summary
    assert page.count("<script") == 2  # the page's own: its data, its code
    assert "<script" not in summary
    assert "&lt;b&gt;x|y&lt;/b&gt;" in page
    assert not re.search(r'(src|href)="(?!data:|https://|variants/[\w-]+\.html")', page)
    assert page.index('class="answer"') < page.index('class="alarms"') < page.index("<table") < page.index("<figure")
    header = None
    for line in summary.splitlines():  # hostile text adds no cell to any table
        cells = line.replace(r"\|", "").count("|")
        header = (header or cells) if line.startswith("|") else None
        assert header in (None, cells)

    for path in (folder / "records").glob("*.json"):  # files under other names: same report
        (tmp_path / "b" / "records").mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / "records" / f"x{path.name[::-1]}.json").write_bytes(path.read_bytes())
    write_report(tmp_path / "b")
    assert outputs(tmp_path / "b") == made


@pytest.mark.parametrize("status", ["timeout", "hung"])
def test_stopped_trials_are_failures(status: str):
    facts = variables_of(full("unet", 0, 0.8), record("unet_b", 0, status=status))
    assert [f["status"] for f in facts["failures"]] == [status]
    assert [r["failed"] for r in facts["rows"]] == [0, 1]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            {"model": {"paper": {}, "diff": {}, "matched": {"what": 3, "ratio": "x", "target": None}}}, id="matched"
        ),
        pytest.param({"tuning": [], "events": [{"what": "read", "split": "test"}], "resumed": [0]}, id="order"),
        pytest.param({"flags": [{"kind": "", "text": ""}]}, id="flags"),
        pytest.param({"cost": {"tensors": None, "predicted": None, "timings": [], "phases": {}}}, id="no cost"),
        pytest.param(
            {"cost": {"phases": {"train": 0.0, "": 0.0}, "train_flops": 0, "tuning_seconds": None}}, id="zeros"
        ),
        pytest.param({"cost": {"timings": [timing("float32", 3.0) | {"utilisation": None}]}}, id="timing"),
        pytest.param(
            {"result": {"foreground": {"hd95": None, "own": 1.0}, "calibration": {}, "policy": {}}}, id="metrics"
        ),
        pytest.param({"result": {"policy": {"unit": 3, "rules": {}}, "steps": None, "penalised": {}}}, id="policy"),
    ],
)
def test_nothing_breaks_it(tmp_path: Path, change: dict[str, Any]):
    made = full("unet", 0, 0.8)
    for key, value in change.items():
        made[key] = {**made[key], **value} if isinstance(value, dict) else value
    page = write_report(folder_of(tmp_path / "f", made)).read_text()
    assert "nan" not in re.sub(r"base64,[^\"]*|<style>.*?</style>|<script.*?</script>", "", page, flags=re.DOTALL)


def test_variants_that_trained_differently_are_said_to_and_how() -> None:
    other = record("b")
    other["trial"] = {**other["trial"], "train": {"steps": 10, "batch_size": 1, "lr": 0.001, "optimizer": "sgd"}}
    said = " ".join(variables_of(record(), other, record("c"))["notes"])
    assert "not trained alike" in said
    assert "b: batch_size 1, optimizer sgd; c and unet: batch_size 2." in said
    assert "steps" not in said.partition("not trained alike")[2]
    assert not any("alike" in note for note in variables_of(record(), record("b"))["notes"])


def test_the_wait_for_data_is_said_as_the_worst_trials_share() -> None:
    slow = record("b")
    slow["cost"] = {**slow["cost"], "data_share": 0.041}
    fast = record()
    fast["cost"] = {**fast["cost"], "data_share": 0.002}
    assert "Waiting for data took at most 4.1 % of a trial's training time." in variables_of(fast, slow)["notes"]
    assert list(load(fast, slow).trials["data_share"]) == [0.041, 0.002]
