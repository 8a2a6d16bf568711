"""Several comparisons at once: Holm's correction, simultaneous intervals and the words of a verdict.

The intervals are simultaneous: each is made at the level 1 - alpha / m (Bonferroni, m comparisons), and where Holm's
test rejects "no difference" although that interval still covers 0, its bound there is 0. So an interval excludes 0
exactly where the verdict is better or worse, with 0 itself as an open end.

All verdicts hold in 95 % of families, and so do all Bonferroni intervals; both together, as they are shown, in 90 % or
more. Exact regions (Guilbaud; Strassburger and Bretz) would keep 95 %, but give every difference that is found the
bound 0 unless all are found. What is lost is measured in reports/verdict-error-rates.

References:
    Holm (1979), Scand. J. Statist. 6, 65-70. Guilbaud (2008), Biom. J. 50, 678-692, doi 10.1002/bimj.200710449.
    Strassburger and Bretz (2008), Statist. Med. 27, 4914-4927, doi 10.1002/sim.3338.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from unetzoo.report.verdicts.pair import Array, Evidence, half_width

ALPHA = 0.05
MIN_SEEDS = 3
MIN_GROUPS = 5  # images where there are no groups
LOWER_IS_BETTER = frozenset({"hd95", "assd", "brier", "ece"})
UNBOUNDED = frozenset({"hd95", "assd"})  # distances; every other metric lies between 0 and 1


def holm(p: npt.ArrayLike) -> Array:
    """Return p after Holm's step-down correction over the last axis.

    The i-th smallest of m is multiplied by m - i + 1; then made monotone, and at most 1.
    """
    values = np.asarray(p, float)
    order = np.argsort(values, axis=-1, kind="stable")
    stepped = np.take_along_axis(values, order, -1) * np.arange(values.shape[-1], 0, -1)
    corrected = np.empty_like(values)
    np.put_along_axis(corrected, order, np.minimum(np.maximum.accumulate(stepped, -1), 1.0), -1)
    return corrected


def interval(
    e: Evidence, *, alpha: float = ALPHA, comparisons: int = 1, p_adjusted: Array | None = None
) -> tuple[Array, Array]:
    """Return the bounds of the difference, simultaneous over ``comparisons``.

    Args:
        e: The evidence.
        alpha: 1 - level.
        comparisons: Number of comparisons in the family; 1 gives the interval of one comparison by itself.
        p_adjusted: Holm's p, which closes the interval at 0 where it is below ``alpha``; None leaves it as it is.
    """
    half = half_width(e, alpha / comparisons)
    low, high = e.difference - half, e.difference + half
    if p_adjusted is not None:
        shown = p_adjusted < alpha
        low = np.where(shown & (e.difference > 0), np.maximum(low, 0.0), low)
        high = np.where(shown & (e.difference < 0), np.minimum(high, 0.0), high)
    return low, high


def possible(low: Array, high: Array, metric: str = "dice") -> tuple[Array, Array]:
    """Return the interval of a difference, cut at -1 and 1 unless the metric is a distance: other scores are 0 to 1.

    Args:
        low: Lower bound.
        high: Upper bound.
        metric: Name of the metric.
    """
    return (low, high) if metric in UNBOUNDED else (np.clip(low, -1.0, 1.0), np.clip(high, -1.0, 1.0))


def words(
    difference: Array | float,
    low: Array | float,
    high: Array | float,
    p_adjusted: Array | float,
    *,
    margin: float | None = None,
    alpha: float = ALPHA,
    lower_is_better: bool = False,
) -> npt.NDArray[np.str_]:
    """Return the verdicts: better, worse, equivalent or undecided.

    Better or worse: Holm's p is below ``alpha``. This comes first, so a difference that is shown to exist and to be
    smaller than the margin is still better or worse. Equivalent: the simultaneous interval lies within the margin.

    Args:
        difference: Variant minus reference.
        low: Lower bound of the simultaneous interval.
        high: Its upper bound.
        p_adjusted: Holm's p.
        margin: Largest difference that does not matter; None if nobody said.
        alpha: Family-wise error rate.
        lower_is_better: True for distances, errors and costs.
    """
    shown = np.asarray(p_adjusted) < alpha
    better = (np.asarray(difference) > 0) != lower_is_better
    least = -1.0 if margin is None else margin  # no interval lies within a negative margin
    equivalent = (-least <= np.asarray(low)) & (np.asarray(high) <= least)
    return np.select([shown & better, shown, equivalent], ["better", "worse", "equivalent"], "undecided")
