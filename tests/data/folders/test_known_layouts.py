"""Layouts of known data sets and tools are read, and what a layout passes over is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

import unetzoo
from support.data_folders import SHAPE, disc, look, make_folder, picture, run, save, sizes, texts
from unetzoo import UnetzooError
from unetzoo.data.folders.check import check, find_source

RGB = (*SHAPE, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data")


def masks_of(root: Path, **options: object) -> dict[str, np.ndarray]:
    """Return the foreground of every mask that a folder gives, by key."""
    data = unetzoo.create_dataset("folder", root, **options)  # type: ignore[arg-type]
    return {key: data.read(key)[1] for keys in data.splits.values() for key in keys}


# --- nnU-Net -------------------------------------------------------------------------------------------------------


def nnunet(root: Path, channels: int = 1, count: int = 8) -> Path:
    for i in range(count):
        for channel in range(channels):
            save(root / "imagesTr" / f"case_{i}_{channel:04d}.png", picture(10 * i + channel))
        save(root / "labelsTr" / f"case_{i}.png", disc(i))
    names = {str(c): f"stain {c}" for c in range(channels)}
    (root / "dataset.json").write_text(json.dumps({"channel_names": names, "labels": {"background": 0, "nucleus": 1}}))
    return root


def test_nnunet_with_one_channel(tmp_path: Path) -> None:
    found = look(nnunet(tmp_path))
    assert found.errors == []
    assert [c.name for c in found.reading.classes] == ["background", "nucleus"]
    assert all(np.array_equal(mask, disc(int(key[-1]))) for key, mask in masks_of(tmp_path).items())


def test_nnunet_stacks_its_channels(tmp_path: Path) -> None:
    data = unetzoo.create_dataset("folder", nnunet(tmp_path, channels=3))
    assert data.info.channels == 3
    image, mask = data.read("case_2")
    assert all(np.array_equal(image[c] * 255, picture(20 + c)) for c in range(3))
    assert np.array_equal(mask, disc(2))


def test_nnunet_names_a_channel_that_is_missing(tmp_path: Path) -> None:
    (nnunet(tmp_path, channels=2) / "imagesTr" / "case_3_0001.png").unlink()
    with pytest.raises(UnetzooError, match=r"case_3_0000.png: the image 'case_3' has 1 files .* but 2 are needed"):
        unetzoo.create_dataset("folder", tmp_path)


def test_nnunet_test_images_without_labels_are_left_out(tmp_path: Path) -> None:
    nnunet(tmp_path)
    for i in range(2):
        save(tmp_path / "imagesTs" / f"case_9{i}_0000.png", picture(90 + i))
    assert any("imagesTs: 2 images without masks, left out" in text for text in texts(look(tmp_path), "warning"))
    for i in range(2):
        save(tmp_path / "labelsTs" / f"case_9{i}.png", disc(90 + i))
    assert sizes(look(tmp_path))[2] == 2


def test_nnunet_volumes_are_refused(tmp_path: Path) -> None:
    (nnunet(tmp_path) / "imagesTr" / "case_99_0000.nii.gz").write_bytes(b"x")
    with pytest.raises(UnetzooError, match=r"case_99_0000\.nii\.gz: volumes are not read; save the slices"):
        look(tmp_path)


def test_nnunet_ignore_is_void(tmp_path: Path) -> None:
    nnunet(tmp_path)
    for i in range(8):
        save(tmp_path / "labelsTr" / f"case_{i}.png", disc(i) + 2 * (disc(i + 20) * (1 - disc(i))))
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "nucleus": 1, "ignore": 2}}))
    assert look(tmp_path).reading.ignore == [2]


# --- DRIVE, Carvana ------------------------------------------------------------------------------------------------


def drive(root: Path) -> Path:
    for first, count, split in ((21, 6, "training"), (1, 3, "test")):
        for i in range(first, first + count):
            save(root / split / "images" / f"{i:02d}_{split}.tif", picture(i, RGB))
            save(root / split / "1st_manual" / f"{i:02d}_manual1.gif", disc(i, 255))
            save(root / split / "mask" / f"{i:02d}_{split}_mask.gif", np.full(SHAPE, 255, np.uint8))
    return root


def test_drive_takes_the_vessels_and_says_so(tmp_path: Path) -> None:
    found = look(drive(tmp_path))
    assert found.errors == []
    assert sizes(found) == [5, 1, 3]
    assert any("masks are those of 1st_manual/; not used: mask/" in text for text in texts(found, "note"))
    masks = masks_of(tmp_path)
    assert all(np.array_equal(mask, disc(int(key.split("/")[1]))) for key, mask in masks.items())


def test_drive_whose_test_images_have_no_masks(tmp_path: Path) -> None:
    for path in (drive(tmp_path) / "test" / "1st_manual").iterdir():
        path.unlink()
    found = look(tmp_path)
    assert found.errors == []
    assert sum(sizes(found)) == 6
    assert any("test: 3 images without masks, left out of training and scoring" in t for t in texts(found, "warning"))


def test_carvana(tmp_path: Path) -> None:
    for i in range(8):
        save(tmp_path / "train" / f"car{i}.jpg", picture(i, RGB))
        save(tmp_path / "train_masks" / f"car{i}_mask.gif", disc(i))
    assert sizes(look(tmp_path)) == [6, 1, 1]
    save(tmp_path / "test" / "car9.jpg", picture(9, RGB))
    found = look(tmp_path)
    assert sizes(found) == [6, 1, 1]
    assert any("test: 1 image without masks, left out" in text for text in texts(found, "warning"))


# --- several masks an image ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["", "benign"])
def test_busi_joins_the_masks_of_an_image(tmp_path: Path, inside: str) -> None:
    for i in range(8):
        save(tmp_path / inside / f"benign ({i}).png", picture(i, RGB))
        save(tmp_path / inside / f"benign ({i})_mask.png", disc(i, 255))
    save(tmp_path / inside / "benign (3)_mask_1.png", disc(50, 255))
    found = look(tmp_path)
    assert found.errors == []
    assert len(found.survey.items) == 8
    masks = {key.split("/")[-1]: mask for key, mask in masks_of(tmp_path).items()}
    assert np.array_equal(masks["benign (3)"], disc(3) | disc(50))
    assert np.array_equal(masks["benign (4)"], disc(4))


def test_parts_that_contradict_each_other(tmp_path: Path) -> None:
    for i in range(8):
        save(tmp_path / f"a{i}.png", picture(i, RGB))
        save(tmp_path / f"a{i}_mask.png", disc(i, 1))
    save(tmp_path / "a3_mask_1.png", disc(3, 2))
    with pytest.raises(UnetzooError, match=r"a3_mask_1.png: \d+ pixels have another value in a3_mask.png"):
        unetzoo.create_dataset("folder", tmp_path)


@pytest.mark.parametrize("outer", ["", "stage1_train"])
def test_a_folder_an_image_and_a_mask_an_object(tmp_path: Path, outer: str) -> None:
    for i in range(8):
        save(tmp_path / outer / f"id{i}" / "images" / f"id{i}.png", picture(i, RGB))
        save(tmp_path / outer / f"id{i}" / "masks" / "00ff.png", disc(i, 255))
        save(tmp_path / outer / f"id{i}" / "masks" / "11ff.png", disc(i + 100, 255))
    if outer:
        save(tmp_path / "stage1_test" / "id9" / "images" / "id9.png", picture(9, RGB))
    found = look(tmp_path)
    assert found.errors == []
    assert found.reading.instances
    assert any("stage1_test: 1 image without masks" in text for text in texts(found, "warning")) == bool(outer)
    data = unetzoo.create_dataset("folder", tmp_path)
    assert np.array_equal(data.read("id3")[1], disc(3) | disc(103))
    ids = data.instances("id3")
    assert np.array_equal(ids, np.where(disc(3) > 0, 1, 2 * disc(103)))


# --- cellpose, CVAT, Roboflow --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("image", "mask"), [("w{}_img.tif", "w{}_masks.tif"), ("w{}.tif", "w{}_masks.tif")])
def test_cellpose(tmp_path: Path, image: str, mask: str) -> None:
    for i in range(8):
        tifffile.imwrite(tmp_path / image.format(i), picture(i))
        tifffile.imwrite(tmp_path / mask.format(i), disc(i, 255))
    found = look(tmp_path)
    assert found.errors == []
    assert sorted(found.layout.pairing.pairs) == [f"w{i}" for i in range(8)]


def test_cellposes_pickles_are_refused_with_words(tmp_path: Path) -> None:
    for i in range(8):
        tifffile.imwrite(tmp_path / f"w{i}.tif", picture(i))
        np.save(tmp_path / f"w{i}_seg.npy", {"masks": disc(i)}, allow_pickle=True)  # type: ignore[arg-type]
    with pytest.raises(UnetzooError, match=r"pickled"):
        unetzoo.create_dataset("folder", tmp_path)


def test_cvat_names_its_colours(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 0], [250, 50, 83]], np.uint8)
    for i in range(8):
        save(tmp_path / "JPEGImages" / f"a{i}.jpg", picture(i, RGB))
        save(tmp_path / "SegmentationClass" / f"a{i}.png", colours[disc(i)])
        save(tmp_path / "SegmentationObject" / f"a{i}.png", colours[disc(i)])
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::", "cell:250,50,83::"]
    (tmp_path / "labelmap.txt").write_text("\n".join(lines))
    found = look(tmp_path)
    assert found.errors == []
    assert [c.name for c in found.reading.classes] == ["background", "cell"]
    assert not any("not read" in text for text in texts(found))


def test_roboflow(tmp_path: Path) -> None:
    for split, first, count in (("train", 0, 5), ("valid", 5, 2), ("test", 7, 2)):
        for i in range(first, first + count):
            save(tmp_path / split / f"a{i}.jpg", picture(i, RGB))
            save(tmp_path / split / f"a{i}_mask.png", disc(i))
        (tmp_path / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, leaf\n")
    found = look(tmp_path)
    assert found.errors == []
    assert sizes(found) == [5, 2, 2]
    assert [c.name for c in found.reading.classes] == ["background", "leaf"]


# --- folders inside ------------------------------------------------------------------------------------------------


def test_pairs_in_folders_inside_are_read(folder: Path) -> None:
    for i in range(4):
        save(folder / "images" / "batch2" / f"b{i}.png", picture(20 + i, RGB))
        save(folder / "masks" / "batch2" / f"b{i}.png", disc(20 + i, 255))
    found = look(folder)
    assert found.errors == []
    assert len(found.survey.items) == 12
    assert np.array_equal(masks_of(folder)["batch2/b2"], disc(22))


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/p{p}/s{i}.png", "masks/p{p}/s{i}.png"),
        ("p{p}/images/s{i}.png", "p{p}/masks/s{i}.png"),
        ("p{p}/s{i}.png", "p{p}/s{i}_mask.png"),
    ],
)
def test_a_folder_a_patient_is_a_group(tmp_path: Path, image: str, mask: str) -> None:
    for i in range(12):
        save(tmp_path / image.format(p=i % 4, i=i), picture(i, RGB))
        save(tmp_path / mask.format(p=i % 4, i=i), disc(i, 255))
    found = look(tmp_path)
    assert found.errors == []
    assert set(found.layout.groups.values()) == {f"p{p}" for p in range(4)}
    assert sum(sizes(found)) == 12
    assert any("keeps a folder in one split" in text for text in texts(found, "note"))


def test_folders_that_are_only_beside_the_images_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(folder / "images" / "more" / "b0.png", picture(20, RGB))
    assert any("images/more: a folder inside with 1 image" in text for text in texts(look(folder), "warning"))
    data = unetzoo.create_dataset("folder", folder)
    assert any("images/more: a folder inside" in line for line in data.messages)  # type: ignore[attr-defined]
    assert "images/more: a folder inside" in caplog.text


# --- what is not read ----------------------------------------------------------------------------------------------


def two_mask_folders(root: Path) -> str:
    for i in range(8):
        save(root / "labels" / f"a{i}.png", disc(i + 50, 255))
    return r"masks/ and labels/ could each hold the masks; choose: .* --masks masks"


def unmatched(root: Path) -> str:
    for i in range(8):
        (root / "images" / f"a{i}.png").rename(root / "images" / f"a{i}_0000.png")
    return r"a0_0000.png: has no mask with stem 'a0_0000' \(and 7 more: a1_0000.png, .*--images 'images/\*_0000.png'"


def other_suffix(root: Path) -> str:
    (root / "images" / "a2.png").rename(root / "images" / "a2.jp2")
    return r"images/a2.jp2: .jp2 is not read; convert"


def dangling(root: Path) -> str:
    (root / "images" / "a2.png").unlink()
    (root / "images" / "a2.png").symlink_to(root / "elsewhere.png")
    return r"images/a2.png: a link to .*elsewhere.png, which does not exist"


def only_other_suffixes(root: Path) -> str:
    for path in (root / "images").iterdir():
        path.rename(path.with_suffix(".heic"))
    return r"images: there are no images .* 8 files are .heic, which is not read"


@pytest.mark.parametrize("spoil", [two_mask_folders, unmatched, other_suffix, dangling, only_other_suffixes])
def test_culprits_are_named_in_check_plan_and_the_api(folder: Path, spoil: Callable[[Path], str]) -> None:
    from typer.testing import CliRunner

    from unetzoo.cli.main import app

    message = spoil(folder)
    with pytest.raises(UnetzooError, match=message):
        unetzoo.create_dataset("folder", folder)
    checked = run(str(folder))
    assert checked.exit_code in (1, 2)
    for command in ("plan", "bench"):
        ran = CliRunner().invoke(app, [command, "--data", str(folder), "--models", "unet"])
        assert isinstance(ran.exception, UnetzooError) or ran.exit_code == 2
        assert ran.exit_code != 0


def test_a_choice_settles_two_mask_folders(folder: Path) -> None:
    two_mask_folders(folder)
    assert np.array_equal(masks_of(folder, masks="labels")["a1"], disc(51))
    assert run(str(folder), "--masks", "labels").exit_code == 0  # writes dataset.toml
    assert np.array_equal(masks_of(folder)["a1"], disc(51))


def test_a_pattern_settles_stems_that_differ(folder: Path) -> None:
    unmatched(folder)
    assert run(str(folder), "--images", "images/*_0000.png").exit_code == 0
    assert np.array_equal(masks_of(folder)["a1"], disc(1))


@pytest.mark.parametrize("joined", ["objects", "parts", "deep"])
def test_a_written_reading_gives_the_same_data(tmp_path: Path, joined: str) -> None:
    for i in range(8):
        inner = f"id{i}/" if joined != "parts" else ""
        if joined == "objects":
            save(tmp_path / inner / "images" / f"id{i}.png", picture(i, RGB))
            for number in range(3):
                save(tmp_path / inner / "masks" / f"m{number}.png", disc(10 * i + number, 255))
        else:
            save(tmp_path / inner / f"a{i}.png", picture(i, RGB))
            save(tmp_path / inner / f"a{i}_mask.png", disc(i, 255))
            if joined == "parts":
                save(tmp_path / inner / f"a{i}_mask_1.png", disc(i + 50, 255))
    before = unetzoo.create_dataset("folder", tmp_path).digest()
    assert run(str(tmp_path)).exit_code == 0
    assert unetzoo.create_dataset("folder", tmp_path).digest() == before
    out = tmp_path.parent / f"{joined}-out"
    assert run(str(tmp_path), "--out", str(out), "--force").exit_code == 0
    assert unetzoo.create_dataset("folder", out / "dataset.toml").digest() == before


def test_backslashes_in_a_csv(folder: Path) -> None:
    rows = [f"images\\a{i}.png,masks\\a{i}.png" for i in range(8)]
    (folder / "pairs.csv").write_text("image,mask\n" + "\n".join(rows))
    found = check(find_source(folder))
    assert found.errors == []
    assert len(found.survey.items) == 8
