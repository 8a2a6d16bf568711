"""Many files: each pair is decoded once, by helpers, and the result is that of the slow way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import unetzoo
from support.data_folders import COUNT, disc, look, make_folder, mask_of, save
from unetzoo import UnetzooError
from unetzoo._util import helpers
from unetzoo._util.progress import listening
from unetzoo.bench.suite import DataRequest
from unetzoo.cli.main import app
from unetzoo.data.folders import check, reading
from unetzoo.data.folders.thumbnails import SIMILAR, THUMBNAIL, Thumbnails, _symmetries, views
from unetzoo.data.leaks import near_duplicates


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data")


def many(monkeypatch: pytest.MonkeyPatch, *, alone: bool) -> None:
    """Take a few files for many, with helpers or without."""
    monkeypatch.setattr(check, "MANY", 4)
    monkeypatch.setattr(check, "SAMPLE", 4)
    monkeypatch.setattr(helpers, "LEAST", 10**9 if alone else 4)
    monkeypatch.setattr(helpers, "cores", lambda: 2)


def facts(data: Any) -> tuple[Any, ...]:
    keys = [key for keys in data.splits.values() for key in keys]
    return data.digest(), data.describe(), [data.storage(key) for key in keys], data.messages, near_duplicates(data)


def test_the_result_is_that_of_few_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, found = facts(unetzoo.create_dataset("folder", folder)), look(folder)
    many(monkeypatch, alone=False)
    assert facts(unetzoo.create_dataset("folder", folder)) == expected
    again = look(folder)
    assert again.survey.items == found.survey.items
    assert (again.findings, again.reading, again.survey.similar) == (
        found.findings,
        found.reading,
        found.survey.similar,
    )


@pytest.mark.parametrize("options", [{}, {"downscale": 2}, {"class_names": ["a", "b"]}, {"ignore_index": 7}])
def test_each_file_is_decoded_once_if_the_guess_is_right(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    expected = unetzoo.create_dataset("folder", folder, **options).digest()
    many(monkeypatch, alone=True)
    decoded: list[Path] = []
    original = reading.read_stored

    def count(path: Path, page: int | None = None) -> Any:
        decoded.append(path)
        return original(path, page)

    monkeypatch.setattr(reading, "read_stored", count)
    assert unetzoo.create_dataset("folder", folder, **options).digest() == expected
    assert len(decoded) == 2 * (COUNT + COUNT // 2) + 1  # a sample of half of them first, and a mask for its palette


def test_a_wrong_guess_costs_a_second_look_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(COUNT):
        save(mask_of(folder, i), disc(i) + disc(i + 9) * (i % 2))
    expected = facts(unetzoo.create_dataset("folder", folder))
    many(monkeypatch, alone=True)
    for sample in (1, 2, 4, 8):
        monkeypatch.setattr(check, "SAMPLE", sample)
        assert facts(unetzoo.create_dataset("folder", folder)) == expected


@pytest.mark.parametrize("stated", [False, True])
def test_the_first_bad_file_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch, stated: bool) -> None:
    if stated:
        CliRunner().invoke(app, ["data", "check", str(folder)])
    mask_of(folder, 3).write_bytes(b"no image")
    with pytest.raises(UnetzooError) as slow:
        unetzoo.create_dataset("folder", folder)
    many(monkeypatch, alone=False)
    with pytest.raises(UnetzooError) as fast:
        unetzoo.create_dataset("folder", folder)
    assert str(fast.value) == str(slow.value)
    assert "a3.png" in str(fast.value)


def test_progress_is_told(folder: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    with listening(lambda *what: heard.append(what)):
        near_duplicates(unetzoo.create_dataset("folder", folder))
    for what in ("checking files", "reading files", "searching near-duplicates"):
        assert [(done, total) for word, done, total in heard if word == what] == [(i + 1, COUNT) for i in range(COUNT)]


@pytest.mark.parametrize(("few", "stated"), [(True, False), (False, False), (False, True)])
def test_opening_for_a_bench_finds_near_duplicates_in_its_pass(
    folder: Path, monkeypatch: pytest.MonkeyPatch, few: bool, stated: bool
) -> None:
    if stated:
        CliRunner().invoke(app, ["data", "check", str(folder)])
    plain = unetzoo.create_dataset("folder", folder)
    key, other = plain.splits["train"][0], plain.splits["test"][0]
    pixels = np.asarray(Image.open(plain._pairs[key].image))  # type: ignore[attr-defined]
    save(plain._pairs[other].image, pixels // 2)  # type: ignore[attr-defined]
    plain = unetzoo.create_dataset("folder", folder)
    expected = near_duplicates(plain)
    assert ("train", key, "test", other) in [pair[:4] for pair in expected]
    if not few:
        many(monkeypatch, alone=False)
    data = DataRequest(name="folder", root=str(folder)).open(compare=True)
    monkeypatch.setattr("unetzoo.data.leaks._search", None)  # it would read the images again
    assert near_duplicates(data) == expected
    assert data.messages == plain.messages  # type: ignore[attr-defined]
    assert data.digest() == plain.digest()
    data.splits = {**data.splits, "test": tuple(k for k in data.splits["test"] if k != other)}
    assert near_duplicates(data) == [pair for pair in expected if other not in pair]


def test_other_splits_are_searched_anew(folder: Path) -> None:
    data = unetzoo.create_dataset("folder", folder, compare=True)
    assert data.compared is not None
    assert data.compared.within({**data.splits, "test": data.splits["train"]}) is None
    assert unetzoo.create_dataset("folder", folder, compare=True, split_seed=1).compared is None


def test_near_duplicates_are_those_of_comparing_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetzoo.data.folders.thumbnails.ROWS", 7)
    monkeypatch.setattr("unetzoo.data.folders.thumbnails.IMAGES", 5)
    monkeypatch.setattr("unetzoo.data.folders.thumbnails.IN_MEMORY", 3000)
    rng = np.random.default_rng(0)
    grown = np.ones((4, 4))
    pictures = [np.kron(rng.random((10, 10)), grown)[None] for _ in range(40)]
    for i in range(20, 40, 3):
        pictures[i] = np.clip(0.7 * np.rot90(pictures[i - 20], i, axes=(1, 2)) + 0.02 * rng.random((1, 40, 40)), 0, 1)
    pictures[30] = np.full((1, 40, 40), 0.5)
    splits = ["train"] * 23 + ["val"] * 8 + ["test"] * 9
    thumbnails = Thumbnails()
    for i, (split, picture) in enumerate(zip(splits, pictures, strict=True)):
        thumbnails.add(split, f"{i}", views(picture, int(i >= 23)))
    expected = set()
    for i in range(23, 40):
        moved = views(pictures[i], 1)[:, _symmetries()].reshape(-1, THUMBNAIL**2)
        for j in range(i):
            if splits[j] != splits[i] and (views(pictures[j], 0)[0] @ moved.T).max() >= SIMILAR:
                expected.add((splits[j], f"{j}", splits[i], f"{i}"))
    assert {pair[:4] for pair in thumbnails.similar()} == expected
    assert len(expected) >= 5
