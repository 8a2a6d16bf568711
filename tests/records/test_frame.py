"""Records as a table."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from support.records import (
    MIB,
    NASTY,
    everything,
    full,
    load,
)
from unetzoo.records.columns import METRICS
from unetzoo.records.frame import read_records
from unetzoo.report import write_report


def test_read_records(tmp_path: Path):
    folder = everything(tmp_path / "f")
    (folder / "records" / "zz.json").write_text("{")
    table = read_records(folder)
    assert len(table) == len(list((folder / "records").glob("*.json"))) == 19
    assert table["status"].value_counts().to_dict() == {"ok": 16, "timeout": 1, "hung": 1, "unreadable": 1}
    row = table[(table["model"] == "unet_bilinear") & (table["seed"] == 2)].iloc[0]
    expected = {
        "precision": 0.81, "hd95": 6.25, "brier": 0.0712, "precision_membrane": 0.81, "hd95_interior": 6.25,
        "false_alarms": 2, "missed": 1, "steps": 12, "lr": 0.008, "compute_precision": None, "noisy": True,
        "utilisation": 0.43, "latency_spread": 0.38, "images_per_second_infer": 1000 / 32, "latency_float32_ms": 31.0,
        "noisy_float32": False,
        "tensor_train_bytes": 300 * MIB, "predicted_train_bytes": 294 * MIB, "train_flops": 2_500_000_000_000_000,
        "phase_train": 62.0, "phase_validate": 9.0, "tuning_seconds": 33.0, "resumed": 0, "flags": None,
    }  # fmt: skip
    for column, value in expected.items():
        assert pd.isna(row[column]) if value is None else row[column] == value, column
    assert table.loc[table["baseline"], "model"].tolist() == sorted(
        ["all background", "all foreground", "logistic regression", "otsu"]
    )
    assert table.loc[table["model"] == NASTY, "flags"].str.startswith("collapse: one class fills").all()
    named = set(re.findall(r"``(\w+)``", read_records.__doc__ or ""))
    dynamic = {
        c for c in table if c.startswith("phase_") or re.fullmatch(rf"({'|'.join(METRICS)})_(interior|membrane)", c)
    }
    assert set(table) - dynamic == named  # the docstring lists every column
    write_report(folder)
    stored = pd.read_csv(folder / "results.csv")
    assert stored.columns.tolist() == table.columns.tolist()
    assert "2500000000000000" in (folder / "results.csv").read_text()


def test_data_in_another_folder_is_the_same_configuration():
    a, b = full("unet", 0, 0.8), full("unet", 1, 0.8)
    for made, root in ((a, "/here"), (b, "/there")):
        made["trial"]["data"] = {**made["trial"]["data"], "root": root}
    assert set(load(a, b).trials["model"]) == {"unet"}
