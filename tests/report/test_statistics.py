"""The report's statistics, checked by hand: Holm's correction, the bootstrap, verdicts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.records import load, noisy, record
from unetzoo.report.alarms import red_lines
from unetzoo.report.statistics import (
    compare,
    first_chances,
    holm,
    means,
    pick_reference,
    score_grids,
    summarise,
    two_sided_p,
    widening,
)


def grids(*records: dict[str, Any]) -> dict[str, pd.DataFrame]:
    return score_grids(load(*records).images)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_monotone_and_between_raw_and_bonferroni(p: list[float]):
    corrected = holm(p)
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.asarray(corrected)[order]) >= 0).all()
    assert all(a <= c <= 1 and c <= max(a * len(p), max(corrected)) for a, c in zip(p, corrected, strict=True))


def test_two_sided_p_by_hand():
    assert two_sided_p(np.zeros(99)) == 1.0
    assert two_sided_p(np.ones(99)) == pytest.approx(2 / 100)
    assert two_sided_p(np.array([-1.0] * 10 + [1.0] * 89)) == pytest.approx(2 * 11 / 100)


def test_weighted_means_leave_out_what_has_no_score():
    x = np.array([[0.2, np.nan, 0.4], [0.6, 0.8, np.nan]])
    one = np.ones((1, 3))
    assert means(x, one, np.ones((1, 2))) == pytest.approx([(0.3 + 0.7) / 2])
    assert means(x, np.array([[1.0, 0, 3]]), np.array([[2.0, 0]])) == pytest.approx([(0.2 + 1.2) / 4])
    assert np.isnan(means(np.full((1, 3), np.nan), one, np.ones((1, 1)))).all()


def test_identical_variants_are_indistinguishable():
    made = [noisy(label, s, 0.8) for label in ("unet",) for s in range(3)]
    twins = [json.loads(json.dumps(r).replace('"label": "unet"', '"label": "twin"')) for r in made]
    (c,) = compare(grids(*made, *twins), "unet")
    assert (c.difference, c.low, c.high, c.p_holm, c.verdict) == (0.0, 0.0, 0.0, 1.0, "indistinguishable")
    assert first_chances(grids(*made, *twins)) == {"twin": 0.5, "unet": 0.5}
    assert "one network twice" in " ".join(red_lines(load(*made, *twins)))


def test_a_clear_shift_is_better_or_worse():
    scores = {"unet": 0.7, "unet_up": 0.75, "unet_down": 0.6}
    found = grids(*[noisy(label, s, mean) for label, mean in scores.items() for s in range(3)])
    down, up = compare(found, "unet")
    assert (down.verdict, up.verdict) == ("worse", "better")
    assert up.low is not None
    assert up.high is not None
    assert 0.04 < up.low < up.difference < up.high < 0.06
    assert (up.agree, up.seeds, up.images) == (3, 3, 12)
    assert first_chances(found)["unet_up"] == 1.0


def test_the_interval_is_the_bootstrap_of_paired_differences():
    """Images and seeds resampled by hand, on complete data, give the same interval."""
    made = [noisy(label, s, 0.7) for label in ("unet", "unet_b") for s in range(3)]
    found = grids(*made)
    (c,) = compare(found, "unet")
    d = found["unet_b"].to_numpy() - found["unet"].to_numpy()
    rng = np.random.default_rng(5)
    seeds, images = rng.integers(0, 3, (4000, 2)), rng.integers(0, 12, (4000, 11))
    drawn = d[seeds[:, :, None], images[:, None, :]].mean((1, 2))
    wide = d.mean() + widening(d) * (np.percentile(drawn, [2.5, 97.5]) - d.mean())
    assert c.difference == pytest.approx(d.mean())
    assert [c.low, c.high] == pytest.approx(wide, abs=4e-4)


def test_few_seeds_widen_the_interval():
    by_seed = np.array([[0.1], [0.2], [0.4]]) + np.zeros((3, 12))
    assert widening(by_seed) == pytest.approx(4.3027 / 1.9600, abs=1e-3)  # t with two degrees of freedom
    assert widening(by_seed[:1] + np.linspace(0, 1, 12)) == pytest.approx(2.2010 / 1.9600, abs=1e-3)
    assert widening(np.full((3, 12), 0.1)) == widening(np.full((2, 3), np.nan)) == 1.0


def test_thin_evidence_gets_no_verdict():
    few = [record(label, s, dice, images=4) for label, dice in (("unet", 0.2), ("b", 0.9)) for s in range(3)]
    (c,) = compare(grids(*few), "unet")
    assert (c.verdict, c.p) == ("not enough data", None)
    assert "4 test images" in c.note
    (c,) = compare(grids(noisy("unet", 0, 0.5), noisy("b", 0, 0.9)), "unet")
    assert c.verdict == "not enough data"
    assert "seed-to-seed variation is not covered" in c.note
    assert c.low is not None
    (c,) = compare(grids(noisy("unet", 0, 0.5), noisy("b", 1, 0.9)), "unet")
    assert "no seed" in c.note


def test_a_false_alarm_counts_where_the_reference_has_no_score():
    good = [None, 0.8, 0.8, 0.8, 0.8, 0.8]
    found = grids(*[record("unet", s, good) for s in (0, 1)], *[record("b", s, [0, *good[1:]]) for s in (0, 1)])
    (c,) = compare(found, "unet")
    assert c.difference == pytest.approx(0.8 * 5 / 6 - 0.8)


def test_summary_and_reference():
    t = load(record("unet", 0, 0.6), record("unet", 1, 0.8), record("b", 0, 0.9), record("c", 0, status="nan"))
    summary = summarise(t).set_index("model")
    assert summary.index.tolist() == ["b", "unet", "c"]
    assert summary.loc["unet", ["dice", "dice_sd"]].tolist() == pytest.approx([0.7, 0.02**0.5])
    assert summary.loc["c", ["seeds", "failed"]].tolist() == [0, 1]
    assert pick_reference(t.done) == "unet"
    assert pick_reference(t.done, matched="b") == "b"
    assert pick_reference(t.done, matched="gone") == "unet"
    assert pick_reference(load(record("unet_z"), record("a")).done) == "unet_z"  # by name
    assert pick_reference(load(record("z"), record("a")).done) == "a"
    assert pick_reference(load(record(status="nan")).done) is None
