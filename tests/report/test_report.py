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
from PIL import Image

from support.records import NASTY, folder_of, load, noisy, outputs, record
from unetzoo.errors import UnetzooError
from unetzoo.records.columns import safe_columns
from unetzoo.records.fields import label_of
from unetzoo.records.record import Record
from unetzoo.report import write_report
from unetzoo.report.alarms import red_lines
from unetzoo.report.plots import NAMES, PARETO, pareto_front
from unetzoo.report.predictions import paint
from unetzoo.report.words import escape_markdown


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


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the report of a folder, which tests must not change."""
    folder = rich(tmp_path_factory.mktemp("reported") / "a")
    assert write_report(folder) == folder / "index.html"
    return folder


def test_a_full_report(reported: Path, tmp_path: Path):
    folder = reported
    made = outputs(folder)
    drawn = set(NAMES) - {"memory_split", "phases", "size_scaling"}  # these records lack the newer fields
    plots = {f"plots/{name}.{suffix}" for name in drawn for suffix in ("png", "svg")}
    own = {f"variants/{name}.html" for name in ("unet", "unet_big", "unet_small", "b-x-y-b-a-c-d-c241c4de")}
    assert set(made) == plots | own | {"index.html", "images.html", "summary.md", "results.csv", "verdicts.csv"}
    assert max(len(made[p]) for p in plots) < 500_000
    page, summary = made["index.html"].decode(), made["summary.md"].decode()
    assert "unet_small scores lower than unet (Dice 0.7" in page
    assert "<b>x|y" not in page
    assert "&lt;b&gt;x|y&lt;/b&gt;" in page
    assert page.count("<script") == 2  # the page's own: its data, its code
    assert all(made[name].count(b"<script") == 1 for name in (*own, "images.html"))
    assert str(folder) not in page + summary
    assert not re.search(r'(src|href)="(?!data:|https://|variants/[\w-]+\.html"|images\.html")', page)
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
    assert set(made) == {"summary.md", "results.csv", "verdicts.csv", *(f"plots/{name}.png" for name in PARETO)}
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
    assert "nan" not in re.sub(
        r"base64,[^\"]*|<style>.*?</style>|<script.*?</script>|nan, loss", "", page, flags=re.DOTALL
    )


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
