"""Costs of one run on two kinds of machine stand in a table for each, and never in one column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support.records import folder_of, noisy
from unetzoo.records.frame import load
from unetzoo.report import write_report
from unetzoo.report.machines import apart, by_machine
from unetzoo.report.read import read_report

NASTY = "<script>gpu|B</script>"
MEANS = {"unet": 0.7, "up": 0.8}


def trial(label: str, seed: int, latency: float, machine: str) -> dict[str, Any]:
    made = noisy(label, seed, MEANS[label])
    made["environment"] |= {"device_name": machine}
    made["cost"] |= {"latency_p50_ms": latency, "train_seconds": 10 * latency}
    return made


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run: on the second machine 'up' is the faster one, on the first 'unet' is."""
    slow = [trial(label, seed, ms, "cpu A") for label, ms in (("unet", 20.0), ("up", 40.0)) for seed in (0, 1)]
    fast = [trial(label, 2, ms, NASTY) for label, ms in (("unet", 8.0), ("up", 4.0))]
    return folder_of(tmp_path / "run", *slow, *fast)


def test_each_machine_has_its_table_and_ratios_stand_side_by_side(run: Path) -> None:
    found = by_machine(load(run), "unet")
    first, second = found["tables"]
    assert {first["machine"], second["machine"]} == {"cpu A", NASTY}
    cpu = first if first["machine"] == "cpu A" else second
    at = cpu["heads"].index("latency (ms)")
    assert {row["model"]: (row["cells"][0], row["cells"][at]) for row in cpu["rows"]} == {
        "unet": ("2", "20.0"),
        "up": ("2", "40.0"),
    }
    (ratios,) = found["ratios"]
    latencies = {kind: c for (cost, kind), c in zip(found["heads"], ratios["cells"], strict=True) if cost == "latency"}
    assert latencies == {"cpu A": "2.00", NASTY: "0.50"}


def test_no_column_of_the_report_mixes_them(run: Path) -> None:
    t = apart(load(run))
    assert t.trials["latency_p50_ms"].isna().all()
    assert t.trials["params"].notna().all()
    page = write_report(run)
    text, summary = page.read_text(), (run / "summary.md").read_text()
    assert "Costs by machine" in text
    assert "### cpu A" in summary
    assert "<script>gpu" not in text + summary
    main = next(line for line in summary.splitlines() if line.startswith("| up |"))
    assert "40.0" not in main
    assert not (run / "plots" / "dice_vs_latency.png").exists()
    assert "dice_vs_latency" not in summary
    assert set(pd.read_csv(run / "results.csv")["machine"]) == {"cpu A", NASTY}
    assert pd.read_csv(run / "results.csv")["latency_p50_ms"].notna().all()
    assert "latency_p50_ms" not in read_report(run).judgement.others


def test_one_machine_is_as_before(tmp_path: Path) -> None:
    t = load(folder_of(tmp_path, *(trial(label, 0, 20.0, "cpu A") for label in MEANS)))
    assert apart(t) is t
    assert by_machine(t, "unet") == {}
