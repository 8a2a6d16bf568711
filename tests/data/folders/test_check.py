"""`unetzoo data check`: its findings in realistic folders, and the file it writes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unetzoo
from support.data_folders import (
    COUNT,
    disc,
    image_of,
    look,
    make_folder,
    mask_of,
    run,
    save,
    share,
    sizes,
    texts,
    values,
)
from unetzoo import UnetzooError
from unetzoo.data.folders.check import Check, find_source
from unetzoo.data.folders.reading_file import read_reading

DATA = os.environ.get("UNETZOO_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="UNETZOO_DATA is not set: the real data sets are not at hand")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data")


# --- the real sets: what their README says of the mask, found by looking ------------------------------------------


def real(name: str) -> Check:
    assert DATA is not None
    found = look(Path(DATA) / name, compare=False)
    assert found.errors == []
    assert found.reading is not None
    return found


@needs_data
def test_isbi_membrane_is_value_0() -> None:
    found = real("isbi2012_em")
    assert values(found) == [([255], False), ([0], True)]
    assert share(found, 1) == pytest.approx(0.2196, abs=1e-4)
    assert found.reading.channels == 1
    assert sizes(found) == [20, 4, 6]


@needs_data
def test_dsb_masks_are_instance_ids_and_grey_rgba_is_one_channel() -> None:
    found = real("dsb2018_nuclei")
    assert found.reading.instances
    assert "9,543 instances" in found.kind
    assert values(found) == [([0], False), (["1-"], True)]
    assert found.reading.channels == 1
    assert any("334 images have an alpha channel" in text for text in texts(found))


@needs_data
def test_chase_vessels_are_1_and_the_eyes_of_a_child_stay_together() -> None:
    found = real("chase_db1")
    assert values(found) == [([0], False), ([1], True)]
    assert share(found, 1) == pytest.approx(0.0693, abs=1e-4)
    assert {item.mask.kind for item in found.survey.items} == {"1-bit PNG"}
    of_child: dict[str, set[str]] = {}
    for key, split in found.layout.split_of.items():
        of_child.setdefault(key[:-1], set()).add(split)
    assert all(len(splits) == 1 for splits in of_child.values())
    assert sum(sizes(found)[:2]) == 20


@needs_data
def test_camvid_11_is_void() -> None:
    found = real("camvid")
    assert values(found) == [([i], True) for i in range(11)]
    assert found.reading.ignore == [11]
    assert any("11 looks like void" in text and "set ignore = []" in text for text in texts(found, "warning"))
    assert sizes(found) == [46, 13, 30]
    assert any("official_train_full_list.txt" in text for text in texts(found, "note"))


@needs_data
def test_amazon_masks_are_palette_indices_not_colours() -> None:
    found = real("amazon_forest")
    assert found.kind == "palette indices 1 and 2"
    assert values(found) == [([1], False), ([2], True)]
    assert share(found, 1) == pytest.approx(0.4747, abs=1e-4)
    assert sizes(found)[2] == 15  # published results are on the official validation images
    assert any("no test list: val.txt becomes the test set" in text for text in texts(found, "warning"))


@needs_data
def test_magnetic_tile_masks_are_anti_aliased() -> None:
    found = real("magnetic_tile")
    assert found.kind.startswith("anti-aliased")
    assert values(found) == [(["0-127"], False), (["128-255"], True)]
    assert share(found, 1) == pytest.approx(0.075, abs=0.002)
    assert "64 of 452 masks hold no foreground" in texts(found)


@needs_data
def test_wbc_has_three_classes_0_128_255() -> None:
    found = real("wbc_dataset1")
    assert values(found) == [([0], False), ([128], True), ([255], True)]
    assert [share(found, i) for i in range(3)] == pytest.approx([0.6881, 0.1885, 0.1234], abs=1e-4)
    assert any("139.bmp: is the same image as '112', with masks that differ" in text for text in texts(found))


@needs_data
def test_dibco_ink_is_0_in_bmp_files_named_tiff() -> None:
    found = real("dibco")
    assert values(found) == [([1], False), ([0], True)]
    assert share(found, 1) == pytest.approx(0.0988, abs=1e-4)
    assert "25 files named .tiff: read as BMP, the format of the content" in texts(found)
    assert sizes(found) == [10, 2, 13]


@needs_data
def test_tapuscorpus_lines_are_255_and_pages_are_large() -> None:
    found = real("tapuscorpus_lines")
    assert values(found) == [([0], False), ([255], True)]
    assert share(found, 1) == pytest.approx(0.214, abs=1e-3)
    assert any("4565x3642 is large" in text and "downscale = 3" in text for text in texts(found, "warning"))


@needs_data
def test_a_read_only_folder_is_left_alone(tmp_path: Path) -> None:
    root = Path(str(DATA)) / "isbi2012_em"
    if root.stat().st_mode & 0o222:
        pytest.skip("the data folder is not read-only")
    before = sorted(root.iterdir())
    result = run(str(root))
    assert result.exit_code == 0
    assert "is read-only; --out DIR puts dataset.toml and contact_sheet.png elsewhere" in result.output
    assert sorted(root.iterdir()) == before
    assert run(str(root), "--out", str(tmp_path)).exit_code == 0
    dataset = unetzoo.create_dataset("folder", tmp_path)
    assert dataset.info.values == (255, 0)
    assert len(dataset.splits["train"]) == 20


def test_generated_classes_are_not_taken_for_void_or_instances(tmp_path: Path) -> None:
    """In the masks of the road maps the last class comes in few, thin or separate pieces."""
    roads = unetzoo.create_dataset("roads", n_train=8, n_val=2, n_test=2)
    for key in (key for keys in roads.splits.values() for key in keys):
        image, mask = roads.read(key)
        save(tmp_path / "images" / f"{key}.png", (255 * image).round().astype(np.uint8).transpose(1, 2, 0))
        save(tmp_path / "masks" / f"{key}.png", mask.astype(np.uint8))
    found = look(tmp_path)
    assert found.errors == []
    assert values(found) == [([i], i > 0) for i in range(roads.info.classes)]
    assert found.reading.ignore == []


# --- the command, and the file it writes ---------------------------------------------------------------------------


def test_the_command_writes_a_reading_that_is_then_used(folder: Path) -> None:
    result = run(str(folder))
    assert result.exit_code == 0, result.output
    assert "foreground = 255" in result.output
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.size[0] > 800
    path = folder / "dataset.toml"
    reading = read_reading(path)
    assert [c.values for c in reading.classes] == [[0], [255]]
    edited = path.read_text().replace('name = "foreground"', 'name = "lesion"').replace("seed = 0", "seed = 5")
    path.write_text(edited)
    assert run(str(folder)).exit_code == 0
    assert path.read_text() == edited
    dataset = unetzoo.create_dataset("folder", folder)
    assert dataset.info.class_names == ("background", "lesion")
    assert run(str(folder), "--force").exit_code == 0
    assert 'name = "lesion"' not in path.read_text()


def test_as_json(folder: Path) -> None:
    result = run(str(folder), "--json")
    summary = json.loads(result.stdout)
    assert summary["pairs"] == COUNT
    assert summary["reading"]["classes"][1]["values"] == [255]
    assert summary["findings"][0].keys() == {"severity", "kind", "text"}
    assert sum(summary["splits"].values()) == COUNT


def test_exit_codes(folder: Path, tmp_path: Path) -> None:
    mask_of(folder, 4).write_bytes(b"")
    result = run(str(folder))
    assert result.exit_code == 1
    assert "not usable as it is" in result.output
    with pytest.raises(UnetzooError, match="no such file or folder"):
        find_source(tmp_path / "nowhere")
    with pytest.raises(
        UnetzooError, match=r"a0\.png: is neither a folder, a CSV of pairs, a COCO file \(\.json\) nor a dataset\.toml"
    ):
        find_source(image_of(folder, 0))
    assert isinstance(run(str(tmp_path / "nowhere")).exception, UnetzooError)  # `main` prints it and exits 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("channels = 3", "chanels = 3", r"dataset\.toml: unknown option 'chanels'; did you mean channels"),
        ("values = [255]", 'values = ["#ff00zz"]', "value '#ff00zz' is not a whole number"),
        ("values = [255]", 'values = ["0-255"]', "value 0 of 'background' and '0-255' of 'foreground' overlap"),
        ("values = [255]", 'values = ["#ffffff"]', "all must be numbers, or all must be colours"),
        ("values = [255]", "values = []", "values"),
        (
            "range = [0.0, 255.0]",
            "range = [9.0, 3.0]",
            r"range = \[9\.0, 3\.0\]: the first value must be below the second",
        ),
        ("values = [255]", "values = [254]", r"mask value 255 is in no class .* classes: background 0, foreground 254"),
        ("channels = 3", "channels = 1", "3 channels that differ, but the reading has 1"),
        ('masks = "masks"', 'masks = "mask"', "mask: no such folder or file"),
        ("foreground = true", "foreground = false", "none has foreground = true"),
        ("seed = 0", "seed = 0 0", "not valid TOML"),
        ('mask_stem = "{stem}"', 'mask_stem = "stem"', "mask_stem = 'stem' must contain {stem} once"),
    ],
)
def test_a_reading_that_is_wrong(folder: Path, old: str, new: str, message: str) -> None:
    assert run(str(folder)).exit_code == 0
    path = folder / "dataset.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UnetzooError, match=message) as caught:
        unetzoo.create_dataset("folder", folder)
    assert "\n" not in str(caught.value)


def test_values_that_a_reading_does_not_name_are_findings(folder: Path) -> None:
    assert run(str(folder)).exit_code == 0
    save(mask_of(folder, 4), disc(4, 200))
    found = look(folder)
    assert any("a4.png: mask value 200 is in no class" in text for text in texts(found, "error"))
    assert run(str(folder)).exit_code == 1
