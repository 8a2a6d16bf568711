"""ISBI scores from the suite's option to the report: checked, recorded and shown if asked for, else absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from support.maps import grid, logits_of
from support.records import folder_of, load, record, variables_of
from unetzoo.bench.expand import expand
from unetzoo.bench.suite import Suite
from unetzoo.errors import UnetzooError
from unetzoo.metrics.isbi import IsbiScores, image_scores
from unetzoo.metrics.policy import ISBI, ISBI_BEST, Scoring
from unetzoo.metrics.score import Scores
from unetzoo.records.parts import Result
from unetzoo.report import write_report
from unetzoo.report.page import render
from unetzoo.report.words import DASH

VOID = 255
NAMES = ("background", "cell", "wall")


def truth_and_gap() -> tuple[torch.Tensor, torch.Tensor]:
    """Return a map of three classes, and the same with a gap of one pixel in a wall."""
    truth = torch.from_numpy(np.where(grid(2, 5), 2, 1))
    truth[1:6, 1:6] = 0
    prediction = truth.clone()
    prediction[3, 6] = 1
    return truth, prediction


def test_scores_take_the_named_class_as_boundary_and_all_others_as_interior():
    truth, prediction = truth_and_gap()
    scores = Scores(NAMES, (1, 2), VOID, Scoring(isbi="wall"))
    scores.add("whole", logits_of(truth), truth)
    scores.add("gap", logits_of(prediction), truth)
    void = truth.clone()
    void[3, 6] = VOID
    scores.add("void", logits_of(prediction), void)
    found = scores.result()
    perfect = {name: 0.0 if "error" in name else 1.0 for name in ISBI}
    assert found["isbi_images"]["whole"] == found["isbi_images"]["void"] == perfect
    by_hand = image_scores(grid(2, 5) & (prediction.numpy() == 2), grid(2, 5))
    assert found["isbi_images"]["gap"] == pytest.approx(by_hand, abs=1e-6)
    assert found["isbi"]["warping_error"] == pytest.approx(1 / truth.numel() / 3, abs=1e-6)
    assert (
        found["isbi"]["v_rand_max"] == found["isbi"]["v_rand"] == pytest.approx((2 + by_hand["v_rand"]) / 3, abs=1e-6)
    )
    assert "wall" in found["policy"]["rules"]["ISBI 2012 scores"]
    made = Result(**found, best_step=1, best_val_dice=None)
    assert Result.from_json(made.model_dump_json(), "round trip") == made


def test_the_probability_of_the_boundary_is_cut_at_every_threshold():
    truth, prediction = truth_and_gap()
    scores = Scores(NAMES, (1, 2), VOID, Scoring(isbi="wall"))
    scores.add("gap", logits_of(prediction) * 0.05 + logits_of(truth) * 0.04, truth)  # unsure, mostly of the gap
    found = scores.result()["isbi"]
    assert found["v_rand"] < found["v_rand_max"] == 1
    assert found["split_merge_error"] > found["split_merge_error_min"] == 0


def test_a_predictor_without_probabilities_has_no_best_threshold():
    truth, prediction = truth_and_gap()
    scores = Scores(NAMES, (1, 2), VOID, Scoring(isbi="wall"))
    scores.add_map("gap", prediction, truth)
    found = scores.result()["isbi"]
    assert found["warping_error"] == pytest.approx(1 / truth.numel(), abs=1e-6)
    assert [found[name] for name in ISBI_BEST] == [None] * len(ISBI_BEST)


def test_who_does_not_ask_pays_nothing(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: Any) -> None:
        raise AssertionError("nobody asked")

    monkeypatch.setattr(IsbiScores, "add", fail)
    truth, prediction = truth_and_gap()
    scores = Scores(NAMES, (1, 2), VOID, Scoring())
    scores.add("gap", logits_of(prediction), truth)
    found = scores.result()
    assert (found["isbi"], found["isbi_images"]) == ({}, {})
    assert "ISBI 2012 scores" not in found["policy"]["rules"]


def test_a_class_that_is_none_is_refused_before_anything_runs():
    suite = Suite.from_mapping({"name": "s", "models": ["unet"], "score": {"isbi": "membrane"}}, "suite")
    with pytest.raises(UnetzooError, match=r"score\.isbi = 'membrane' is not a class of the data set; known: .*cell"):
        expand(suite, suite.data.open())
    asked = Suite.from_mapping({**suite.model_dump(), "score": {"isbi": "cell"}}, "suite")
    plain = Suite.from_mapping({**suite.model_dump(), "score": {}}, "suite")
    ids = [[trial.id for trial in expand(s, s.data.open())] for s in (asked, plain)]
    assert not set(ids[0]) & set(ids[1])  # other scores give another trial id


def scored(label: str, seed: int, v_rand: float, **change: Any) -> dict[str, Any]:
    made = record(label, seed, 0.8, **change)
    isbi = dict.fromkeys((*ISBI, *ISBI_BEST), v_rand) | {"warping_error": 0.000353 * (1 + seed)}
    made["result"] |= {"isbi": isbi, "isbi_images": {"slice_0": {"v_rand": v_rand}}}
    return made


def test_the_report_has_a_table_of_means_over_seeds(tmp_path: Path):
    baseline = scored("constant", 0, 0.25, baseline=True)
    baseline["result"]["isbi"] |= dict.fromkeys(ISBI_BEST, None)
    records = [scored("unet", 0, 0.9), scored("unet", 1, 0.8), scored("unet_b", 0, 0.7), baseline]
    table = variables_of(*records)["isbi"]
    rows = {row["variant"]: row["cells"] for row in table["rows"] + table["baselines"]}
    assert [row["variant"] for row in table["baselines"]] == ["constant"]
    titles = [head["title"] for head in table["heads"]]
    assert titles[:2] == ["V_rand\u00a0↑", "V_rand\u00a0↑"]
    assert [head["unit"] for head in table["heads"]][:2] == ["", "best threshold"]
    assert rows["unet"][0] == {"mean": "0.8500", "sd": "± 0.0707"}
    assert rows["unet_b"][0] == {"mean": "0.7000", "sd": ""}
    assert rows["unet"][titles.index("warping error\u00a0↓")]["mean"] == "0.000530"  # mean of 0.000353 and 0.000706
    assert [cell["mean"] for cell in rows["constant"]][:2] == ["0.2500", DASH]

    folder = folder_of(tmp_path, *records)
    page = write_report(folder).read_text()
    summary = (folder / "summary.md").read_text()
    for text in (page, summary):
        assert "Boundaries: ISBI 2012 scores" in text
        assert "hidden test set" in text
        assert "only the ISBI 2012 scores take topology into account" in text
    assert "<td>0.8500<small>± 0.0707</small></td>" in page
    lines = [line for line in summary.splitlines() if line.startswith("| unet |")]
    assert any("| 0.8500 ± 0.0707 |" in line for line in lines)
    results = pd.read_csv(folder / "results.csv")
    assert results.loc[results["model"] == "unet", "v_rand"].tolist() == [0.9, 0.8]
    assert {*ISBI, *ISBI_BEST} <= set(results)


def test_without_such_records_the_report_is_as_before():
    variables = variables_of(record("unet", 0, 0.8)) | {
        "machines": {},
        "plots": {},
        "skipped": [],
        "main_plot": None,
        "pareto": [],
        "inline": {},
        "brief": False,
        "data": "",
        "pages": {},
        "browser": None,
        "rising": frozenset(),
        "scores": {},
        "differences": {},
    }
    assert variables["isbi"] == {}
    assert not any("ISBI" in render(template, variables) for template in ("index.html.j2", "summary.md.j2"))
    assert not {*ISBI, *ISBI_BEST} & set(load(record("unet", 0, 0.8)).trials)
