"""One difference: variances against a published analysis of variance, p against scipy, and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from unetzoo.report.verdicts.pair import (
    Evidence,
    complete,
    components,
    half_width,
    prob_false,
    superiority,
    turned,
    two_sided,
    two_way,
    weigh,
)

# Four judges' ratings of six targets, and the mean squares between targets, between judges and of the rest:
# Shrout and Fleiss (1979), Psychological Bulletin 86, 420-428, tables 2 and 3.
RATINGS = np.array([[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]], float)
TARGETS, JUDGES, REST = 11.24, 32.49, 1.02
tables = st.integers(0, 10_000).map(lambda k: np.random.default_rng(k).normal(0.01, 0.02, (2 + k % 4, 5 + k % 6)))


def test_a_published_two_way_table():
    e = weigh(RATINGS)
    assert 24 * np.array([e.over_images, e.over_seeds, e.over_cells]) == pytest.approx(
        [TARGETS, JUDGES, REST], abs=0.01
    )
    image, seed, cell = components(e)
    assert image**2 == pytest.approx((TARGETS - REST) / 4, abs=0.01)
    assert seed**2 == pytest.approx((JUDGES - REST) / 6, abs=0.01)
    assert cell**2 == pytest.approx(REST, abs=0.01)
    variance, freedom = two_way(e)
    assert variance == pytest.approx((TARGETS + JUDGES - REST) / 24, abs=1e-3)
    below = JUDGES**2 / 3 + TARGETS**2 / 5
    assert freedom == pytest.approx((TARGETS + JUDGES) * (TARGETS + JUDGES - REST) / below, abs=0.01)


def test_one_seed_is_the_paired_t_over_images():
    d = np.array([[0.01, 0.03, -0.01, 0.02, 0.04, 0.0]])
    expected = stats.ttest_1samp(d[0], 0.0)
    e = weigh(d)
    assert two_sided(e) == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.9)
    assert 2 * half_width(e, 0.1) == pytest.approx(high - low)


def test_equal_images_are_the_paired_t_over_seeds():
    by_seed = np.array([0.01, 0.03, 0.02])
    expected = stats.ttest_1samp(by_seed, 0.0)
    e = weigh(by_seed[:, None] + np.zeros((3, 8)))
    assert two_sided(e) == pytest.approx(expected.pvalue)
    assert prob_false(e) == pytest.approx(expected.pvalue / 2)


def test_p_is_never_below_the_paired_t_over_seeds():
    rng = np.random.default_rng(0)
    d = rng.normal(0.005, 0.01, (200, 3, 20))
    assert (two_sided(weigh(d)) >= stats.ttest_1samp(d.mean(-1), 0.0, axis=-1).pvalue * (1 - 1e-6)).all()


def test_groups_of_equal_size_are_their_means():
    d = np.random.default_rng(1).normal(size=(3, 12))
    groups = np.repeat(np.arange(6), 2)
    e, means = weigh(d, groups), weigh(d.reshape(3, 6, 2).mean(-1))
    for name in ("difference", "over_seeds", "over_images", "over_cells", "groups", "freedom"):
        assert getattr(e, name) == pytest.approx(getattr(means, name))


def test_unequal_groups():
    """The variance is unbiased for independent images, and the degrees of freedom are those of its quadratic form."""
    sizes = np.array([1, 2, 3, 6])
    groups, n = np.repeat(np.arange(4), sizes), 12
    assert sum(weigh(np.eye(n)[[k]], groups).over_images for k in range(n)) == pytest.approx(1 / n)  # the form's trace
    share = sizes / n
    root = np.diag((1 - share) ** -0.5) @ (np.eye(4) - np.outer(share, np.ones(4))) @ np.diag(sizes)
    form = root @ root.T
    assert weigh(np.ones((1, n)), groups).freedom == pytest.approx(np.trace(form) ** 2 / (form**2).sum())


@settings(max_examples=50, deadline=None)
@given(tables, st.integers(0, 100))
def test_order_changes_nothing_and_sides_turn_the_sign(d: np.ndarray, k: int):
    rng = np.random.default_rng(k)
    groups = rng.integers(0, 3, d.shape[1])
    groups[:3] = range(3)
    seeds, images = rng.permutation(d.shape[0]), rng.permutation(d.shape[1])
    e, mixed = weigh(d, groups), weigh(d[seeds][:, images], groups[images])
    assert two_sided(mixed) == pytest.approx(two_sided(e))
    assert half_width(mixed, 0.01) == pytest.approx(half_width(e, 0.01))
    other = weigh(-d, groups)
    assert other.difference == pytest.approx(-e.difference)
    assert two_sided(other) == pytest.approx(two_sided(e)) == pytest.approx(two_sided(turned(e)))


@settings(max_examples=50, deadline=None)
@given(tables, st.floats(0.001, 0.5))
def test_the_interval_holds_zero_exactly_if_p_is_not_below_alpha(d: np.ndarray, alpha: float):
    e = weigh(d)
    assert (abs(e.difference) > half_width(e, alpha)) == (two_sided(e) < alpha)


def test_no_noise_and_rounding():
    same = weigh(np.full((3, 6), 0.1) - (0.3 - 0.2))
    assert two_sided(same) == 1.0
    assert prob_false(same) == 0.5
    assert two_sided(weigh(np.full((3, 6), 0.1))) == 0.0


def test_images_without_a_score():
    x = np.array([[0.2, np.nan, 0.4], [0.6, 0.8, np.nan], [0.1, 0.2, 0.3]])
    filled = complete(x)
    assert filled.mean(1) == pytest.approx(np.nanmean(x, axis=1))
    assert filled[2] == pytest.approx(x[2])
    # the variance of the mean is that of the images with a score, up to (k - 1) / k against (n - 1) / n
    many = np.where(np.arange(40) % 2, np.random.default_rng(2).normal(size=40), np.nan)[None]
    known = many[np.isfinite(many)]
    assert weigh(complete(many)).over_images == pytest.approx(known.var(ddof=1) / 20 * (19 / 20) / (39 / 40))
    assert np.isnan(complete(np.array([[np.nan, np.nan]]))).all()


def test_superiority_by_hand():
    ours, theirs = [[0.5, 0.9], [0.7, np.nan]], [[0.5, 0.8], [np.nan, np.nan]]
    found = superiority(np.array([ours, theirs, np.full((2, 2), np.nan)]))
    assert found[0, 1] == pytest.approx((0.5 + 1 + 1) / 3)
    assert found[1, 0] == pytest.approx(0.5 / 3)
    assert np.isnan(found[:, 2]).all()


@settings(max_examples=30, deadline=None)
@given(
    arrays(float, st.tuples(*[st.integers(1, 4)] * 3), elements=st.sampled_from([0.1, 0.2, 0.1 + 1e-15, 0.9, np.nan]))
)
def test_superiority_counts_every_pair_of_trainings(scores: np.ndarray):
    gaps = scores[:, None, :, None] - scores[None, :, None]
    gaps = np.where(np.isfinite(gaps), np.round(gaps, 12), np.nan)
    known = np.isfinite(gaps).sum((2, 3, 4))
    won = ((gaps > 0) + 0.5 * (gaps == 0)).sum((2, 3, 4))
    expected = np.where(known > 0, won / np.maximum(known, 1), np.nan)
    np.testing.assert_array_equal(superiority(scores), expected)


def test_one_group_has_no_variance():
    e = weigh(np.random.default_rng(3).normal(size=(3, 4)), np.zeros(4, int))
    assert (e.groups, float(e.over_images)) == (1, 0.0)
    assert isinstance(e, Evidence)
