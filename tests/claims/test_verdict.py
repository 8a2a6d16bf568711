"""Verdicts follow from the rules stated beforehand."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unetzoo.claims.definition import Part
from unetzoo.claims.drawing import BAND, draw_differences
from unetzoo.claims.measured import Estimate, exact, exponent_of, mean_of, ratio_of
from unetzoo.claims.verdict import PartVerdict, judge_comparison, judge_quantity, overall
from unetzoo.errors import UnetzooError
from unetzoo.report.verdicts.comparison import Comparison

LEAST = Part(name="a", question="?", quantity="q", at_least=2.0)
MOST = Part(name="b", question="?", quantity="q", at_most=2.0)
HIGHER = Part(name="c", question="?", model="m", against="n", margin=0.01)
NOT_LOWER = Part(name="d", question="?", model="m", against="n", margin=0.01, expect="not lower")


@pytest.mark.parametrize(
    ("part", "low", "high", "word"),
    [
        (LEAST, 2.0, 3.0, "holds"),
        (LEAST, 1.0, 1.9, "does not hold"),
        (LEAST, 1.0, 2.0, "undecided"),
        (MOST, 1.0, 2.0, "holds"),
        (MOST, 2.1, 3.0, "does not hold"),
        (MOST, 1.0, 2.1, "undecided"),
    ],
)
def test_the_whole_interval_must_be_on_one_side(part: Part, low: float, high: float, word: str) -> None:
    assert judge_quantity(part, Estimate(value=(low + high) / 2, low=low, high=high, n=5)).word == word


def test_quantities_that_are_missing_or_noisy_settle_nothing() -> None:
    assert judge_quantity(LEAST, None).word == "not run yet"
    noisy = Estimate(value=3.0, low=2.5, high=3.5, noisy=True)
    assert judge_quantity(LEAST, noisy).word == "undecided"


@pytest.mark.parametrize(
    ("factor", "word"), [(0.4, "does not hold"), (0.6, "undecided"), (1.5, "undecided"), (2.5, "holds")]
)
def test_a_noisy_time_settles_what_half_and_twice_of_it_would(factor: float, word: str) -> None:
    value = factor * LEAST.bound
    estimate = Estimate(value=value, low=value * 0.99, high=value * 1.01, noisy=True)
    found = judge_quantity(LEAST, estimate)
    assert found.word == word
    assert "not quiet" in found.found


def test_an_open_quantity_says_how_many_repetitions_would_settle_it() -> None:
    verdict = judge_quantity(LEAST, Estimate(value=3.0, low=1.0, high=5.0, n=5))
    assert verdict.needed == "about 20 repetitions in place of 5"  # half the width takes four times as many


def compared(verdict: str, low: float, high: float, **more: Any) -> Comparison:
    options = {"difference": (low + high) / 2, "low": low, "high": high, "verdict": verdict} | more
    return Comparison("m", 3, 60, **options)


@pytest.mark.parametrize(
    ("part", "c", "word"),
    [
        (HIGHER, compared("better", 0.01, 0.05), "holds"),
        (HIGHER, compared("worse", -0.05, -0.01), "does not hold"),
        (HIGHER, compared("better", 0.001, 0.009), "does not hold"),
        (HIGHER, compared("equivalent", -0.005, 0.005), "does not hold"),
        (HIGHER, compared("undecided", -0.02, 0.05), "undecided"),
        (NOT_LOWER, compared("better", 0.01, 0.05), "holds"),
        (NOT_LOWER, compared("equivalent", -0.005, 0.005), "holds"),
        (NOT_LOWER, compared("undecided", -0.005, 0.05), "holds"),
        (NOT_LOWER, compared("worse", -0.009, -0.001), "holds"),
        (NOT_LOWER, compared("worse", -0.03, -0.005), "undecided"),
        (NOT_LOWER, compared("worse", -0.05, -0.02), "does not hold"),
        (NOT_LOWER, compared("undecided", -0.05, 0.05), "undecided"),
        (HIGHER, compared("not enough data", 0.01, 0.05), "undecided"),
        (NOT_LOWER, compared("not judged: near-duplicates across splits", 0.01, 0.05), "undecided"),
    ],
)
def test_comparisons_never_say_more_than_the_report(part: Part, c: Comparison, word: str) -> None:
    assert judge_comparison(part, c).word == word


def test_a_rising_network_has_its_verdict_at_this_budget() -> None:
    assert judge_comparison(HIGHER, compared("better", 0.01, 0.05), budget=True).wording == "holds at this budget"
    assert judge_comparison(HIGHER, compared("undecided", -0.1, 0.1), budget=True).wording == "undecided"


def test_an_open_comparison_says_what_would_settle_it() -> None:
    c = compared("undecided", -0.02, 0.05, needed_seeds=7, needed_groups=90)
    assert judge_comparison(HIGHER, c).needed == "7 seeds or 90 test images"


def test_a_difference_shown_beside_an_open_margin_says_what_would_settle_that() -> None:
    c = compared("worse", -0.03, -0.01)  # 0.01 to either side, and the margin is 0.01 away
    assert judge_comparison(NOT_LOWER, c).needed == "about 3 seeds together with about 60 test images"
    c = compared("worse", -0.026, -0.004)  # 0.011 to either side, and the margin is 0.005 away
    assert judge_comparison(NOT_LOWER, c).needed == "about 15 seeds together with about 291 test images"


def of(word: str, condition: str = "") -> PartVerdict:
    part = Part(name=f"part {condition}", question="?", quantity="q", at_least=1.0, condition=condition)
    return PartVerdict(part, word, "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        (["holds", "holds"], "holds"),
        (["does not hold", "does not hold"], "does not hold"),
        (["holds", "does not hold"], "holds only if"),
        (["holds", "undecided"], "undecided"),
        (["does not hold", "not run yet"], "undecided"),
        (["not run yet", "not run yet"], "not run yet"),
    ],
)
def test_the_verdict_on_a_claim(parts: list[str], word: str) -> None:
    assert overall([of(each) for each in parts])[0] == word


def test_holds_only_if_names_condition_and_exception() -> None:
    word, why = overall([of("holds", "it is padded"), of("does not hold", "valid")])
    assert (word, why) == ("holds only if", "it is padded (does not hold: part valid).")


def test_what_holds_and_what_does_not_is_named_where_a_claim_is_undecided() -> None:
    def judged(name: str, word: str, data: str | None) -> PartVerdict:
        return replace(of(word), part=LEAST.model_copy(update={"name": name, "data": data}))

    parts = [judged(name, "holds", data) for name in ("a", "b") for data in ("cells", "lanes")]
    parts += [judged("c", "holds", None), judged("d", "does not hold", "cells"), judged("e", "undecided", "cells")]
    assert overall(parts)[1] == (
        "Of 7 parts 5 hold, 1 does not hold and 1 is undecided. Hold: a; b on cells and lanes; c. "
        "Do not hold: d on cells."
    )


def test_the_rule_in_words_follows_from_the_fields() -> None:
    assert "at least 2" in LEAST.rule
    assert "at most 2" in MOST.rule
    assert "lower, or higher by no more than 0.01" in HIGHER.rule
    assert "at most 0.01 below Dice of n" in NOT_LOWER.rule


def test_estimates() -> None:
    assert exact(3.0).low == exact(3.0).high == 3.0
    found = mean_of([1.0, 2.0, 3.0])
    assert (found.value, found.high - found.value) == (2.0, pytest.approx(4.302652729749 / 3**0.5))
    assert ratio_of([1.0, 2.0, 4.0]).value == pytest.approx(2.0)
    fit = exponent_of([1, 2, 4, 8], [3.0, 12.0, 48.0, 192.0])
    assert (fit.value, fit.low, fit.high) == (pytest.approx(2.0), pytest.approx(2.0), pytest.approx(2.0))


@pytest.mark.parametrize(
    "call", [lambda: mean_of([1.0, 2.0]), lambda: ratio_of([1.0, 0.0, 2.0]), lambda: exponent_of([1], [1])]
)
def test_too_few_values_are_refused(call: Any) -> None:
    with pytest.raises(UnetzooError):
        call()


def test_the_band_in_the_plot_is_as_wide_as_the_margin() -> None:
    def width(margin: float) -> int:
        part = Part(name="c", question="?", model="m", against="n", margin=margin)
        drawn = draw_differences([judge_comparison(part, compared("undecided", -0.05, 0.05))])
        assert drawn is not None
        with Image.open(BytesIO(drawn)) as picture:
            columns = np.flatnonzero((np.asarray(picture.convert("RGB")) == [*bytes.fromhex(BAND[1:])]).all(-1).any(0))
        return int(columns.max() - columns.min())

    assert width(0.04) == pytest.approx(2 * width(0.02), rel=0.02)
