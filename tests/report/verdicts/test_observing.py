"""Pairs looked at together give what each gives by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo.report.verdicts import observing
from unetzoo.report.verdicts.comparison import Comparison, Family, Pair, settle
from unetzoo.report.verdicts.observing import judge, observe, observe_all


def pairs_of(seed: int, variants: int, shape: tuple[int, int], gaps: float, grouped: bool = False) -> list[Pair]:
    """Return all pairs of variants with random scores, a share of them missing."""
    rng = np.random.default_rng(seed)
    scores = list(0.7 + rng.normal(0, 0.05, (1, 1, shape[1])) + rng.normal(0, 0.02, (variants, *shape)))
    for some in scores:
        some[rng.random(shape) < gaps] = np.nan
    groups = np.arange(shape[1]) // 2 if grouped else None
    return [
        Pair(f"v{i}", f"v{j}", scores[i], scores[j], groups) for j in range(variants) for i in range(j + 1, variants)
    ]


def same(found: list[Comparison], expected: list[Comparison]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert {k: v for k, v in vars(a).items() if not isinstance(v, float)} == {
            k: v for k, v in vars(b).items() if not isinstance(v, float)
        }
        numbers = [k for k, v in vars(a).items() if isinstance(v, float)]
        assert [getattr(a, k) for k in numbers] == pytest.approx([getattr(b, k) for k in numbers], rel=1e-12, abs=1e-15)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 4), st.integers(1, 9)),
    st.sampled_from([0.0, 0.1, 0.7]),
    st.booleans(),
    st.sampled_from(["dice", "hd95"]),
)
def test_together_as_one_by_one(seed: int, shape: tuple[int, int], gaps: float, grouped: bool, metric: str):
    pairs, family = pairs_of(seed, 4, shape, gaps, grouped), Family(metric=metric)
    alone = [observe(pair, family) for pair in pairs]
    same([f.comparison for f in observe_all(pairs, family)], [f.comparison for f in alone])
    same(judge(pairs, family), settle(alone, family))


def test_many_pairs_in_slices_as_in_one(monkeypatch: pytest.MonkeyPatch):
    pairs = pairs_of(0, 6, (3, 8), 0.0)
    whole = judge(pairs, Family())
    monkeypatch.setattr(observing, "MOST", 1)
    monkeypatch.setattr(observing, "MOST_ARRAYS", 4)
    same(judge(pairs, Family()), whole)
