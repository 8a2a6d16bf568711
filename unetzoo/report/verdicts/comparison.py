"""Comparisons of variants, from their scores to the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from unetzoo.report.verdicts.family import (
    ALPHA,
    LOWER_IS_BETTER,
    MIN_GROUPS,
    MIN_SEEDS,
    holm,
    interval,
    possible,
    words,
)
from unetzoo.report.verdicts.pair import (
    Array,
    Evidence,
    complete,
    components,
    prob_false,
    superiority,
    two_sided,
    weigh,
)
from unetzoo.report.verdicts.planning import MOST_GROUPS, MOST_SEEDS, needed_groups, needed_seeds

MARGIN = 0.01  # largest difference that does not matter, unless the suite says otherwise
Verdict = Literal[
    "better",
    "worse",
    "equivalent",
    "undecided",
    "not enough data",
    "not judged: near-duplicates across splits",
    "not judged: uneven steps",
]
WITHHELD: Verdict = "not judged: near-duplicates across splits"


@dataclass(frozen=True)
class Comparison:
    """One variant against another; None where the data cannot say.

    Attributes:
        model: Label of the variant.
        seeds: Number of seeds that both have.
        images: Number of test images that both have a score for.
        groups: Number of groups of these images; None if no image has a group.
        metric: Name of the score.
        verdict: See `unetzoo.report.statistics`.
        difference: Variant minus reference.
        low: Lower bound of the simultaneous interval; with fewer than three seeds, that of ``low_alone``.
        high: Its upper bound.
        low_alone: Lower bound of the 95 % interval of this comparison by itself.
        high_alone: Its upper bound.
        p: Two-sided p of "no difference".
        p_adjusted: p after Holm's correction over all comparisons made together.
        agree: Number of seeds whose own difference has the sign of the overall one.
        note: Anything the reader must know beside the verdict.
        needed_seeds: Seeds that would settle an undecided comparison on these images, with a power of 80 %.
        needed_groups: Groups (images, without groups) that would settle it with these seeds.
        prob_false: Probability that the true difference has the other sign.
        effect: Difference divided by its SD from one training and image to another.
        superiority: Probability that a training of the variant beats one of the reference on a new image.
        sd_image: SD of the difference from image to image, or group to group.
        sd_seed: SD from seed to seed.
        sd_interaction: SD of what image and seed leave unexplained.
        reference: Label of the other variant.
    """

    model: str
    seeds: int
    images: int
    groups: int | None = None
    metric: str = "dice"
    verdict: Verdict = "not enough data"
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    low_alone: float | None = None
    high_alone: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    agree: int = 0
    note: str = ""
    needed_seeds: int | None = None
    needed_groups: int | None = None
    prob_false: float | None = None
    effect: float | None = None
    superiority: float | None = None
    sd_image: float | None = None
    sd_seed: float | None = None
    sd_interaction: float | None = None
    reference: str = ""


@dataclass(frozen=True)
class Pair:
    """Scores of two variants on the same seeds and images.

    Attributes:
        model: Label of the variant.
        reference: Label of the other variant.
        ours: The variant's scores (seeds, images); NaN where there is none.
        theirs: The reference's scores (seeds, images).
        groups: (images,), the number of each image's group; None if no image has a group.
    """

    model: str
    reference: str
    ours: Array
    theirs: Array
    groups: npt.NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Family:
    """Settings of comparisons that are made together.

    Attributes:
        margin: Largest difference that does not matter, in units of the metric; None for no equivalence.
        alpha: Family-wise error rate.
        metric: Name of the score.
        plan: Work out what would settle the undecided comparisons, which takes a few milliseconds each.
    """

    margin: float | None = MARGIN
    alpha: float = ALPHA
    metric: str = "dice"
    plan: bool = True


@dataclass(frozen=True)
class Finding:
    """One comparison before it is corrected for the others.

    Attributes:
        comparison: All that does not depend on the others.
        evidence: The evidence for a verdict; None if there is not enough for one.
        mean: Mean score of the reference.
    """

    comparison: Comparison
    evidence: Evidence | None = None
    mean: float = 0.0


def judge(pairs: Sequence[Pair], family: Family) -> list[Comparison]:
    """Return the comparisons of all pairs, corrected for one another.

    Args:
        pairs: The pairs.
        family: Settings they share.
    """
    return settle([observe(pair, family) for pair in pairs], family)


def settle(findings: Sequence[Finding], family: Family) -> list[Comparison]:
    """Correct findings for one another and add the verdicts.

    Args:
        findings: What was observed, pair by pair.
        family: Settings they share.
    """
    tested = [k for k, found in enumerate(findings) if found.evidence is not None]
    corrected = holm([findings[k].comparison.p or 0.0 for k in tested]).tolist()
    comparisons = [found.comparison for found in findings]
    for k, p in zip(tested, corrected, strict=True):
        comparisons[k] = _verdict(findings[k], p, len(tested), family)
    return comparisons


def observe(pair: Pair, family: Family) -> Finding:
    """Return what one pair shows by itself.

    Args:
        pair: Scores of both sides.
        family: Settings; its margin is not used.
    """
    both = np.isfinite(pair.ours).any(1) & np.isfinite(pair.theirs).any(1)
    ours, theirs = pair.ours[both], pair.theirs[both]
    kept = np.isfinite(ours).any(0) | np.isfinite(theirs).any(0)
    ours, theirs = ours[:, kept], theirs[:, kept]
    scored = [np.flatnonzero(np.isfinite(x).any(0)) for x in (ours, theirs)]
    codes = None if pair.groups is None else np.unique(pair.groups[kept], return_inverse=True)[1]
    found = Comparison(
        pair.model,
        seeds=len(ours),
        images=min(len(each) for each in scored),
        groups=None if codes is None else min(len(np.unique(codes[each])) for each in scored),
        metric=family.metric,
        reference=pair.reference,
    )
    if not found.seeds or not found.images:
        return Finding(replace(found, note="no seed or no test image in common"))
    filled = complete(ours), complete(theirs)
    e = weigh(filled[0] - filled[1], codes)
    own = (filled[0] - filled[1]).mean(1)
    chance = superiority(*((theirs, ours) if family.metric in LOWER_IS_BETTER else (ours, theirs)))
    found = replace(
        found,
        difference=float(e.difference),
        agree=int((np.sign(own) == np.sign(e.difference)).sum()),
        superiority=None if np.isnan(chance) else chance,
    )
    if (count := found.images if found.groups is None else found.groups) < MIN_GROUPS:
        plural = "s" * (count != 1)
        what = f"test image{plural}" if found.groups is None else f"group{plural} of test images"
        return Finding(replace(found, note=f"{count} {what} in common, at least {MIN_GROUPS} are needed"))
    mean = float(filled[1].mean())
    found = _measured(found, e, mean, family.alpha)
    return Finding(found, None if found.p is None else e, mean)


def _measured(found: Comparison, e: Evidence, mean: float, alpha: float) -> Comparison:
    """Add what does not depend on the other comparisons: the interval by itself, p, and the split of the variance."""
    low, high = (float(x) for x in possible(*interval(e, alpha=alpha), mean, found.metric))
    found = replace(found, low=low, high=high, low_alone=low, high_alone=high)
    image, seed, interaction = (float(sd) for sd in components(e))
    if found.seeds < 2:
        note = "one seed in common: the difference between these two trained networks, not between the variants"
        return replace(found, note=f"{note}; run --seeds {MIN_SEEDS}")
    spread = (image**2 + seed**2 + interaction**2) ** 0.5
    found = replace(
        found,
        effect=float(e.difference) / spread if spread > 1e-12 else None,
        sd_image=image,
        sd_seed=seed,
        sd_interaction=interaction,
    )
    if found.seeds < MIN_SEEDS:
        return replace(
            found, note=f"{found.seeds} seeds in common, a verdict needs {MIN_SEEDS}; run --seeds {MIN_SEEDS}"
        )
    return replace(found, p=float(two_sided(e)), prob_false=float(prob_false(e)))


def _verdict(found: Finding, p_adjusted: float, comparisons: int, family: Family) -> Comparison:
    """Add the simultaneous interval, the verdict and what an undecided comparison lacks."""
    c, e = found.comparison, found.evidence
    assert e is not None
    wide = interval(e, alpha=family.alpha, comparisons=comparisons, p_adjusted=np.asarray(p_adjusted))
    low, high = (float(x) for x in possible(*wide, found.mean, c.metric))
    verdict = words(
        float(e.difference),
        low,
        high,
        p_adjusted,
        margin=family.margin,
        alpha=family.alpha,
        lower_is_better=c.metric in LOWER_IS_BETTER,
    ).item()
    c = replace(c, low=low, high=high, p_adjusted=p_adjusted, verdict=verdict)
    if verdict != "undecided" or not family.plan:
        return c
    seeds, groups = (needed(e, family.alpha / comparisons, family.margin) for needed in (needed_seeds, needed_groups))
    what = "images" if c.groups is None else "groups of images"
    lacking = [
        *([] if seeds else [f"{MOST_SEEDS} seeds on these images"]),
        *([] if groups else [f"{MOST_GROUPS:,} {what} with these seeds"]),
    ]
    note = f"not even {' nor '.join(lacking)} would settle it" if lacking else ""
    return replace(c, needed_seeds=seeds, needed_groups=groups, note=note)


def withheld(c: Comparison) -> Comparison:
    """Take back the verdict of a comparison on test images that resemble images of another split."""
    return replace(c, verdict=WITHHELD, needed_seeds=None, needed_groups=None)
