"""Suites over several data sets: reading, refusals, running and the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from test_cli import run as command
from test_report import NASTY, folder_of, noisy, record
from test_report_new_fields import baseline

import unetzoo
from unetzoo.bench.collection import Collection
from unetzoo.bench.lock import LOCK
from unetzoo.bench.run import run
from unetzoo.bench.suite_file import adjust_collection, read_suite
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError
from unetzoo.records.manifest import MANIFEST, folder_name, read_manifest
from unetzoo.report import write_report
from unetzoo.report.matrix import Cell, Row, mean_ranks

TINY = """
question = "Does it depend?"
models = ["unet_d2", { name = "unet_d2", set = { skip = "none" }, label = "noskip" }]
set = { width = 4 }
seeds = 2
baselines = false
[train]
steps = 2
batch_size = 2
crop = 48
validate_every = 2
threads = 1
[measure]
size = 48
repeats = 5
attempts = 1
[[data]]
name = "cells"
options = { n_train = 2, n_val = 1, n_test = 2, size = 48 }
[[data]]
name = "lanes"
label = "driving"
options = { n_train = 2, n_val = 1, n_test = 2, size = 48 }
train = { steps = 3 }
score = { tolerance = 1.0 }
"""


def write(folder: Path, text: str = TINY) -> Path:
    path = folder / "two.toml"
    path.write_text(text)
    return path


def collection(folder: Path, text: str = TINY) -> Collection:
    made = read_suite(write(folder, text))
    assert isinstance(made, Collection)
    return made


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_list_of_data_sets_is_a_collection(tmp_path: Path) -> None:
    made = collection(tmp_path)
    assert (made.name, made.question, list(made.suites)) == ("two", "Does it depend?", ["cells", "driving"])
    cells, driving = made.suites.values()
    assert (cells.data.name, driving.data.name) == ("cells", "lanes")
    assert (cells.train.steps, driving.train.steps, driving.train.crop) == (2, 3, 48)
    assert (cells.score.tolerance, driving.score.tolerance) == (2.0, 1.0)
    assert cells.models == driving.models
    assert cells.seeds == driving.seeds == [0, 1]


def test_one_data_set_in_a_list_is_a_collection_and_a_table_is_not(tmp_path: Path) -> None:
    assert isinstance(read_suite(write(tmp_path, "models = ['unet']\n[[data]]\nname = 'cells'\n")), Collection)
    assert not isinstance(read_suite(write(tmp_path, "models = ['unet']\n[data]\nname = 'cells'\n")), Collection)


def test_a_data_sets_own_budget_replaces_the_common_one(tmp_path: Path) -> None:
    made = collection(tmp_path, TINY.replace("train = { steps = 3 }", "train = { minutes = 1.5 }"))
    assert (made.suites["driving"].train.steps, made.suites["driving"].train.minutes) == (None, 1.5)


def test_a_recipe_named_for_one_data_set_brings_its_own_defaults(tmp_path: Path) -> None:
    made = collection(tmp_path, TINY.replace("train = { steps = 3 }", 'train = { recipe = "paper2015" }'))
    cells, driving = made.suites["cells"].train, made.suites["driving"].train
    assert (driving.optimizer, driving.batch_size, driving.loss) == ("sgd", 1, "cross_entropy")
    assert (driving.crop, driving.steps, cells.optimizer) == (cells.crop, cells.steps, "adamw")


def test_a_collection_made_in_python_is_checked_too(tmp_path: Path) -> None:
    suites = collection(tmp_path).suites
    assert list(unetzoo.Collection(name="c", suites=suites, only=("driving",)).chosen) == ["driving"]
    for wrong, message in (
        ({"suites": {}}, "at least 1"),
        ({"suites": {"../x": suites["cells"]}}, "names a folder too"),
        ({"suites": suites, "only": ("drivin",)}, "did you mean driving"),
    ):
        with pytest.raises(UnetzooError, match=message):
            unetzoo.Collection(name="c", **wrong)


def test_roots_are_relative_to_the_file(tmp_path: Path) -> None:
    made = collection(tmp_path, "models = ['unet']\n[[data]]\nname = 'folder'\nroot = 'mine'\n")
    assert made.suites["folder"].data.root == str(tmp_path / "mine")


HEAD = "models = ['unet']\n"
BAD = {
    "data = []\nmodels = ['unet']": ["data = []"],
    "data = [3]\nmodels = ['unet']": ["data.0 = 3"],
    "[[data]]\nname = 'cells'": ["models is missing"],
    HEAD + "modle = 3\n[[data]]\nname = 'cells'": ["two.toml: unknown option 'modle'"],
    HEAD + "[train]\nstep = 3\n[[data]]\nname = 'cells'": ["two.toml: unknown option 'train.step'"],
    HEAD + "[[data]]\nlabel = 'a'": ["data.0.name is missing"],
    HEAD + "[[data]]\nname = 'cells'\n[[data]]\nname = 'lanes'\nlable = 'a'": ["'data.1.lable'", "did you mean label"],
    HEAD + "[[data]]\nname = 'cells'\n[[data]]\nname = 'cells'": ["data.1.label = 'cells'", "data.0"],
    HEAD + "[[data]]\nname = 'cells'\n[[data]]\nname = 'lanes'\nlabel = 'Cells'": ["data.1.label = 'Cells'", "data.0"],
    HEAD + "[[data]]\nname = 'cells'\nlabel = '../x'": ["data.0.label: '../x'", "letters"],
    HEAD + "[[data]]\nname = 'cells'\nlabel = 'plots'": ["data.0.label: 'plots'"],
    HEAD + "[[data]]\nname = 'a b'": ["data.0: 'a b'", "give a label"],
    HEAD + "[[data]]\nname = 'cells'\ntrain = { stepz = 3 }": ["data.0: train: unknown option 'stepz'", "steps"],
    HEAD + "[[data]]\nname = 'cells'\ntrain = { steps = 3, minutes = 1.0 }": ["data.0: train: steps and minutes"],
    HEAD + "[[data]]\nname = 'cells'\nmeasure = { size = 'big' }": ["data.0: measure.size = 'big'"],
    HEAD + "[[data]]\nname = 'cells'\ntrain = 3": ["data.0.train = 3"],
}


@pytest.mark.parametrize("text", BAD, ids=lambda t: t.replace("\n", ";")[-45:])
def test_a_mistake_is_one_line_that_names_file_entry_and_key(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UnetzooError) as caught:
        read_suite(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for word in BAD[text]:
        assert word in message


@given(st.text(max_size=70))
def test_a_label_is_a_folder_of_its_own_or_refused(label: str) -> None:
    try:
        assert folder_name(label) == label
    except ValueError:
        return
    assert Path(label).name == label
    assert label.isascii()
    assert label.lower() not in ("records", "trials", "plots", MANIFEST)


def test_changes_of_the_command_line_reach_every_data_set(tmp_path: Path) -> None:
    made = adjust_collection(
        collection(tmp_path), models=["unet_d2"], options={"width": 3}, seeds=1, steps=7, imports=["json"]
    )
    for suite in made.suites.values():
        assert [m.name for m in suite.models] == ["unet_d2"]
        assert (suite.set, suite.seeds, suite.train.steps, suite.imports) == ({"width": 3}, [0], 7, ["json"])
    assert made.suites["driving"].score.tolerance == 1.0
    assert list(made.chosen) == ["cells", "driving"]


def test_data_chooses_by_label(tmp_path: Path) -> None:
    made = collection(tmp_path)
    assert list(adjust_collection(made, data="driving").chosen) == ["driving"]
    assert list(adjust_collection(made, data="driving, cells").chosen) == ["cells", "driving"]
    for wrong in ("lanes", "drivin", "", "cells,"):
        with pytest.raises(UnetzooError, match=r"--data '.*' is not a label of the collection 'two'"):
            adjust_collection(made, data=wrong)


# --- running ------------------------------------------------------------------------------------------------------


class Heard(Watcher):
    """A watcher that records checks and trials in order, and raises KeyboardInterrupt after ``stop_after`` trials."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.checked: list[str] = []
        self.ran: list[tuple[str | None, str, int]] = []
        self.reused, self.stop_after = -1, stop_after

    def check(self, data: str) -> None:
        self.checked.append(data)

    def start(self, todo: list[Any], reused: int) -> None:
        self.reused = reused

    def end(self, job: Any) -> None:
        self.ran.append((job.data, job.trial.model.label, job.trial.seed))
        if len(self.ran) == self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, pd.DataFrame, Heard]:
    """Run a collection, interrupted after five trials, to its end, and write its report."""
    folder = tmp_path_factory.mktemp("collection")
    suite, out = write(folder), folder / "out"
    with pytest.raises(KeyboardInterrupt):
        run(suite, out, watcher=Heard(stop_after=5))
    rest = Heard()
    frame = run(suite, out, watcher=rest)
    write_report(out)
    return suite, out, frame, rest


def test_an_interrupted_collection_goes_on_and_first_seeds_come_first(
    finished: tuple[Path, Path, pd.DataFrame, Heard],
) -> None:
    _, out, frame, rest = finished
    assert rest.checked == ["cells", "driving"]
    assert rest.reused == 5
    # cells and driving at seed 0, then cells unet_d2 at seed 1 were done before the interruption
    assert rest.ran == [("cells", "noskip", 1), ("driving", "unet_d2", 1), ("driving", "noskip", 1)]
    assert list(frame["status"]) == ["ok"] * 8
    assert list(frame["data"]) == ["cells"] * 4 + ["driving"] * 4
    for label, steps in (("cells", 2), ("driving", 3)):
        alone = unetzoo.read_records(out / label)
        assert set(alone["steps"]) == {steps}
        together = frame[frame["data"] == label].reset_index(drop=True)
        assert list(together["id"]) == list(alone["id"])
        assert np.array_equal(together["dice"], alone["dice"], equal_nan=True)
    assert frame["dice"].notna().all()


def test_the_folder_of_a_finished_collection(finished: tuple[Path, Path, pd.DataFrame, Heard]) -> None:
    suite, out, frame, _ = finished
    for part in ("cells", "driving"):
        for name in ("index.html", "summary.md", "results.csv", "records", "trials", "plots"):
            assert (out / part / name).exists()
    page = (out / "index.html").read_text()
    assert 'href="cells/index.html"' in page
    assert "8 of 8 trials finished" in page
    table = pd.read_csv(out / "results.csv")
    assert list(table["id"]) == list(unetzoo.read_records(out)["id"]) == list(frame["id"])
    again = Heard()
    assert len(run(suite, out, watcher=again)) == 8
    assert (again.reused, again.ran) == (8, [])
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.suffix != ".pt"}
    page_of(out)
    assert {path: path.read_bytes() for path in before} == before


def test_a_brief_report_keeps_the_page_over_all_and_tables(
    finished: tuple[Path, Path, pd.DataFrame, Heard], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[1], out)
    assert write_report(out, brief=True) == out / "index.html"
    assert 'href="cells/summary.md"' in (out / "index.html").read_text()
    assert [path.suffix for path in (out / "plots").iterdir()] == [".png"]
    for part in ("cells", "driving"):
        assert not (out / part / "index.html").exists()
        assert not list((out / part / "plots").glob("*"))
        assert "](" not in (out / part / "summary.md").read_text().replace("](https://", "")


def test_some_of_the_data_sets_alone_and_the_page_keeps_the_others(
    finished: tuple[Path, Path, pd.DataFrame, Heard], tmp_path: Path
) -> None:
    suite, out, _, _ = finished
    shutil.copytree(out, tmp_path / "out")
    made = read_suite(suite)
    assert isinstance(made, Collection)
    heard = Heard()
    frame = run(adjust_collection(made, data="driving"), tmp_path / "out", watcher=heard)
    assert (heard.checked, heard.reused, set(frame["data"])) == (["driving"], 4, {"driving"})
    assert read_manifest(tmp_path / "out") == read_manifest(out)


def test_all_is_checked_before_anything_runs(tmp_path: Path) -> None:
    wrong = {
        "label = 'driving'": ("label = 'driving'\nroot = 'x'", "driving: data set 'lanes' is generated"),
        'name = "lanes"': ('name = "lane"', "driving: unknown data set 'lane'; did you mean lanes"),
    }
    text = TINY.replace('label = "driving"', "label = 'driving'")
    for old, (new, message) in wrong.items():
        with pytest.raises(UnetzooError, match=re.escape(message)):
            run(write(tmp_path, text.replace(old, new)), tmp_path / "out")
    with pytest.raises(UnetzooError, match="cells: unknown model 'unett'"):
        run(write(tmp_path, text.replace('["unet_d2",', '["unett",')), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_run_at_a_time_in_the_whole_and_in_each_part(tmp_path: Path) -> None:
    for place in (tmp_path / "out", tmp_path / "out" / "driving"):
        place.mkdir(exist_ok=True)
        with FileLock(place / LOCK), pytest.raises(UnetzooError, match=rf"{place}: in use by"):
            run(write(tmp_path), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.json"))


def test_a_folder_is_a_suites_or_a_collections(tmp_path: Path) -> None:
    single = tmp_path / "one.toml"
    single.write_text("models = ['unet']\n")
    folder_of(tmp_path / "single", record())
    with pytest.raises(UnetzooError, match="holds the records of a single suite"):
        run(write(tmp_path), tmp_path / "single")
    with pytest.raises(UnetzooError, match=r"is the folder of a collection \(collection\.json\)"):
        run(single, made(tmp_path / "both", {"a": [record()]}))


def test_a_failure_is_named_with_its_data_set_and_the_exit_code_is_1(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import unetzoo\n@unetzoo.register_model\ndef own_none(in_channels, num_classes):\n    return None\n"
    )
    own = "seeds = 1\nimports = ['own.py']\nmodels = ['own_none']\n"
    path = write(tmp_path, own + TINY[TINY.index("baselines") :])
    done = command("bench", path, "--out", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "2 of 2 trials failed" in done.stderr
    assert "driving: own_none seed 0: crashed" in done.stderr
    assert "driving: own_none seed 0: started" in done.stdout
    assert "No trial finished with a test score" in (tmp_path / "out" / "summary.md").read_text()
    wrong = command("bench", path, "--data", "lanes")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    asked, heard = read_suite(path), Heard()
    assert isinstance(asked, Collection)
    run(adjust_collection(asked, data="driving"), tmp_path / "out", retry_failed=True, watcher=heard)
    assert heard.ran == [("driving", "own_none", 0)]


def test_plan_of_a_collection(tmp_path: Path) -> None:
    path = write(tmp_path)
    plans = json.loads(command("plan", path, "--models", "unet_d2", "--no-time", "--json").stdout)
    assert list(plans["data"]) == ["cells", "driving"]
    assert [plan["steps"] for plan in plans["data"].values()] == [2, 3]
    assert [row["label"] for row in plans["data"]["driving"]["rows"]] == ["unet_d2"]


# --- the page -----------------------------------------------------------------------------------------------------


def made(folder: Path, parts: dict[str, list[dict[str, Any]]], **more: list[dict[str, Any]]) -> Path:
    """Write a collection's folder of synthetic records; the trials in ``more`` are planned but have no record."""
    asked: dict[str, list[dict[str, Any]]] = {}
    for label, records in parts.items():
        if records:
            folder_of(folder / label, *records)
        asked[label] = [
            {
                "id": r["id"],
                "model": r["trial"]["model"]["label"],
                "seed": r["trial"]["seed"],
                "baseline": r.get("baseline", False),
            }
            for r in [*records, *more.get(label, [])]
        ]
    manifest = {"version": 1, "name": "apps", "question": "Which?", "data": asked}
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def scores(**means: float) -> list[dict[str, Any]]:
    return [noisy(label, seed, mean) for label, mean in means.items() for seed in (0, 1, 2)]


def page_of(folder: Path) -> str:
    """Return the summary over the data sets; their own pages, tested elsewhere, are not drawn."""
    with patch("unetzoo.report.page.build", return_value=folder / "index.html"):
        write_report(folder)
    return (folder / "summary.md").read_text()


def test_the_best_and_what_cannot_be_told_from_it(tmp_path: Path) -> None:
    parts = {
        "a": [*scores(unet=0.8, unet_b=0.8, unet_c=0.6), baseline("otsu", 0.5)],
        "b": [*scores(unet=0.7, unet_b=0.6, unet_c=0.75), baseline("otsu", 0.65)],
    }
    text = page_of(made(tmp_path / "f", parts))
    a, b = (next(line for line in text.splitlines() if line.startswith(f"| [{x}]")) for x in "ab")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (a, b)]
    assert sorted(cell[:1] for cell in cells[0][1:3]) == ["*", "\u2248"]
    assert cells[0][3].startswith("0.599 ")
    assert cells[1][3].startswith("**\u2605 0.7")
    assert cells[1][1].startswith("0.699 ")
    assert cells[1][4] == "0.650 (otsu)"
    assert "So the choice depends on the data set" in text
    assert "b: not better than otsu (Dice 0.650): unet_b (0.6" in text
    parts["b"] = scores(unet=0.8, unet_b=0.6, unet_c=0.6)
    assert "one choice can serve all of them: unet is nowhere shown" in page_of(made(tmp_path / "g", parts))


def test_few_test_images_or_one_data_set_give_no_verdict(tmp_path: Path) -> None:
    few = [record(label, seed, dice, images=3) for label, dice in (("unet", 0.8), ("b", 0.6)) for seed in (0, 1)]
    text = page_of(made(tmp_path / "f", {"x": few, "y": few}))
    assert "? 0.600" in text
    assert "Too few verdicts are available to say" in text
    assert "Too few verdicts are available to say" in page_of(made(tmp_path / "g", {"x": scores(unet=0.8, unet_b=0.7)}))


def rows_of(table: list[list[float | None]]) -> list[Row]:
    return [
        Row(f"d{k}", None, {f"m{c}": Cell(dice=dice) for c, dice in enumerate(line)}, None)
        for k, line in enumerate(table)
    ]


def test_mean_ranks_by_hand() -> None:
    ranks, over = mean_ranks(rows_of([[0.9, 0.8, 0.8], [0.5, 0.7, 0.6], [None, 0.1, 0.2]]), ["m0", "m1", "m2", "m3"])
    assert over == ["d0", "d1"]  # m3 has no score anywhere and m0 none on d2
    assert [(rank.model, rank.mean, rank.low) for rank in ranks] == [
        ("m1", 1.75, None),
        ("m0", 2.0, None),
        ("m2", 2.25, None),
    ]


def test_five_data_sets_are_resampled() -> None:
    (first, second), _ = mean_ranks(rows_of([[0.9, 0.8]] * 5), ["m0", "m1"])
    assert (first.model, first.mean, first.low, first.high, first.first) == ("m0", 1, 1, 1, 1)
    assert (second.mean, second.first) == (2, 0)
    (first, _), _ = mean_ranks(rows_of([[0.9, 0.8]] * 4 + [[0.1, 0.2]] * 2), ["m0", "m1"])
    assert first.low is not None
    assert first.low < first.mean < (first.high or 0)
    assert 0.5 < (first.first or 0) < 1


@given(st.lists(st.lists(st.sampled_from([0.1, 0.2, 0.3, None]), min_size=3, max_size=3), min_size=1, max_size=7))
def test_mean_ranks_add_up(table: list[list[float | None]]) -> None:
    ranks, _ = mean_ranks(rows_of(table), ["m0", "m1", "m2"])
    n = len(ranks)
    assert sum(rank.mean for rank in ranks) == pytest.approx(n * (n + 1) / 2)
    if ranks and ranks[0].first is not None:
        assert sum(rank.first or 0 for rank in ranks) == pytest.approx(1)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    full = scores(unet=0.8, unet_b=0.7)
    lacking = [noisy("unet_b", seed, 0.7) for seed in (3, 4)]
    folder = made(tmp_path / "f", {"a": full, "b": full, "c": [], "d": full[:3]}, b=lacking, c=full)
    text = page_of(folder)
    assert "b: 2 of 8 trials have no record: unet_b (seeds 3 and 4)." in text
    assert "c: no trial has run yet; 6 are planned." in text
    assert "Not in the mean ranks, because a variant has no score there: c and d." in text
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
    assert "<script>" not in page + text
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
