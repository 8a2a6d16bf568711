"""Comparisons from tables of scores: who is compared on what, verdicts, thin evidence, groups, and the summary."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from support.records import load, noisy, record
from unetzoo.report.alarms import red_lines
from unetzoo.report.standing import Standing
from unetzoo.report.statistics import all_pairs, compare, pick_reference, score_grids, summarise
from unetzoo.report.verdicts.comparison import WITHHELD


def grids(*records: dict[str, Any]) -> dict[str, pd.DataFrame]:
    return score_grids(load(*records).images)


def drawn(draw: int = 0, seeds: int = 3, images: int = 12, **means: float) -> dict[str, pd.DataFrame]:
    """Return scores of several labels with noise over seeds and images."""
    rng = np.random.default_rng(draw)
    noise = {label: rng.normal(0, 0.004, (seeds, images)) + rng.normal(0, 0.002, (seeds, 1)) for label in means}
    columns = [f"set/{k:02}" for k in range(images)]
    return {label: pd.DataFrame(mean + noise[label], columns=columns) for label, mean in means.items()}


def test_identical_variants_are_equivalent():
    made = [noisy("unet", s, 0.8) for s in range(3)]
    twins = [json.loads(json.dumps(r).replace('"label": "unet"', '"label": "twin"')) for r in made]
    (c,) = compare(grids(*made, *twins), "unet")
    assert (c.difference, c.low, c.high, c.p_adjusted, c.verdict) == (0.0, 0.0, 0.0, 1.0, "equivalent")
    assert (c.prob_false, c.superiority, c.effect) == (0.5, 0.5, None)
    assert "one network twice" in " ".join(red_lines(load(*made, *twins)))


def test_a_clear_shift_is_better_or_worse():
    scores = {"unet": 0.7, "unet_up": 0.75, "unet_down": 0.6}
    down, up = compare(grids(*[noisy(label, s, mean) for label, mean in scores.items() for s in range(3)]), "unet")
    assert (down.verdict, up.verdict) == ("worse", "better")
    assert up.low is not None
    assert up.high is not None
    assert 0.03 < up.low < up.difference < up.high < 0.07
    assert (up.agree, up.seeds, up.images, up.groups, up.reference) == (3, 3, 12, None, "unet")
    assert (up.superiority, down.superiority) == (1.0, 0.0)
    assert up.needed_seeds is None


def test_one_comparison_by_hand():
    """One image effect and no other: all is the paired t over seeds."""
    by_seed = np.array([0.01, 0.03, 0.02])
    reference = pd.DataFrame(0.5 + np.zeros((3, 6)))
    (c,) = compare({"a": reference, "b": reference + by_seed[:, None]}, "a")
    expected = stats.ttest_1samp(by_seed, 0.0)
    assert c.p == c.p_adjusted == pytest.approx(expected.pvalue)
    assert [c.low, c.high] == pytest.approx(list(expected.confidence_interval()))
    assert (c.low, c.high) == (c.low_alone, c.high_alone)
    assert c.prob_false == pytest.approx(expected.pvalue / 2)
    assert [c.sd_seed, c.sd_image, c.sd_interaction] == pytest.approx([0.01, 0.0, 0.0])
    assert c.effect == pytest.approx(2.0)
    assert c.verdict == "undecided"
    assert c.needed_seeds == 5
    assert c.needed_groups is None
    assert c.note == "not even 10,000 images with these seeds would settle it"


def test_where_neither_seeds_nor_images_alone_would_do_both_are_named():
    rng = np.random.default_rng(3)
    effects = 0.012 + rng.normal(0, 0.012, (3, 1)) + rng.normal(0, 0.06, (1, 30))
    reference = pd.DataFrame(0.5 + np.zeros((3, 30)))
    (c,) = compare({"a": reference, "b": reference + effects}, "a")
    assert (c.verdict, c.needed_seeds, c.needed_groups) == ("undecided", None, None)
    assert re.fullmatch(r"about \d+ seeds together with about [\d,]+ test images would settle it", c.note)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.floats(-0.03, 0.03), st.booleans())
def test_sides_order_and_names(seed: int, shift: float, grouped: bool):
    found = drawn(seed, a=0.6, b=0.6 + shift, c=0.61)
    groups = {key: str(k // 2) for k, key in enumerate(found["a"].columns)} if grouped else {}
    forth, back = (
        {(c.model, c.reference): c for ref in "abc" for c in compare(pair, ref, groups=groups)}
        for pair in (found, {k: g.iloc[::-1, ::-1] for k, g in found.items()})
    )
    for (model, reference), c in forth.items():
        same, turned = back[model, reference], forth[reference, model]
        assert same.p == pytest.approx(c.p)
        assert same.verdict == c.verdict
        assert turned.p == pytest.approx(c.p)
        assert turned.difference == pytest.approx(-(c.difference or 0))
        assert turned.low_alone == pytest.approx(-(c.high_alone or 0))
        assert turned.superiority == pytest.approx(1 - (c.superiority or 0))
    for c in all_pairs(found, groups=groups):
        assert c.p == pytest.approx(forth[c.model, c.reference].p)
        assert (c.low or 0) <= (c.low_alone or 0) + 1e-12 or c.low == 0


def test_all_pairs_are_one_family():
    found = all_pairs(drawn(a=0.6, b=0.6, c=0.7, d=0.7))
    assert [(c.model, c.reference) for c in found] == [
        ("b", "a"),
        ("c", "a"),
        ("d", "a"),
        ("c", "b"),
        ("d", "b"),
        ("d", "c"),
    ]
    assert [c.verdict for c in found[1:5]] == ["better"] * 4
    assert min(c.p_adjusted or 0 for c in found) >= 5.9 * min(c.p or 0 for c in found)


def test_thin_evidence_gets_no_verdict():
    few = [record(label, s, dice, images=4) for label, dice in (("unet", 0.2), ("b", 0.9)) for s in range(3)]
    (c,) = compare(grids(*few), "unet")
    assert (c.verdict, c.p) == ("not enough data", None)
    assert "4 test images" in c.note
    (c,) = compare(grids(noisy("unet", 0, 0.5), noisy("b", 0, 0.9)), "unet")
    assert (c.verdict, c.p) == ("not enough data", None)
    assert "between these two trained networks, not between the variants; run --seeds 3" in c.note
    assert c.low is not None
    (c,) = compare(
        grids(*[noisy(label, s, 0.5 + k / 9) for k, label in enumerate(("unet", "b")) for s in (0, 1)]), "unet"
    )
    assert (c.verdict, c.p, c.prob_false) == ("not enough data", None, None)
    assert c.note == "2 seeds in common, a verdict needs 3; run --seeds 3"
    (c,) = compare(grids(noisy("unet", 0, 0.5), noisy("b", 1, 0.9)), "unet")
    assert "no seed" in c.note
    assert compare(grids(noisy("unet", 0, 0.5)), "gone") == []


def test_thin_evidence_costs_the_others_nothing():
    found = drawn(a=0.6, b=0.605)
    (alone,) = compare(found, "a")
    (with_one_seed, _) = compare(found | {"c": drawn(1, c=0.6)["c"].iloc[:1]}, "a")
    assert with_one_seed == alone


def test_dependent_images_are_no_evidence():
    """One image forty times over, and as forty images of six patients."""
    rng = np.random.default_rng(0)
    columns = [f"set/{k}" for k in range(48)]
    shift = np.repeat(rng.normal(0.01, 0.03, 6), 8)
    a = pd.DataFrame(0.6 + rng.normal(0, 0.001, (3, 48)), columns=columns)
    groups = {key: f"patient {k // 8}" for k, key in enumerate(columns)}
    (free,) = compare({"a": a, "b": a + shift}, "a")
    (c,) = compare({"a": a, "b": a + shift}, "a", groups=groups)
    assert (free.groups, c.groups, c.images) == (None, 6, 48)
    assert (c.p or 0) > 5 * (free.p or 1)
    (c,) = compare(
        {"a": a, "b": a + shift}, "a", groups={key: (group[-1] > "2" and "x") or group for key, group in groups.items()}
    )
    assert (c.verdict, c.groups) == ("not enough data", 4)
    assert c.note == "4 groups of test images in common, at least 5 are needed"
    half = (a + shift).where([[k < 24 for k in range(48)]] * 3)
    (c,) = compare({"a": a, "b": half}, "a", groups=groups)
    assert (c.verdict, c.groups, c.images) == ("not enough data", 3, 24)
    (c,) = compare({"a": a, "b": a + shift}, "a", groups={columns[0]: "p", columns[1]: "p"})
    assert c.groups == 47  # the others are groups of their own


def test_a_variant_with_setbacks_is_never_better_or_equivalent():
    found = compare(drawn(a=0.6, b=0.7, c=0.5, d=0.6), "a", margin=0.05)

    def verdicts(*labels: str) -> list[str]:
        setbacks = dict.fromkeys(labels, "of 4 trials 1 failed")
        return [Standing({}, setbacks, {}, frozenset()).temper(c).verdict for c in found]

    assert verdicts() == ["better", "worse", "equivalent"]
    assert verdicts("b", "c", "d") == ["not enough data", "worse", "not enough data"]
    assert verdicts("a") == ["better", "not enough data", "not enough data"]


def test_leaking_images_withhold_verdicts():
    (c,) = compare(drawn(a=0.6, b=0.7), "a", leaking=True)
    assert c.verdict == WITHHELD
    assert c.low is not None


def test_lower_is_better_for_distances():
    far = {label: 10 * grid for label, grid in drawn(a=0.6, b=0.7).items()}
    (c,) = compare(far, "a", metric="hd95", margin=None)
    assert (c.verdict, c.metric) == ("worse", "hd95")
    assert c.superiority == 0.0
    (c,) = compare({"a": far["b"], "b": far["a"]}, "a", metric="hd95", margin=None)
    assert c.verdict == "better"


def test_equivalence_needs_a_margin():
    found = drawn(a=0.6, b=0.6)
    verdicts = [compare(found, "a", margin=margin)[0].verdict for margin in (None, 0.0, 0.001, 0.05)]
    assert verdicts == ["undecided", "undecided", "undecided", "equivalent"]


def test_intervals_stay_within_what_dice_can_be_and_mirror_each_other():
    rng = np.random.default_rng(0)
    good = pd.DataFrame(np.clip(rng.normal(0.9, 0.1, (3, 6)), 0, 1))
    wild = pd.DataFrame(rng.choice([0.0, 1.0], (3, 6)))
    (c,), (mirrored,) = (compare({"a": good, "b": wild}, reference) for reference in ("a", "b"))
    assert c.low == -1
    assert (mirrored.low, mirrored.high) == pytest.approx((-(c.high or 0), 1))


def test_a_false_alarm_counts_where_the_reference_has_no_score():
    good = [None, 0.8, 0.8, 0.8, 0.8, 0.8]
    found = grids(*[record("unet", s, good) for s in (0, 1)], *[record("b", s, [0, *good[1:]]) for s in (0, 1)])
    (c,) = compare(found, "unet")
    assert c.difference == pytest.approx(0.8 * 5 / 6 - 0.8)
    assert c.images == 5


def test_a_seed_without_any_score_is_left_out():
    found = drawn(a=0.6, b=0.7)
    found["b"].iloc[0] = np.nan
    (c,) = compare(found, "a")
    assert (c.seeds, c.verdict) == (2, "not enough data")
    assert c.note == "2 seeds in common, a verdict needs 3; run --seeds 3"


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
