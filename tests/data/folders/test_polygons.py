"""Masks drawn from polygons, run lengths, rectangles and circles, pixel by pixel."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as pycoco
from skimage.draw import polygon2mask

from support.annotations import annotation, box, image_entry, shape, write_coco, write_labelme
from unetzoo.data.folders.coco import read_coco
from unetzoo.data.folders.drawn import Drawing
from unetzoo.data.folders.labelme import fill_circle, fill_polygon, read_labelme
from unetzoo.errors import UnetzooError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
VALUES = {"cat": 1, "dog": 2}


def rows(patch: Any, height: int, width: int) -> list[str]:
    """Return a patch as rows of '.' and '#'."""
    mask = np.zeros((height, width), bool)
    if patch is not None:
        top, left, pixels = patch
        mask[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return ["".join(".#"[int(pixel)] for pixel in row) for row in mask]


def coco_mask(
    path: Path, annotations: list[dict[str, Any]], height: int, width: int, overlap: Any = "smaller"
) -> np.ndarray:
    write_coco(path, [image_entry(7, "a.png", height, width)], annotations)
    coco = read_coco(path)
    assert not coco.errors
    drawing = Drawing(path, "a.png", (height, width), coco.shapes.get(7, []), VALUES, overlap)
    return drawing.mask().pixels[0]


def labelme_mask(path: Path, shapes: list[Any], size: tuple[int, int] = (6, 8), **changes: Any) -> np.ndarray:
    write_labelme(path, "a.png", shapes, imageHeight=size[0], imageWidth=size[1], **changes)
    return Drawing(path, "a.png", size, read_labelme(path).shapes, VALUES).mask().pixels[0]


def test_a_square_covers_the_pixels_whose_centres_it_holds() -> None:
    square = np.array([(1, 1), (4, 1), (4, 3), (1, 3)], float)
    assert rows(fill_polygon(square, 4, 6), 4, 6) == ["......", ".###..", ".###..", "......"]
    assert rows(fill_polygon(square + 0.4, 4, 6), 4, 6) == ["......", ".###..", ".###..", "......"]
    assert rows(fill_polygon(square + 0.6, 4, 6), 4, 6) == ["......", "......", "..###.", "..###."]


def test_centres_on_an_edge_belong_to_the_polygon_right_of_it_or_below() -> None:
    square = np.array([(0.5, 0.5), (2.5, 0.5), (2.5, 2.5), (0.5, 2.5)])
    assert rows(fill_polygon(square, 4, 4), 4, 4) == ["##..", "##..", "....", "...."]


def test_a_triangle_and_a_self_crossing_polygon() -> None:
    triangle = np.array([(0, 0), (5, 0), (0, 5)], float)
    assert rows(fill_polygon(triangle, 5, 5), 5, 5) == ["####.", "###..", "##...", "#....", "....."]
    twice = np.array([(0, 0), (6, 0), (6, 3), (0, 3), (0, 0), (3, 0), (3, 3), (0, 3)], float)
    assert rows(fill_polygon(twice, 3, 6), 3, 6) == ["...###"] * 3  # even-odd: what is enclosed twice is outside


def test_what_lies_outside_the_image_is_cut_off() -> None:
    assert rows(fill_polygon(np.array([(-3, -2), (2, -2), (2, 2), (-3, 2)], float), 3, 4), 3, 4) == [
        *("##..", "##..", "...."),
    ]
    assert fill_polygon(np.array([(9, 0), (12, 0), (12, 3)], float), 3, 4) is None
    assert fill_polygon(np.array([(1.1, 1.1), (1.3, 1.1), (1.2, 1.3)], float), 3, 4) is None  # holds no centre


def test_a_circle_holds_the_centres_at_most_a_radius_away() -> None:
    assert rows(fill_circle(np.array([2.5, 2.5]), 2, 5, 6), 5, 6) == ["..#...", ".###..", "#####.", ".###..", "..#..."]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(-90, 400), st.integers(-90, 300)), min_size=3, max_size=9))
def test_polygons_equal_scikit_image(points: list[tuple[int, int]]) -> None:
    height, width = 20, 30
    array = np.array(points) / 10 + np.sqrt([2, 3]) / 100  # no edge passes exactly through a centre
    ours = rows(fill_polygon(array, height, width), height, width)
    theirs = polygon2mask((height, width), array[:, ::-1] - 0.5)
    assert ours == ["".join(".#"[int(pixel)] for pixel in row) for row in theirs]


def segments(height: int, width: int) -> st.SearchStrategy[Any]:
    point = st.tuples(st.integers(-20, 10 * width + 20), st.integers(-20, 10 * height + 20))
    polygon = st.lists(point, min_size=3, max_size=7).map(lambda ps: [n / 10 for p in ps for n in p])
    runs = st.lists(st.integers(1, height * width), max_size=8).map(lambda n: sorted({0, *n, height * width}))
    counts = runs.map(lambda ends: [0, *np.diff(ends).tolist()])
    rle = counts.map(lambda c: {"size": [height, width], "counts": c})
    packed = rle.map(lambda r: {**r, "counts": pycoco.frPyObjects(r, height, width)["counts"].decode()})
    return st.one_of(st.lists(polygon, min_size=1, max_size=3), rle, packed)


def decoded(segmentation: Any, height: int, width: int) -> np.ndarray:
    rle = pycoco.frPyObjects(segmentation, height, width) if not isinstance(segmentation, dict) else segmentation
    if isinstance(rle, dict) and isinstance(rle["counts"], list):
        rle = pycoco.frPyObjects(rle, height, width)
    return pycoco.decode(pycoco.merge(rle) if isinstance(rle, list) else rle).astype(bool)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(segments(13, 17), st.sampled_from([3, 18]), st.booleans()), max_size=6),
    st.sampled_from(["smaller", "later"]),
)
def test_masks_equal_pycocotools_under_the_rule(tmp_path_factory: Any, objects: list[Any], overlap: str) -> None:
    path = tmp_path_factory.getbasetemp() / "drawn.json"
    annotations = [annotation(7, category, s, iscrowd=int(crowd)) for s, category, crowd in objects]
    ours = coco_mask(path, annotations, 13, 17, overlap)
    whole = [(crowd, decoded(s, 13, 17), VALUES[{3: "cat", 18: "dog"}[c]]) for s, c, crowd in objects]
    if overlap == "smaller":
        whole.sort(key=lambda entry: (-entry[1].sum(), entry[2]))
    expected = np.zeros((13, 17), int)
    for crowds in (True, False):
        for crowd, pixels, value in whole:
            if crowd == crowds:
                expected[pixels] = value
    assert np.array_equal(ours, expected)
    if overlap == "smaller":  # the order of the file does not matter
        assert np.array_equal(coco_mask(path, annotations[::-1], 13, 17), ours)


def test_polygons_of_one_annotation_are_one_object(tmp_path: Path) -> None:
    parts = annotation(7, 18, [box(0, 0, 2, 2), box(4, 0, 6, 2)])
    mask = coco_mask(tmp_path / "a.json", [parts, annotation(7, 3, [box(1, 0, 4, 2)])], 2, 6)
    assert mask.tolist() == [[2, 1, 1, 1, 2, 2]] * 2  # 6 px beneath; the two parts have 8


def test_objects_of_one_size_are_ordered_by_category_not_by_file(tmp_path: Path) -> None:
    one, other = annotation(7, 3, [box(0, 0, 2, 2)]), annotation(7, 18, [box(1, 0, 3, 2)])
    for both in ([one, other], [other, one]):
        assert coco_mask(tmp_path / "a.json", both, 2, 4).tolist() == [[1, 2, 2, 0]] * 2


def test_crowds_are_beneath_even_if_they_are_small(tmp_path: Path) -> None:
    crowd = {"size": [2, 4], "counts": [2, 2, 4]}
    annotations = [annotation(7, 18, [box(0, 0, 3, 2)]), annotation(7, 3, crowd, iscrowd=1)]
    for overlap in ("smaller", "later"):
        assert coco_mask(tmp_path / "a.json", annotations, 2, 4, overlap).tolist() == [[2, 2, 2, 0]] * 2


@pytest.mark.parametrize(
    ("segmentation", "text"),
    [
        ({"size": [2, 4], "counts": [2, 2]}, "run lengths sum to 4, but the image has 8 pixels"),
        ({"size": [2, 4], "counts": [2, -1, 7]}, "run lengths sum to 8"),
        ({"size": [4, 2], "counts": [8]}, "run lengths are for 4x2 px, but the image has 2x4"),
        ({"size": [2, 4], "counts": "34"}, "run lengths sum to 7"),
        ({"size": [2, 4], "counts": ""}, "run lengths sum to 0"),
        ({"size": [2, 4], "counts": "3\u00e9"}, "which is no compressed number"),
        ({"size": [2, 4], "counts": "o"}, "end within a number"),
        ([box(0, 0, 900000, 2)], "far outside the image of 2x4 px"),
    ],
)
def test_segmentations_that_cannot_be_drawn_are_named(tmp_path: Path, segmentation: Any, text: str) -> None:
    with pytest.raises(UnetzooError, match=r"a\.json: annotation 0 of a\.png: ") as caught:
        coco_mask(tmp_path / "a.json", [annotation(7, 3, segmentation)], 2, 4)
    assert text in str(caught.value)


def test_shapes_of_labelme(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    rectangle = labelme_mask(path, [shape("cat", [[5, 4], [2, 1]], "rectangle")])
    assert np.argwhere(rectangle).tolist() == [[r, c] for r in (1, 2, 3) for c in (2, 3, 4)]
    circle = labelme_mask(path, [shape("cat", [[3.5, 2.5], [4.5, 2.5]], "circle")])
    assert np.argwhere(circle).tolist() == [[1, 3], [2, 2], [2, 3], [2, 4], [3, 3]]
    old = labelme_mask(path, [shape("cat", [[0, 0], [2, 0], [2, 1], [0, 1]], None)])  # without shape_type
    assert np.argwhere(old).tolist() == [[0, 0], [0, 1]]


def test_a_pasted_mask_of_labelme(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pixels = np.array([[1, 0], [1, 1]], bool)
    Image.fromarray(pixels).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    mask = labelme_mask(tmp_path / "a.json", [shape("dog", [[3, 1], [4, 2]], "mask", mask=text)])
    assert np.argwhere(mask == 2).tolist() == [[1, 3], [2, 3], [2, 4]]
    edge = labelme_mask(tmp_path / "a.json", [shape("dog", [[7, -1], [8, 0]], "mask", mask=text)])
    assert np.argwhere(edge == 2).tolist() == [[0, 7]]
    with pytest.raises(UnetzooError, match=r"shape 0: mask is 2x2, but its box is 4x2 px"):
        labelme_mask(tmp_path / "a.json", [shape("dog", [[3, 1], [4, 4]], "mask", mask=text)])


def test_shapes_of_a_group_are_one_object(tmp_path: Path) -> None:
    def of(group: int | None) -> list[Any]:
        big = [[(0, 0), (2, 0), (2, 2), (0, 2)], [(4, 0), (6, 0), (6, 2), (4, 2)]]
        return [
            *(shape("dog", points, group_id=group) for points in big),
            shape("cat", [(1, 0), (4, 0), (4, 2), (1, 2)], group_id=group),
        ]

    assert labelme_mask(tmp_path / "a.json", of(1))[0].tolist() == [2, 1, 1, 1, 2, 2, 0, 0]  # the dog has 8 px
    assert labelme_mask(tmp_path / "a.json", of(None))[0].tolist() == [2, 2, 1, 1, 2, 2, 0, 0]  # two dogs of 4 px


def test_a_category_named_background_is_drawn_as_0(tmp_path: Path) -> None:
    shapes = [shape("cat", [[0, 0], [6, 4]], "rectangle"), shape("_background_", [[1, 1], [3, 3]], "rectangle")]
    mask = labelme_mask(tmp_path / "a.json", shapes)
    assert mask[1].tolist() == [1, 0, 0, 1, 1, 1, 0, 0]
