"""The best of several: Hsu's intervals against a published example, ranks, folds, one choice for all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from unetzoo.report.verdicts.best import pool_folds, rank_bounds, serves_all, with_best
from unetzoo.report.verdicts.pair import half_width, two_sided, weigh


def test_hsu_on_paint_hardness():
    """Four blends of paint, the example of Minitab's help "Hsu simultaneous CIs", whose pairs have bounds of ± 5."""
    means = np.array([14.733, 8.567, 12.983, 18.067])
    gaps = means[:, None] - means
    low, high = with_best(gaps - 5.0, gaps + 5.0)
    assert low == pytest.approx([-8.3333, -14.5, -10.0833, -1.6667], abs=1e-3)
    assert high == pytest.approx([1.6667, 0.0, 0.0, 8.3333], abs=1e-3)


def test_a_single_candidate_is_the_best():
    gaps = np.array([[0.0, 0.3], [-0.3, 0.0]])
    low, high = with_best(gaps - 0.1, gaps + 0.1)
    assert (low.tolist(), high.tolist()) == ([0.0, pytest.approx(-0.4)], [pytest.approx(0.4), 0.0])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_bounds_hold_if_all_pairs_do(k: int, variants: int):
    rng = np.random.default_rng(k)
    truth = rng.normal(size=variants).round(1)
    gaps = truth[:, None] - truth
    reach = rng.uniform(0, 1, (variants, variants))
    low, high = gaps - reach, gaps + reach
    low, high = np.maximum(low, -high.T), np.minimum(high, -low.T)
    ours = truth - [np.delete(truth, i).max() for i in range(variants)]
    below, above = with_best(low, high)
    assert ((below <= ours) & (ours <= above)).all()
    first, last = rank_bounds(high < 0)
    better = (gaps < 0).sum(1) + 1
    assert ((first <= better) & (better <= last)).all()


def test_rank_bounds_by_hand():
    lower = np.array([[False, False, False], [True, False, False], [True, False, False]])
    first, last = rank_bounds(lower)
    assert (first.tolist(), last.tolist()) == ([1, 2, 2], [1, 3, 3])
    assert rank_bounds(np.zeros((3, 3), bool))[1].tolist() == [3, 3, 3]


def test_one_choice_needs_every_data_set():
    rng = np.random.default_rng(0)
    near = weigh(rng.normal(0.0, 0.001, (4, 20)))
    below = weigh(rng.normal(-0.05, 0.001, (4, 20)))
    assert serves_all([{(1, 0): near}, {(1, 0): near}], [0.01, 0.01], 2) == [True, True]
    assert serves_all([{(1, 0): near}, {(1, 0): below}], [0.01, 0.01], 2) == [True, False]
    assert serves_all([{(1, 0): near}, {(1, 0): below}], [0.01, 0.1], 2) == [True, True]
    assert serves_all([{(1, 0): near}, {}], [0.01, 0.01], 2) == [False, False]


def test_nadeau_and_bengio_by_hand():
    d = np.array([0.01, 0.03, 0.02, 0.0, 0.04])
    e = pool_folds(d, 1 / 4)
    error = np.sqrt((1 / 5 + 1 / 4) * d.var(ddof=1))
    assert float(e.difference) == pytest.approx(0.02)
    assert float(half_width(e, 0.05)) == pytest.approx(t.isf(0.025, 4) * error)
    assert float(two_sided(e)) == pytest.approx(2 * t.sf(0.02 / error, 4))
