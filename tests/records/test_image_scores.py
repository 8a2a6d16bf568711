"""Scores of images in one array are the same scores; records read for a report share what is equal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from support.records import folder_of, record
from unetzoo.records.fields import image_score
from unetzoo.records.image_scores import ImageScores
from unetzoo.records.reading import read_all
from unetzoo.records.record import Record

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


def test_records_share_what_is_equal(tmp_path: Path):
    made = [record("unet", 0, [0.8, None, 0.7]), record("unet", 1, [0.6, 0.5, 0.4])]
    (first, second), unreadable = read_all(folder_of(tmp_path, *made))
    assert not unreadable
    assert first.trial["train"] is second.trial["train"]
    assert first.data is second.data
    whole = Record.from_json(json.dumps(made[0]), "x")
    for key in ("slice_0", "slice_1", "slice_2"):
        assert image_score(first, key) == image_score(whole, key)
