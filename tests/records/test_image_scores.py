"""Scores of images in one array are the same scores; records read for a report share what is equal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.records import folder_of, record
from unetzoo.records.fields import image_score
from unetzoo.records.image_scores import ImageScores, Table
from unetzoo.records.reading import read_all
from unetzoo.records.record import DamagedRecordError, Record

scores = st.dictionaries(
    st.sampled_from(["dice", "iou"]), st.dictionaries(st.sampled_from("abc"), st.none() | st.floats(0, 1))
)


@given(st.dictionaries(st.text(max_size=3), scores, max_size=5))
def test_the_scores_of_the_dictionaries(per_image: dict[str, dict[str, dict[str, float | None]]]):
    held = ImageScores(per_image)
    assert list(held) == sorted(per_image)
    for key, by_metric in per_image.items():
        for metric, by_class in by_metric.items():
            assert {k: v for k, v in held[key].get(metric, {}).items() if k in by_class} == by_class
    for counted in (None, {"a", "b"}):
        for metric in ("dice", "iou"):
            for key, mean in zip(held, held.means(metric, counted), strict=True):
                by_class = per_image[key].get(metric, {})
                some = [v for k, v in by_class.items() if v is not None and (counted is None or k in counted)]
                np.testing.assert_allclose(mean, sum(some) / len(some) if some else np.nan)


@given(st.dictionaries(st.text(max_size=3) | st.just("images"), scores, max_size=5))
def test_a_table_holds_the_same_scores(per_image: dict[str, dict[str, dict[str, float | None]]]):
    held = ImageScores(per_image)
    fields = json.loads(json.dumps(held.table(), allow_nan=False))
    assert ImageScores.of(Table(**fields)) == held


def test_a_table_may_name_its_images_in_any_order():
    table = Table(images=["b", "a"], scores={"dice": {"cell": [0.2, None]}, "iou": {"cell": [0.1, 0.3]}})
    held = ImageScores.of(table)
    assert held == {
        "a": {"dice": {"cell": None}, "iou": {"cell": 0.3}},
        "b": {"dice": {"cell": 0.2}, "iou": {"cell": 0.1}},
    }
    np.testing.assert_array_equal(held.means("dice", None), [np.nan, 0.2])


def test_a_record_of_version_1_is_the_same_record():
    old = record("unet", 0, [0.8, None, 0.7]) | {"version": 1}
    read = Record.from_json(json.dumps(old), "old")
    written = json.loads(read.to_json())
    assert (read.version, written["version"]) == (1, 2)
    assert written["result"]["per_image"]["scores"]["dice"]["membrane"] == [0.8, None, 0.7]
    assert Record.from_json(read.to_json(), "new") == read.model_copy(update={"version": 2})


@pytest.mark.parametrize(
    ("per_image", "why"),
    [
        ({"images": ["a", "b"], "scores": {"dice": {"cell": [0.5]}}}, "dice of cell: 1 scores for 2 images"),
        ({"images": ["a", "a"], "scores": {"dice": {"cell": [0.5, 0.5]}}}, "an image is named twice"),
        ({"images": ["a"], "scores": {"dice": {"cell": ["high"]}}}, "per_image: scores.dice.cell.0 = 'high': input"),
        (
            {"images": ["a"], "scores": {"dice": {"cell": [0.5]}}, "means": {}},
            "per_image: unknown option 'means'; did you mean images",
        ),
        ({"images": ["a"]}, "per_image: scores is missing"),
        ({"a": {"dice": {"cell": "high"}}}, "per_image: a.dice.cell = 'high': input"),
        ({"a": {"dice": 0.5}}, "per_image: a.dice = 0.5: input"),
        ([], r"per_image: value = \[\]: input"),
    ],
)
def test_wrong_scores_are_refused_in_one_line(per_image: object, why: str):
    made = record()
    made["result"]["per_image"] = per_image
    with pytest.raises(DamagedRecordError, match=why) as caught:
        Record.from_json(json.dumps(made), "x.json")
    assert "\n" not in str(caught.value)


def test_records_share_what_is_equal(tmp_path: Path):
    made = [record("unet", 0, [0.8, None, 0.7]), record("unet", 1, [0.6, 0.5, 0.4])]
    (first, second), unreadable = read_all(folder_of(tmp_path, *made))
    assert not unreadable
    assert first.trial["train"] is second.trial["train"]
    assert first.data is second.data
    whole = Record.from_json(json.dumps(made[0]), "x")
    for key in ("slice_0", "slice_1", "slice_2"):
        assert image_score(first, key) == image_score(whole, key)
