"""The seeds or groups of images that would settle an undecided comparison.

Settled means better or worse, or equivalent, whichever needs less, with a power of 80 % by the same rule and at the
same Bonferroni level as now, if the true difference and the true variances are the observed ones. They are not, so
the answer is a rough one, and it is meant for the question "two seeds more, or twenty?".

With variances per seed, image and cell (see `unetzoo.report.verdicts.pair`), the variance of a mean over S seeds and G
groups is ``seed / S + image / G + cell / (S G)``. The power of a t test is a tail of the noncentral t; the power of the
rule, which takes the wider of two, is that of the weaker one, which is a little more than it has.

References:
    Cohen (1988), Statistical Power Analysis for the Behavioral Sciences. Phillips (1990), J. Pharmacokinet. Biopharm.
    18, 137-144, doi 10.1007/BF01063556: power of equivalence, by two one-sided tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import nct, t

from unetzoo.report.verdicts.pair import Evidence, combined, components

POWER = 0.8
MOST_SEEDS = 100
MOST_GROUPS = 10_000


@dataclass(frozen=True)
class Design:
    """Truth that is assumed in planning: the difference, its SDs in one cell, and the level of the test.

    Attributes:
        difference: True difference.
        image: SD of images or groups.
        seed: SD of seeds.
        cell: SD of the interaction.
        freedom: Degrees of freedom per group, 1 - 1 / G where all groups are of one size.
        alpha: Two-sided level of the comparison.
        margin: Largest difference that does not matter; None for no equivalence.
    """

    difference: float
    image: float
    seed: float
    cell: float
    freedom: float
    alpha: float
    margin: float | None

    def power(self, seeds: int, groups: int) -> float:
        """Return the chance of a verdict other than undecided with this many seeds and groups."""
        cell = self.cell**2 / (seeds * groups)
        s, i = self.seed**2 / seeds + cell, self.image**2 / groups + cell
        whole, freedom = combined(np.array(s), np.array(i), np.array(cell), seeds - 1, self.freedom * groups)
        tests = [(float(whole), float(freedom)), (s, seeds - 1.0)]
        size = abs(self.difference)
        found = min(_power(size, *each, self.alpha) for each in tests)
        if self.margin is not None and size < self.margin:
            sides = [min(_power(self.margin + sign * size, *each, self.alpha) for each in tests) for sign in (-1, 1)]
            found = max(found, sum(sides) - 1)
        return found


def _power(size: float, variance: float, freedom: float, alpha: float) -> float:
    """Return the power of a t test for a true difference ``size`` beyond the bound."""
    if variance <= 0:
        return float(size > 0)
    return float(nct.sf(t.isf(alpha / 2, freedom), freedom, size / variance**0.5))


def design(e: Evidence, alpha: float, margin: float | None) -> Design:
    """Return the design of one comparison.

    Args:
        e: Its evidence, without leading axes.
        alpha: Two-sided level of this comparison.
        margin: Largest difference that does not matter.
    """
    image, seed, cell = (float(sd) for sd in components(e))
    return Design(float(e.difference), image, seed, cell, e.freedom / e.groups, alpha, margin)


def needed_seeds(e: Evidence, alpha: float, margin: float | None = None) -> int | None:
    """Return the number of seeds that would settle the comparison on these images; None if 100 would not.

    Args:
        e: Its evidence, with at least two seeds and without leading axes.
        alpha: Two-sided level of this comparison.
        margin: Largest difference that does not matter.
    """
    plan = design(e, alpha, margin)
    return _least(lambda n: plan.power(n, e.groups), e.seeds + 1, MOST_SEEDS)


def needed_groups(e: Evidence, alpha: float, margin: float | None = None) -> int | None:
    """Return the number of groups that would settle the comparison with these seeds; None if 10,000 would not.

    Args:
        e: Its evidence, with at least two seeds and without leading axes.
        alpha: Two-sided level of this comparison.
        margin: Largest difference that does not matter.
    """
    plan = design(e, alpha, margin)
    return _least(lambda n: plan.power(e.seeds, n), e.groups + 1, MOST_GROUPS)


def _least(power: Callable[[int], float], low: int, high: int) -> int | None:
    """Return the smallest number with enough power by bisection, as power grows with it; None if none has."""
    if low > high or power(high) < POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle + 1, high)
    return low
