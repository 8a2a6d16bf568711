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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import nct, t

from unetzoo.report.verdicts.pair import Array, Evidence, combined, components

POWER = 0.8
MOST_SEEDS = 100
MOST_GROUPS = 10_000
Count = int | npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Design:
    """Truths that are assumed in planning: differences, their SDs in one cell, and the level of the test.

    Attributes:
        difference: True difference of each comparison.
        image: SD of images or groups.
        seed: SD of seeds.
        cell: SD of the interaction.
        freedom: Degrees of freedom per group, 1 - 1 / G where all groups are of one size.
        alpha: Two-sided level of each comparison.
        margin: Largest difference that does not matter; None for no equivalence.
    """

    difference: Array
    image: Array
    seed: Array
    cell: Array
    freedom: float
    alpha: float
    margin: float | None

    def at(self, index: npt.NDArray[np.intp]) -> Design:
        """Return the designs of some of the comparisons."""
        arrays = ("difference", "image", "seed", "cell")
        return replace(self, **{name: getattr(self, name)[index] for name in arrays})

    def power(self, seeds: Count, groups: Count) -> Array:
        """Return the chances of a verdict other than undecided with this many seeds and groups."""
        cell = self.cell**2 / (seeds * groups)
        s, i = self.seed**2 / seeds + cell, self.image**2 / groups + cell
        whole, freedom = combined(s, i, cell, seeds - 1, self.freedom * groups)
        tests = [(whole, freedom), (s, np.broadcast_to(seeds - 1.0, s.shape))]
        size = np.abs(self.difference)
        found = self._weaker(size, tests)
        if self.margin is not None:
            inside = size < self.margin
            sides = [self._weaker(self.margin + sign * size, tests, inside) for sign in (-1, 1)]
            found = np.where(inside, np.maximum(found, sides[0] + sides[1] - 1), found)
        return found

    def _weaker(self, size: Array, tests: Sequence[tuple[Array, Array]], where: Mask | bool = True) -> Array:
        """Return the lower of the powers of the t tests for true differences ``size`` beyond the bound."""
        powers = []
        for variance, freedom in tests:
            power = (size > 0).astype(float)
            noisy = (variance > 0) & where
            degrees = freedom[noisy]
            critical = t.isf(self.alpha / 2, degrees)
            power[noisy] = nct.sf(critical, degrees, size[noisy] / variance[noisy] ** 0.5)
            powers.append(power)
        return np.minimum(*powers)


def design(e: Evidence, alpha: float, margin: float | None) -> Design:
    """Return the designs of several comparisons.

    Args:
        e: Their evidence.
        alpha: Two-sided level of each comparison.
        margin: Largest difference that does not matter.
    """
    return Design(e.difference, *components(e), e.freedom / e.groups, alpha, margin)


def needed_seeds(e: Evidence, alpha: float, margin: float | None = None) -> list[int | None]:
    """Return the number of seeds that would settle each comparison on these images; None if 100 would not.

    Args:
        e: Evidence of several comparisons, with at least two seeds.
        alpha: Two-sided level of each comparison.
        margin: Largest difference that does not matter.
    """
    plan = design(e, alpha, margin)
    return _least(plan, lambda some, n: some.power(n, e.groups), e.seeds + 1, MOST_SEEDS)


def needed_groups(e: Evidence, alpha: float, margin: float | None = None) -> list[int | None]:
    """Return the number of groups that would settle each comparison with these seeds; None if 10,000 would not.

    Args:
        e: Evidence of several comparisons, with at least two seeds.
        alpha: Two-sided level of each comparison.
        margin: Largest difference that does not matter.
    """
    plan = design(e, alpha, margin)
    return _least(plan, lambda some, n: some.power(e.seeds, n), e.groups + 1, MOST_GROUPS)


def needed_both(e: Evidence, alpha: float, margin: float | None = None) -> list[tuple[int, int] | None]:
    """Return the numbers of seeds and groups, in today's proportion, that would settle each comparison together.

    Args:
        e: Evidence of several comparisons, with at least two seeds.
        alpha: Two-sided level of each comparison.
        margin: Largest difference that does not matter.

    Returns:
        Seeds and groups of each; None if 100 seeds, and as many times more groups, would not.
    """

    def groups(seeds: Count) -> Count:
        return -(-e.groups * seeds // e.seeds)

    plan = design(e, alpha, margin)
    found = _least(plan, lambda some, n: some.power(n, groups(n)), e.seeds + 1, MOST_SEEDS)
    return [None if n is None else (n, int(groups(n))) for n in found]


def _least(
    plan: Design, power: Callable[[Design, npt.NDArray[np.intp]], Array], low: int, high: int
) -> list[int | None]:
    """Return the smallest number with enough power by bisection, as power grows with it; None if none has."""
    count = len(plan.difference)
    found: list[int | None] = [None] * count
    if low > high:
        return found
    within = np.flatnonzero(power(plan, np.full(count, high)) >= POWER)
    lows, highs = np.full(len(within), low), np.full(len(within), high)
    while len(going := np.flatnonzero(lows < highs)):
        middle = (lows[going] + highs[going]) // 2
        enough = power(plan.at(within[going]), middle) >= POWER
        highs[going] = np.where(enough, middle, highs[going])
        lows[going] = np.where(enough, lows[going], middle + 1)
    for k, n in zip(within.tolist(), lows.tolist(), strict=True):
        found[k] = n
    return found
