"""Named data sets: the copies in UNETZOO_DATA match their READMEs, and miniatures follow the official layouts."""

from __future__ import annotations

import json
import os
from copy import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.miniatures import (
    OFFICIAL,
    drive,
    voc,
)
from unetzoo.bench.expand import expand
from unetzoo.bench.suite_file import read_suite
from unetzoo.data.base import SPLITS
from unetzoo.data.named.catalogue import CATALOGUE
from unetzoo.data.named.named import entry, locate
from unetzoo.data.registry import create_dataset
from unetzoo.errors import UnetzooError

SHARED = Path(os.environ.get("UNETZOO_DATA", "missing"))
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="UNETZOO_DATA is not set")
RECORDS = Path(__file__).parents[3] / "reports/isbi2012-upsampling/records"


# from the READMEs of the shared copies: train, val, test and the share of each class

FACTS = {
    "isbi2012": ((20, 4, 6), [0.7804, 0.2196]),
    "dsb2018": ((228, 40, 66), [0.9231, 0.0769]),
    "chase_db1": ((18, 2, 8), [0.9307, 0.0693]),
    "camvid": (
        (46, 13, 30),
        [0.1563, 0.2524, 0.0095, 0.2882, 0.0700, 0.1069, 0.0091, 0.0147, 0.0483, 0.0061, 0.0051],
    ),
    "amazon_forest": ((25, 4, 15), [0.5253, 0.4747]),
    "wbc": ((204, 36, 60), [0.6881, 0.1885, 0.1234]),
    "dibco": ((10, 2, 13), [0.9012, 0.0988]),
    "magnetic_tile": ((309, 54, 89), [0.925, 0.075]),
    "tapuscorpus": ((8, 2, 3), [0.786, 0.214]),
}


shared = cache(create_dataset)  # reading them takes seconds


@needs_data
@pytest.mark.parametrize("name", FACTS)
def test_shared_copies_are_as_their_readmes_say(name: str) -> None:
    dataset = shared(name)
    sizes, shares = FACTS[name]
    assert tuple(len(dataset.splits[split]) for split in SPLITS) == sizes
    counts = np.zeros(256, np.int64)
    for key in (key for split in SPLITS for key in dataset.splits[split]):
        counts += np.bincount(dataset.read(key)[1].ravel(), minlength=256)
    classes = dataset.info.classes
    void = 255 if dataset.info.ignore_index == 255 else None
    assert counts[:classes] / counts.sum() == pytest.approx(shares, abs=6e-5 if name != "tapuscorpus" else 2e-4)
    assert counts[classes:].sum() == (counts[255] if void else 0)
    assert dataset.digest() == DIGESTS[name]


DIGESTS = {  # of content and splits; they change only if results may change
    "isbi2012": "6eb1b3ab5d76b386",
    "dsb2018": "2118b8c328904d8b",
    "chase_db1": "9699326a8e19f3f2",
    "camvid": "2f8aae525bcfe83c",
    "amazon_forest": "b9502665fd623e7b",
    "magnetic_tile": "045b41c316600b39",
    "wbc": "3644d3e47d2ec295",
    "dibco": "6d0a1f799b2f350f",
    "tapuscorpus": "95548fd81512696c",
}


@needs_data
def test_the_rules_give_the_lists_of_the_shared_copies() -> None:
    for name in ("dsb2018", "chase_db1", "wbc", "dibco", "tapuscorpus"):
        place = locate(entry(name))
        for path in (*place.root.glob("test.txt"), *place.root.glob("suggested_test.txt")):
            assert list(place.splits["test"]) == sorted(path.read_text().split()), name


@needs_data
def test_a_childs_eyes_stay_together() -> None:
    dataset = copy(shared("chase_db1"))
    assert dataset.groups["Image_07L"] == dataset.groups["Image_07R"] == "07"
    assert {key[:-1] for key in dataset.splits["val"]}.isdisjoint(key[:-1] for key in dataset.splits["train"])
    dataset.splits = {**dataset.splits, "train": ("Image_01L",), "val": ("Image_01R",)}
    with pytest.raises(UnetzooError, match="of one group, '01'"):
        dataset.check()


@needs_data
def test_records_made_before_still_belong_to_their_suite() -> None:
    suite = read_suite(Path(__file__).parents[3] / "benchmarks/isbi2012-upsampling.toml")
    dataset = suite.data.open()
    records = {p.stem: json.loads(p.read_text())["trial"] for p in RECORDS.glob("*.json")}
    assert {trial["data"]["digest"] for trial in records.values()} == {dataset.digest()}
    added = {trial.stem for trial in expand(suite, dataset)} - set(records)
    assert all(stem.startswith("position-prior-s0-") for stem in added)  # a trivial predictor that came later
    assert len(expand(suite, dataset)) == len(records) + len(added)


@needs_data
def test_nuclei_are_told_apart() -> None:
    dataset = shared("dsb2018")
    instances = dataset.instances(dataset.splits["test"][0])
    assert instances is not None
    assert instances.max() > 1
    assert np.array_equal(instances > 0, dataset.read(dataset.splits["test"][0])[1] == 1)


# --- official layouts in miniature ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OFFICIAL)
@pytest.mark.parametrize("within", ["", "archive-main/"])
def test_official_layouts_are_read(name: str, within: str, tmp_path: Path) -> None:
    make, sizes = OFFICIAL[name]
    make(tmp_path / within)
    dataset = create_dataset(name, tmp_path)
    assert tuple(len(dataset.splits[split]) for split in SPLITS) == sizes
    dataset.check_values()
    seen = {value for s in SPLITS for key in dataset.splits[s] for value in np.unique(dataset.read(key)[1]).tolist()}
    void = {dataset.info.ignore_index} - {None}
    expected = {0, 1, 20} if name == "voc2012" else set(range(dataset.info.classes))
    assert seen == expected | void
    assert dataset.digest() == create_dataset(name, tmp_path).digest()
    assert dataset.info.citation


def test_outside_the_field_of_view_is_void(tmp_path: Path) -> None:
    drive(tmp_path)
    for downscale in (1, 2):
        mask = create_dataset("drive", tmp_path, downscale=downscale).read("21")[1]
        inside = mask[4 // downscale : 16 // downscale, 4 // downscale : 14 // downscale]
        assert mask.shape == (20 // downscale, 18 // downscale)
        assert set(np.unique(inside)) == {0, 1}
        assert (mask == 255).sum() == mask.size - inside.size


def test_a_drive_copy_without_test_labels_is_refused(tmp_path: Path) -> None:
    drive(tmp_path)
    for path in (tmp_path / "test/1st_manual").iterdir():
        path.unlink()
    with pytest.raises(
        UnetzooError, match=r"01_test\.tif: has no partner with stem '01_manual1' among test/1st_manual"
    ):
        create_dataset("drive", tmp_path)


def test_voc_values_are_palette_indices(tmp_path: Path) -> None:
    voc(tmp_path)
    dataset = create_dataset("voc2012", tmp_path)
    with Image.open(tmp_path / "VOCdevkit/VOC2012/SegmentationClass/val_0.png") as file:
        assert file.mode == "P"
        assert np.array_equal(np.asarray(file), dataset.read("val_0")[1])
    assert dataset.info.class_names[20] == "tvmonitor"


def test_the_checksums_are_torchvisions() -> None:
    from torchvision.datasets import OxfordIIITPet
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    theirs = {url: f"md5:{md5}" for url, md5 in OxfordIIITPet._RESOURCES}
    theirs[DATASET_YEAR_DICT["2012"]["url"]] = f"md5:{DATASET_YEAR_DICT['2012']['md5']}"
    ours = {r.url: r.checksum for name in ("oxford_pet", "voc2012") for r in CATALOGUE[name].remotes}
    assert ours == theirs


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_is_missing_is_said_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CATALOGUE[name].folder
    monkeypatch.delenv("UNETZOO_DATA", raising=False)
    with pytest.raises(UnetzooError, match=rf"set UNETZOO_DATA to a folder that holds {folder}/.*data get {name}"):
        create_dataset(name)
    monkeypatch.setenv("UNETZOO_DATA", str(tmp_path))
    with pytest.raises(UnetzooError, match=rf"{folder}: no such folder .*data get {name}"):
        create_dataset(name)
    with pytest.raises(UnetzooError, match=f"does not hold data set '{name}'; expected .*") as caught:
        create_dataset(name, tmp_path)
    assert "\n" not in str(caught.value)
