"""The report's tables and sentences: timings, memory, phases, budgets, matches, metrics, the order of reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from support.records import ORDER, baseline, breakdown, flagged, folder_of, full, load, record, variables_of
from unetzoo.report import write_report
from unetzoo.report.bars import memory_split, phases
from unetzoo.report.costs import core_share
from unetzoo.report.plots import PARETO, dice_against, pareto_front
from unetzoo.report.protocol import budget, budgets, matched, matched_to, order_of_reading
from unetzoo.report.statistics import summarise
from unetzoo.report.style import looks
from unetzoo.report.words import compute, listed


def test_noise_is_marked_in_table_and_plot(tmp_path: Path):
    records = [full("unet", 0, 0.8), full("unet_b", 0, 0.7, noise=True), full("unet_b", 1, 0.7)]
    t = load(*records)
    summary, look = summarise(t), looks(["unet", "unet_b"], "unet")
    faces = [
        [line.get_markerfacecolor() for line in PARETO[name](summary, look, None).axes[0].lines]
        for name in ("dice_vs_latency", "dice_vs_params")
    ]
    assert [("white" in face) for face in faces] == [True, False]
    page = write_report(folder_of(tmp_path / "f", *records)).read_text()
    assert "<td>~20.5 / 24.5</td>" in page
    assert "<td>20.0 / 24.0</td>" in page
    assert "noisy in 1 of 3 trials" in page
    assert "Hollow: the timing was noisy" in page
    quiet = write_report(folder_of(tmp_path / "g", full("unet", 0, 0.8))).read_text()
    assert "Hollow" not in quiet
    assert "~2" not in quiet


def test_timings_memory_and_training_as_tables():
    variables = variables_of(full("unet", 0, 0.8), full("unet", 1, 0.8), record("unet_old", 0, 0.7))
    assert variables["timings"] == [
        {
            "variant": "unet",
            "precision": "bfloat16",
            "p50": "20.5",
            "spread": "8 %",
            "rate": "48.8",
            "utilisation": "43 %",
            "float32": "31.0",
            "noisy": "0 of 2",
        }
    ]
    (memory,) = variables["memory"]
    assert (memory["predicted_train"], memory["tensor_train"]) == ("196.0", "200.0")
    assert (memory["error_train"], memory["error_infer"]) == ("\u22122.0 %", "+0.0 %")
    assert (memory["peak_train"], memory["peak_infer"]) == ("128", "32")
    unet, old = variables["training"]
    assert unet | {"variant": ""} == {
        "variant": "",
        "steps": "10 (10 to 11)",
        "seconds": "60.5 s",
        "predicted": "58 s",
        "rate": "14.3",
        "compute": "2.5 PFLOP",
        "lr": "0.002",
        "sweep": "33 s",
    }
    assert (old["steps"], old["lr"], old["compute"]) == ("\u2013", "0.001", "\u2013")
    assert "Learning rates tried: 0.0005, 0.002, 0.008;" in variables["sweep"]
    assert "took 66 s in all, over 2 trials" in variables["sweep"]


def test_memory_is_split_without_counting_skips_twice(tmp_path: Path):
    predicted_only = full("unet_b", 0, 0.7, unit=3)
    predicted_only["cost"]["tensors"] = None
    no_skips = full("unet_c", 0, 0.6)
    no_skips["cost"]["tensors"]["train"] = breakdown(2, skips=None)
    t = load(full("unet", 0, 0.8), predicted_only, no_skips, record("unet_old", 0, 0.5))
    (ax,) = memory_split(t, summarise(t)).axes
    widths = np.array([[bar.get_width() for bar in part] for part in ax.containers])  # parts, variants
    assert widths.sum(0) == pytest.approx([200, 300, 200])
    assert widths[4] == pytest.approx([16, 24, 0])
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["200.0", "294.0 (predicted)", "200.0"]
    assert sum(line.get_marker() == "D" for line in ax.lines) == 2


def test_phases_and_the_share_of_the_work():
    t = load(full("unet", 0, 0.8), full("unet", 1, 0.8))
    (row,) = summarise(t).to_dict("records")
    assert row["phase_train"] == 60.5
    assert core_share(row, t.phases) == pytest.approx((60.5 + 9 + 2) / (60.5 + 9 + 2 + 4 + 21 + 1))
    (ax,) = phases(t, summarise(t)).axes
    assert [text.get_text() for text in ax.texts] == ["97.5 s (73 %)"]


def test_the_budget_in_words():
    def of(**train: Any) -> str | None:
        return budget(load(record(trial={"train": train})).records[0])

    assert of(steps=240, minutes=None) == "equal steps: 240"
    assert of(steps=None, minutes=5.0) == "equal time: 5 min of training, validation not included"
    assert of(steps=None, flops=2.5e15) == "equal compute: 2.5 PFLOP of training, forward and backward"
    assert of() is None

    def of_all(*trains: dict[str, Any]) -> str | None:
        return budgets(load(*(record(str(k), trial={"train": t}) for k, t in enumerate(trains))).records)

    assert of_all({"steps": 10}, {"steps": 10}) == "equal steps: 10"
    assert of_all({"steps": 10}, {"steps": 30}, {"steps": 20}) == "each variant's own steps: 10 to 30"
    assert of_all({"steps": 10}, {"minutes": 5.0}) == (
        "equal steps: 10; equal time: 5 min of training, validation not included"
    )
    assert of_all({}) is None

    def ended(*ends: str) -> str | None:
        change = {"trial": {"train": {"until": "converged", "most_steps": 1200}}}
        made = [record(str(k), **change, result={**record()["result"], "ended": e}) for k, e in enumerate(ends)]
        return budgets(load(*made).records)

    assert ended("converged") == "until converged, within 1200 steps"
    some = ended("converged", "most_steps")
    assert some == "until converged, within 1200 steps; trials that ended at this cap: 1 of 2"
    assert [compute(v) for v in (3e9, 2e12, 4.25e18, None)] == ["3 GFLOP", "2 TFLOP", "4.25 EFLOP", "\u2013"]


def test_a_noisy_float32_latency_is_marked_too():
    a = full("unet", 0, 0.8)
    assert variables_of(a)["timings"][0]["float32"] == "31.0"
    a["cost"]["timings"][1]["noisy"] = True
    (timing,) = variables_of(a)["timings"]
    assert (timing["float32"], timing["noisy"]) == ("~31.0", "0 of 1")


def test_a_network_outside_the_grid_does_not_pass_for_unet():
    model = {"label": "fpn", "name": "smp_fpn", "options": {"width": 64, "encoder": "resnet18"}, "source": "v1"}
    fpn, unet = record("fpn", 0, 0.8), record("unet", 0, 0.8)
    fpn["trial"]["model"] |= model
    for each in (fpn, unet):
        each["model"]["diff"] = {}
    own = {v["model"]: (v["diff"], v["own"]) for v in variables_of(fpn, unet)["variants"]}
    assert own == {"fpn": ([], "another network, with width 64, encoder resnet18"), "unet": ([], None)}


def test_what_was_matched_is_said():
    a, b, old = full("unet_a", 0, 0.8), full("unet_b", 0, 0.7), record("unet", 0, 0.6)
    b["model"]["matched"] |= {"ratio": 0.985}
    reference = full("unet", 0, 0.6)
    assert matched(load(a, b, reference).models) == matched(load(a, b, old).models)  # the reference is left out
    assert matched(load(a, b, old).models) == [
        "Widths were chosen so that parameters match unet's within 1.5 %: unet_a x1.003 and unet_b x0.985."
    ]
    variables = variables_of(a, b, old)
    assert variables["notes"] == matched(load(a, b, old).models)
    by_name = {v["model"]: v["matched"] for v in variables["variants"]}
    assert by_name["unet_a"] == "parameters matched to unet: 1.947 M for a target of 1.941 M, x1.003"
    assert by_name["unet"] is None
    assert "unusual channel counts" not in variables["notes"][0]
    a["trial"]["model"]["options"]["width"] = 16.25
    assert "unusual channel counts" in matched(load(a, b).models)[0]
    assert matched_to(load(a, b).models) == "unet"
    assert matched(load(a, b, old, record("wider", 0, 0.7)).models)[-1] == "At the width given, not matched: wider."
    assert matched(load(old, record("wider", 0, 0.7)).models) == []


def test_metrics_with_units_ways_and_counts():
    variables = variables_of(full("unet", 0, 0.8), full("unet", 1, 0.8), baseline("otsu", 0.4))["metrics"]
    assert [h["title"].replace("\u00a0", " ") for h in variables["heads"]] == [
        "Dice ↑", "IoU ↑", "precision ↑", "recall ↑", "specificity ↑", "NSD ↑", "HD95 ↓", "ASSD ↓", "boundary IoU ↑",
        "Brier ↓", "ECE ↓",
    ]  # fmt: skip
    assert [h["unit"] for h in variables["heads"] if h["unit"]] == ["px", "px"]
    (row,) = variables["rows"]
    assert row["cells"][6] == {"mean": "6.25", "sd": "± 0.00"}
    assert row["counts"] == "0 / 2 / 4 / 6"  # counts of the foreground class alone
    assert [r["variant"] for r in variables["baselines"]] == ["otsu"]
    assert variables_of(record("unet", 0, 0.8))["metrics"] == {}


def test_the_order_of_reading():
    def first_line(*records: dict[str, Any]) -> str:
        return "\n".join(order_of_reading(load(*records).models))

    good, old = [full("unet", s, 0.8) for s in (0, 1)], record("unet_old", 0, 0.7)
    assert first_line(*good) == "In all 2 trials the test split was read once, after the weights had been chosen."
    assert first_line(old) == ""
    assert "In 2 of 3 trials" in first_line(*good, old)
    assert "1 trial does not say" in first_line(*good, old)
    assert "test split" not in flagged(*good, old)
    read, select, test = ORDER[0], ORDER[2], ORDER[3]
    for wrong in ([read, test, select], [select, test, test], [read, test], [read, select], [select, test, read]):
        assert "after the weights had been chosen: unet_b (seed 0)." in flagged(
            *good, full("unet_b", 0, 0.7, events=wrong)
        )
    went_on = full("unet_b", 3, 0.7, resumed=[40, 80])
    assert first_line(went_on).endswith("Interrupted and resumed: unet_b (seed 3 at step 40 and 80).")


def test_scoring_in_words():
    a, b = full("unet", 0, 0.8), full("unet", 1, 0.8)
    assert variables_of(a, b)["policies"] == [
        "Scoring options: both empty exclude, tolerance 2, unit px.",
        "Miss: 0 for overlaps.",
    ]
    assert variables_of(record())["policies"] == []


def test_an_encoder_is_cited_beside_the_network(tmp_path: Path) -> None:
    made = full("unet", 0, 0.8)
    made["model"]["encoder_paper"] = {"title": "Deep <b>residuals</b>", "year": 2016, "arxiv": "1512.03385"}
    page = write_report(folder_of(tmp_path, made, full("unet_b", 0, 0.7)))
    assert page.read_text().count("encoder: Deep &lt;b&gt;residuals&lt;/b&gt;<br>2016<br>") == 1
    row = "; encoder: Deep &lt;b&gt;residuals&lt;/b&gt;; 2016; arxiv: 1512.03385 |"
    assert row in page.with_name("summary.md").read_text()


@pytest.mark.parametrize("rising", [False, True])
@pytest.mark.parametrize("count", [12, 80])
def test_in_a_crowd_no_name_covers_another(count: int, rising: bool) -> None:
    """Points on the front are named first; if there are few points, all are named."""
    rng = np.random.default_rng(0)
    names = [f"WWW_variant_{k}" for k in range(count)]
    dice = rng.normal(0.8, 0.02, count)
    summary = pd.DataFrame(
        {"model": names, "dice": np.sort(dice) if rising else dice, "dice_sd": np.nan, "noisy": False}
    )
    for end in ("", "_low", "_high"):
        summary["cost" + end] = np.linspace(1, 1.5, count)
    figure = dice_against("cost", "cost")(summary, looks(names, None), None)
    assert figure is not None
    figure.draw_without_rendering()
    (ax,) = figure.axes
    drawn = {text.get_text(): Text.get_window_extent(text) for text in ax.texts}  # without its line
    front = {names[k] for k in pareto_front(summary["cost"].tolist(), summary["dice"].tolist())}
    if count == 12:
        assert set(drawn) == set(names)
        assert "named" not in ax.get_xlabel()
        return
    if not rising:  # else all are on the front
        assert front < set(drawn)
    assert set(drawn) < set(names)
    assert "named where there is room" in ax.get_xlabel()
    assert len(drawn) > 5
    for name, box in drawn.items():
        assert not any(box.overlaps(other) for other in drawn.values() if other is not box), name


def test_names_with_commas_stay_apart() -> None:
    assert listed(["unet"]) == "unet"
    assert listed(["unet", "fpn", "segnet"]) == "unet, fpn and segnet"
    assert listed(["unet", "unet, attention", "fpn", "segnet"], most=3) == "unet; unet, attention; fpn and 1 more"
