"""The page of a collection that uses one data set with several numbers of training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.collection import made, page_of, scores
from unetzoo.report import curves
from unetzoo.report.verdicts.family import MIN_GROUPS, MIN_SEEDS


def with_images(n: int, records: list[dict[str, Any]], name: str = "nuclei") -> list[dict[str, Any]]:
    """Change the records to those of trials with ``n`` training images."""
    for record in records:
        record["trial"]["data"] = {"name": name, "options": {}, "n_train": n, "digest": f"{name}{n}"}
        record["data"]["splits"]["train"] = {"n": n, "digest": f"{n}"}
    return records


def curve(names: tuple[str, ...] = ("nuclei",)) -> dict[str, list[dict[str, Any]]]:
    means = {1: {"a": 0.70, "b": 0.50}, 4: {"a": 0.75, "b": 0.60}, 16: {"a": 0.76, "b": 0.72}}
    return {f"{name}_{n}": with_images(n, scores(**means[n]), name) for name in names for n in (4, 16, 1)}


def test_the_page_says_how_many_images_each_needs(tmp_path: Path) -> None:
    text = page_of(made(tmp_path / "f", curve()))
    assert "nuclei: a has the highest mean Dice with 1, 4 and 16 training images." in text
    assert "b: shown to score lower than the highest with 1, 4 and 16." in text
    assert "With 4 images a is shown to be at most 0.01 Dice below b with 16." in text
    assert "learning_curves.png" in text
    assert "mean rank" not in text.split("## How to read")[0]
    assert {p.name for p in (tmp_path / "f" / "plots").iterdir()} >= {"learning_curves.png", "learning_curves.svg"}


def test_a_model_that_was_trained_alone_is_no_winner_and_a_rate_of_its_own_ends_no_curve(tmp_path: Path) -> None:
    parts = curve()
    parts["nuclei_16"] = [r for r in parts["nuclei_16"] if r["trial"]["model"]["label"] != "b"]
    for n in (1, 4):
        for record in parts[f"nuclei_{n}"]:
            if record["trial"]["model"]["label"] == "a":
                record["trial"].setdefault("train", {})["lr"] = 1e-3
    text = page_of(made(tmp_path / "f", parts))
    alone = "with 16 training images a alone was trained."
    assert f"nuclei: a has the highest mean Dice with 1 and 4 training images; {alone}" in text


def test_each_data_set_has_a_curve_of_its_own(tmp_path: Path) -> None:
    text = page_of(made(tmp_path / "f", curve(("nuclei", "vessels"))))
    assert "nuclei: a has the highest" in text
    assert "vessels: a has the highest" in text


@pytest.mark.parametrize("change", ["another test set", "another data set", "one size", "options"])
def test_what_is_no_curve_has_none(tmp_path: Path, change: str) -> None:
    parts = {"x": with_images(1, scores(a=0.7, b=0.5)), "y": with_images(4, scores(a=0.8, b=0.5))}
    for record in parts["y"]:
        if change == "another test set":
            record["data"]["splits"]["test"]["digest"] = "other"
        elif change == "another data set":
            record["trial"]["data"]["name"] = "vessels"
        elif change == "options":
            record["trial"]["data"]["options"] = {"difficulty": 1.0}
        else:
            record["data"]["splits"]["train"]["n"] = 1
    folder = made(tmp_path / "f", parts)
    (folder / "plots").mkdir()
    (folder / "plots" / "learning_curves.png").write_bytes(b"of an earlier report")
    text = page_of(folder)
    assert "Highest mean Dice on 2 data sets" in text
    assert not (folder / "plots" / "learning_curves.png").exists()


def test_n_train_of_a_generated_world_is_an_option(tmp_path: Path) -> None:
    parts = {f"c{n}": with_images(n, scores(a=0.7, b=0.5), "cells") for n in (2, 8)}
    for n in (2, 8):
        for record in parts[f"c{n}"]:
            record["trial"]["data"] |= {"options": {"n_train": n}, "n_train": None}
    assert "cells: a has the highest mean Dice with 2 and 8" in page_of(made(tmp_path / "f", parts))
    assert "cells: a has the highest mean Dice with 2 and 8" in (tmp_path / "f" / "index.html").read_text()


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_a_band_holds_the_mean_and_stays_within_the_scores_range(seeds: int, images: int, draw: int) -> None:
    values = np.random.default_rng(draw).random((seeds, images))
    found = curves.band(pd.DataFrame(values))
    assert curves.band(pd.DataFrame(values), dict.fromkeys(range(images), "one volume")) is None
    if seeds < MIN_SEEDS or images < MIN_GROUPS:
        assert found is None
    else:
        assert found is not None
        assert 0 <= found[0] <= values.mean() <= found[1] <= 1
