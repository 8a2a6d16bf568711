"""Several comparisons: Holm against R, simultaneous intervals that agree with the verdicts, the words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo.report.verdicts.family import holm, interval, possible, words
from unetzoo.report.verdicts.pair import two_sided, weigh


def test_holm_is_that_of_r():
    # p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm") in R 4
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    assert holm([[0.04, 0.01], [0.5, 0.01]]) == pytest.approx(np.array([[0.04, 0.02], [0.5, 0.02]]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_monotone_and_between_raw_and_bonferroni(p: list[float]):
    corrected = holm(p)
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()
    assert all(a <= c <= 1 and c <= max(a * len(p), max(corrected)) for a, c in zip(p, corrected, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([None, 0.0, 0.005, 0.05]))
def test_interval_and_verdict_never_contradict(k: int, variants: int, margin: float | None):
    rng = np.random.default_rng(k)
    shift = rng.choice([0.0, 0.01, -0.02], (variants, 1, 1))
    e = weigh(rng.normal(shift, 0.01, (variants, 3, 10)))
    adjusted = holm(two_sided(e))
    low, high = interval(e, comparisons=variants, p_adjusted=adjusted)
    low_alone, high_alone = interval(e)
    for j, verdict in enumerate(words(e.difference, low, high, adjusted, margin=margin)):
        assert (verdict == "better") == (adjusted[j] < 0.05 and low[j] >= 0)
        assert (verdict == "worse") == (adjusted[j] < 0.05 and high[j] <= 0)
        if verdict in ("equivalent", "undecided"):
            assert low[j] <= 0 <= high[j]
        if verdict == "equivalent":
            assert margin is not None
            assert max(-low[j], high[j]) <= margin
        assert low[j] <= low_alone[j] or low[j] == 0.0
        assert high[j] >= high_alone[j] or high[j] == 0.0


def test_words():
    assert words(0.1, 0.0, 0.2, 0.04).item() == "better"
    assert words(0.1, 0.0, 0.2, 0.04, lower_is_better=True).item() == "worse"
    assert words(-0.1, -0.2, 0.0, 0.04).item() == "worse"
    assert words(0.004, 0.001, 0.007, 0.01, margin=0.01).item() == "better"  # although smaller than the margin
    assert words(0.001, -0.008, 0.01, 0.5, margin=0.01).item() == "equivalent"
    assert words(0.001, -0.008, 0.011, 0.5, margin=0.01).item() == "undecided"
    assert words(0.0, 0.0, 0.0, 1.0, margin=0.0).item() == "equivalent"
    assert words(0.0, 0.0, 0.0, 1.0).item() == "undecided"


def test_a_difference_is_what_the_metric_can_be():
    assert possible(np.array(-1.3), np.array(0.9)) == (-1.0, 0.9)
    low, high = possible(np.array(-9.0), np.array(9.0), "hd95")
    assert (float(low), float(high)) == (-9.0, 9.0)
