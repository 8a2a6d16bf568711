"""Verdicts on costs: exact ones compared, measured ones tested on the ratio."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from unetzoo.report.verdicts.costs import compare_costs


def test_exact_costs_are_compared():
    costs = {"unet": {0: 100.0, 1: 100.0}, "small": {0: 90.0}, "twin": {0: 100.0}, "large": {5: 120.0}}
    found = {c.model: c for c in compare_costs(costs, "unet", "params")}
    assert {label: c.verdict for label, c in found.items()} == {
        "large": "worse",
        "small": "better",
        "twin": "equivalent",
    }
    assert found["large"].difference == pytest.approx(0.2)
    assert found["large"].p is None


def test_measured_costs_are_a_paired_t_on_the_logarithm():
    base, ours = {0: 10.0, 1: 11.0, 2: 10.5}, {0: 13.0, 1: 14.5, 2: 13.4}
    (c,) = compare_costs({"unet": base, "slow": ours}, "unet", "latency")
    expected = stats.ttest_rel(np.log(list(ours.values())), np.log(list(base.values())))
    assert c.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval()
    assert [c.low, c.high] == pytest.approx([np.expm1(low), np.expm1(high)])
    assert (c.verdict, c.agree, c.metric) == ("worse", 3, "latency")


def test_margin_correction_and_thin_evidence():
    rng = np.random.default_rng(0)
    costs = {"unet": {s: 10.0 + 0.01 * rng.normal() for s in range(5)}}
    costs["same"] = {s: 10.0 + 0.01 * rng.normal() for s in range(5)}
    costs["loud"] = {s: 10.0 + 3 * rng.normal() for s in range(5)}
    costs["two"] = {s: 10.0 + rng.normal() for s in range(2)}
    costs["other"] = {s: 10.0 + rng.normal() for s in (7, 8, 9)}
    found = {c.model: c for c in compare_costs(costs, "unet", "latency")}
    assert found["same"].verdict == "equivalent"
    assert found["loud"].verdict == "undecided"
    assert (found["loud"].p_adjusted or 0) >= (found["loud"].p or 0)
    assert {found[label].verdict for label in ("two", "other")} == {"not enough data"}
    assert compare_costs(costs, "gone", "latency") == []
