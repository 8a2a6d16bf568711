"""Post-processing of masks, by hand-drawn examples."""

from __future__ import annotations

import numpy as np
import pytest

from unetzoo.errors import UnetzooError
from unetzoo.metrics.post_processing import best_threshold, fill_holes, largest_component, without_small


def drawn(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


def test_the_largest_component_stays_diagonals_included() -> None:
    mask = drawn("#....", ".#..#", "..#..")
    assert (largest_component(mask) == drawn("#....", ".#...", "..#..")).all()
    assert not largest_component(np.zeros((3, 3), dtype=bool)).any()


def test_holes_are_filled_and_bays_are_not() -> None:
    assert (fill_holes(drawn("###.##", "#.#.#.", "###.##")) == drawn("###.##", "###.#.", "###.##")).all()


def test_small_components_go() -> None:
    mask = drawn("##..#", "##...", ".....")
    assert (without_small(mask, 2) == drawn("##...", "##...", ".....")).all()
    assert (without_small(mask, 1) == mask).all()


def test_the_threshold_is_the_best_on_the_images_and_else_near_a_half() -> None:
    truth = np.array([[True, False, False]])
    assert best_threshold([(np.array([[0.9, 0.7, 0.1]]), truth)]) == 0.7
    assert best_threshold([(np.array([[0.9, 0.1, 0.1]]), truth)]) == 0.5


def test_images_without_foreground_give_no_threshold() -> None:
    empty = np.zeros((2, 2), dtype=bool)
    with pytest.raises(UnetzooError, match="no threshold can be chosen"):
        best_threshold([(np.zeros((2, 2)), empty)])
