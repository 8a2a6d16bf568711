"""The report on records with every field: baselines, flags, noise, budgets, memory, phases, metrics, order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_report import NASTY, folder_of, hash_of, load, noisy, outputs, record

from unetzoo.records.frame import METRICS, read_records
from unetzoo.report import write_report
from unetzoo.report.alarms import MOST_FLAGS, best_baseline, red_lines
from unetzoo.report.plots import NAMES, PARETO, dice_distribution
from unetzoo.report.sections import context
from unetzoo.report.statistics import compare, score_grids, summarise
from unetzoo.report.style import BASELINE, looks

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
    """Return a record with every field, as JSON."""
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
        "predicted_train_seconds": 58.0,
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
    """Return records of four variants and three seeds with every field, four baselines, and failures."""
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


def variables_of(*records: dict[str, Any]) -> dict[str, Any]:
    t = load(*records)
    return context(t, summarise(t), compare(score_grids(t.images), "unet"), {}, "unet")


def flagged(*records: dict[str, Any]) -> str:
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
    alone, together = variables_of(*models), variables_of(*models, *trivial)
    for key in ("answer", "trials", "finished", "failures", "per_class", "variants", "protocol", "order", "warnings"):
        assert together[key] == alone[key]
    assert [(r["model"], r["first"]) for r in together["rows"]] == [(r["model"], r["first"]) for r in alone["rows"]]
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


@pytest.mark.parametrize("status", ["timeout", "hung"])
def test_stopped_trials_are_failures(status: str):
    variables = variables_of(full("unet", 0, 0.8), record("unet_b", 0, status=status))
    assert [f["status"] for f in variables["failures"]] == [status]
    assert [r["failed"] for r in variables["rows"]] == [0, 1]


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


def test_data_in_another_folder_is_the_same_configuration():
    a, b = full("unet", 0, 0.8), full("unet", 1, 0.8)
    for made, root in ((a, "/here"), (b, "/there")):
        made["trial"]["data"] = {**made["trial"]["data"], "root": root}
    assert set(load(a, b).trials["model"]) == {"unet"}


def test_variants_that_trained_differently_are_said_to_and_how() -> None:
    other = record("b")
    other["trial"] = {**other["trial"], "train": {"steps": 10, "batch_size": 1, "lr": 0.001, "optimizer": "sgd"}}
    notes = " ".join(variables_of(record(), other, record("c"))["notes"])
    assert "not trained alike" in notes
    assert "b: batch_size 1, optimizer sgd; c and unet: batch_size 2." in notes
    assert "steps" not in notes.partition("not trained alike")[2]
    assert not any("alike" in note for note in variables_of(record(), record("b"))["notes"])


def test_the_wait_for_data_is_said_as_the_worst_trials_share() -> None:
    slow = record("b")
    slow["cost"] = {**slow["cost"], "data_share": 0.041}
    fast = record()
    fast["cost"] = {**fast["cost"], "data_share": 0.002}
    assert "Waiting for data took at most 4.1 % of a trial's training time." in variables_of(fast, slow)["notes"]
    assert list(load(fast, slow).trials["data_share"]) == [0.041, 0.002]
