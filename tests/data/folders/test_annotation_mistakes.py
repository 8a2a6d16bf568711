"""COCO and labelme annotations that are refused, and what is left out and reported."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from support.annotations import (
    annotation,
    box,
    coco_set,
    image_entry,
    labelme_set,
    save_image,
    shape,
    write_labelme,
)
from unetzoo.cli.main import app
from unetzoo.data.folders.check import Check, check, find_source
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


COCO_MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"images": [image_entry(99, "gone.png")]}, "image 'gone.png' is not in"),
    ({"images": [image_entry(0, "p9.png")]}, "images 'p0.png' and 'p9.png' have the same id 0"),
    ({"images": [image_entry(99, "p0.png")]}, "'p0.png' and 'p0.png' are one file"),
    ({"images": [{"id": 99, "file_name": "p0.png"}]}, "image 'p0.png': height = None and width = None"),
    ({"images": [image_entry(99, "p0.png", 10**6, 10**6)]}, "is more than 89,478,485 pixels"),
    ({"images": ["p0.png"]}, "images[20] is 'p0.png'; an object {...} is needed"),
    ({"images": [{"id": 99, "height": 2, "width": 2}]}, "needs an id and a file_name"),
    ({"categories": [{"id": 3, "name": "cow"}]}, "categories 'cat' and 'cow' have the same id 3"),
    ({"categories": [{"id": 4}]}, "needs an id and a printable name"),
    ({"categories": [{"id": 4, "name": "\ud800"}]}, "needs an id and a printable name"),
    ({"annotations": [annotation(99, 3, [box(0, 0, 9, 9)], id=70)]}, "annotation 70 has image_id 99, which no image"),
    ({"annotations": [annotation("0", 3, [box(0, 0, 9, 9)], id=70)]}, "annotation 70 has image_id '0', which no image"),
    ({"annotations": [annotation(0, 5, [box(0, 0, 9, 9)], id=70)]}, "annotation 70 has category_id 5, which no"),
    ({"annotations": [{"id": 70, "image_id": 0}]}, "annotation 70 needs an image_id and a category_id"),
    ({"annotations": [annotation(0, 3, [], id=70, bbox=[0, 0, 9, 9])]}, "70 has no segmentation (it has only a box)"),
    (
        {"annotations": [annotation(0, 3, [1, 2, 3, 4, 5, 6], id=70)]},
        "annotation 70: segmentation = [1, 2, 3, 4, 5, 6]",
    ),
    ({"annotations": [annotation(0, 3, [[1, 2, 3, 4, 5, 6, 7]], id=70)]}, "is not a list x1, y1, x2, y2, ..."),
    ({"annotations": [annotation(0, 3, [["1", 2, 3, 4, 5, 6]], id=70)]}, "is not a list x1, y1, x2, y2, ..."),
    ({"annotations": [annotation(0, 3, [[[1, 2], [3, 4], [5, 6]]], id=70)]}, "is not a list x1, y1, x2, y2, ..."),
    ({"annotations": [annotation(0, 3, [[1, 2, 3, float("nan"), 5, 6]], id=70)]}, "holds NaN or infinity"),
    ({"annotations": [annotation(0, 3, {"size": [2], "counts": [8]}, id=70)]}, "size = [2] of its run lengths"),
    ({"annotations": [annotation(0, 3, {"size": [2, 4], "counts": [8.5]}, id=70)]}, "something else than whole"),
    ({"annotations": [annotation(0, 3, {"size": [2, 4], "counts": None}, id=70)]}, "counts = None; a list of numbers"),
    ({"annotations": [annotation(0, 3, {"size": [2, 4], "counts": [8]}, id=70)]}, "run lengths are for 2x4 px"),
]


@pytest.mark.parametrize(("more", "text"), COCO_MISTAKES, ids=[text for _, text in COCO_MISTAKES])
def test_mistakes_in_a_coco_file_are_named(tmp_path: Path, more: dict[str, Any], text: str) -> None:
    coco_set(tmp_path, "instances.json", "images", 20)
    content = json.loads((tmp_path / "instances.json").read_text())
    for section, entries in more.items():
        content[section] += entries
    (tmp_path / "instances.json").write_text(json.dumps(content))
    with pytest.raises(UnetzooError) as caught:
        create_dataset("folder", tmp_path)
    assert text in str(caught.value)
    assert "instances.json: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"images": [', "is not JSON: Expecting value in line 1, column 13"),
        (b'{"images": [],}', "is not JSON"),
        (b'{"images": [1 2]}', "is not JSON: Expecting ',' in line 1, column 15"),
        (b'{"images": [], "annotations": []} x', "is not JSON: Extra data"),
        (b'{"images": [], "annotations": []}', "lists no images"),
        (b'{"images": [], "annotations": {}}', "'annotations' holds no list"),
        (b'{"images": [' + b"[" * 100_000, "nested too deeply"),
        (b'{"images": [{"id": ' + b"1" * 5000 + b"}]}", "a number has too many digits"),
        (b'{"images": [{"file_name": "\xff"}]}', "is not UTF-8 text"),
        (b"", "is not JSON"),
        (b"[]", "is not JSON: Expecting '{'"),
    ],
)
def test_a_file_that_is_no_coco_file(tmp_path: Path, content: bytes, text: str) -> None:
    coco_set(tmp_path, "instances.json", "images", 4)
    (tmp_path / "instances.json").write_bytes(content)
    with pytest.raises(UnetzooError) as caught:
        create_dataset("folder", tmp_path / "instances.json")
    assert text in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    coco_set(tmp_path, "instances.json", "images", 20)
    (tmp_path / "instances.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "instances.json").read_bytes())
    assert not look(tmp_path).errors


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    coco_set(tmp_path, "instances.json", "images", 20)
    save_image(tmp_path / "images" / "extra.png", 99)
    content = json.loads((tmp_path / "instances.json").read_text())
    content["annotations"] += [
        annotation(0, 3, [[1, 1, 5, 5]], id=70),
        annotation(0, 3, [[0.1, 0.1, 0.2, 0.1, 0.2, 0.2]], id=71),
        annotation(0, 3, [box(-30, -20, -25, -1)], id=72),
        annotation(0, 3, [box(3, 3, 6, 6)], id=71),
    ]
    (tmp_path / "instances.json").write_text(json.dumps(content))
    found = look(tmp_path)
    assert not found.errors
    said = "\n".join(texts(found, "warning"))
    assert "annotation 70 has a polygon with fewer than 3 points: not drawn" in said
    assert "p0.png: annotation 71 covers no pixel" in said
    assert "p0.png: annotation 72 covers no pixel" in said
    assert "annotation 71 occurs twice; each is drawn" in said
    assert "extra.png: is in no annotation file: not used" in said
    heard = "\n".join(create_dataset("folder", tmp_path).messages)  # as `bench` and `plan` say it
    assert all(text in heard for text in said.splitlines())
    (tmp_path / "images" / "p0.png").unlink()
    result = data_check(tmp_path)
    assert result.exit_code == 1
    assert "instances.json: image 'p0.png' is not in" in result.output


def test_sizes_that_differ(tmp_path: Path) -> None:
    coco_set(tmp_path, "instances.json", "images", 20)
    save_image(tmp_path / "images" / "p5.png", 5, 30, 40)
    with pytest.raises(UnetzooError, match=r"instances\.json: mask is 24x32 but its image p5\.png is 30x40"):
        create_dataset("folder", tmp_path)


def test_file_names_from_another_machine(tmp_path: Path) -> None:
    coco_set(tmp_path, "annotations/instances.json", "images", 20)
    content = json.loads((tmp_path / "annotations/instances.json").read_text())
    names = ["images/p0.png", "..\\images\\p1.png", "C:\\data\\p2.png", "/home/me/p3.png", "./p4.png"]
    for image, name in zip(content["images"], names, strict=False):
        image["file_name"] = name
    content["images"][5]["file_name"] = "../../p5.png"
    (tmp_path / "annotations/instances.json").write_text(json.dumps(content))
    found = look(tmp_path)
    assert not found.errors
    assert set(found.layout.pairing.pairs) == {f"p{i}" for i in range(20)}


def test_pycocotools_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coco_set(tmp_path, "instances.json", "images", 20)
    real = importlib.import_module

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("pycocotools"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UnetzooError, match=r"instances\.json: .* pip install 'unetzoo\[coco\]'"):
        create_dataset("folder", tmp_path)


LABELME_MISTAKES: list[tuple[dict[str, Any] | str, str]] = [
    ("{", "p0.json: is not JSON: "),
    ("[]", "p0.json: holds a list; a JSON object {...} is needed"),
    ({"shapes": None}, "p0.json: is no labelme file"),
    ({"imageHeight": 25}, "p0.json: mask is 25x32 but its image p0.png is 24x32"),
    ({"imageHeight": "24"}, "p0.json: imageHeight = '24', imageWidth = 32; positive numbers are needed"),
    ({"imagePath": "p1.png"}, "p0.json: imagePath = 'p1.png', but p0.png has the name of the JSON file; which is it?"),
    ({"shapes": [{"points": [[1, 1]]}]}, "p0.json: shape 0 needs a label"),
    ({"shapes": [shape("a\x1b", [[1, 1], [5, 5], [1, 5]])]}, "is not printable text"),
    ({"shapes": [shape("cat", [[1, 1], [5, 5], [1]])]}, "p0.json: shape 0: points = [[1, 1], [5, 5], [1]]"),
    ({"shapes": [shape("cat", [[1, 1], [5, 5]], "cube")]}, "p0.json: shape 0: shape_type = 'cube' is unknown"),
    ({"shapes": [shape("cat", [[1, 1]], "circle")]}, "p0.json: shape 0: a circle of 1 points; it needs 2"),
    ({"shapes": [shape("cat", [[1, 1], [900, 5], [1, 5]])]}, "p0.json: shape 0 of p0.png: the point (900, 5) lies far"),
    ({"shapes": [shape("cat", [[1, 1], [2, 2]], "mask", mask="AAAA")]}, "p0.json: shape 0: mask: not an image"),
]


@pytest.mark.parametrize(("change", "text"), LABELME_MISTAKES, ids=[text for _, text in LABELME_MISTAKES])
def test_mistakes_in_a_labelme_file_are_named(tmp_path: Path, change: Any, text: str) -> None:
    labelme_set(tmp_path, count=20)
    path = tmp_path / "p0.json"
    path.write_text(change if isinstance(change, str) else json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UnetzooError) as caught:
        create_dataset("folder", tmp_path)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labelme_images_without_annotations_are_no_background(tmp_path: Path) -> None:
    labelme_set(tmp_path, count=20)
    (tmp_path / "p4.json").unlink()
    with pytest.raises(UnetzooError, match=r"p4\.png: has no labelme file; save one"):
        create_dataset("folder", tmp_path)
    write_labelme(tmp_path / "p4.json", "p4.png", [])
    assert not create_dataset("folder", tmp_path).read("p4")[1].any()
    (tmp_path / "p5.png").unlink()
    with pytest.raises(UnetzooError, match=r"p5\.json: its image 'p5\.png' is not in"):
        create_dataset("folder", tmp_path)


def test_shapes_without_an_area_are_left_out_and_named(tmp_path: Path) -> None:
    labelme_set(tmp_path, count=20)
    lines = [
        shape("crack", [[1, 1], [9, 9], [3, 4]], "linestrip"),
        shape("seed", [[1, 1]], "point"),
        shape("cat", [[1, 1], [9, 9]]),
    ]
    write_labelme(tmp_path / "p0.json", "p0.png", lines)
    found = look(tmp_path)
    assert not found.errors
    said = "\n".join(texts(found, "warning"))
    assert "p0.json: shape 0 ('crack') is a linestrip of 3 points: not drawn, as it has no area" in said
    assert "shape 1 ('seed') is a point of 1 point:" in said
    assert "shape 2 ('cat') is a polygon of 2 points:" in said
    assert found.layout.files.categories == ["cat", "dog"]


def test_two_labelme_files_of_one_image(tmp_path: Path) -> None:
    labelme_set(tmp_path, count=20)
    shutil.copy(tmp_path / "p0.json", tmp_path / "q0.json")
    with pytest.raises(UnetzooError, match=r"q0\.json: p0\.png is the image of p0\.json too; correct imagePath"):
        create_dataset("folder", tmp_path)


def test_no_objects_at_all(tmp_path: Path) -> None:
    for i in range(8):
        save_image(tmp_path / f"p{i}.png", i)
        write_labelme(tmp_path / f"p{i}.json", f"p{i}.png", [])
    with pytest.raises(UnetzooError, match="there is no annotated object in any image"):
        create_dataset("folder", tmp_path)
