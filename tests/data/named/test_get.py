"""`get`: fetched from given archives, unpacked, prepared and found."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.miniatures import (
    pet,
    save,
    wbc,
)
from unetzoo.data.base import SPLITS
from unetzoo.data.named import named
from unetzoo.data.named.download import Remote
from unetzoo.data.named.named import get
from unetzoo.data.registry import create_dataset
from unetzoo.errors import UnetzooError

SHARED = Path(os.environ.get("UNETZOO_DATA", "missing"))
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="UNETZOO_DATA is not set")


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
