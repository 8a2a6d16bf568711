"""Suites over several data sets: reading, refusals, running and the page."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unetzoo
from support import quick_timings
from support.collection import made, page_of
from support.command import run as command
from support.records import folder_of, record
from unetzoo.bench.collection import Collection
from unetzoo.bench.run import run
from unetzoo.bench.suite_file import adjust_collection, read_suite
from unetzoo.bench.watcher import Watcher
from unetzoo.errors import UnetzooError
from unetzoo.records.manifest import MANIFEST, folder_name, read_manifest
from unetzoo.report import write_report

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
    suite, out = write(folder, f"imports = ['{quick_timings.__file__}']\n{TINY}"), folder / "out"
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
    assert not list((out / "plots").glob("*"))  # with one seed nothing is ranked, so there is no heat map
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
        "label = 'driving'": ("label = 'driving'\nroot = 'x'", "/x': data set 'lanes' is generated and has no files"),
        'name = "lanes"': ('name = "lane"', "driving: unknown data set 'lane'; did you mean lanes"),
    }
    text = TINY.replace('label = "driving"', "label = 'driving'")
    for old, (new, message) in wrong.items():
        with pytest.raises(UnetzooError, match=re.escape(message)):
            run(write(tmp_path, text.replace(old, new)), tmp_path / "out")
    with pytest.raises(UnetzooError, match="cells: unknown model 'unett'"):
        run(write(tmp_path, text.replace('["unet_d2",', '["unett",')), tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
    assert "No trial finished with a test score" in (tmp_path / "out" / "summary.md").read_text()
    wrong = command("bench", path, "--data", "lanes")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    asked, heard = read_suite(path), Heard()
    assert isinstance(asked, Collection)
    run(adjust_collection(asked, data="driving"), tmp_path / "out", retry_failed=True, watcher=heard)
    assert heard.ran == [("driving", "own_none", 0)]


def test_plan_of_a_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetzoo.bench.need.largest_batch", lambda *_: 1)  # its search has tests of its own
    path = write(tmp_path)
    plans = json.loads(command("plan", path, "--models", "unet_d2", "--no-time", "--json").stdout)
    assert list(plans["data"]) == ["cells", "driving"]
    assert [plan["steps"] for plan in plans["data"].values()] == [2, 3]
    assert [row["label"] for row in plans["data"]["driving"]["rows"]] == ["unet_d2"]
