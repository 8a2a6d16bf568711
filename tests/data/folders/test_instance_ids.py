"""Masks that number objects, and names that settle what numbers mean."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import unetzoo
from support.data_folders import COUNT, disc, kinds, look, make_folder, mask_of, objects, save, texts, values, void_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data")


# --- instance ids --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(1, 2, 3, 4), (4, 5, 6, 7), (1, 2, 3)])
def test_a_few_numbered_objects_are_asked_about(folder: Path, counts: tuple[int, ...]) -> None:
    for i, count in zip(range(COUNT), itertools.cycle(counts), strict=False):
        save(mask_of(folder, i), objects(count))
    found = look(folder)
    assert found.reading.instances
    assert kinds(found) == ["instances"]
    assert any("instance ids" in text for text in texts(found, "warning"))


def test_many_numbered_objects_are_ids(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), objects(5 + 3 * i))
    found = look(folder)
    assert (found.reading.instances, found.questions) == (True, [])
    assert values(found) == [([0], False), (["1-"], True)]


def test_ids_after_cropping_are_asked_about(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), objects(3 + i % 3, first=20 * i + 3))
    found = look(folder)
    assert (found.reading.instances, kinds(found)) == (True, ["instances"])


def test_ids_with_void_leave_void_out(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), np.where(np.arange(40)[:, None] > 37, 255, objects(5 + 3 * i)).astype(np.uint8))
    for stated in (None, 255):
        dataset = unetzoo.create_dataset("folder", folder, ignore_index=stated)
        assert dataset.reading.instances
        mask = dataset.read("a3")[1]
        assert np.array_equal(np.unique(mask), [0, 1, 255])
        assert dataset.instances("a3").max() == 14


def test_classes_in_every_mask_and_nested_parts_are_not_ids(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), objects(4))
    assert (look(folder).reading.instances, kinds(look(folder))) == (False, [])
    for i in range(COUNT):  # an organ, in which half of the images show a tumour
        mask = disc(i)
        row, column = np.argwhere(mask)[len(np.argwhere(mask)) // 2]
        mask[row - 1 : row + 2, column - 1 : column + 2] = 1 + i % 2
        save(mask_of(folder, i), mask)
    assert (look(folder).reading.instances, kinds(look(folder))) == (False, [])


def test_1_2_3_are_asked_about(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), void_in(2 - disc(i), 3))
    found = look(folder)
    assert values(found) == [([1], True), ([2], True), ([3], True)]
    assert kinds(found) == ["background"]
    assert any("none is the background" in text for text in texts(found, "warning"))


# --- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["classes.txt", "class_names.txt"])
def test_names_decide_and_are_read(folder: Path, file: str) -> None:
    (folder / file).write_text("_background_\ncell\nmito\n")
    for i in range(COUNT):
        mask_of(folder, i).unlink()
        mask = void_in(disc(i).astype(np.int16) + disc(i + 9), -1)
        np.save(folder / "masks" / f"a{i}.npy", mask.astype(np.int32))
    found = look(folder)
    assert [(c.name, c.values, c.foreground) for c in found.reading.classes] == [
        ("_background_", [0], False), ("cell", [1], True), ("mito", [2], True)
    ]  # fmt: skip
    assert found.reading.ignore == [-1]
    assert not any("not read" in text for text in texts(found))


def test_names_settle_what_would_be_asked(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), objects(1 + i % 4))
    (folder / "classes.txt").write_text("background\nL1\nL2\nL3\nL4\n")
    found = look(folder)
    assert (found.reading.instances, kinds(found)) == (False, [])
    assert [c.name for c in found.reading.classes] == ["background", "L1", "L2", "L3", "L4"]
    (folder / "classes.txt").write_text("L1\nL2\nL3\nL4\n")
    assert [c.name for c in look(folder).reading.classes] == ["background", "L1", "L2", "L3", "L4"]


def test_names_tell_the_background_of_two_values(folder: Path) -> None:
    (folder / "classes.txt").write_text("ink\nbackground\n")
    assert values(look(folder)) == [([255], False), ([0], True)]


def test_names_without_a_background_count_all(folder: Path) -> None:
    (folder / "classes.txt").write_text("sky\nroad\ncar\n")
    for i in range(COUNT):
        save(mask_of(folder, i), disc(i) + disc(i + 9))
    assert values(look(folder)) == [([0], True), ([1], True), ([2], True)]
