"""The report's warnings: models no better than a baseline, flags of trials, equal predictions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.records import (
    baseline,
    flagged,
    folder_of,
    full,
    load,
    variables_of,
)
from unetzoo.report import write_report
from unetzoo.report.alarms import MOST_FLAGS, best_baseline, red_lines
from unetzoo.report.plots import PARETO, dice_distribution
from unetzoo.report.statistics import summarise
from unetzoo.report.style import BASELINE, looks


def test_baselines_are_rows_for_reference_only(tmp_path: Path):
    models = [full(label, s, mean) for label, mean in (("unet", 0.8), ("unet_b", 0.7)) for s in (0, 1)]
    trivial = [baseline("otsu", 0.41), baseline("all background", 0.2)]
    alone, together = variables_of(*models), variables_of(*models, *trivial)
    for key in ("answer", "trials", "finished", "failures", "per_class", "variants", "protocol", "order", "warnings"):
        assert together[key] == alone[key]
    assert [(r["model"], r["against"]) for r in together["rows"]] == [(r["model"], r["against"]) for r in alone["rows"]]
    assert [b["model"] for b in together["baselines"]] == ["otsu", "all background"]
    assert best_baseline(load(*models, *trivial)) == ("otsu", pytest.approx(0.41))
    assert {len(load(*models, *trivial).images), len(load(*models).images)} == {4 * 12}
    page = write_report(folder_of(tmp_path / "f", *trivial)).read_text()
    assert "No trial finished" in page
    failed = baseline("otsu", 0.4, status="crashed", reason="no threshold")
    (failure,) = variables_of(*models, failed)["failures"]
    assert (failure["who"], failure["reason"]) == ("otsu", "no threshold")


def test_a_model_no_better_than_a_baseline_is_a_red_line():
    models = [full("unet", 0, 0.8), full("unet_b", 0, 0.4), full("unet_b", 1, 0.41)]
    text = flagged(*models, baseline("otsu", 0.5), baseline("all background", 0.1))
    assert re.search(r"Not better than the baseline otsu \(Dice 0\.500\): unet_b \(0\.40\d\)\.", text)
    assert "baseline" not in flagged(*models)


def test_the_best_baseline_is_in_the_dice_plots(tmp_path: Path):
    models = [full(label, 0, mean) for label, mean in (("unet", 0.8), ("unet_b", 0.5))]
    names = ("dice_vs_latency", "dice_vs_params", "dice_vs_memory", "dice_distribution")
    for dice, words in ((0.6, "dotted line"), (0.1, "below this scale"), (0.99, "above this scale")):
        t = load(*models, baseline("otsu", dice))
        look = looks(["unet", "unet_b"], "unet")
        summary = summarise(t)
        figures = [plot(summary, look, best_baseline(t)) for plot in PARETO.values()]
        figures.append(dice_distribution(t.images, list(look), look, best_baseline(t)))
        assert len(figures) == len(names)
        for figure in figures:
            (ax,) = figure.axes
            assert f"best baseline ({words}): otsu, Dice {dice:.3f}" in ax.get_xlabel()
            colours = [line.get_color() for line in ax.lines]
            assert (BASELINE in colours) == (words == "dotted line")


def test_flags_are_one_line_a_kind_and_text():
    flag = {"kind": "collapse", "text": "a single class fills\nevery image"}
    many = [full(f"unet_{k}", s, 0.5 + 0.01 * k, flags=[flag]) for k in range(9) for s in (0, 1)]
    lines = red_lines(load(full("unet", 0, 0.8), *many))
    (line,) = [x for x in lines if x.startswith("collapse")]
    assert line.startswith("collapse: a single class fills every image \u2013 unet_0 (seeds 0 and 1), unet_1")
    assert line.endswith("and 3 more.")
    assert any("every image \u2013 all 18 trials." in x for x in red_lines(load(*many)))
    several = [{"kind": "k", "text": str(n)} for n in range(MOST_FLAGS + 4)]
    lines = red_lines(load(full("unet", 0, 0.8, flags=several)))
    assert len(lines) == MOST_FLAGS + 1
    assert lines[-1].startswith("4 more flags")


def test_a_constant_prediction_is_said_once():
    flags = [{"kind": "constant", "text": "one class"}, {"kind": "trivial-score", "text": "0 as background"}]
    a, other = full("unet", 0, 0.0, flags=flags), baseline("all background", 0.0)
    other["result"]["predictions"] = a["result"]["predictions"]
    text = flagged(a, other)
    assert "constant: one class" in text
    assert "trivial-score" not in text
    assert "exactly the same" not in text
    assert "trivial-score" in flagged(full("unet", 0, 0.0, flags=flags[1:]))


def test_equal_predictions_are_suspect():
    a, b, c = (
        full(label, seed, mean) for label, seed, mean in (("unet", 0, 0.8), ("unet", 1, 0.8), ("unet_b", 0, 0.7))
    )
    assert "exactly the same" not in flagged(a, b, c)
    b["result"]["predictions"] = c["result"]["predictions"] = a["result"]["predictions"]
    assert "unet (seeds 0 and 1) and unet_b (seed 0) predict exactly the same" in flagged(a, b, c)
    constant = baseline("all background", 0.0)
    constant["result"]["predictions"] = a["result"]["predictions"]
    assert "unet (seed 0) and all background predict exactly the same" in flagged(a, constant)
    twin = baseline("otsu", 0.0) | {"result": constant["result"]}
    assert "exactly the same" not in flagged(full("unet", 2, 0.8), constant, twin)  # no model among them
    twins = [full("unet", 0, 0.8), full("twin", 0, 0.8)]
    for twin in twins:
        twin["result"]["dice"] = 0.8
    assert "share a test Dice" not in flagged(*twins)  # told apart by their hashes
    for twin in twins:
        twin["result"]["predictions"] = None
    assert "twin and unet share a test Dice of 0.800000" in flagged(*twins)
