"""Folders with COCO and labelme annotations: layouts, classes, and what is refused or reported."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from support.annotations import (
    annotation,
    box,
    coco_set,
    image_entry,
    labelme_set,
    save_image,
    write_coco,
)
from unetzoo.bench.suite_file import adjust
from unetzoo.cli.main import app
from unetzoo.data.folders.check import Check, check, find_source
from unetzoo.data.folders.reading_file import read_reading
from unetzoo.data.registry import create_dataset
from unetzoo.errors import UnetzooError


def look(path: Path) -> Check:
    return check(find_source(path), compare=False)


def texts(checked: Check, severity: str | None = None) -> list[str]:
    return [finding.text for finding in checked.findings if severity in (None, finding.severity)]


def sizes(checked: Check) -> dict[str, int]:
    return {split: len(keys) for split, keys in checked.layout.splits.items()}


def places(checked: Check) -> tuple[str | None, str]:
    return checked.layout.files.annotations, checked.layout.files.images


def data_check(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["data", "check", *map(str, arguments)])


# Layouts


def test_coco_as_it_is_downloaded(tmp_path: Path) -> None:
    coco_set(tmp_path, "annotations/instances_train2017.json", "train2017")
    coco_set(tmp_path, "annotations/instances_val2017.json", "val2017", 4, 100)
    (tmp_path / "annotations/captions_train2017.json").write_text('{"images": [], "annotations": []}')
    found = look(tmp_path)
    assert places(found) == ("annotations/instances_{split}.json", "{split}")
    assert found.layout.files.splits == {"train": "train2017", "test": "val2017"}
    assert sizes(found) == {"train": 7, "val": 1, "test": 4}
    assert not found.errors
    assert [(c.name, c.foreground) for c in found.reading.classes] == [  # type: ignore[union-attr]
        ("background", False),
        ("cat", True),
        ("dog", True),
    ]
    key = next(key for key in found.layout.pairing.pairs if key.endswith("/p0"))
    mask = create_dataset("folder", tmp_path).read(key)[1]
    assert {value: int((mask == value).sum()) for value in (0, 1, 2)} == {0: 24 * 32 - 324, 1: 25, 2: 324 - 25}


def test_the_layout_of_roboflow(tmp_path: Path) -> None:
    for split, start, count in (("train", 0, 8), ("valid", 100, 4), ("test", 200, 4)):
        coco_set(tmp_path, f"{split}/_annotations.coco.json", split, count, start)
    found = look(tmp_path)
    assert places(found) == ("{split}/_annotations.coco.json", "{split}")
    assert sizes(found) == {"train": 8, "val": 4, "test": 4}


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("instances.json", "images"),
        ("annotations/instances_default.json", "images"),
        ("annotations/instances_default.json", "images/default"),
        ("result.json", "images"),
        ("annotations.json", "."),
        ("_annotations.coco.json", "."),
        ("labels/coco.json", "img"),
        ("train/_annotations.coco.json", "train"),
        ("annotations/instances_val2017.json", "val2017"),
    ],
)
def test_a_single_coco_file(tmp_path: Path, annotations: str, images: str) -> None:
    coco_set(tmp_path, annotations, images, 20)
    found = look(tmp_path)
    assert places(found) == (annotations, images)
    assert not found.errors
    assert len(found.layout.pairing.pairs) == 20
    assert all(sizes(found).values())  # drawn by hash


@pytest.mark.parametrize("images", ["images", "images/{split}", "{split}/images", "{split}"])
def test_coco_files_of_splits(tmp_path: Path, images: str) -> None:
    for split, start in (("train", 0), ("test", 100)):
        coco_set(tmp_path, f"annotations/{split}.json", images.replace("{split}", split), 8, start)
    found = look(tmp_path)
    assert places(found) == ("annotations/{split}.json", images)
    assert sizes(found)["test"] == 8
    assert not texts(found, "warning")


def test_a_coco_file_by_its_path(tmp_path: Path) -> None:
    coco_set(tmp_path, "annotations/old.json", "images", 20)
    shutil.copy(tmp_path / "annotations/old.json", tmp_path / "annotations/new.json")
    with pytest.raises(UnetzooError, match=r"new\.json and .*old\.json both hold COCO annotations; give the path"):
        look(tmp_path)
    found = look(tmp_path / "annotations/new.json")
    assert places(found) == ("annotations/new.json", "images")
    assert create_dataset("folder", tmp_path / "annotations/new.json").info.class_names == ("background", "cat", "dog")


@pytest.mark.parametrize(
    ("annotations", "images"), [(".", "."), ("json", "images"), ("labels", "images"), ("images", "images")]
)
def test_labelme(tmp_path: Path, annotations: str, images: str) -> None:
    labelme_set(tmp_path, annotations, images, 20)
    found = look(tmp_path)
    assert places(found) == (annotations, images)
    assert not found.errors
    assert found.layout.files.categories == ["cat", "dog"]
    assert len(found.layout.pairing.pairs) == 20


@pytest.mark.parametrize(
    ("annotations", "images"),
    [("{split}", "{split}"), ("labels/{split}", "images/{split}"), ("{split}/json", "{split}/images")],
)
def test_labelme_below_folders_of_splits(tmp_path: Path, annotations: str, images: str) -> None:
    for split, start in (("train", 0), ("val", 100), ("test", 200)):
        labelme_set(tmp_path, annotations.replace("{split}", split), images.replace("{split}", split), 4, start)
    found = look(tmp_path)
    assert places(found) == (annotations, images)
    assert sizes(found) == {"train": 4, "val": 4, "test": 4}
    assert not found.errors


def test_labelme_with_embedded_images_alone(tmp_path: Path) -> None:
    labelme_set(tmp_path, count=20)
    whole = create_dataset("folder", tmp_path)
    for path in sorted(tmp_path.glob("*.png")):
        content = json.loads(path.with_suffix(".json").read_text())
        content["imageData"] = base64.b64encode(path.read_bytes()).decode()
        path.with_suffix(".json").write_text(json.dumps(content, sort_keys=True))
        path.unlink()
    found = look(tmp_path)
    assert not texts(found, "error") + texts(found, "warning")
    assert {item.image.kind for item in found.survey.items} == {"8-bit PNG in JSON"}
    assert create_dataset("folder", tmp_path).digest() == whole.digest()


def test_lists_fix_the_splits_of_labelme(tmp_path: Path) -> None:
    labelme_set(tmp_path, count=12)
    (tmp_path / "train.txt").write_text("\n".join(f"p{i}" for i in range(8)))
    (tmp_path / "test.txt").write_text("p8\np9.png\np10")
    (tmp_path / "p11.json").unlink()
    found = look(tmp_path)
    assert sizes(found)["test"] == 3
    assert any("p11.png: has no labelme file" in text for text in texts(found, "warning"))
    assert not found.errors


def test_masks_are_preferred_to_annotations(tmp_path: Path) -> None:
    coco_set(tmp_path, "annotations/instances_default.json", "images", 8)
    for i in range(8):
        mask = np.zeros((24, 32), np.uint8)
        mask[3:9, 3:9] = 1
        from PIL import Image

        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "masks" / f"p{i}.png")
    found = look(tmp_path)
    assert found.layout.files.annotations is None
    assert any("instances_default.json: is not read, as there are masks" in text for text in texts(found, "warning"))


# The reading


def test_dataset_toml_states_the_reading_and_keeps_the_data(tmp_path: Path) -> None:
    root = tmp_path / "set"
    coco_set(root, "annotations/instances_train.json", "train")
    coco_set(root, "annotations/instances_test.json", "test", 8, 100)
    before = create_dataset("folder", root)
    assert data_check(root, "--out", tmp_path / "there").exit_code == 0
    assert create_dataset("folder", tmp_path / "there" / "dataset.toml").digest() == before.digest()
    result = data_check(root)
    assert result.exit_code == 0
    assert "contact_sheet.png" in result.output
    reading = read_reading(root / "dataset.toml")
    assert (reading.annotations, reading.categories) == ("annotations/instances_{split}.json", ["cat", "dog"])
    assert create_dataset("folder", root).digest() == before.digest()
    assert data_check(root).exit_code == 0
    toml = (root / "dataset.toml").read_text()
    (root / "dataset.toml").write_text(toml.replace('overlap = "smaller"', 'overlap = "later"'))
    assert create_dataset("folder", root).digest() != before.digest()
    (root / "dataset.toml").write_text(toml.replace('categories = ["cat", "dog"]', 'categories = ["dog", "bird"]'))
    with pytest.raises(UnetzooError, match=r"category cat is not in categories = \['dog', 'bird'\]; add it there"):
        create_dataset("folder", root)
    for wrong, text in (
        ("instances = true", "instances = true: masks drawn from annotations"),
        ("pairs = 'x.csv'", "only one may be given"),
    ):
        (root / "dataset.toml").write_text(toml.replace("instances = false", wrong))
        with pytest.raises(UnetzooError, match=text):
            create_dataset("folder", root)


def test_the_digest_follows_the_pixels(tmp_path: Path) -> None:
    coco_set(tmp_path, "instances.json", "images", 20)
    content = json.loads((tmp_path / "instances.json").read_text())
    before = create_dataset("folder", tmp_path).digest()
    content["annotations"].reverse()
    (tmp_path / "instances.json").write_text(json.dumps(content, indent=2))
    assert create_dataset("folder", tmp_path).digest() == before
    content["annotations"][0]["segmentation"] = [box(2, 2, 25, 20)]
    (tmp_path / "instances.json").write_text(json.dumps(content))
    assert create_dataset("folder", tmp_path).digest() != before


def test_names_of_categories_become_classes(tmp_path: Path) -> None:
    for i in range(12):
        save_image(tmp_path / "images" / f"p{i}.png", i)
    images = [image_entry(i, f"p{i}.png") for i in range(12)]
    categories = [(0, "things"), (90, "zebra"), (7, "Background"), (8, "void"), (9, "zebra")]
    objects = [annotation(i, 90 - 81 * (i % 2), [box(0, 0, 9, 9)]) for i in range(12)]
    objects += [annotation(i, key, [box(2 * key - 14, 0, 2 * key - 12, 4)]) for i in range(12) for key in (7, 8)]
    write_coco(tmp_path / "instances.json", images, objects, categories)
    found = look(tmp_path)
    assert not found.errors
    assert found.layout.files.categories == ["void", "zebra"]
    reading = found.reading
    assert reading is not None
    assert [(c.name, c.values) for c in reading.classes] == [("background", [0]), ("zebra", [2])]
    assert reading.ignore == [1]
    notes = texts(found, "note")
    assert "no object has category things: no class" in notes
    assert "category Background is the background: its objects are drawn as 0" in notes
    data = create_dataset("folder", tmp_path)
    assert data.info.foreground == (1,)
    assert data.read("p0")[1][0, :5].tolist() == [0, 0, 255, 255, 1]


def test_an_image_without_objects_is_background(tmp_path: Path) -> None:
    coco_set(tmp_path, "instances.json", "images", 20)
    assert not create_dataset("folder", tmp_path).read("p3")[1].any()
    found = look(tmp_path)
    assert "5 of 20 masks hold no foreground" in texts(found, "note")
    assert any("the smaller object is on top (overlap = 'later'" in text for text in texts(found, "note"))


def test_a_suite_takes_a_folder_or_a_coco_file(tmp_path: Path) -> None:
    coco_set(tmp_path, "annotations/instances_default.json", "images", 20)
    for path in (tmp_path, tmp_path / "annotations/instances_default.json"):
        assert adjust(None, data=str(path)).data.root == str(path)
    with pytest.raises(UnetzooError, match=r"a COCO file \(\.json\)"):
        adjust(None, data=str(tmp_path / "annotations/other.json"))
