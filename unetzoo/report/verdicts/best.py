"""The best of several variants, their ranks, and one choice for several data sets.

Everything here follows from simultaneous intervals of all pairs, corrected over the pairs of all data sets by
`unetzoo.report.verdicts.comparison.settle`: if all of these hold (95 %), every statement does. That is more cautious
than Hsu's critical values, which need variances that are equal over variants; ours are not.

References:
    Hsu (1996), Multiple Comparisons: Theory and Methods, ch. 4. Edwards and Hsu (1983), J. Am. Stat. Assoc. 78,
    965-971: from pairwise intervals. Al Mohamad, Goeman and van Zwet (2022), Biometrics 78, 1602-1613, doi
    10.1111/biom.13524, and Mogstad, Romano, Shaikh and Wilhelm (2024), Rev. Econ. Stud. 91, 476-518: ranks. Nadeau and
    Bengio (2003), Machine Learning 52, 239-281, doi 10.1023/A:1024068626366: folds. Berger (1982), Technometrics 24,
    295-300: intersection-union tests, for one choice on all data sets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from unetzoo.report.verdicts.family import ALPHA, holm
from unetzoo.report.verdicts.pair import Array, Evidence, tail, turned

MIN_FOLDS = 3


def with_best(low: Array, high: Array) -> tuple[Array, Array]:
    """Return Hsu's constrained intervals of each variant minus the best of the others.

    Variants whose interval reaches above 0 may be the best. One that does not is lower than the best, and the bound of
    0 says so. If a single one may be the best, it is, and its lower bound is 0.

    Args:
        low: (k, k), simultaneous lower bounds of variant i minus variant j; the diagonal is not used.
        high: (k, k), upper bounds.

    Returns:
        Lower and upper bounds (k,).
    """
    low, high = (np.where(np.eye(len(x), dtype=bool), np.inf, x) for x in (low, high))
    upper = np.maximum(high.min(1), 0.0)
    candidates = np.flatnonzero(upper > 0)
    lower = np.array([min(0.0, low[i, [j for j in candidates if j != i]].min(initial=np.inf)) for i in range(len(low))])
    return lower, upper


def rank_bounds(lower: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the lowest and highest rank (1 is best) of each variant that the data allow.

    Args:
        lower: (k, k), True where variant i is shown to be lower than variant j.

    Returns:
        Ranks (k,); all of them hold together if all of ``lower`` does.
    """
    return 1.0 + lower.sum(1), len(lower) - lower.sum(0).astype(float)


def serves_all(
    evidence: Sequence[dict[tuple[int, int], Evidence]], margins: Sequence[float], variants: int
) -> list[bool]:
    """Return which variants are nowhere lower than any other by more than the margin.

    A variant must be shown not to be inferior to every other one on every data set. As all of these tests must reject,
    each is made at the full level (intersection-union), and Holm corrects over the variants alone.

    Args:
        evidence: For each data set, the evidence of variant i minus variant j by (i, j), i > j.
        margins: For each data set, the largest difference that does not matter.
        variants: Number of variants.
    """
    p = np.zeros(variants)
    for found, margin in zip(evidence, margins, strict=True):
        for i in range(variants):
            for j in range(i):
                e = found.get((i, j))
                p[i] = max(p[i], 1.0 if e is None else float(tail(e, -margin)))
                p[j] = max(p[j], 1.0 if e is None else float(tail(turned(e), -margin)))
    return (holm(p) < ALPHA).tolist()


def pool_folds(differences: Array, held_out: float) -> Evidence:
    """Return the evidence of a difference over the folds of one data set.

    The folds' training sets overlap, so their differences are not independent. Nadeau and Bengio's corrected variance
    of the mean over J folds is ``(1 / J + n_test / n_train) s^2``, with Student's t of J - 1 degrees of freedom.

    Args:
        differences: (folds,), mean difference of each fold over its seeds and images.
        held_out: ``n_test / n_train``, 1 / (k - 1) for k-fold.
    """
    n = len(differences)
    variance = (1 / n + held_out) * np.var(differences, ddof=1)
    none = np.zeros(())
    return Evidence(np.asarray(np.mean(differences)), none, variance, none, 1, n, n - 1.0)
