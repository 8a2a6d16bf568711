"""The report on records with every field: baselines, flags, noise, budgets, memory, phases, metrics, order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_report import NASTY, folder_of, hash_of, load, noisy, outputs, record

from unetzoo.report import write_report
from unetzoo.report.alarms import MOST_FLAGS, best_baseline, red_lines
from unetzoo.report.bars import memory_split, phases
from unetzoo.report.costs import core_share
from unetzoo.report.frame import METRICS, read_records
from unetzoo.report.plan import budget, matched, order_of_reading
from unetzoo.report.plots import NAMES, PARETO, dice_distribution
from unetzoo.report.sections import context
from unetzoo.report.statistics import compare, score_grids, summarise
from unetzoo.report.style import BASELINE, looks
from unetzoo.report.words import compute

ORDER = [
    {"what": "read", "split": "train", "items": 20},
    {"what": "read", "split": "val", "items": 4, "step": 5},
    {"what": "select", "split": "val", "step": 5},
    {"what": "read", "split": "test", "items": 12},
]
MIB = 2**20


def breakdown(unit: int, skips: int | None = 8) -> dict[str, Any]:
    parts = {"parameters": 7, "gradients": 7, "optimizer": 14, "activations": 60, "other": 12}
    made = {name: n * unit * MIB for name, n in parts.items()}
    return made | {"total": sum(made.values()), "skips": None if skips is None else skips * unit * MIB}


def tensors(unit: int) -> dict[str, Any]:
    return {"train": breakdown(unit), "infer": {"total": 30 * unit * MIB, "parameters": 7 * unit * MIB}}


def timing(precision: str, p50: float, noise: bool = False) -> dict[str, Any]:
    return {
        "precision": precision,
        "shape": [1, 1, 64, 64],
        "p50_ms": p50,
        "p90_ms": 1.2 * p50,
        "spread": 0.08 + 0.3 * noise,
        "repeats": 20,
        "images_per_second": 1000 / p50,
        "calibration": [4.1e11, 4.2e11],
        "utilisation": 0.43,
        "attempts": 3 if noise else 1,
        "noisy": noise,
    }


def full(label: str, seed: int, mean: float, noise: bool = False, unit: int = 2, **change: Any) -> dict[str, Any]:
    """A record with every field, as JSON."""
    made = noisy(label, seed, mean)
    metrics = {"dice": mean, "iou": 0.7 * mean, "precision": 0.81, "recall": 0.78, "specificity": 0.95}
    metrics |= {"nsd": 0.88, "hd95": 6.25, "assd": 1.5, "boundary_iou": 0.55}
    made["result"] |= {
        "foreground": metrics,
        "calibration": {"brier": 0.0712, "ece": 0.0345},
        "false_alarms": {"interior": 5, "membrane": 2},
        "penalised": {"interior": 0, "membrane": 3},
        "policy": {"both_empty": "exclude", "tolerance": 2.0, "unit": "px", "rules": {"miss": "0 for overlaps"}},
        "predictions": f"{hash_of(label):x}-{seed}",
        "steps": 10 + seed,
    }
    for scores in made["result"]["per_class"].values():
        scores |= {m: metrics[m] for m in ("precision", "hd95")}
    made["cost"] |= {
        "peak_infer_bytes": 2**25,
        "latency_p50_ms": 10.0 * unit + seed,
        "latency_p90_ms": 12.0 * unit + seed,
        "tensors": tensors(unit),
        "predicted": tensors(unit) | {"train": breakdown(unit) | {"total": 98 * unit * MIB}},
        "timings": [timing("bfloat16", 10.0 * unit + seed, noise), timing("float32", 31.0)],
        "train_seconds": 60.0 + seed,
        "images_per_second": 14.3,
        "wall_seconds": 100.0,
        "phases": {"data": 4.0, "measure": 21.0, "train": 60.0 + seed, "validate": 9.0, "test": 2.0, "write": 1.0},
        "train_flops": int(2.5e15),
        "tuning_seconds": 33.0,
    }
    made["tuning"] = [
        {"lr": lr, "val_dice": 0.5, "val_loss": 0.4, "steps": 10, "seconds": 16.5, "chosen": lr == 0.002}
        for lr in (0.0005, 0.002, 0.008)
    ]
    made["model"]["matched"] = {
        "what": "params",
        "reference": "unet",
        "target": 1_941_122,
        "reached": 1_946_945,
        "ratio": 1.003,
    }
    made["events"] = ORDER
    return made | change


def baseline(label: str, dice: float, **change: Any) -> dict[str, Any]:
    change = {"id": label.replace(" ", "-"), "baseline": True, "cost": None, "curves": None, **change}
    made = record(label, 0, np.full(12, dice), **change)
    made["trial"]["train"] = {}
    if made["status"] != "ok":
        return made
    made["result"] |= {"foreground": {"dice": dice, "recall": 1.0}, "calibration": {"brier": 0.2}}
    made["result"] |= {"predictions": f"constant {label}", "false_alarms": {"membrane": 1}}
    return made


def everything(path: Path) -> Path:
    """Four variants x three seeds with all that can be told of them, four baselines, and failures."""
    scores = {"unet": 0.80, "unet_bilinear": 0.802, "unet_noskip": 0.70, NASTY: 0.45}
    made = [
        full(label, seed, mean, noise=label == "unet_bilinear" and seed > 0, unit=2 + k)
        for k, (label, mean) in enumerate(scores.items())
        for seed in (0, 1, 2)
    ]
    for one in made[9:]:
        one["flags"] = [{"kind": "collapse", "text": f"one class fills {NASTY} <script>x</script>"}]
        one["result"]["policy"]["rules"] = {NASTY: NASTY}
        one["cost"]["phases"] = {NASTY: 3.0, **one["cost"]["phases"]}
        one["model"]["matched"] = {"what": "params", "reference": NASTY, "ratio": 0.98}
    made[10]["result"]["predictions"] = made[9]["result"]["predictions"]
    made[4]["resumed"] = [120]
    made[5]["tuning"][1]["chosen"], made[5]["tuning"][2]["chosen"] = False, True
    known = {"all background": 0.0, "all foreground": 0.36, "otsu": 0.41, "logistic regression": 0.55}
    made += [baseline(label, dice) for label, dice in known.items()]
    stopped = [
        full("unet_big", s, 0, status=status, reason=f"{status} in phase 'train'", result=None, cost=None)
        for s, status in enumerate(("timeout", "hung"))
    ]
    return folder_of(path, *made, *stopped)


def facts_of(*records: dict[str, Any]) -> dict[str, Any]:
    t = load(*records)
    return context(t, summarise(t), compare(score_grids(t.images), "unet"), {}, "unet")


def said(*records: dict[str, Any]) -> str:
    return "\n".join(red_lines(load(*records)))


def test_a_full_report(tmp_path: Path):
    folder = everything(tmp_path / "a")
    made = outputs(write_report(folder).parent)
    page, summary = made["index.html"].decode(), made["summary.md"].decode()
    drawn = set(NAMES) - {"predictions"}  # no samples here
    assert {name for name in made if name.startswith("plots/")} == {
        f"plots/{n}.{s}" for n in drawn for s in ("png", "svg")
    }
    assert "<b>x|y" not in page + summary
    assert "<script" not in page + summary
    assert "&lt;b&gt;x|y&lt;/b&gt;" in page
    assert not re.search(r'(src|href)="(?!data:|https://)', page)
    assert page.index('class="answer"') < page.index('class="alarms"') < page.index("<table>") < page.index("<figure")
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


def test_baselines_are_rows_for_reference_only(tmp_path: Path):
    models = [full(label, s, mean) for label, mean in (("unet", 0.8), ("unet_b", 0.7)) for s in (0, 1)]
    trivial = [baseline("otsu", 0.41), baseline("all background", 0.2)]
    alone, together = facts_of(*models), facts_of(*models, *trivial)
    for key in ("answer", "trials", "finished", "failures", "per_class", "variants", "protocol", "order", "warnings"):
        assert together[key] == alone[key]
    assert [(r["model"], r["first"]) for r in together["rows"]] == [(r["model"], r["first"]) for r in alone["rows"]]
    assert [b["model"] for b in together["baselines"]] == ["otsu", "all background"]
    assert best_baseline(load(*models, *trivial)) == ("otsu", pytest.approx(0.41))
    assert {len(load(*models, *trivial).images), len(load(*models).images)} == {4 * 12}
    page = write_report(folder_of(tmp_path / "f", *trivial)).read_text()
    assert "No trial finished" in page
    failed = baseline("otsu", 0.4, status="crashed", reason="no threshold")
    (failure,) = facts_of(*models, failed)["failures"]
    assert (failure["who"], failure["reason"]) == ("otsu", "no threshold")


def test_a_model_no_better_than_a_baseline_is_a_red_line():
    models = [full("unet", 0, 0.8), full("unet_b", 0, 0.4), full("unet_b", 1, 0.41)]
    text = said(*models, baseline("otsu", 0.5), baseline("all background", 0.1))
    assert re.search(r"Not better than the baseline otsu \(Dice 0\.500\): unet_b \(0\.40\d\)\.", text)
    assert "baseline" not in said(*models)


def test_the_best_baseline_is_in_the_dice_plots(tmp_path: Path):
    models = [full(label, 0, mean) for label, mean in (("unet", 0.8), ("unet_b", 0.5))]
    names = ("dice_vs_latency", "dice_vs_params", "dice_vs_memory", "dice_distribution")
    for dice, words in ((0.6, "dotted line"), (0.1, "below this scale"), (0.99, "above this scale")):
        t = load(*models, baseline("otsu", dice))
        look = looks(["unet", "unet_b"], "unet")
        summary = summarise(t)
        figures = [plot(summary, look, best_baseline(t)) for plot in PARETO.values()]
        figures.append(dice_distribution(t.images, look, best_baseline(t)))
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


def test_equal_predictions_are_suspect():
    a, b, c = (
        full(label, seed, mean) for label, seed, mean in (("unet", 0, 0.8), ("unet", 1, 0.8), ("unet_b", 0, 0.7))
    )
    assert "exactly the same" not in said(a, b, c)
    b["result"]["predictions"] = c["result"]["predictions"] = a["result"]["predictions"]
    assert "unet (seeds 0 and 1) and unet_b (seed 0) predict exactly the same" in said(a, b, c)
    constant = baseline("all background", 0.0)
    constant["result"]["predictions"] = a["result"]["predictions"]
    assert "unet (seed 0) and all background predict exactly the same" in said(a, constant)
    twin = baseline("otsu", 0.0) | {"result": constant["result"]}
    assert "exactly the same" not in said(full("unet", 2, 0.8), constant, twin)  # no model among them
    twins = [full("unet", 0, 0.8), full("twin", 0, 0.8)]
    for twin in twins:
        twin["result"]["dice"] = 0.8
    assert "share a test Dice" not in said(*twins)  # told apart by their hashes
    for twin in twins:
        twin["result"]["predictions"] = None
    assert "twin and unet share a test Dice of 0.800000" in said(*twins)


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
    facts = facts_of(full("unet", 0, 0.8), full("unet", 1, 0.8), record("unet_old", 0, 0.7))
    assert facts["timings"] == [
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
    (memory,) = facts["memory"]
    assert (memory["predicted_train"], memory["tensor_train"]) == ("196.0", "200.0")
    assert (memory["error_train"], memory["error_infer"]) == ("\u22122.0 %", "+0.0 %")
    assert (memory["peak_train"], memory["peak_infer"]) == ("128", "32")
    unet, old = facts["training"]
    assert unet | {"variant": ""} == {
        "variant": "",
        "steps": "10 (10 to 11)",
        "seconds": "60.5 s",
        "rate": "14.3",
        "compute": "2.5 PFLOP",
        "lr": "0.002",
        "sweep": "33 s",
    }
    assert (old["steps"], old["lr"], old["compute"]) == ("\u2013", "0.001", "\u2013")
    assert "Learning rates tried: 0.0005, 0.002, 0.008;" in facts["sweep"]
    assert "took 66 s in all, over 2 trials" in facts["sweep"]


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
    assert texts == ["200", "294 (predicted)", "200"]
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
    assert [compute(v) for v in (3e9, 2e12, 4.25e18, None)] == ["3 GFLOP", "2 TFLOP", "4.25 EFLOP", "\u2013"]


def test_what_was_matched_is_said():
    a, b, old = full("unet_a", 0, 0.8), full("unet_b", 0, 0.7), record("unet", 0, 0.6)
    b["model"]["matched"] |= {"ratio": 0.985}
    reference = full("unet", 0, 0.6)
    assert matched(load(a, b, reference).models) == matched(load(a, b, old).models)  # it meets itself
    assert matched(load(a, b, old).models) == [
        "Widths chosen so that parameters meet unet's within 1.5 %: unet_a x1.003 and unet_b x0.985."
    ]
    facts = facts_of(a, b, old)
    assert facts["notes"] == matched(load(a, b, old).models)
    by_name = {v["model"]: v["matched"] for v in facts["variants"]}
    assert by_name["unet_a"] == "parameters matched to unet: 1.947 M for 1.941 M, x1.003"
    assert by_name["unet"] is None


def test_metrics_with_units_ways_and_counts():
    facts = facts_of(full("unet", 0, 0.8), full("unet", 1, 0.8), baseline("otsu", 0.4))["metrics"]
    assert [h["title"].replace("\u00a0", " ") for h in facts["heads"]] == [
        "Dice ↑", "IoU ↑", "precision ↑", "recall ↑", "specificity ↑", "NSD ↑", "HD95 ↓", "ASSD ↓", "boundary IoU ↑",
        "Brier ↓", "ECE ↓",
    ]  # fmt: skip
    assert [h["unit"] for h in facts["heads"] if h["unit"]] == ["px", "px"]
    (row,) = facts["rows"]
    assert row["cells"][6] == {"mean": "6.25", "sd": "± 0.00"}
    assert row["counts"] == "0 / 2 / 4 / 6"  # of the foreground class alone
    assert [r["variant"] for r in facts["baselines"]] == ["otsu"]
    assert facts_of(record("unet", 0, 0.8))["metrics"] == {}


def test_the_order_of_reading():
    def first_line(*records: dict[str, Any]) -> str:
        return "\n".join(order_of_reading(load(*records).models))

    good, old = [full("unet", s, 0.8) for s in (0, 1)], record("unet_old", 0, 0.7)
    assert first_line(*good) == "In all 2 trials the test split was read once, after the weights had been chosen."
    assert first_line(old) == ""
    assert "In 2 of 3 trials" in first_line(*good, old)
    assert "1 trial does not say" in first_line(*good, old)
    assert "test split" not in said(*good, old)
    read, select, test = ORDER[0], ORDER[2], ORDER[3]
    for wrong in ([read, test, select], [select, test, test], [read, test], [read, select], [select, test, read]):
        assert "after the weights had been chosen: unet_b (seed 0)." in said(
            *good, full("unet_b", 0, 0.7, events=wrong)
        )
    went_on = full("unet_b", 3, 0.7, resumed=[40, 80])
    assert first_line(went_on).endswith("Interrupted and resumed: unet_b (seed 3 at step 40 and 80).")


@pytest.mark.parametrize("status", ["timeout", "hung"])
def test_stopped_trials_are_failures(status: str):
    facts = facts_of(full("unet", 0, 0.8), record("unet_b", 0, status=status))
    assert [f["status"] for f in facts["failures"]] == [status]
    assert [r["failed"] for r in facts["rows"]] == [0, 1]


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
    assert "nan" not in re.sub(r"base64,[^\"]*|<style>.*?</style>", "", page, flags=re.DOTALL)


def test_scoring_in_words():
    a, b = full("unet", 0, 0.8), full("unet", 1, 0.8)
    assert facts_of(a, b)["policies"] == [
        "Options of scoring: both empty exclude, tolerance 2, unit px.",
        "Miss: 0 for overlaps.",
    ]
    assert facts_of(record())["policies"] == []


def test_data_in_another_folder_is_the_same_configuration():
    a, b = full("unet", 0, 0.8), full("unet", 1, 0.8)
    for made, root in ((a, "/here"), (b, "/there")):
        made["trial"]["data"] = {**made["trial"]["data"], "root": root}
    assert set(load(a, b).trials["model"]) == {"unet"}
