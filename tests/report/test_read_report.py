"""The report as an object: tables, verdicts, figures and what a notebook shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import unetzoo
from support.records import NASTY, everything, folder_of, full, noisy
from unetzoo.errors import UnetzooError


def test_table_verdicts_and_plots(tmp_path: Path) -> None:
    report = unetzoo.read_report(everything(tmp_path / "f"))
    table = report.table()
    assert list(table["variant"])[:2] == ["unet_bilinear", "unet"]
    assert table.set_index("variant").loc["unet", "verdict"] == "reference"
    assert {"low", "high", "latency_ms", "params"} <= set(table)
    assert {"dice", "params"} <= set(report.verdicts()["metric"])
    for name, options in (
        ("front", {}),
        ("front", {"cost": "params"}),
        ("difference", {}),
        ("learning_curves", {}),
        ("best_set", {}),
        ("paired_images", {}),
        ("difficulty", {}),
    ):
        assert isinstance(report.plot(name, **options), Figure)
    with pytest.raises(UnetzooError, match="there is no plot 'frnt'; did you mean front"):
        report.plot("frnt")
    with pytest.raises(UnetzooError, match="cost = 'parms' is not an axis of the front; did you mean params"):
        report.plot("front", cost="parms")
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == ["records"]  # nothing was written


def test_a_plot_without_data_says_so(tmp_path: Path) -> None:
    report = unetzoo.read_report(folder_of(tmp_path / "f", noisy("unet", 0, 0.7)))
    for name in ("difference", "best_set", "paired_images"):
        with pytest.raises(UnetzooError, match=f"'{name}' cannot be drawn"):
            report.plot(name)


def test_the_repr_has_the_answer_and_hostile_names_as_text(tmp_path: Path) -> None:
    made = [full(label, s, m) for label, m in (("unet", 0.7), (NASTY, 0.8)) for s in range(3)]
    report = unetzoo.read_report(folder_of(tmp_path / "f", *made))
    assert repr(report).startswith("Report of f\nTake ")
    html = report._repr_html_()
    assert "<b>x|y" not in html
    assert "&lt;b&gt;x|y" in html
    assert "<table" in html


def test_a_collection_has_members(tmp_path: Path) -> None:
    for label in ("one", "two"):
        folder_of(tmp_path / "c" / label, *(noisy(x, s, m) for x, m in (("unet", 0.7), ("up", 0.8)) for s in range(3)))
    (tmp_path / "c" / "collection.json").write_text(json.dumps({"name": "c", "data": {"one": [], "two": []}}))
    report = unetzoo.read_report(tmp_path / "c")
    assert list(report.members) == ["one", "two"]
    assert set(report.table()["data"]) == set(report.verdicts()["data"]) == {"one", "two"}
    assert report["one"].recommend().choice.taken == "up"
    assert "<h4>two</h4>" in report._repr_html_()
    with pytest.raises(UnetzooError, match=r"c is a collection.*report\['one'\]"):
        report.recommend()
    with pytest.raises(UnetzooError, match="c has no data set 'on'; did you mean one"):
        _ = report["on"]


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(UnetzooError, match="no such folder"):
        unetzoo.read_report(tmp_path / "none")
    with pytest.raises(UnetzooError, match="margin = 'x' must be"):
        unetzoo.read_report(tmp_path, margin="x")  # type: ignore[arg-type]
