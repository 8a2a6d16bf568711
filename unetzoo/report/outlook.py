"""The expected width of an interval with more seeds."""

from __future__ import annotations

import numpy as np
from scipy.stats import t

from unetzoo._util.language import _
from unetzoo.report.judgement import Judgement
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.verdicts.family import ALPHA
from unetzoo.report.verdicts.pair import combined
from unetzoo.report.words import number

AIM = 5  # seeds


def expected_reach(c: Comparison, seeds: int, alpha: float = ALPHA) -> float:
    """Return half the expected width of a comparison's interval with this many seeds on the same images.

    The variance of a mean over S seeds and G groups is ``seed / S + image / G + cell / (S G)``, with the SDs of the
    comparison as they were estimated; the widest t of the rule counts, see `unetzoo.report.verdicts.pair`.

    Args:
        c: A comparison with its variance split.
        seeds: Number of seeds S, 2 or more.
        alpha: 1 - level of the interval.
    """
    image, seed, cell = (sd or 0.0 for sd in (c.sd_image, c.sd_seed, c.sd_interaction))
    groups = c.groups or c.images
    both = cell**2 / (seeds * groups)
    over_seeds, over_images = seed**2 / seeds + both, image**2 / groups + both
    if over_seeds + over_images == 0:
        return 0.0
    whole, freedom = combined(np.array(over_seeds), np.array(over_images), np.array(both), seeds - 1, groups - 1)
    rules = [(float(whole), float(freedom)), (over_seeds, seeds - 1)]
    return max(float(variance**0.5 * t.isf(alpha / 2, degrees)) for variance, degrees in rules)


def more_seeds(j: Judgement) -> list[str]:
    """Say by how much `AIM` seeds would narrow the intervals, by the variant whose interval has the median width."""
    found = [c for c in j.against.values() if j.judged(c) and c.seeds < AIM]
    if not found:
        return []
    alpha = ALPHA / len(found)
    middle = sorted(found, key=lambda c: expected_reach(c, c.seeds, alpha))[len(found) // 2]
    now, then = (expected_reach(middle, seeds, alpha) for seeds in (middle.seeds, AIM))
    if number(now) == number(then):
        hardly = _("{aim} seeds instead of {n} would hardly narrow the intervals: images are the larger part.")
        return [hardly.format(aim=AIM, n=middle.seeds)]
    return [
        _(
            "With {aim} seeds instead of {n}, an interval such as {label}'s is expected to reach ±{then} instead of"
            " ±{now}.",
            aim=AIM,
            n=middle.seeds,
            label=middle.model,
            then=number(then),
            now=number(now),
        )
    ]
