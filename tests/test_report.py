"""The report on synthetic records: statistics checked by hand, identical bytes on a second run, hostile input."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unetzoo.errors import UnetzooError
from unetzoo.records.fields import label_of
from unetzoo.records.frame import safe_columns, tables
from unetzoo.records.record import Record
from unetzoo.report import write_report
from unetzoo.report.alarms import red_lines
from unetzoo.report.plots import NAMES, PARETO, pareto_front
from unetzoo.report.predictions import paint
from unetzoo.report.sections import answer, context
from unetzoo.report.statistics import (
    compare,
    first_chances,
    holm,
    means,
    pick_reference,
    score_grids,
    summarise,
    two_sided_p,
    widening,
)
from unetzoo.report.words import escape_markdown

NASTY = "<b>x|y</b> $a$ `c`\nd"
IMAGE_EFFECT = np.linspace(-0.05, 0.05, 12)


def record(
    label: str = "unet", seed: int = 0, dice: Any = 0.8, images: int = 6, status: str = "ok", **change: Any
) -> dict[str, Any]:
    """Return a record as JSON; ``dice`` is the membrane Dice of every image, or one value per image."""
    values = [None if d is None else float(d) for d in (np.full(images, dice) if np.isscalar(dice) else dice)]
    per_image = {
        f"slice_{k}": {m: {"interior": 0.9, "membrane": v} for m in ("dice", "iou")} for k, v in enumerate(values)
    }
    known = [v for v in values if v is not None]
    mean = float(np.mean(known)) if known else None
    classes = {"membrane": {"dice": mean, "iou": mean}, "interior": {"dice": 0.9, "iou": 0.9}}
    names = list(classes)
    made = {
        "id": f"{hash_of(label):08x}{seed}",
        "status": status,
        "reason": None if status == "ok" else "loss is not | finite\nat step 3",
        "suite": "upsampling",
        "trial": {
            "protocol": 1,
            "model": {"name": label.split("_")[0], "label": label, "options": {}},
            "data": {"name": "isbi", "options": {}, "digest": "d1"},
            "train": {"steps": 10, "batch_size": 2, "lr": 0.001},
            "seed": seed,
        },
        "model": {
            "paper": {"title": "U-Net", "authors": ["A", "B"], "year": 2015},
            "diff": {"up": ["a", label]},
        },
        "data": {
            "class_names": ["interior", "membrane"],
            "foreground": [1],
            "splits": {"test": {"n": images, "digest": "ff"}},
        },
        "result": {
            "dice": mean,
            "iou": mean,
            "per_class": classes,
            "pooled": classes,
            "per_image": per_image,
            "undefined": dict.fromkeys(names, 0),
            "missed": dict.fromkeys(names, 1),
            "best_step": 8,
            "best_val_dice": 0.7,
        },
        "curves": {"train": [[1, 0.9], [10, 0.3]], "val": [[5, 0.5, 0.6], [10, 0.4, None]]},
        "cost": {
            "params": 1_900_000 * (1 + len(label)),
            "macs": 10**9,
            "shape": [1, 1, 64, 64],
            "train_shape": [2, 1, 64, 64],
            "peak_train_bytes": 2**27,
            "memory_method": "tracked",
            "latency_p50_ms": 20.0,
            "latency_p90_ms": 25.0,
            "latency_repeats": 10,
            "latency_method": "timer",
        },
        "environment": {"torch": "2.9", "device": "cpu", "threads": 1},
    }
    if status != "ok":
        made |= {"result": None, "curves": None, "cost": None}
    return made | change


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[-4:], "big")


def folder_of(path: Path, *records: dict[str, Any]) -> Path:
    (path / "records").mkdir(parents=True)
    for made in records:
        (path / "records" / f"{made['id']}.json").write_text(json.dumps(made))
    return path


def noisy(label: str, seed: int, mean: float, **change: Any) -> dict[str, Any]:
    noise = np.random.default_rng([seed, hash_of(label)]).normal(0, 0.004, len(IMAGE_EFFECT))
    return record(label, seed, mean + IMAGE_EFFECT + noise, **change)


def rich(path: Path) -> Path:
    """Write records of three variants and three seeds, with samples, failures, a hostile name and a broken record."""
    scores = {"unet": 0.80, "unet_small": 0.72, NASTY: 0.80}
    made = [noisy(label, seed, mean) for label, mean in scores.items() for seed in (0, 1, 2)]
    made[0]["samples"] = [{"key": "slice_1", "image": "i.png", "truth": "t.png", "prediction": "p.png"}]
    made[3]["samples"] = [{"key": "slice_1", "image": "i.png", "truth": "t.png", "prediction": "gone.png"}]
    folder = folder_of(path, *made, record("unet_big", 0, status="oom", log_tail="<script>alert(1)</script>"))
    (folder / "records" / "zz.json").write_text("{not json")
    rng = np.random.default_rng(0)
    truth = (rng.random((40, 60)) > 0.5).astype(np.uint8)
    truth[:5] = 255
    for name, pixels in {"i": rng.integers(0, 255, (40, 60), np.uint8), "t": truth, "p": truth % 255}.items():
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "records" / f"{name}.png")
    return folder


def outputs(folder: Path) -> dict[str, bytes]:
    found = [p for p in sorted(folder.rglob("*")) if p.is_file() and "records" not in p.parts]
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def grids(*records: dict[str, Any]) -> dict[str, pd.DataFrame]:
    return score_grids(load(*records).images)


def load(*records: dict[str, Any]) -> Any:
    return tables([Record.model_validate_json(json.dumps(r)) for r in records], [])


def test_nobody_is_cheapest_where_nobody_was_judged() -> None:
    t = load(noisy("unet", 0, 0.7), noisy("unet_small", 0, 0.6))  # one seed: "not enough data"
    comparisons = compare(score_grids(t.images), "unet")
    assert [c.verdict for c in comparisons] == ["not enough data"]
    rows = [{**r, "first": None, "versus": None} for r in summarise(t).to_dict("records")]
    rows[1]["versus"] = comparisons[0]
    assert not any("Cheapest" in line for line in answer(rows, "unet"))


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the report of a folder, which tests must not change."""
    folder = rich(tmp_path_factory.mktemp("reported") / "a")
    assert write_report(folder) == folder / "index.html"
    return folder


def test_a_full_report(reported: Path, tmp_path: Path):
    folder = reported
    made = outputs(folder)
    drawn = set(NAMES) - {"memory_split", "phases"}  # these records lack the newer fields
    plots = {f"plots/{name}.{suffix}" for name in drawn for suffix in ("png", "svg")}
    assert set(made) == plots | {"index.html", "summary.md", "results.csv"}
    assert max(len(made[p]) for p in plots) < 500_000
    page, summary = made["index.html"].decode(), made["summary.md"].decode()
    assert "unet_small scores lower than unet (Dice 0.7" in page
    assert "<b>x|y" not in page
    assert "&lt;b&gt;x|y&lt;/b&gt;" in page
    assert "<script" not in page
    assert str(folder) not in page + summary
    assert not re.search(r'(src|href)="(?!data:|https://)', page)
    rows = [line for line in summary.splitlines() if line.startswith("| ")]
    (nasty,) = [r for r in rows if r.startswith(r"| &lt;b&gt;x\|y&lt;/b&gt; $a$ \`c\` d | 0.")]
    assert nasty.replace(r"\|", "").count("|") == rows[0].count("|")
    assert summary.index("| variant |") < summary.index("![")

    shutil.copytree(folder / "records", tmp_path / "b" / "records")
    write_report(tmp_path / "b")
    write_report(folder)
    assert outputs(folder) == outputs(tmp_path / "b") == made


def links(text: str) -> list[str]:
    """Return the files that a Markdown or HTML text links to."""
    found = re.findall(r'\]\(([^)]+)\)|(?:src|href)="([^"]+)"', text)
    return [link for pair in found for link in pair if link and not link.startswith(("data:", "https://"))]


def test_a_brief_report_links_only_to_what_it_keeps(reported: Path, tmp_path: Path):
    folder = tmp_path / "a"
    shutil.copytree(reported, folder)
    assert write_report(folder, brief=True) == folder / "summary.md"
    made = outputs(folder)
    assert set(made) == {"summary.md", "results.csv", *(f"plots/{name}.png" for name in PARETO)}
    assert sorted(links(made["summary.md"].decode())) == sorted(f"plots/{name}.png" for name in PARETO)
    assert "unetzoo report" in made["summary.md"].decode()
    assert "Not drawn" not in made["summary.md"].decode()
    write_report(folder)
    assert outputs(folder) == outputs(reported)


def test_results_csv(reported: Path):
    table = pd.read_csv(reported / "results.csv")
    assert table["model"].dropna().tolist() == sorted(table["model"].dropna())
    assert {"dice_interior", "iou_membrane", "val_dice", "wall_seconds", "reason"} <= set(table)
    assert table["status"].value_counts().to_dict() == {"ok": 9, "oom": 1, "unreadable": 1}
    failed = table[table["status"] == "oom"].iloc[0]
    assert pd.isna(failed["dice"])
    assert failed["reason"] == "loss is not | finite at step 3"
    assert "zz.json" in table["reason"].iloc[-1]
    assert ",20900000,1000000000,134217728,," in (reported / "results.csv").read_text()  # integers stay integers


def test_no_torch_and_a_cheap_import():
    code = "import sys, unetzoo.report; assert not {'pandas', 'matplotlib'} & set(sys.modules); "
    code += "import unetzoo.report.page; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([record()], id="one model, one seed"),
        pytest.param([record(seed=s, dice=0.5) for s in range(3)], id="constant"),
        pytest.param([record(status="nan"), record("unet_b", status="crashed")], id="all failed"),
        pytest.param([record(dice=[None] * 6), record("unet_b", dice=[None] * 6)], id="no scores"),
        pytest.param([record(dice=[0.5]), record("unet_b", dice=[0.6])], id="one image"),
        pytest.param([record(cost=None, curves=None), record("b", cost=None, curves=None)], id="no costs"),
        pytest.param([record(data={}, trial={}, environment={})], id="bare"),
        pytest.param([record("日本\x01語 \N{GRINNING FACE}"), record("_*[a](b)_")], id="odd letters"),
        pytest.param([record(f"unet_{k}", dice=0.01 * k) for k in range(12)], id="many variants"),
        pytest.param(
            [
                record(),
                record("unet_b", suite="other", trial={"model": {"label": "z"}, "data": {"digest": "d2"}}),
            ],
            id="mixed",
        ),
    ],
)
def test_nothing_breaks_it(tmp_path: Path, records: list[dict[str, Any]]):
    page = write_report(folder_of(tmp_path / "f", *records)).read_text()
    assert "nan" not in re.sub(r"base64,[^\"]*|<style>.*?</style>|nan, loss", "", page, flags=re.DOTALL)


def test_stale_plots_go(reported: Path, tmp_path: Path):
    folder = shutil.copytree(reported, tmp_path / "f")
    (folder / "plots" / "mine.png").write_bytes(b"kept")
    for path in (folder / "records").glob("*.json"):
        path.unlink()
    (folder / "records" / "a.json").write_text(json.dumps(record(status="crashed")))
    page = write_report(folder).read_text()
    assert [p.name for p in (folder / "plots").iterdir()] == ["mine.png"]
    assert "Not drawn" in page
    assert "No trial finished" in page


def test_what_cannot_be_reported(tmp_path: Path):
    with pytest.raises(UnetzooError, match="no such folder"):
        write_report(tmp_path / "none")
    with pytest.raises(UnetzooError, match="looked for a folder 'records'"):
        write_report(tmp_path)
    (tmp_path / "records").mkdir()
    with pytest.raises(UnetzooError, match=r"looked for \*\.json"):
        write_report(tmp_path)
    folder = folder_of(tmp_path / "f", record())
    (folder / "plots").write_text("a file where the folder should be")
    with pytest.raises(UnetzooError, match="cannot write the report") as caught:
        write_report(folder)
    assert "\n" not in str(caught.value)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_monotone_and_between_raw_and_bonferroni(p: list[float]):
    corrected = holm(p)
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.asarray(corrected)[order]) >= 0).all()
    assert all(a <= c <= 1 and c <= max(a * len(p), max(corrected)) for a, c in zip(p, corrected, strict=True))


def test_two_sided_p_by_hand():
    assert two_sided_p(np.zeros(99)) == 1.0
    assert two_sided_p(np.ones(99)) == pytest.approx(2 / 100)
    assert two_sided_p(np.array([-1.0] * 10 + [1.0] * 89)) == pytest.approx(2 * 11 / 100)


def test_weighted_means_leave_out_what_has_no_score():
    x = np.array([[0.2, np.nan, 0.4], [0.6, 0.8, np.nan]])
    one = np.ones((1, 3))
    assert means(x, one, np.ones((1, 2))) == pytest.approx([(0.3 + 0.7) / 2])
    assert means(x, np.array([[1.0, 0, 3]]), np.array([[2.0, 0]])) == pytest.approx([(0.2 + 1.2) / 4])
    assert np.isnan(means(np.full((1, 3), np.nan), one, np.ones((1, 1)))).all()


def test_identical_variants_are_indistinguishable():
    made = [noisy(label, s, 0.8) for label in ("unet",) for s in range(3)]
    twins = [json.loads(json.dumps(r).replace('"label": "unet"', '"label": "twin"')) for r in made]
    (c,) = compare(grids(*made, *twins), "unet")
    assert (c.difference, c.low, c.high, c.p_holm, c.verdict) == (0.0, 0.0, 0.0, 1.0, "indistinguishable")
    assert first_chances(grids(*made, *twins)) == {"twin": 0.5, "unet": 0.5}
    assert "one network twice" in " ".join(red_lines(load(*made, *twins)))


def test_a_clear_shift_is_better_or_worse():
    scores = {"unet": 0.7, "unet_up": 0.75, "unet_down": 0.6}
    found = grids(*[noisy(label, s, mean) for label, mean in scores.items() for s in range(3)])
    down, up = compare(found, "unet")
    assert (down.verdict, up.verdict) == ("worse", "better")
    assert up.low is not None
    assert up.high is not None
    assert 0.04 < up.low < up.difference < up.high < 0.06
    assert (up.agree, up.seeds, up.images) == (3, 3, 12)
    assert first_chances(found)["unet_up"] == 1.0


def test_the_interval_is_the_bootstrap_of_paired_differences():
    """Images and seeds resampled by hand, on complete data, give the same interval."""
    made = [noisy(label, s, 0.7) for label in ("unet", "unet_b") for s in range(3)]
    found = grids(*made)
    (c,) = compare(found, "unet")
    d = found["unet_b"].to_numpy() - found["unet"].to_numpy()
    rng = np.random.default_rng(5)
    seeds, images = rng.integers(0, 3, (4000, 2)), rng.integers(0, 12, (4000, 11))
    drawn = d[seeds[:, :, None], images[:, None, :]].mean((1, 2))
    wide = d.mean() + widening(d) * (np.percentile(drawn, [2.5, 97.5]) - d.mean())
    assert c.difference == pytest.approx(d.mean())
    assert [c.low, c.high] == pytest.approx(wide, abs=4e-4)


def test_few_seeds_widen_the_interval():
    by_seed = np.array([[0.1], [0.2], [0.4]]) + np.zeros((3, 12))
    assert widening(by_seed) == pytest.approx(4.3027 / 1.9600, abs=1e-3)  # t with two degrees of freedom
    assert widening(by_seed[:1] + np.linspace(0, 1, 12)) == pytest.approx(2.2010 / 1.9600, abs=1e-3)
    assert widening(np.full((3, 12), 0.1)) == widening(np.full((2, 3), np.nan)) == 1.0


def test_thin_evidence_gets_no_verdict():
    few = [record(label, s, dice, images=4) for label, dice in (("unet", 0.2), ("b", 0.9)) for s in range(3)]
    (c,) = compare(grids(*few), "unet")
    assert (c.verdict, c.p) == ("not enough data", None)
    assert "4 test images" in c.note
    (c,) = compare(grids(noisy("unet", 0, 0.5), noisy("b", 0, 0.9)), "unet")
    assert c.verdict == "not enough data"
    assert "seed-to-seed variation is not covered" in c.note
    assert c.low is not None
    (c,) = compare(grids(noisy("unet", 0, 0.5), noisy("b", 1, 0.9)), "unet")
    assert "no seed" in c.note


def test_a_false_alarm_counts_where_the_reference_has_no_score():
    good = [None, 0.8, 0.8, 0.8, 0.8, 0.8]
    found = grids(*[record("unet", s, good) for s in (0, 1)], *[record("b", s, [0, *good[1:]]) for s in (0, 1)])
    (c,) = compare(found, "unet")
    assert c.difference == pytest.approx(0.8 * 5 / 6 - 0.8)


def test_summary_and_reference():
    t = load(record("unet", 0, 0.6), record("unet", 1, 0.8), record("b", 0, 0.9), record("c", 0, status="nan"))
    summary = summarise(t).set_index("model")
    assert summary.index.tolist() == ["b", "unet", "c"]
    assert summary.loc["unet", ["dice", "dice_sd"]].tolist() == pytest.approx([0.7, 0.02**0.5])
    assert summary.loc["c", ["seeds", "failed"]].tolist() == [0, 1]
    assert pick_reference(t.done) == "unet"
    assert pick_reference(t.done, matched="b") == "b"
    assert pick_reference(t.done, matched="gone") == "unet"
    assert pick_reference(load(record("unet_z"), record("a")).done) == "unet_z"  # by name
    assert pick_reference(load(record("z"), record("a")).done) == "a"
    assert pick_reference(load(record(status="nan")).done) is None


def test_the_answer_in_words():
    made = [noisy(label, s, mean) for label, mean in (("unet", 0.8), ("b", 0.7), ("c", 0.8)) for s in range(3)]
    t = load(*made)
    found = score_grids(t.images)
    variables = context(t, summarise(t), compare(found, "unet"), first_chances(found), "unet")
    text = " ".join(variables["answer"])
    assert re.search(r"b scores lower than unet \(Dice 0\.\d+ against 0\.\d+, 95 % interval", text)
    assert "c is on this evidence indistinguishable from unet." in text
    assert answer([], None) == ["No trial finished with a test score, so there is no result yet."]
    assert variables["failures"] == []


def test_mixed_conditions_are_said():
    other = record("b", environment={"device": "cuda"}, suite="another")
    text = " ".join(red_lines(load(record(), other)))
    assert "2 different suites" in text
    assert "2 different devices" in text


def test_one_label_for_two_configurations_is_two_variants():
    longer = record(seed=1)
    longer["trial"] = {**longer["trial"], "train": {"steps": 99}}
    labels = load(record(), record("b"), longer).trials["model"].tolist()
    assert labels[0] == "b"
    assert len(set(labels)) == 3
    assert all(re.fullmatch(r"unet \[[0-9a-f]{4}\]", label) for label in labels[1:])
    assert load(record(), record(seed=1)).trials["model"].tolist() == ["unet", "unet"]


def test_small_parts():
    assert safe_columns(["a b", "a-b", "%"]) == {"a b": "a_b", "a-b": "a_b_2", "%": "class"}
    assert pareto_front([3, 1, 2, 2], [0.9, 0.5, 0.4, 0.7]) == [1, 3, 0]
    assert escape_markdown("a_b |`x`| <i>\n_y_") == r"a_b \|\`x\`\| &lt;i&gt; \_y\_"
    assert label_of(Record.model_validate_json(json.dumps(record(trial={})))) == record()["id"]


def test_errors_are_painted_by_kind():
    made = Record.model_validate_json(json.dumps(record()))
    truth, guess = (np.array([row], np.uint8) for row in ([0, 1, 0, 1, 255], [0, 1, 1, 0, 1]))
    background, correct, false_positive, false_negative, ignored = map(tuple, paint(truth, guess, made)[0].tolist())
    assert false_positive == (0xE6, 0x9F, 0x00)
    assert false_negative == (0x00, 0x72, 0xB2)
    assert ignored == (0x9A, 0x9A, 0x9A)
    assert background != correct
