"""clDice against its published definition, and widths of structures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.morphology import skeletonize

from unetzoo.metrics.centreline import cldice, recall_by_width, thin_pixels, widths


def published(v_p: np.ndarray, v_l: np.ndarray) -> float:
    """Return clDice as jocpae/clDice, cldice_metric/cldice.py, computes it."""

    def score(v: np.ndarray, s: np.ndarray) -> float:
        return np.sum(v * s) / np.sum(s)

    tprec, tsens = score(v_l, skeletonize(v_p)), score(v_p, skeletonize(v_l))
    return 2 * tprec * tsens / (tprec + tsens)


@pytest.mark.parametrize("seed", range(5))
def test_cldice_is_that_of_the_authors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.zeros((40, 50), dtype=bool)
    for row in rng.integers(2, 38, 4):
        truth[row - 1 : row + 2] = True
    prediction = np.roll(truth, 1, axis=0) & (rng.random(truth.shape) > 0.1)
    assert cldice(prediction, truth) == pytest.approx(published(prediction, truth))


def test_a_gap_costs_and_a_wider_line_does_not() -> None:
    truth = np.zeros((21, 60), dtype=bool)
    truth[9:12] = True
    wide, broken = truth.copy(), truth.copy()
    wide[7:14] = True
    broken[:, 20:40] = False
    assert cldice(wide, truth) > 0.99
    assert cldice(broken, truth) == pytest.approx(2 * (2 / 3) / (1 + 2 / 3), abs=0.03)


def test_empty_masks() -> None:
    empty, line = np.zeros((9, 9), dtype=bool), np.eye(9, dtype=bool)
    assert math.isnan(cldice(empty, empty))
    assert (cldice(empty, line), cldice(line, empty)) == (0.0, 0.0)


@pytest.mark.parametrize("width", [1, 3, 5, 9])
def test_width_of_a_line(width: int) -> None:
    mask = np.zeros((31, 80), dtype=bool)
    mask[10 : 10 + width] = True
    assert np.median(widths(mask)) == width


def test_recall_by_width_counts_thin_and_wide_apart() -> None:
    truth = np.zeros((40, 60), dtype=bool)
    truth[5], truth[20:29] = True, True
    prediction = truth.copy()
    prediction[5] = False
    (thin_hit, thin), (wide_hit, wide) = recall_by_width(prediction, truth, (3.0,))
    assert thin >= 58
    assert wide > 0
    assert (thin_hit, wide_hit) == (thin - thin, wide) or (thin_hit == 0 and wide_hit >= wide - 4)


def test_thin_pixels_are_what_a_wider_disc_does_not_reach() -> None:
    mask = np.zeros((60, 60), dtype=bool)
    mask[5:10], mask[30:50] = True, True
    thin = thin_pixels(mask, 5.0)
    assert thin[5:10].all()
    assert thin[30:50].mean() < 0.02
    assert thin_pixels(mask, 4.0)[5:10].mean() < 0.1
