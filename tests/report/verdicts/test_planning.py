"""Seeds and groups that would settle a comparison: power against G*Power, and which way it moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo.report.verdicts.pair import Evidence, gathered, two_sided, weigh
from unetzoo.report.verdicts.planning import POWER, Design, needed_both, needed_groups, needed_seeds


def evidence(difference: float, seed: float, image: float, cell: float, seeds: int = 3, groups: int = 30) -> Evidence:
    """Return evidence whose variances are exactly the expected ones."""
    c = np.array(cell**2 / (seeds * groups))
    s, i = seed**2 / seeds + c, image**2 / groups + c
    return gathered([Evidence(np.array(difference), s, i, c, seeds, groups, groups - 1.0)])


def design(difference: float, image: float, seed: float, cell: float, freedom: float, margin: float | None) -> Design:
    return Design(*(np.array([x]) for x in (difference, image, seed, cell)), freedom, 0.05, margin)


def test_power_of_a_paired_t_test():
    """Effect 0.5, two-sided 5 %: G*Power 3.1 (Faul et al. 2007) gives 34 pairs and a power of 0.8077775."""
    plan = design(0.5, image=0.0, seed=1.0, cell=0.0, freedom=1.0, margin=None)
    assert plan.power(34, 10) == pytest.approx(0.8077775, abs=1e-4)
    assert needed_seeds(evidence(0.5, 1.0, 0.0, 0.0), 0.05) == [34]


def test_what_no_number_of_seeds_or_images_settles():
    hard = evidence(0.001, seed=0.0, image=0.05, cell=0.0)
    assert needed_seeds(hard, 0.05) == [None]
    assert needed_groups(evidence(0.001, seed=0.05, image=0.0, cell=0.0), 0.05) == [None]
    assert needed_groups(evidence(0.02, seed=0.0, image=0.05, cell=0.0), 0.05)[0] == pytest.approx(52, abs=3)
    assert needed_seeds(evidence(0.0, 0.01, 0.01, 0.01), 0.05) == [None]


def test_what_only_seeds_and_images_together_settle():
    e = evidence(0.01, seed=0.02, image=0.06, cell=0.01)
    assert (needed_seeds(e, 0.05), needed_groups(e, 0.05)) == ([None], [None])
    ((seeds, groups),) = needed_both(e, 0.05)  # type: ignore[misc]
    assert groups == 10 * seeds  # as now, 30 for 3
    plan = design(0.01, 0.06, 0.02, 0.01, 29 / 30, None)
    assert plan.power(seeds, groups) >= POWER > plan.power(seeds - 1, groups - 10)
    assert needed_both(evidence(0.0001, 0.02, 0.06, 0.01), 0.05) == [None]


def test_a_small_difference_is_settled_as_equivalent():
    e = evidence(0.0, seed=0.004, image=0.006, cell=0.006)
    (n,) = needed_seeds(e, 0.05, margin=0.01)
    assert n is not None
    plan = design(0.0, 0.006, 0.004, 0.006, 29 / 30, 0.01)
    assert plan.power(n, 30) >= POWER > plan.power(n - 1, 30)


def test_simulated_power_at_the_planned_number():
    """The share of verdicts with the planned number of seeds is about the one promised."""
    e = evidence(0.006, seed=0.004, image=0.003, cell=0.004)
    (n,) = needed_seeds(e, 0.05)
    assert n is not None
    rng = np.random.default_rng(0)
    d = 0.006 + rng.normal(0, 0.004, (3000, n, 1)) + rng.normal(0, 0.003, (3000, 1, 30))
    d = d + rng.normal(0, 0.004, (3000, n, 30))
    assert (two_sided(weigh(d)) < 0.05).mean() == pytest.approx(POWER, abs=0.06)


numbers = st.floats(0.0, 0.03)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.002, 0.03), numbers, numbers, st.floats(0.001, 0.03), st.sampled_from([None, 0.01]))
def test_noise_and_caution_never_need_less(
    difference: float, seed: float, image: float, cell: float, margin: float | None
):
    def seeds(scale: float, alpha: float) -> float:
        found = evidence(difference, scale * seed, scale * image, scale * cell)
        return needed_seeds(found, alpha, margin)[0] or np.inf

    assert seeds(1.0, 0.05) <= seeds(1.5, 0.05)
    assert seeds(1.0, 0.05) <= seeds(1.0, 0.01)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.floats(-0.03, 0.03), numbers, numbers, numbers), min_size=2, max_size=6))
def test_several_at_once_are_planned_as_each_by_itself(drawn: list[tuple[float, float, float, float]]):
    each = [evidence(*some) for some in drawn]
    for find in (needed_seeds, needed_groups, needed_both):
        assert find(gathered(each), 0.01, 0.01) == [find(e, 0.01, 0.01)[0] for e in each]
