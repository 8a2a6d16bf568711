"""The page of a collection: verdicts of each data set, mean ranks, and what is missing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import unetzoo
from support.collection import made, page_of, scores
from support.records import NASTY, baseline, noisy, record
from unetzoo.errors import UnetzooError
from unetzoo.records.manifest import MANIFEST
from unetzoo.report import write_report
from unetzoo.report.heat_map import heat_map
from unetzoo.report.matrix import Cell, Row, mean_ranks
from unetzoo.report.verdicts.comparison import Comparison


def test_the_best_and_what_cannot_be_told_from_it(tmp_path: Path) -> None:
    parts = {
        "a": [*scores(unet=0.8, unet_b=0.8, unet_c=0.6), baseline("otsu", 0.5)],
        "b": [*scores(unet=0.7, unet_b=0.6, unet_c=0.75), baseline("otsu", 0.65)],
    }
    text = page_of(made(tmp_path / "f", parts))
    a, b = (next(line for line in text.splitlines() if line.startswith(f"| [{x}]")) for x in "ab")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (a, b)]
    assert sorted(cell[:1] for cell in cells[0][1:3]) == ["*", "="]
    assert cells[0][3].startswith("\u25bc 0.599 ")
    assert cells[1][3].startswith("**\u2605 0.7")
    assert cells[1][1].startswith("\u25bc 0.699 ")
    assert cells[1][4] == "0.650 (otsu)"
    assert "It is open whether one choice can serve all of them" in text
    assert cells[1][2].startswith("\u2013 0.6")
    assert cells[1][2].endswith(" (3 did not learn)")
    assert "b: did not learn, so in no verdict and no rank: unet_b (3 trials)." in text
    parts["b"] = scores(unet=0.7, unet_b=0.8, unet_c=0.6)
    parts["a"] = scores(unet=0.8, unet_b=0.7, unet_c=0.6)
    lower = "each variant is shown to score lower than another on at least one"
    assert f"The choice depends on the data set: {lower}." in page_of(made(tmp_path / "h", parts))
    parts["b"] = scores(unet=0.8, unet_b=0.6, unet_c=0.6)
    assert "One choice can serve all of them: unet is shown to be at most 0.01" in page_of(made(tmp_path / "g", parts))


def test_ranks_that_verdicts_leave_open_are_not_listed(tmp_path: Path) -> None:
    seeds = {"unet": (0.72, 0.80, 0.88), "b": (0.88, 0.80, 0.75), "c": (0.76, 0.86, 0.80)}
    part = [noisy(label, seed, mean) for label, means in seeds.items() for seed, mean in enumerate(means)]
    text = page_of(made(tmp_path / "f", {"x": part, "y": part}))
    answer = text.partition("| data set")[0]
    assert "on every data set, and none is shown to score lower than another on any." in answer
    assert "Ranks tell nothing here" in answer
    assert "mean rank" not in text.replace("leave every mean rank possible", "").lower()


@pytest.mark.parametrize(("sets", "models", "upright"), [(2, 13, True), (3, 5, False), (13, 9, False)])
def test_many_models_stand_below_each_other(sets: int, models: int, upright: bool) -> None:
    def height(models: int) -> int:
        cells = {f"m{i}": Cell(0.8, seeds=3, mark="undecided" if i else "best") for i in range(models)}
        drawn = heat_map([Row(f"d{k}", None, cells, None) for k in range(sets)], [*cells])
        assert drawn is not None
        with Image.open(BytesIO(drawn["png"])) as picture:
            return picture.height

    assert (height(models + 1) > height(models)) == upright


def test_few_test_images_or_one_data_set_give_no_verdict(tmp_path: Path) -> None:
    few = [record(label, seed, dice, images=3) for label, dice in (("unet", 0.8), ("b", 0.6)) for seed in (0, 1, 2)]
    text = page_of(made(tmp_path / "f", {"x": few, "y": few}))
    assert "\u2013 0.600" in text
    assert "Too few verdicts are available to say" in text
    assert "Too few verdicts are available to say" in page_of(made(tmp_path / "g", {"x": scores(unet=0.8, unet_b=0.7)}))


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_rank_nothing(tmp_path: Path, seeds: int) -> None:
    part = [noisy(label, s, mean) for label, mean in (("unet", 0.8), ("b", 0.6)) for s in range(seeds)]
    text = page_of(made(tmp_path / "f", {"x": part, "y": part}))
    assert f"With {seeds} seed{'s' * (seeds > 1)}, nothing here says which variant is better" in text
    assert "Run the suite with --seeds 3" in text
    body = text.partition("## How to read")[0]
    for word in ("\u2605", "rank over", "mean rank", "Highest", "\u25bc", "dice_by_data_set"):
        assert word not in body
    table = pd.read_csv(tmp_path / "f" / "verdicts.csv")
    assert list(table["data"]) == ["x", "y"]
    assert set(table["verdict"]) == {"not enough data"}
    assert table[["low", "high", "p"]].isna().all(axis=None)


def test_a_failed_seed_has_no_star_and_beats_nobody(tmp_path: Path) -> None:
    part = [*scores(unet=0.8, b=0.6, c=0.7), record("unet", 3, status="nan")]
    text = page_of(made(tmp_path / "f", {"x": part, "y": scores(unet=0.8, b=0.6, c=0.7)}))
    x, y = (next(line for line in text.splitlines() if line.startswith(f"| [{label}]")) for label in "xy")
    assert [cell.strip()[:3] for cell in x.split("|")[2:5]] == ["\u2013 0", "\u25bc 0", "**\u2605"]
    assert [cell.strip()[:3] for cell in y.split("|")[2:5]] == ["**\u2605", "\u25bc 0", "\u25bc 0"]
    table = pd.read_csv(tmp_path / "f" / "verdicts.csv").set_index(["data", "reference", "model"])["verdict"]
    assert table["x", "b", "unet"] == table["x", "c", "unet"] == "not enough data"
    assert table["y", "b", "unet"] == table["y", "c", "unet"] == "better"


def rows_of(table: list[list[float | None]]) -> list[Row]:
    """Return rows whose models all have three seeds, and one undecided comparison each."""
    c = Comparison("m1", 3, 12, reference="m0", verdict="undecided", p=0.5, p_adjusted=1.0)
    return [
        Row(
            f"d{k}",
            None,
            {f"m{i}": Cell(dice=dice, seeds=3) for i, dice in enumerate(line)},
            None,
            comparisons={("m1", "m0"): c},
        )
        for k, line in enumerate(table)
    ]


def test_mean_ranks_by_hand() -> None:
    rows = rows_of([[0.9, 0.8, 0.8], [0.5, 0.7, 0.6], [None, 0.1, 0.2]])
    ranks, over = mean_ranks(rows, ["m0", "m1", "m2", "m3"])
    assert over == ["d0", "d1"]  # m3 has no score anywhere and m0 none on d2
    assert [(rank.model, rank.mean, rank.low, rank.high) for rank in ranks] == [
        ("m1", 1.75, 1.0, 3.0),
        ("m0", 2.0, 1.0, 3.0),
        ("m2", 2.25, 1.0, 3.0),
    ]


@given(st.lists(st.lists(st.sampled_from([0.1, 0.2, 0.3, None]), min_size=3, max_size=3), min_size=1, max_size=7))
def test_mean_ranks_add_up(table: list[list[float | None]]) -> None:
    ranks, _ = mean_ranks(rows_of(table), ["m0", "m1", "m2"])
    n = len(ranks)
    assert sum(rank.mean for rank in ranks) == pytest.approx(n * (n + 1) / 2)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    full = scores(unet=0.8, unet_b=0.7)
    lacking = [noisy("unet_b", seed, 0.7) for seed in (3, 4)]
    folder = made(tmp_path / "f", {"a": full, "b": full, "c": [], "d": full[:3]}, b=lacking, c=full)
    text = page_of(folder)
    assert "b: 2 of 8 trials have no record: unet_b (seeds 3 and 4)." in text
    assert "c: no trial has run yet; 6 are planned." in text
    assert "Not in the mean ranks, because a variant cannot be ranked there: c and d." in text
    assert "15 of 23 trials finished" in text
    shutil.rmtree(folder / "d")
    assert "d: no trial has run yet; 3 are planned." in page_of(folder)
    assert "| [d]" not in (folder / "summary.md").read_text()
    (next((folder / "a" / "records").glob("*.json"))).write_text("{")
    assert "a: 1 of 6 trials have no record" in page_of(folder)
    for label in "ab":
        shutil.rmtree(folder / label)
    with pytest.raises(UnetzooError, match="no data set of this collection has a record yet"):
        write_report(folder)


def test_earlier_settings_of_a_variant_are_left_out(tmp_path: Path) -> None:
    now, before = scores(unet=0.8, unet_b=0.7), scores(unet=0.3)
    for r in before:
        r["id"] += "x"
        r["trial"]["train"] = {"steps": 3}
    folder = made(tmp_path / "f", {"a": now, "b": now})
    for r in before:
        (folder / "a" / "records" / f"{r['id']}.json").write_text(json.dumps(r))
    text = page_of(folder)
    assert "3 records with earlier settings" in text
    assert "unet \\[" not in text
    assert len(unetzoo.read_records(folder)) == 15


def test_hostile_names_and_failures(tmp_path: Path) -> None:
    bad = [*scores(**{"unet": 0.8, NASTY: 0.7}), record("unet_x", 0, status="oom", log_tail="<script>")]
    folder = made(tmp_path / "f", {"a": bad, "b": scores(**{"unet": 0.8, NASTY: 0.7})})
    path = folder / MANIFEST
    path.write_text(path.read_text().replace('"Which?"', '"<script>alert(1)</script> | x"').replace("apps", "<i>apps"))
    text = page_of(folder)
    page = (folder / "index.html").read_text()
    assert page.count("<script") == 1  # the page's own
    assert "<script" not in text
    assert "<b>x|y" not in page + text
    assert "<i>" not in page + text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines[:3]] == [8] * 3  # the header and two data sets
    assert "(1 failed)" in text
    before = [(folder / name).read_bytes() for name in ("index.html", "summary.md", "results.csv")]
    page_of(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert [(tmp_path / "elsewhere" / n).read_bytes() for n in ("index.html", "summary.md", "results.csv")] == before


def test_a_damaged_manifest_is_one_line(tmp_path: Path) -> None:
    folder = made(tmp_path / "f", {"a": [record()]})
    path = folder / MANIFEST
    for text in ("{", path.read_text().replace('"a"', '"../a"'), "[]"):
        path.write_text(text)
        with pytest.raises(UnetzooError, match=r"collection\.json: not a unetzoo collection: ") as caught:
            write_report(folder)
        assert "\n" not in str(caught.value)


def test_the_report_of_a_collection_does_not_import_torch(tmp_path: Path) -> None:
    folder = made(tmp_path / "f", {"a": [record()]})
    code = (
        "import sys; from unetzoo.report import write_report; write_report(sys.argv[1]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
