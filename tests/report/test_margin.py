"""The margin of equivalence: from the suite, from the command line, and never in a trial's id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.collection import made
from support.command import run as command
from support.records import folder_of, load, noisy, record
from unetzoo.bench.collection import collection_from
from unetzoo.bench.suite import Measurement, suite_from
from unetzoo.bench.trials import Trial, TrialData, TrialModel
from unetzoo.cli.bench import _margins
from unetzoo.errors import UnetzooError
from unetzoo.metrics.policy import Scoring
from unetzoo.records.fields import margin_of
from unetzoo.report import write_report
from unetzoo.train.recipe import Recipe


def alike(margin: float | None = None) -> list[dict[str, Any]]:
    records = [noisy(label, s, 0.7) for label in ("unet", "same") for s in range(3)]
    for r in records:
        r["trial"]["score"] = {} if margin is None else {"margin": margin}
    return records


def verdict(folder: Path) -> str:
    return (folder / "verdicts.csv").read_text().splitlines()[1].split(",")[8]


def test_the_margin_of_the_records_and_of_the_call(tmp_path: Path) -> None:
    assert margin_of(load(*alike()).records) == 0.01
    assert margin_of(load(*alike(0.2)).records) == 0.2
    assert margin_of(load(*alike(0.2)[:3], *alike(0.1)[3:]).records) == 0.1  # the stricter claim
    folder = folder_of(tmp_path / "f", *alike(0.2))
    write_report(folder, brief=True)
    assert verdict(folder) == "equivalent"
    write_report(folder, brief=True, margin=0)
    assert verdict(folder) == "undecided"


def test_another_margin_is_no_other_variant_and_no_other_score() -> None:
    assert set(load(*alike(0.2)[:3], *alike(0.1)[3:]).trials["model"]) == {"unet", "same"}
    first, second = alike(0.2)[0], alike(0.1)[1]
    assert set(load(first, second).trials["model"]) == {"unet"}
    assert Scoring(margin=0.3).describe() == Scoring().describe()
    assert "margin" not in Scoring().describe()


@pytest.mark.parametrize("margin", [-0.01, float("nan"), float("inf")])
def test_a_margin_below_zero_is_one_line(tmp_path: Path, margin: float) -> None:
    folder = folder_of(tmp_path / "f", record())
    with pytest.raises(UnetzooError, match=r"margin = \S+ must be a difference in Dice of 0 or more"):
        write_report(folder, margin=margin)
    with pytest.raises(UnetzooError) as caught:
        suite_from({"name": "x", "models": ["unet"], "score": {"margin": margin}}, "x.toml", tmp_path)
    assert "margin" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_takes_a_margin(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", *alike())
    done = command("report", str(folder), "--brief", "--margin", "0.2")
    assert done.returncode == 0
    assert verdict(folder) == "equivalent"
    wrong = command("report", str(folder), "--margin", "-0.1")
    assert wrong.returncode == 2
    assert wrong.stderr.strip().splitlines() == ["error: margin = -0.1 must be a difference in Dice of 0 or more"]


def test_each_data_set_of_a_collection_has_its_own(tmp_path: Path) -> None:
    folder = made(tmp_path / "f", {"a": alike(0.2), "b": alike(0.0)})
    write_report(folder, brief=True)
    assert (verdict(folder / "a"), verdict(folder / "b")) == ("equivalent", "undecided")
    write_report(folder, brief=True, margin={"a": 0.0, "b": 0.2})
    assert (verdict(folder / "a"), verdict(folder / "b")) == ("undecided", "equivalent")
    assert json.loads((folder / "collection.json").read_text())["name"] == "apps"


def test_another_margin_is_no_other_trial() -> None:
    def of(score: Scoring) -> str:
        model = TrialModel(label="unet", name="unet", in_channels=1, num_classes=2, options={})
        data = TrialData(name="cells", root=None, options={}, digest="d")
        return Trial(model=model, data=data, train=Recipe(), measure=Measurement(), score=score, seed=0).id

    assert of(Scoring(margin=0.3)) == of(Scoring(margin=0.0)) == of(Scoring())
    assert of(Scoring(tolerance=3.0)) != of(Scoring())


def test_bench_reports_by_the_suites_margin(tmp_path: Path) -> None:
    tables = {"name": "x", "models": ["unet"], "score": {"margin": 0.03}}
    assert _margins(suite_from(tables, "x.toml", tmp_path)) == 0.03
    several = {**tables, "data": [{"name": "cells"}, {"name": "roads", "score": {"margin": 0.0}}]}
    assert _margins(collection_from(several, "x.toml", tmp_path)) == {"cells": 0.03, "roads": 0.0}
