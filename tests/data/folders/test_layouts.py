"""Finding images and masks by folders, suffixes, stacks, lists or a CSV; colours and names of classes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import unetzoo
from support.command import run
from support.data_folders import (
    COUNT,
    disc,
    image_of,
    look,
    make_folder,
    mask_of,
    picture,
    save,
    share,
    sizes,
    texts,
    values,
)
from unetzoo import UnetzooError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data")


# --- layouts -------------------------------------------------------------------------------------------------------


def test_hidden_files_case_of_suffixes_and_unicode(folder: Path) -> None:
    (folder / "images" / ".DS_Store").write_bytes(b"x")
    (folder / "images" / "Thumbs.db").write_bytes(b"x")
    (folder / "masks" / "._a1.png").write_bytes(b"x")
    image_of(folder, 1).rename(folder / "images" / "a1.PNG")
    image_of(folder, 2).rename(folder / "images" / "Zelle ä.png")  # composed
    mask_of(folder, 2).rename(folder / "masks" / "Zelle a\u0308.png")  # decomposed, as macOS writes it
    found = look(folder)
    assert found.errors == []
    assert len(found.survey.items) == COUNT
    assert "Zelle ä" in found.layout.pairing.pairs


def move(f: Path, image: str, mask: str) -> None:
    """Move each pair to the paths of the templates; {i} is its number, {split} is train, val or test."""
    for i in range(COUNT):
        split = "train" if i < 4 else "val" if i < 6 else "test"
        for source, template in ((image_of(f, i), image), (mask_of(f, i), mask)):
            target = f / template.format(i=i, split=split)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.suffix == source.suffix:
                source.rename(target)
            else:
                Image.open(source).save(target)
                source.unlink()
    for old in ("images", "masks"):
        if not any((f / old).iterdir()):
            (f / old).rmdir()


@pytest.mark.parametrize(
    ("image", "mask", "split"),
    [
        ("imgs/{i}.png", "labels/{i}.png", False),
        ("JPEGImages/x{i}.jpg", "SegmentationClass/x{i}.png", False),
        ("images/{i}.png", "masks/{i}_mask.png", False),
        ("images/{i}.png", "gt/label_{i}.png", False),
        ("{i}.png", "{i}_mask.png", False),
        ("Image_{i}.jpg", "Image_{i}_1stHO.png", False),
        ("{i}.bmp", "{i}.png", False),
        ("{split}/images/{i}.png", "{split}/masks/{i}.png", True),
        ("images/{split}/{i}.png", "annotations/{split}/{i}.png", True),
        ("{split}/{i}.png", "{split}annot/{i}.png", True),
        ("{split}/{i}.jpg", "{split}/{i}_mask.png", True),
    ],
)
def test_layouts_that_are_found(folder: Path, image: str, mask: str, split: bool) -> None:
    move(folder, image, mask)
    found = look(folder)
    assert found.errors == []
    assert len(found.survey.items) == COUNT
    assert sum(sizes(found)) == COUNT
    if split:
        assert sizes(found) == [4, 2, 2]
    dataset = unetzoo.create_dataset("folder", folder)
    assert sum(dataset.read(key)[1].sum() for keys in dataset.splits.values() for key in keys) == sum(
        int(disc(i).sum()) for i in range(COUNT)
    )


def test_a_layout_that_is_not_known(folder: Path) -> None:
    (folder / "images").rename(folder / "things")
    (folder / "masks").rename(folder / "others")
    with pytest.raises(UnetzooError, match="no images with masks were found; supported layouts: images/ and masks/"):
        look(folder)


def test_two_stacks_are_split_in_order(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "train-volume.tif", np.stack([picture(i) for i in range(20)]))
    tifffile.imwrite(tmp_path / "train-labels.tif", np.stack([disc(i, 255) for i in range(20)]))
    tifffile.imwrite(tmp_path / "test-volume.tif", np.stack([picture(i) for i in range(30, 50)]))
    found = look(tmp_path)
    assert found.errors == []
    assert found.layout.splits["test"] == ("017", "018", "019")
    assert found.layout.fixed == "pages in order"
    dataset = unetzoo.create_dataset("folder", tmp_path)
    assert np.array_equal(dataset.read("003")[0][0] * 255, picture(3))
    assert np.array_equal(dataset.read("003")[1], disc(3))


def test_several_stacks_stay_whole(tmp_path: Path) -> None:
    for s in range(4):
        for name, make in (("images", picture), ("masks", disc)):
            (tmp_path / name).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / name / f"s{s}.tif", np.stack([make(10 * s + i) for i in range(5)]))
    found = look(tmp_path)
    assert found.errors == []
    assert {len({key.split("-")[0] for key in keys}) for keys in found.layout.splits.values()} == {1, 2}


def test_lists_as_segnet_writes_them(folder: Path) -> None:
    lines = [f"/home/me/images/a{i}.png /home/me/masks/a{i}.png\n" for i in range(COUNT)]
    (folder / "train.txt").write_text("".join(lines[:5]))
    (folder / "test.txt").write_text("".join(lines[5:]))
    assert look(folder).layout.splits["test"] == ("a5", "a6", "a7")


def test_names_of_classes_tell_void(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), disc(i) + disc(i + 9))
    (folder / "classes.txt").write_text("ground\ncell\nUnlabelled\n")
    found = look(folder)
    assert [c.name for c in found.reading.classes] == ["ground", "cell"]
    assert found.reading.ignore == [2]


def test_colours_are_classes(folder: Path) -> None:
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 128, 255]], np.uint8)
    for i in range(COUNT):
        save(mask_of(folder, i), colours[disc(i) + disc(i + 9)])
    found = look(folder)
    assert found.errors == []
    assert values(found) == [(["#000000"], False), (["#0080ff"], True), (["#ff0000"], True)]
    dataset = unetzoo.create_dataset("folder", folder)
    assert dataset.info.palette == ("#000000", "#0080ff", "#ff0000")
    assert np.array_equal(dataset.read("a2")[1] == 2, disc(2) + disc(11) == 1)


def test_palettes_that_differ_between_files_mean_colours(folder: Path) -> None:
    for i in range(COUNT):
        index = disc(i) if i % 2 else 1 - disc(i)
        image = Image.fromarray(index, mode=None).convert("P")
        image.putpalette([0, 0, 0, 9, 200, 9] if i % 2 else [9, 200, 9, 0, 0, 0])
        image.save(mask_of(folder, i))
    found = look(folder)
    assert values(found) == [(["#000000"], False), (["#09c809"], True)]
    assert share(found, 1) == pytest.approx(np.mean([disc(i).mean() for i in range(COUNT)]), abs=1e-6)


# --- a CSV of pairs ------------------------------------------------------------------------------------------------


def write_csv(f: Path, rows: list[dict[str, str]]) -> Path:
    path = f / "list.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def csv_rows() -> list[dict[str, str]]:
    split = ["train"] * 4 + ["valid"] * 2 + ["test"] * 2
    return [
        {"image": f"images/a{i}.png", "mask": f"masks/a{i}.png", "split": split[i], "group": f"g{i // 2}"}
        for i in range(COUNT)
    ]


def test_a_csv_gives_pairs_splits_and_groups(folder: Path) -> None:
    path = write_csv(folder, csv_rows())
    found = look(path)
    assert found.errors == []
    assert sizes(found) == [4, 2, 2]
    assert found.layout.groups["a3"] == "g1"
    dataset = unetzoo.create_dataset("folder", path)
    assert dataset.splits["val"] == ("a4", "a5")
    rows = csv_rows()
    rows[4]["group"] = "g0"
    with pytest.raises(UnetzooError, match="one group, 'g0'"):
        unetzoo.create_dataset("folder", write_csv(folder, rows))


def test_a_group_may_be_any_column_of_a_csv(folder: Path) -> None:
    rows = [{**row, "Patient": f"p{i // 4}", "group": "one"} for i, row in enumerate(csv_rows())]
    for row in rows:
        del row["split"]
    write_csv(folder, rows)
    checked = look(write_toml(folder, "patient"))
    assert checked.layout.groups["a3"] == "p0"
    assert checked.layout.sampled_with == checked.layout.groups
    assert look(write_toml(folder, r"a(\d)")).layout.groups["a3"] == "3"  # a regular expression on the key, as ever


def write_toml(f: Path, group: str) -> Path:
    path = f / "dataset.toml"
    path.write_text(
        f"""
        name = "mine"
        pairs = "list.csv"
        channels = 3
        range = [0, 255]
        group = '{group}'
        classes = [{{name = "background", values = [0], foreground = false}}, {{name = "disc", values = [255]}}]
        """
    )
    return path


def test_a_group_that_is_no_column_and_in_no_key_is_one_line(folder: Path) -> None:
    write_csv(folder, csv_rows())
    done = run("data", "check", write_toml(folder, "pateint"))
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "error: group = 'pateint' is not found in 'a0' and is no column of list.csv, which has image, mask, split, "
        "group"
    )


def test_a_group_in_two_splits_is_found_by_the_check_too(folder: Path) -> None:
    rows = csv_rows()
    rows[4]["group"] = "g0"
    write_csv(folder, rows)
    path = write_toml(folder, "group")
    done = run("bench", "--data", path, "--models", "unet", "--out", folder / "out")
    assert done.returncode == 2
    assert "'a4' in val and 'a0' in train are of one group, 'g0'; test images must not be trained on" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    done = run("data", "check", path)
    assert done.returncode == 1
    assert (
        "error: 'a4' in val and 'a0' in train are of one group, 'g0'; keep it in one split, or set on_leak = "
        "'drop_from_training'"
    ) in " ".join(done.stdout.split())
    assert done.stdout.count("of one group") == 1


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("image", "images/zz.png", "line 4: image 'images/zz.png': no such file"),
        ("image", "images/a0.png", "line 4: image 'images/a0.png' is already in line 2"),
        ("mask", "../../secret.png", "leaves the folder of the CSV; write an absolute path if that is intended"),
        ("mask", "", "line 4: mask is empty"),
        ("split", "trian", "line 4: split 'trian' is unknown; did you mean train"),
        ("split", "", "'a2' has no split, but others have one; give it to all or to none"),
    ],
)
def test_mistakes_in_a_csv(folder: Path, column: str, value: str, message: str) -> None:
    rows = csv_rows()
    rows[2][column] = value
    assert any(message in text for text in texts(look(write_csv(folder, rows)), "error"))


def test_a_csv_without_a_column_or_rows(folder: Path) -> None:
    path = write_csv(folder, [{"image": "images/a0.png", "label": "masks/a0.png"}])
    with pytest.raises(UnetzooError, match="no column 'mask' among image, label; the columns must be image, mask"):
        look(path)
    path.write_text("image,mask\n")
    with pytest.raises(UnetzooError, match="no rows below its header"):
        look(path)
