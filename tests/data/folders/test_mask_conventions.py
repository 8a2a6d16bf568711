"""Masks that almost follow a convention: read as meant, or asked about, or refused with the culprit's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import unetzoo
from support.data_folders import (
    COUNT,
    SHAPE,
    disc,
    image_of,
    kinds,
    look,
    make_folder,
    mask_of,
    objects,
    picture,
    run,
    save,
    texts,
    values,
    void_in,
)
from unetzoo import UnetzooError
from unetzoo.bench.suite_file import adjust
from unetzoo.data.folders.mask_conventions import voc_colours


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data")


def save_palette(path: Path, index: np.ndarray) -> None:
    image = Image.fromarray(index).convert("P")
    colours = [colour for v in range(256) for colour in ((37 * v % 256, 91 * v % 256, 0xC0) if v else (0, 0, 0))]
    colours[3 * 255 :] = [0xE0, 0xE0, 0xC0]
    image.putpalette(colours)
    image.putdata(index.ravel().tolist())
    image.save(path)


# --- void ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("void", [255, 65535, -1])
def test_void_is_found_with_gaps_as_without(folder: Path, void: int) -> None:
    for classes in ((0, 1, 2), (0, 7, 15)):
        for i in range(COUNT):
            mask = np.array(classes)[disc(i) + disc(i + 9)]
            mask_of(folder, i).unlink(missing_ok=True)
            np.save(folder / "masks" / f"a{i}.npy", void_in(mask, void).astype(np.int32))
        found = look(folder)
        assert values(found) == [([v], v > 0) for v in classes]
        assert (found.reading.ignore, found.questions) == ([void], [])
        assert any(f"{void} lies apart from the classes {classes[0]} to {classes[-1]}:" in t for t in texts(found))


def test_void_in_a_palette_by_its_colour(folder: Path) -> None:
    for i in range(COUNT):
        save_palette(mask_of(folder, i), void_in(np.array([0, 7, 90])[disc(i) + disc(i + 9)].astype(np.uint8)))
    found = look(folder)
    assert values(found) == [([0], False), ([7], True), ([90], True)]
    assert (found.reading.ignore, found.questions) == ([255], [])


def test_one_class_and_255_is_asked(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), void_in(disc(i, 5)))
    found = look(folder)
    assert (found.reading.ignore, kinds(found)) == ([255], ["void"])


@pytest.mark.parametrize(
    ("levels", "asked"),
    [((0, 128, 255), []), ((0, 85, 170, 255), []), ((0, 100, 255), ["void"]), ((0, 60, 200, 255), ["void"])],
)
def test_grey_levels_are_classes(folder: Path, levels: tuple[int, ...], asked: list[str]) -> None:
    index = [disc(i) + disc(i + 9) + (disc(i + 18) if len(levels) > 3 else 0) for i in range(COUNT)]
    for i in range(COUNT):
        save(mask_of(folder, i), np.array(levels, np.uint8)[index[i]])
    found = look(folder)
    assert values(found) == [([v], v > 0) for v in levels]
    assert kinds(found) == asked


@pytest.mark.parametrize("stated", [None, 255])
def test_the_headline_is_the_same_for_void_found_and_void_stated(folder: Path, stated: int | None) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), void_in(disc(i) + disc(i + 9)))
    info = unetzoo.create_dataset("folder", folder, ignore_index=stated).info
    assert (info.foreground, info.ignore_index) == ((1, 2), 255)


@pytest.mark.parametrize("stated", [None, 6])
def test_void_by_shape_gives_the_same_headline_too(folder: Path, stated: int | None) -> None:
    """Six regions that fill the image, and slivers between them."""
    for i in range(COUNT):
        mask = np.repeat(np.arange(6, dtype=np.uint8), 9)[None, :50].repeat(40, 0)
        mask = np.where(np.arange(40)[:, None] < 20, mask, 5 - mask).astype(np.uint8)
        edge = (mask != np.roll(mask, 1, 1)) & (np.arange(40)[:, None] % 3 == i % 3)
        mask[edge] = 6
        save(mask_of(folder, i), mask)
    dataset = unetzoo.create_dataset("folder", folder, ignore_index=stated, accept_reading=stated is None)
    assert dataset.info.foreground == (0, 1, 2, 3, 4, 5)
    assert dataset.reading.ignore == [6]


@pytest.mark.parametrize("stated", [None, 255])
def test_class_0_of_a_scene_is_asked_about(folder: Path, stated: int | None) -> None:
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        save(mask_of(folder, i), void_in(np.kron(rng.integers(0, 19, (4, 5)), np.ones((10, 10))).astype(np.uint8)))
    assert kinds(look(folder, void=stated)) == ["background"]
    dataset = unetzoo.create_dataset("folder", folder, ignore_index=stated, accept_reading=True)
    assert dataset.info.foreground == tuple(range(19))


def test_the_outline_of_voc_is_void(folder: Path) -> None:
    assert len(voc_colours()) == 21
    assert {0x800000, 0x004080, 0x008000} <= voc_colours()
    for other, asked in ((0x008000, []), (0x00FF7F, ["void"])):
        for i in range(COUNT):
            mask = np.array([0, 0x800000, other, 0xE0E0C0])[void_in(disc(i) + disc(i + 9), 3)]
            save(mask_of(folder, i), np.dstack([mask >> 16, mask >> 8 & 255, mask & 255]).astype(np.uint8))
        found = look(folder)
        assert (found.reading.ignore, kinds(found)) == (["#e0e0c0"], asked)
        assert [front for _, front in values(found)] == [False, True, True]


# --- two values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("high", [1, 255])
def test_1_and_255_are_the_foreground_whatever_covers_more(folder: Path, high: int) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), high * (1 - disc(i)))
    found = look(folder)
    assert values(found) == [([0], False), ([high], True)]
    assert found.questions == []
    assert any("swap the two values" in text for text in texts(found, "warning"))


@pytest.mark.parametrize(
    ("low", "high", "expected", "asked"),
    [(0, 7, [([0], False), ([7], True)], []), (7, 0, [([7], False), ([0], True)], ["foreground"]),
     (1, 2, [([1], False), ([2], True)], ["foreground"])],
)  # fmt: skip
def test_of_other_pairs_the_rarer_is_proposed(
    folder: Path, low: int, high: int, expected: list, asked: list[str]
) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), np.array([low, high], np.uint8)[disc(i)])
    found = look(folder)
    assert (values(found), kinds(found)) == (expected, asked)
    if asked:
        with pytest.raises(UnetzooError, match=rf"Is {high} the foreground\?"):
            unetzoo.create_dataset("folder", folder)
        assert unetzoo.create_dataset("folder", folder, foreground=[1]).info.foreground == (1,)


@pytest.mark.parametrize("stray", [(1, 254), (254,), (1, 2, 253)])
def test_strays_next_to_0_and_255_are_cut(folder: Path, stray: tuple[int, ...]) -> None:
    for i in range(COUNT):
        mask = disc(i, 255)
        mask[0, : len(stray)] = stray
        save(mask_of(folder, i), mask)
    found = look(folder)
    assert values(found) == [(["0-127"], False), (["128-255"], True)]
    assert found.questions == []
    assert any(f"has only {8 * len(stray)} pixels in all masks" in text for text in texts(found, "warning"))


@pytest.mark.parametrize("stray", [1, 128])
def test_other_strays_between_0_and_255_are_asked(folder: Path, stray: int) -> None:
    for i in range(COUNT):
        mask = disc(i, 255)
        mask[0, 0] = stray
        save(mask_of(folder, i), mask)
    assert kinds(look(folder)) == ["stray value"]


# --- strays and mixtures ------------------------------------------------------------------------------------------


def colour_masks(folder: Path) -> None:
    for i in range(COUNT):
        colours = np.array([[0, 0, 0], [0x80, 0, 0], [0, 0x80, 0]], np.uint8)
        save(mask_of(folder, i), colours[disc(i) + disc(i + 9)])


def test_a_slip_of_a_colour_is_a_stray_value(folder: Path) -> None:
    colour_masks(folder)
    for i in (2, 3):
        mask = np.asarray(Image.open(mask_of(folder, i))).copy()
        mask[0, 0] = 0x80, 0, 1
        save(mask_of(folder, i), mask)
    found = look(folder)
    message = "a2.png: value #800001 has only 2 pixels in all masks, and is nearly #800000: a stray value?"
    assert any(message in text for text in texts(found, "warning")) or any(
        message.replace("a2", "a3") in text for text in texts(found, "warning")
    )
    assert kinds(found) == ["stray value"]
    assert values(found) == [(["#000000"], False), (["#008000"], True), (["#800000"], True)]


@pytest.mark.parametrize("stray", [(0, 0, 0xFF), 3], ids=["colour", "grey"])
@pytest.mark.parametrize("masks", [1, 2])
def test_a_value_of_few_pixels_in_few_masks_is_asked_and_no_class(folder: Path, stray: Any, masks: int) -> None:
    palette = np.array([[0, 0, 0], [0x80, 0, 0], [0, 0x80, 0]], np.uint8)
    written = "#0000ff" if isinstance(stray, tuple) else stray
    for i in range(COUNT):
        mask = disc(i) + disc(i + 30)
        mask = np.kron(mask, np.ones((4, 4), np.uint8)) if written == 3 else palette[mask]
        if i < masks:
            mask[0, 0] = stray
        save(mask_of(folder, i), mask)
        image = np.asarray(Image.open(folder / "images" / f"a{i}.png"))
        save(folder / "images" / f"a{i}.png", np.kron(image, np.ones((4, 4, 1), np.uint8)) if written == 3 else image)
    found = look(folder)
    (question,) = found.questions
    assert question.kind == "stray value"
    assert question.answers[0].startswith("ignore without")
    assert found.reading is not None
    assert found.reading.ignore == [written]
    assert [written] not in [c.values for c in found.reading.classes]
    assert len(found.reading.classes) == 3
    with pytest.raises(UnetzooError, match=r"slip of the brush.*--accept-reading"):
        unetzoo.create_dataset("folder", folder)
    data = unetzoo.create_dataset("folder", folder, accept_reading=True)
    assert data.info.classes == 3
    assert data.info.ignore_index == 255
    assert any("slip of the brush" in text for text in data.describe()["accepted_reading"])
    (folder / "classes.txt").write_text("none\none\ntwo\nthree\n")  # four names say that it is a class
    assert look(folder).questions == []
    assert unetzoo.create_dataset("folder", folder).info.class_names == ("none", "one", "two", "three")


def test_a_small_class_in_many_masks_is_a_class(folder: Path) -> None:
    for i in range(COUNT):
        mask = np.kron(disc(i) + disc(i + 30), np.ones((4, 4), np.uint8))
        mask[:2, :2] = 3
        save(mask_of(folder, i), mask)
        image = np.asarray(Image.open(folder / "images" / f"a{i}.png"))
        save(folder / "images" / f"a{i}.png", np.kron(image, np.ones((4, 4, 1), np.uint8)))
    assert "stray value" not in kinds(look(folder))


def test_a_colour_in_one_mask_is_an_error(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), np.array([[0, 0, 0], [0x80, 0, 0]], np.uint8)[disc(i)])
    save(mask_of(folder, 4), np.array([[0, 0, 0], [0, 0xFF, 0]], np.uint8)[disc(4)])
    assert any(
        "a4.png: value #00ff00 is in this mask alone, all others are #000000 and #800000" in text
        for text in texts(look(folder), "error")
    )


@pytest.mark.parametrize("numbered", [(0, 2, 4, 6), (3,)])
def test_colours_among_numbers_are_an_error_that_names_two_files(folder: Path, numbered: tuple[int, ...]) -> None:
    colour_masks(folder)
    for i in numbered:
        save(mask_of(folder, i), disc(i))
    (text,) = [t for t in texts(look(folder), "error") if "make them alike" in t]
    files = {name for i in range(COUNT) if (name := f"a{i}.png") in text}
    assert len(files) == 2
    assert len(files & {f"a{i}.png" for i in numbered}) == 1
    for i in numbered:  # an empty mask may be stored with one channel
        save(mask_of(folder, i), np.zeros(SHAPE, np.uint8))
    assert look(folder).errors == []


def test_numbers_stored_as_rgb_among_colours_are_an_error(folder: Path) -> None:
    colour_masks(folder)
    for i in (0, 2, 4):
        save(mask_of(folder, i), np.dstack([disc(i)] * 3))
    assert any("a0.png: 3 masks hold numbers, but a1.png holds colours" in t for t in texts(look(folder), "error"))


def test_colours_of_objects_are_asked_about(folder: Path) -> None:
    for i in range(COUNT):
        colours = np.random.default_rng(i).integers(1, 256, (4, 3)).astype(np.uint8)
        colours[0] = 0
        save(mask_of(folder, i), colours[objects(1 + i % 3)])
    assert kinds(look(folder)) == ["instances"]


@pytest.mark.parametrize(("low", "high"), [((0, 1), (0, 255)), ((0, 1, 2), (0, 127, 255))])
def test_two_scales_are_an_error_that_names_two_files(folder: Path, low: tuple, high: tuple) -> None:
    for i in range(COUNT):
        index = disc(i) + (disc(i + 9) if len(low) > 2 else 0)
        save(mask_of(folder, i), np.array(low if i % 2 else high, np.uint8)[index])
    (text,) = [t for t in texts(look(folder), "error") if "make them alike" in t]
    assert len({name for i in range(COUNT) if (name := f"a{i}.png") in text}) == 2


def test_void_in_a_few_masks_can_be_stated(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), void_in(np.zeros(SHAPE, np.uint8)) if i in (5, 6) else disc(i))
    result = run(str(folder))
    assert result.exit_code == 1
    assert "2 masks are 0/255, but 6 are 0/1; make them alike" in result.output
    assert "ignore = [255]" in result.output
    path = folder / "dataset.toml"
    with pytest.raises(UnetzooError, match=r"confirmed = true"):
        unetzoo.create_dataset("folder", folder)
    path.write_text(path.read_text().replace("confirmed = false", "confirmed = true"))
    dataset = unetzoo.create_dataset("folder", folder)
    assert (dataset.info.values, dataset.reading.ignore, dataset.accepted) == ((0, 1), [255], [])


def test_many_classes_name_the_way_out(folder: Path) -> None:
    rng = np.random.default_rng(0)
    blocks = [np.kron(rng.integers(0, 150, (8, 10)), np.ones((5, 5))).astype(np.uint8) for _ in range(COUNT)]
    for i in range(COUNT):
        save(mask_of(folder, i), blocks[i])
    result = run(str(folder))
    assert result.exit_code == 1
    assert "name them all in classes.txt, or confirm the dataset.toml" in result.output
    (folder / "dataset.toml").unlink()
    (folder / "classes.txt").write_text("\n".join(f"thing{k}" for k in range(150)))
    dataset = unetzoo.create_dataset("folder", folder)
    assert dataset.info.class_names[dataset.read("a0")[1][3, 3]] == f"thing{blocks[0][3, 3]}"


# --- images --------------------------------------------------------------------------------------------------------


def test_one_image_of_16_bits_among_12_is_told(folder: Path) -> None:
    for i in range(COUNT):
        save(image_of(folder, i), picture(i).astype(np.uint16) * (257 if i == 3 else 16))
    text = "a3.png: values up to"
    assert any(text in t and "7 stay within 12 bits" in t for t in texts(look(folder), "warning"))


# --- asking --------------------------------------------------------------------------------------------------------


def test_a_doubtful_reading_is_refused_until_it_is_confirmed_or_accepted(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), void_in(disc(i, 5)))
    with pytest.raises(UnetzooError, match=r"data: Is 255 void\?.*--accept-reading") as caught:
        unetzoo.create_dataset("folder", folder)
    assert "\n" not in str(caught.value)
    accepted = unetzoo.create_dataset("folder", folder, accept_reading=True)
    assert accepted.describe()["accepted_reading"] == [look(folder).questions[0].text]
    assert any(line.startswith("accepted: Is 255 void?") for line in accepted.messages)
    result = run(str(folder))
    assert result.exit_code == 0
    assert result.output.rstrip().endswith("otherwise: ignore = [] and a class with values = [255]")
    assert "confirmed = true" in result.output
    with pytest.raises(UnetzooError, match=r"dataset\.toml .*confirmed = true"):
        unetzoo.create_dataset("folder", folder)
    assert unetzoo.create_dataset("folder", folder, accept_reading=True).digest() == accepted.digest()
    path = folder / "dataset.toml"
    assert "question: Is 255 void?" in path.read_text()
    path.write_text(path.read_text().replace("confirmed = false", "confirmed = true"))
    confirmed = unetzoo.create_dataset("folder", folder)
    assert confirmed.digest() == accepted.digest()
    assert "accepted_reading" not in confirmed.describe()


def test_questions_as_json(folder: Path) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), 1 + disc(i))
    (question,) = json.loads(run(str(folder), "--json").stdout)["questions"]
    assert question.keys() == {"kind", "text", "answers"}


def test_clear_data_asks_nothing(folder: Path) -> None:
    assert look(folder).questions == []
    assert "questions" not in run(str(folder)).output
    assert "confirmed" not in (folder / "dataset.toml").read_text()
    plain = unetzoo.create_dataset("folder", folder)
    assert "accepted_reading" not in unetzoo.create_dataset("folder", folder, accept_reading=True).describe()
    assert plain.accepted == []


def test_accepting_is_an_option_of_the_folder_and_not_in_the_id(folder: Path) -> None:
    from unetzoo.bench.expand import expand

    plain, accepting = (adjust(None, data=str(folder), models=["unet"], accept_reading=on) for on in (False, True))
    assert accepting.data.options == {"accept_reading": True}
    assert adjust(None, data="cells", accept_reading=True).data.options == {}
    ids = [[trial.id for trial in expand(suite, suite.data.open())] for suite in (plain, accepting)]
    assert ids[0] == ids[1]
