"""Leaks between splits are refused, or dropped from training and recorded; many near-duplicates withhold verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import unetzoo
from support import quick_timings
from support.data_folders import SHAPE, disc, look, make_folder, picture, save
from unetzoo import UnetzooError
from unetzoo.bench.foresight import unjudged
from unetzoo.bench.suite import DataRequest
from unetzoo.cli.main import app
from unetzoo.data.leaks import leaking_share, near_duplicates
from unetzoo.records.record import read_record
from unetzoo.report.statistics import compare
from unetzoo.report.verdicts.comparison import WITHHELD

RGB = (*SHAPE, 3)


def split_folder(root: Path, copies: dict[str, str], *, dim: float = 1.0) -> Path:
    """Write 6, 3 and 3 images in folders; ``copies`` maps the name of an image to the one whose pixels it has."""
    for i in range(12):
        split = "train" if i < 6 else "val" if i < 9 else "test"
        number = int(copies.get(str(i), i))
        light = dim if number != i else 1.0
        save(root / split / "images" / f"a{i}.png", (picture(number, RGB) * light).astype(np.uint8))
        save(root / split / "masks" / f"a{i}.png", disc(number, 255))
    return root


def test_the_default_refuses_and_names_the_way_out(tmp_path: Path) -> None:
    split_folder(tmp_path, {"2": "10"})
    with pytest.raises(UnetzooError, match=r"'test/a10' in test and 'train/a2' in train are .*on_leak"):
        unetzoo.create_dataset("folder", tmp_path)
    with pytest.raises(UnetzooError, match="on_leak = 'drop' is not a choice; allowed: refuse, drop_from_training"):
        unetzoo.create_dataset("folder", tmp_path, on_leak="drop")  # type: ignore[arg-type]


@pytest.mark.parametrize("dim", [1.0, 0.8])
def test_what_is_in_the_test_set_is_dropped_and_recorded(tmp_path: Path, dim: float) -> None:
    split_folder(tmp_path, {"2": "10", "7": "10", "3": "8"}, dim=dim)
    data = unetzoo.create_dataset("folder", tmp_path, on_leak="drop_from_training")
    assert data.dropped == {"train": ("train/a2", "train/a3"), "val": ("val/a7",)}
    assert data.describe()["dropped"] == {"train": ["train/a2", "train/a3"], "val": ["val/a7"]}
    assert len(data.splits["test"]) == 3
    assert near_duplicates(data) == []


@pytest.mark.parametrize("checked", [False, True], ids=["proposed", "dataset.toml"])
def test_a_key_in_two_lists_is_dropped_from_training(tmp_path: Path, checked: bool) -> None:
    make_folder(tmp_path)
    for name, keys in {"train": (0, 1, 2, 3, 4), "val": (5, 4), "test": (6, 7, 1)}.items():
        (tmp_path / f"{name}.txt").write_text("".join(f"a{i}\n" for i in keys))
    if checked:
        CliRunner().invoke(app, ["data", "check", str(tmp_path)])
        assert "duplicate across splits" in {f.kind for f in look(tmp_path).errors}
    with pytest.raises(UnetzooError, match=r"val.txt: 'a4' is also in train.txt; .* on_leak = 'drop_from_training'"):
        unetzoo.create_dataset("folder", tmp_path)
    data = unetzoo.create_dataset("folder", tmp_path, on_leak="drop_from_training")
    assert data.splits == {"train": ("a0", "a2", "a3"), "val": ("a5", "a4"), "test": ("a6", "a7", "a1")}
    assert data.dropped == {"train": ("a1", "a4")}


def test_groups_in_two_splits_are_dropped(tmp_path: Path) -> None:
    make_folder(tmp_path)
    splits = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    rows = [f"images/a{i}.png,masks/a{i}.png,{splits[i]},g{i % 6}" for i in range(8)]  # a6 has the group of a0
    (tmp_path / "pairs.csv").write_text("image,mask,split,group\n" + "\n".join(rows))
    data = unetzoo.create_dataset("folder", tmp_path, on_leak="drop_from_training")
    assert data.dropped == {"train": ("a0", "a1")}


def test_nothing_left_to_train_on(tmp_path: Path) -> None:
    split_folder(tmp_path, {str(i): "10" for i in range(6)})
    with pytest.raises(UnetzooError, match="on_leak leaves no image in train"):
        unetzoo.create_dataset("folder", tmp_path, on_leak="drop_from_training")


def test_data_without_leaks_are_as_they_were() -> None:
    plain, dropping = (unetzoo.create_dataset("cells", on_leak=way) for way in ("refuse", "drop_from_training"))
    assert plain.digest() == dropping.digest()
    assert "dropped" not in dropping.describe()


def test_over_five_percent_is_a_share_of_the_test_images(tmp_path: Path) -> None:
    data = unetzoo.create_dataset("folder", split_folder(tmp_path, {}))
    pair = ("train", "train/a1", "test", "test/a10", 0.99)
    assert leaking_share(data, [pair, ("val", "val/a7", *pair[2:])]) == {"test": 1, "of": 3}
    assert leaking_share(data, [("train", "train/a1", "val", "val/a7", 0.99)]) is None
    assert leaking_share(data, []) is None


def test_verdicts_are_withheld() -> None:
    rng = np.random.default_rng(0)
    grids = {name: pd.DataFrame(rng.random((3, 20)) / 9 + by) for name, by in (("a", 0.0), ("b", 0.5))}
    assert [c.verdict for c in compare(grids, "a")] == ["better"]
    assert [c.verdict for c in compare(grids, "a", leaking=True)] == [WITHHELD]


def test_what_no_report_can_judge_is_said_before_training() -> None:
    films = unetzoo.create_dataset("cells")
    films.splits = {"test": tuple("abcdef")}
    assert unjudged(films, None) == []
    films.groups = dict.fromkeys("abc", "film")
    assert unjudged(films, None) == [
        "it has 6 test images of 4 patients, films or volumes, and at least 5 independent ones are needed"
    ]
    films.splits = {"test": ("d", "e")}
    assert unjudged(films, {"test": 1, "of": 2}) == [
        "1 of 2 test images resemble an image of another split; --on-leak drop_from_training leaves those out of "
        "training and validation",
        "it has 2 test images, and at least 5 independent ones are needed",
    ]


def test_bench_flags_and_drops(tmp_path: Path) -> None:
    root, out = split_folder(tmp_path / "data", {"2": "10"}, dim=0.8), tmp_path / "out"
    suite = tmp_path / "s.toml"
    suite.write_text(
        f"models = ['unet']\nimports = ['{quick_timings.__file__}']\nbaselines = false\n"
        "[data]\nname = 'folder'\nroot = 'data'\n[train]\nsteps = 1\nbatch_size = 1\ncrop = 32\ndevice = 'cpu'\n"
        "[measure]\nrepeats = 5\nattempts = 1\nsize = 32\n[set]\nwidth = 2\ndepth = 2\n"
    )
    assert root.is_dir()
    records = {}
    for way in ("refuse", "drop_from_training"):
        ran = CliRunner().invoke(app, ["bench", str(suite), "--out", str(out / way), "--on-leak", way])
        assert ran.exit_code == 0, ran.output
        assert ("1 of 3 test images resemble" in ran.output) == (way == "refuse")
        (path,) = (out / way / "records").glob("*.json")
        records[way] = read_record(path)
    assert records["refuse"].data["near_duplicates"] == {"test": 1, "of": 3}
    assert "dropped" not in records["refuse"].data
    assert records["drop_from_training"].data["dropped"] == {"train": ["train/a2"]}
    assert "near_duplicates" not in records["drop_from_training"].data
    assert records["refuse"].id != records["drop_from_training"].id


def test_the_option_is_checked() -> None:
    with pytest.raises(UnetzooError, match="on_leak"):
        DataRequest.from_mapping({"on_leak": "keep"}, "data")


def test_the_cache_is_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetzoo.data.leaks.MANY", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = split_folder(tmp_path / "data", {"2": "10"}, dim=0.8)
    first = near_duplicates(unetzoo.create_dataset("folder", root))
    (file,) = (tmp_path / "cache" / "unetzoo").iterdir()
    assert [pair[:4] for pair in first] == [("train", "train/a2", "test", "test/a10")]
    monkeypatch.setattr("unetzoo.data.leaks.Thumbnails", None)  # a second search would fail
    assert near_duplicates(unetzoo.create_dataset("folder", root)) == first
    monkeypatch.undo()
    monkeypatch.setattr("unetzoo.data.leaks.MANY", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    split_folder(root, {})  # other pixels under the same names
    assert near_duplicates(unetzoo.create_dataset("folder", root)) == []
    split_folder(root, {"2": "10"}, dim=0.8)
    file.write_text("damaged")
    assert near_duplicates(unetzoo.create_dataset("folder", root)) == first
