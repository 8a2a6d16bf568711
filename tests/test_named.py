"""Named data sets: the copies in UNETZOO_DATA match their READMEs, and miniatures follow the official layouts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from copy import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from test_cli import run as command

import unetzoo
from unetzoo.bench.expand import expand
from unetzoo.bench.suite import DataRequest
from unetzoo.bench.suite_file import read_suite
from unetzoo.bench.trials import Trial
from unetzoo.data.base import SPLITS
from unetzoo.data.named import named
from unetzoo.data.named.catalogue import CATALOGUE
from unetzoo.data.named.download import Remote
from unetzoo.data.named.named import entry, get, locate
from unetzoo.data.registry import create_dataset
from unetzoo.errors import UnetzooError

SHARED = Path(os.environ.get("UNETZOO_DATA", "missing"))
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="UNETZOO_DATA is not set")
RECORDS = Path(__file__).parents[1] / "reports/isbi2012-upsampling/records"
RANDOM = np.random.default_rng(0)


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)


def noise(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def pick(values: list[int], *shape: int) -> np.ndarray:
    return RANDOM.choice(np.array(values, np.uint8), shape)


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
    suite = read_suite(Path(__file__).parents[1] / "benchmarks/isbi2012-upsampling.toml")
    dataset = suite.data.open()
    records = {p.stem: json.loads(p.read_text())["trial"] for p in RECORDS.glob("*.json")}
    assert {trial["data"]["digest"] for trial in records.values()} == {dataset.digest()}
    assert {trial.stem for trial in expand(suite, dataset)} == set(records)


@needs_data
def test_nuclei_are_told_apart() -> None:
    dataset = shared("dsb2018")
    instances = dataset.instances(dataset.splits["test"][0])
    assert instances is not None
    assert instances.max() > 1
    assert np.array_equal(instances > 0, dataset.read(dataset.splits["test"][0])[1] == 1)


# --- official layouts in miniature ---------------------------------------------------------------------------------


def amazon(root: Path) -> None:
    for folder, numbers in (("training", range(8)), ("validation", range(8, 11))):
        for n in numbers:
            (root / folder / "images").mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / folder / f"images/Amazon_{n}.tiff_{n + 3}.tiff", noise(16, 16, 3))
            save(root / folder / f"masks/Amazon_{n}.tiff_{n + 3}.png", pick([1, 2], 16, 16))
    tifffile.imwrite(root / "training/images/Amazon_181.tiff_34.tiff", noise(16, 16, 3))
    save(root / "training/masks/Amazon_181.tiff_34.png", pick([1, 2], 16, 17))


def camvid(root: Path) -> None:
    for folder, count in (("train", 4), ("val", 2), ("test", 3)):
        for n in range(count):
            save(root / f"CamVid/{folder}/{folder}_{n}.png", noise(12, 16, 3))
            save(root / f"CamVid/{folder}annot/{folder}_{n}.png", pick([*range(12)], 12, 16))


def chase(root: Path) -> None:
    for child in (*range(1, 5), 11, 12):
        for eye in "LR":
            save(root / f"Image_{child:02d}{eye}.jpg", noise(16, 16, 3))
            for observer in ("1stHO", "2ndHO"):
                save(root / f"Image_{child:02d}{eye}_{observer}.png", pick([0, 255], 16, 16), "1")


def dibco(root: Path) -> None:
    for n in range(1, 4):
        save(root / f"2009/DIBC02009_Test_images-handwritten/H0{n}.bmp", noise(16, 20, 3))
        save(root / f"2009/DIBCO2009-GT-Test-images_handwritten/H0{n}.tiff", pick([0, 255], 16, 20), "1")
        save(root / f"2010/test/H0{n}.tif", noise(16, 20, 3))
        save(root / f"2010/gt/H0{n}_estGT.tiff", pick([0, 255], 16, 20), "1")
        save(root / f"2011/HW{n}.png", noise(16, 20, 3))
        save(root / f"2011/HW{n}_GT.tiff", pick([0, 255], 16, 20), "1")


def drive(root: Path) -> None:
    for folder, numbers in (("training", range(21, 27)), ("test", range(1, 5))):
        for n in numbers:
            (root / folder / "images").mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / folder / f"images/{n:02d}_{folder}.tif", noise(20, 18, 3))
            save(root / folder / f"1st_manual/{n:02d}_manual1.gif", pick([0, 255], 20, 18))
            view = np.zeros((20, 18), np.uint8)
            view[4:16, 4:14] = 255
            save(root / folder / f"mask/{n:02d}_{folder}_mask.gif", view)


def isbi(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(root / "train-volume.tif", noise(30, 16, 16))
    tifffile.imwrite(root / "train-labels.tif", pick([0, 255], 30, 16, 16))


def magnetic(root: Path) -> None:
    for kind in ("MT_Crack", "MT_Free"):
        for n in range(10):
            save(root / kind / f"Imgs/exp1_num_{kind}{n}.jpg", noise(16, 20 + n))
            save(root / kind / f"Imgs/exp1_num_{kind}{n}.png", pick([0, 1, 127, 128, 254, 255], 16, 20 + n))


def wbc(root: Path) -> None:
    for n in range(1, 11):
        save(root / f"Dataset 1/{n:03d}.bmp", noise(16, 16, 3))
        save(root / f"Dataset 1/{n:03d}.png", pick([0, 128, 255], 16, 16))


def pet(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    for split, count in (("trainval", 8), ("test", 4)):
        lines = []
        for n in range(count):
            save(base / f"images/Beagle_{split}{n}.jpg", noise(16, 20, 3))
            save(base / f"annotations/trimaps/Beagle_{split}{n}.png", pick([1, 2, 3], 16, 20))
            lines.append(f"Beagle_{split}{n} 1 2 1\n")
        (base / f"annotations/{split}.txt").write_text("".join(lines))


def voc(root: Path) -> None:
    base = root / "VOCdevkit/VOC2012"
    for split, count in (("train", 6), ("val", 4)):
        for n in range(count):
            save(base / f"JPEGImages/{split}_{n}.jpg", noise(16, 20, 3))
            mask = Image.fromarray(pick([0, 1, 20, 255], 16, 20))
            mask.putpalette([channel for i in range(256) for channel in (i, 255 - i, i // 2)])
            (base / "SegmentationClass").mkdir(exist_ok=True)
            mask.save(base / f"SegmentationClass/{split}_{n}.png")
        lists = base / "ImageSets/Segmentation"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text("".join(f"{split}_{n}\n" for n in range(count)))


OFFICIAL: dict[str, tuple[Callable[[Path], None], tuple[int, int, int]]] = {
    "amazon_forest": (amazon, (7, 1, 3)),
    "camvid": (camvid, (4, 2, 3)),
    "chase_db1": (chase, (6, 2, 4)),
    "dibco": (dibco, (5, 1, 3)),
    "drive": (drive, (5, 1, 4)),
    "isbi2012": (isbi, (20, 4, 6)),
    "magnetic_tile": (magnetic, (14, 2, 4)),
    "wbc": (wbc, (7, 1, 2)),
    "oxford_pet": (pet, (7, 1, 4)),
    "voc2012": (voc, (5, 1, 4)),
}


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


# --- get ------------------------------------------------------------------------------------------------------------


def packed(folder: Path, archive: Path, top: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, top + path.relative_to(folder).as_posix())
    return archive


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Copy the given archives instead of downloading."""

    def serve(folder: Path) -> None:
        def fetch(remote: Remote, target: Path, *, progress) -> Path:
            path = target / remote.file
            path.write_bytes((folder / remote.file).read_bytes())
            return path

        monkeypatch.setattr(named, "fetch", fetch)

    return serve


def test_get_fetches_unpacks_and_finds(tmp_path: Path, offline: Callable[[Path], None]) -> None:
    wbc(tmp_path / "made")
    packed(tmp_path / "made", tmp_path / "segmentation_WBC.zip", "segmentation_WBC-fa9c/")
    offline(tmp_path)
    place = get("wbc", tmp_path / "out")
    assert [len(place.splits[split]) for split in SPLITS] == [7, 1, 2]
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.name[0] != ".") == ["segmentation_WBC-fa9c"]
    (tmp_path / "segmentation_WBC.zip").unlink()
    assert get("wbc", tmp_path / "out").root == place.root  # nothing is fetched again
    assert len(create_dataset("wbc", tmp_path / "out").splits["train"]) == 7


def test_get_merges_the_nuclei(tmp_path: Path, offline: Callable[[Path], None]) -> None:
    bright, dark = np.full((256, 256, 3), 200, np.uint8), np.full((256, 256, 3), 20, np.uint8)
    for n in range(10):
        image = dark.copy()
        image[n] = 30
        save(tmp_path / f"made/id{n}/images/id{n}.png", image, "RGBA")
        for k in range(2):
            nucleus = np.zeros((256, 256), np.uint8)
            nucleus[10 * k : 10 * k + 12, :10] = 255
            save(tmp_path / f"made/id{n}/masks/{k}.png", nucleus)
    save(tmp_path / "made/other/images/other.png", bright)
    save(tmp_path / "made/other/masks/0.png", np.zeros((256, 256), np.uint8))
    packed(tmp_path / "made", tmp_path / "stage1_train.zip")
    offline(tmp_path)
    assert [len(get("dsb2018", tmp_path / "out").splits[split]) for split in SPLITS] == [7, 1, 2]
    dataset = create_dataset("dsb2018", tmp_path / "out")
    instances = dataset.instances("id3")
    assert instances is not None
    assert np.unique(instances, return_counts=True)[1].tolist() == [256 * 256 - 220, 100, 120]  # the later is on top


def test_official_files_to_be_prepared_are_said(tmp_path: Path) -> None:
    save(tmp_path / "stage1_train/a/images/a.png", np.zeros((256, 256, 3), np.uint8))
    save(tmp_path / "stage1_train/a/masks/b.png", np.zeros((256, 256), np.uint8))
    with pytest.raises(UnetzooError, match="holds the official files; convert them by `unetzoo data get dsb2018"):
        create_dataset("dsb2018", tmp_path)


@needs_data
def test_text_lines_are_drawn_as_they_were(tmp_path: Path) -> None:
    theirs = SHARED / "tapuscorpus_lines"
    folders = {"AN96AP_": "AN-96AP_1-1969", "btv1b525062185_": "12148-btv1b525062185"}
    keys = [p.stem for p in sorted((theirs / "alto").glob("*.xml"))]
    for key in keys:
        prefix = next(p for p in folders if key.startswith(p))
        target = tmp_path / "tapuscorpus-f18a/data" / folders[prefix] / key.removeprefix(prefix)
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{target}.jpg").symlink_to(theirs / f"images/{key}.jpg")
        Path(f"{target}.xml").symlink_to(theirs / f"alto/{key}.xml")
    get("tapuscorpus", tmp_path)
    for key in keys:
        with Image.open(tmp_path / f"masks/{key}.png") as ours, Image.open(theirs / f"masks/{key}.png") as mask:
            assert np.array_equal(np.asarray(ours), np.asarray(mask))


@pytest.mark.parametrize(("name", "why"), [("drive", "register at https"), ("dibco", "RAR"), ("amazon_forest", "RAR")])
def test_what_may_not_be_fetched_says_what_to_do(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UnetzooError, match=rf"{name} cannot be downloaded: .*{why}.*{tmp_path / 'here'}"):
        get(name, tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_get_goes_on_after_the_first_of_two_archives(tmp_path: Path, offline: Callable[[Path], None]) -> None:
    pet(tmp_path / "made")
    for part in ("images", "annotations"):
        with tarfile.open(tmp_path / f"{part}.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "made/oxford-iiit-pet" / part, part)
    offline(tmp_path)
    whole = (tmp_path / "annotations.tar.gz").read_bytes()
    (tmp_path / "annotations.tar.gz").write_bytes(whole[:100])
    with pytest.raises(UnetzooError, match=r"annotations\.tar\.gz: (is damaged|cannot)"):
        get("oxford_pet", tmp_path / "out")
    (tmp_path / "annotations.tar.gz").write_bytes(whole)
    assert len(get("oxford_pet", tmp_path / "out").splits["test"]) == 4
    assert not list((tmp_path / "out").glob("*.unpacked"))


def test_a_damaged_image_is_said_and_nothing_half_done_stays(tmp_path: Path) -> None:
    (tmp_path / "a/images").mkdir(parents=True)
    (tmp_path / "a/images/a.png").write_bytes(b"no image")
    with pytest.raises(UnetzooError, match=r"a\.png"):
        get("dsb2018", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


# --- n_train, folds, split_seed ---------------------------------------------------------------------------------------


@pytest.fixture
def eyes(tmp_path: Path) -> Path:
    chase(tmp_path)
    return tmp_path


def test_fewer_training_images_are_among_more(eyes: Path) -> None:
    whole = create_dataset("chase_db1", eyes)
    few, more = (create_dataset("chase_db1", eyes, n_train=n) for n in (2, 4))
    assert set(few.splits["train"]) < set(more.splits["train"]) < set(whole.splits["train"])
    assert few.splits["test"] == whole.splits["test"]
    assert "n_train = 2" in few.info.description
    assert few.digest() != more.digest() != whole.digest()
    with pytest.raises(UnetzooError, match="data set 'chase_db1': n_train = 7 must be 1 to 6"):
        create_dataset("chase_db1", eyes, n_train=7)


def test_a_generated_world_draws_so_many() -> None:
    assert create_dataset("cells", n_train=5).splits["train"] == create_dataset("cells").splits["train"][:5]
    assert len(create_dataset("cells", n_train=5, folds=4, fold=0).splits["train"]) == 5


def test_an_official_test_set_stays_and_the_folds_validate(eyes: Path) -> None:
    parts = [create_dataset("chase_db1", eyes, folds=4, fold=fold).splits for fold in range(4)]
    test = create_dataset("chase_db1", eyes).splits["test"]
    assert all(part["test"] == test for part in parts)
    assert sorted(key for part in parts for key in part["val"]) == sorted(parts[0]["train"] + parts[0]["val"])


def test_without_one_a_fold_is_the_test_set(tmp_path: Path) -> None:
    wbc(tmp_path)
    parts = [create_dataset("wbc", tmp_path, folds=5, fold=fold).splits for fold in range(5)]
    assert sorted(key for part in parts for key in part["test"]) == [f"{n:03d}" for n in range(1, 11)]
    assert all(len(part["val"]) == 1 for part in parts)


def test_folds_of_a_stack_are_runs_of_slices(tmp_path: Path) -> None:
    isbi(tmp_path)
    last = create_dataset("isbi2012", tmp_path, folds=5, fold=4)
    assert last.splits == create_dataset("isbi2012", tmp_path).splits
    first = create_dataset("isbi2012", tmp_path, folds=5, fold=0)
    assert first.splits["test"] == ("00", "01", "02", "03", "04", "05")
    assert first.splits["val"] == ("26", "27", "28", "29")


def test_another_seed_draws_another_validation_set(tmp_path: Path) -> None:
    wbc(tmp_path)
    default = create_dataset("wbc", tmp_path)
    others = [create_dataset("wbc", tmp_path, split_seed=seed) for seed in range(6)]
    assert others[0].splits == default.splits
    assert len({other.splits["val"] for other in others}) > 1
    assert all(other.splits["test"] == default.splits["test"] for other in others)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 5}, "folds and fold belong together"),
        ({"fold": 1}, "folds and fold belong together"),
        ({"folds": 5, "fold": 5}, "fold = 5 must be 0 to 4"),
        ({"n_train": "3", "folds": 2, "fold": 0}, "n_train = '3' must be a whole number"),
        ({"split_seed": 1}, "split_seed would change nothing: the split is fixed"),
    ],
)
def test_a_split_that_cannot_be_is_said(options: dict, message: str) -> None:
    with pytest.raises(UnetzooError, match=f"^data set 'cells': {message}"):
        create_dataset("cells", **options)


def test_a_suite_asks_for_a_split_and_its_trials_tell(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'models = ["unet"]\nset = { width = 4 }\n[data]\nname = "cells"\nfolds = 4\nfold = 1\nsplit_seed = 3\n'
    )
    suite = read_suite(tmp_path / "s.toml")
    trial = expand(suite, suite.data.open())[-1]
    assert (trial.data.folds, trial.data.fold, trial.data.split_seed, trial.data.n_train) == (4, 1, 3, None)
    plain = trial.model_copy(update={"data": trial.data.model_copy(update={"folds": None, "fold": None})})
    assert isinstance(plain, Trial)
    assert plain.id != trial.id
    with pytest.raises(UnetzooError, match="n_train stands in data and in its options"):
        DataRequest(n_train=3, options={"n_train": 4})
    (tmp_path / "s.toml").write_text('models = ["unet"]\n[data]\nname = "cells"\nfolds = 1\n')
    with pytest.raises(UnetzooError, match=r"s\.toml: data\.folds = 1"):
        read_suite(tmp_path / "s.toml")


# --- the command line ----------------------------------------------------------------------------------------------


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return command("data", *arguments)


def test_list_names_all_and_imports_no_torch() -> None:
    done = run("list", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) == set(unetzoo.list_datasets())
    assert rows["voc2012"]["classes"] == 21
    assert rows["cells"]["here"] == "generated"
    code = "import sys; from unetzoo.cli.main import main; sys.argv = ['unetzoo', 'data', 'list']\n"
    code += "try: main()\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.endswith("False\n")


def test_info_tells_all(tmp_path: Path) -> None:
    drive(tmp_path)
    done = run("info", "drive", "--root", str(tmp_path))
    assert done.returncode == 0
    for text in ("classes: 1 vessel", "10.1109/TMI.2004.825627", "no redistribution", "here: 5 train", "here: 4 test"):
        assert text in done.stdout
    missing = run("info", "drive", "--root", str(tmp_path / "nowhere"))
    assert missing.returncode == 0
    assert "found: no: " in missing.stdout
    assert run("info", "drivee").stderr.startswith("error: unknown data set 'drivee'; did you mean drive?")


def test_get_refuses_in_one_line(tmp_path: Path) -> None:
    done = run("get", "drive", "--out", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: drive cannot be downloaded")
