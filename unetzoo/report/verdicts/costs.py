"""Verdicts on costs: parameters, memory, time. A cost is one number per trial, and lower is better.

- A cost that is the same for every seed of both sides is exact: lower is better, equal is equivalent.
- Any other is measured: the paired t over seeds on the logarithm of the ratio, as costs vary in proportion, corrected
  by Holm over the variants, with simultaneous intervals as in `unetzoo.report.verdicts.family`. Equivalent: the
  interval of the ratio lies within 1 / (1 + margin) and 1 + margin.

Fewer than three common seeds: not enough data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from unetzoo._util.language import _
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.verdicts.family import ALPHA, MIN_SEEDS, holm, interval, words
from unetzoo.report.verdicts.pair import Evidence, two_sided

MARGIN = 0.05  # relative difference that does not matter


def compare_costs(
    costs: Mapping[str, Mapping[int, float]],
    reference: str,
    name: str,
    *,
    margin: float = MARGIN,
    alpha: float = ALPHA,
) -> list[Comparison]:
    """Compare the cost of every other variant with the reference's, in order of label.

    Args:
        costs: Cost of each label by seed; positive.
        reference: Label of the reference.
        name: Name of the cost.
        margin: Relative difference that does not matter.
        alpha: Family-wise error rate.

    Returns:
        One comparison for each other label; empty if the reference has no cost. Differences and bounds are relative:
        0.2 stands for 20 % more than the reference.
    """
    base = costs.get(reference, {})
    if not base:
        return []
    found = [_one(label, costs[label], base, reference, name) for label in sorted(costs) if label != reference]
    tested = [k for k, (_, e) in enumerate(found) if e is not None]
    corrected = holm([found[k][0].p or 0.0 for k in tested])
    comparisons = [c for c, _ in found]
    for k, p in zip(tested, corrected, strict=True):
        c, e = found[k]
        assert e is not None
        low, high = interval(e, alpha=alpha, comparisons=len(tested), p_adjusted=p)
        bounds = float(e.difference), float(low), float(high)
        verdict = words(*bounds, p, margin=float(np.log1p(margin)), alpha=alpha, lower_is_better=True).item()
        low_alone, high_alone = np.expm1(interval(e, alpha=alpha))
        comparisons[k] = replace(
            c,
            verdict=verdict,
            low=float(np.expm1(low)),
            high=float(np.expm1(high)),
            low_alone=float(low_alone),
            high_alone=float(high_alone),
            p_adjusted=float(p),
        )
    return comparisons


def _one(
    label: str, ours: Mapping[int, float], theirs: Mapping[int, float], reference: str, name: str
) -> tuple[Comparison, Evidence | None]:
    """Return one comparison, and its evidence on the logarithmic scale if it is to be tested."""
    seeds = sorted(set(ours) & set(theirs))
    c = Comparison(label, len(seeds), 0, metric=name, reference=reference)
    if len(set(ours.values())) == len(set(theirs.values())) == 1:
        ratio = next(iter(ours.values())) / next(iter(theirs.values())) - 1
        verdict = "equivalent" if ratio == 0 else "better" if ratio < 0 else "worse"
        return replace(c, verdict=verdict, difference=ratio, low=ratio, high=ratio, note=_("exact")), None
    ratios = np.array([np.log(ours[s] / theirs[s]) for s in seeds])
    if not seeds:
        return replace(c, note=_("no seed in common")), None
    c = replace(
        c,
        difference=float(np.expm1(ratios.mean())),
        agree=int((np.sign(ratios) == np.sign(ratios.mean())).sum()),
    )
    if len(seeds) < MIN_SEEDS:
        note = _("{n} seeds in common, a verdict needs {least}", n=len(seeds), least=MIN_SEEDS)
        return replace(c, note=note), None
    none, variance = np.zeros(()), ratios.var(ddof=1) / len(seeds)
    e = Evidence(ratios.mean(), none, variance, none, 1, len(seeds), len(seeds) - 1.0)
    return replace(c, p=float(two_sided(e))), e
