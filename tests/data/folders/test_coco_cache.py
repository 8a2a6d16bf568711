"""A large COCO file is parsed once; a cache gives back the same content, and a damaged one is not believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unetzoo.data.folders import coco_cache
from unetzoo.data.folders.coco import read_coco

pytest.importorskip("pycocotools")


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Cache every file, in a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(coco_cache, "LEAST", 16)
    coco_cache._open.cache_clear()


numbers = st.floats(-5, 50, allow_nan=False)
polygons = st.lists(
    st.lists(numbers, min_size=2, max_size=10).filter(lambda p: len(p) % 2 == 0), min_size=1, max_size=3
)
runs = st.fixed_dictionaries({"size": st.just([6, 8]), "counts": st.just([10, 38]) | st.just("0P1")})
ids = st.integers(0, 5) | st.sampled_from(["a", "0"])


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a COCO file, of which a few are not sound."""
    images = draw(st.lists(ids, min_size=1, max_size=4, unique=True))
    categories = draw(st.lists(ids, min_size=1, max_size=3, unique=True))
    names = draw(st.lists(st.sampled_from(["cat", "dog", "é"]), min_size=len(categories), max_size=len(categories)))
    count = draw(st.integers(0, 5))
    return {
        "images": [{"id": key, "file_name": f"{key}.png", "height": 6, "width": 8} for key in images],
        "categories": [{"id": key, "name": name} for key, name in zip(categories, names, strict=True)],
        "annotations": [
            {
                "id": draw(st.integers(0, 9)),
                "image_id": draw(st.sampled_from([*images, *images, 99]))
                if count > 4
                else draw(st.sampled_from(images)),
                "category_id": draw(st.sampled_from(categories)),
                "iscrowd": draw(st.integers(0, 1)),
                "segmentation": draw(polygons | runs),
            }
            for _ in range(count)
        ],
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=files())
def test_the_cache_gives_back_what_was_parsed(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    parsed = read_coco(path)
    for _ in range(2):
        assert coco_cache.open_coco(path) == parsed
        assert list(coco_cache.open_coco(path).images) == list(parsed.images)
        coco_cache._open.cache_clear()  # as another process would find it


def test_a_file_is_parsed_again_only_if_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 6, "width": 8}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4]]}],
    }
    path.write_text(json.dumps(content))
    first = coco_cache.open_coco(path)
    monkeypatch.setattr(coco_cache, "read_coco", None)  # a second parse would fail
    coco_cache._open.cache_clear()
    assert coco_cache.open_coco(path) == first
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path.write_text(path.read_text().replace('"cat"', '"dog"'))
    assert list(coco_cache.open_coco(path).categories.values()) == ["dog"]


def test_a_damaged_cache_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": "a.png", "height": 6, "width": 8}]}))
    first = coco_cache.open_coco(path)
    (file,) = (tmp_path / "cache" / "unetzoo").glob("coco-*.npz")
    for content in (b"", file.read_bytes()[:200], b"x" * 500):
        file.write_bytes(content)
        coco_cache._open.cache_clear()
        assert coco_cache.open_coco(path) == first
