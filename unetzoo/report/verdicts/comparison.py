"""Comparisons of variants, corrected for one another, and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from unetzoo._util.language import _
from unetzoo.report.verdicts.family import ALPHA, LOWER_IS_BETTER, holm, interval, possible, words
from unetzoo.report.verdicts.pair import Array, Evidence, gathered
from unetzoo.report.verdicts.planning import MOST_GROUPS, MOST_SEEDS, needed_both, needed_groups, needed_seeds

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
        plan: Work out what would settle the undecided comparisons, which takes a fraction of a millisecond each.
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
    """

    comparison: Comparison
    evidence: Evidence | None = None


def settle(findings: Sequence[Finding], family: Family) -> list[Comparison]:
    """Correct findings for one another and add the verdicts.

    Args:
        findings: What was observed, pair by pair.
        family: Settings they share.
    """
    comparisons = [found.comparison for found in findings]
    alike: dict[tuple[str, int, int, float], list[int]] = {}  # in one array each: same shape of evidence, same bounds
    tested: list[int] = []
    for k, found in enumerate(findings):
        if (e := found.evidence) is not None:
            alike.setdefault((found.comparison.metric, e.seeds, e.groups, e.freedom), []).append(k)
            tested.append(k)
    corrected = np.full(len(findings), np.nan)
    corrected[tested] = holm([comparisons[k].p or 0.0 for k in tested])
    for some in alike.values():
        settled = _verdicts([findings[k] for k in some], corrected[some], len(tested), family)
        for k, c in zip(some, settled, strict=True):
            comparisons[k] = c
    return comparisons


def _verdicts(findings: Sequence[Finding], p_adjusted: Array, comparisons: int, family: Family) -> list[Comparison]:
    """Add the simultaneous intervals, the verdicts and what undecided comparisons lack.

    Args:
        findings: Findings on the same metric, with evidence of the same seeds, groups and degrees of freedom.
        p_adjusted: Holm's p of each.
        comparisons: Number of comparisons in the whole family.
        family: Settings they share.
    """
    e = gathered([found.evidence for found in findings if found.evidence is not None])
    metric = findings[0].comparison.metric
    wide = interval(e, alpha=family.alpha, comparisons=comparisons, p_adjusted=p_adjusted)
    low, high = possible(*wide, metric)
    lower_is_better = metric in LOWER_IS_BETTER
    options = {"margin": family.margin, "alpha": family.alpha, "lower_is_better": lower_is_better}
    verdicts = words(e.difference, low, high, p_adjusted, **options)
    columns = zip(findings, low.tolist(), high.tolist(), p_adjusted.tolist(), verdicts.tolist(), strict=True)
    settled = [replace(f.comparison, low=a, high=b, p_adjusted=p, verdict=word) for f, a, b, p, word in columns]
    undecided = np.flatnonzero(verdicts == "undecided")
    if len(undecided) and family.plan:
        alpha = family.alpha / comparisons
        some = e.at(undecided)
        seeds, groups = (find(some, alpha, family.margin) for find in (needed_seeds, needed_groups))
        both = needed_both(some, alpha, family.margin)
        for k, more_seeds, more_groups, more in zip(undecided.tolist(), seeds, groups, both, strict=True):
            settled[k] = _planned(settled[k], more_seeds, more_groups, more)
    return settled


def _planned(c: Comparison, seeds: int | None, groups: int | None, both: tuple[int, int] | None) -> Comparison:
    """Add the seeds and groups that would settle an undecided comparison, each alone; None if no number in reach would.

    If neither alone would, the note says what both would, if that is in reach.
    """
    note = ""
    if not seeds and not groups and both:
        images = _("{n:,} test images", n=both[1]) if c.groups is None else _("{n:,} test groups", n=both[1])
        more = _("{n:,} seeds", n=both[0])
        note = _("about {seeds} together with about {images} would settle it", seeds=more, images=images)
    elif not seeds or not groups:
        more_seeds = _("{n} seeds on these images", n=MOST_SEEDS)
        more_images = (
            _("{n:,} images with these seeds", n=MOST_GROUPS)
            if c.groups is None
            else _("{n:,} groups of images with these seeds", n=MOST_GROUPS)
        )
        if seeds or groups:
            note = _("not even {sample} would settle it", sample=more_images if seeds else more_seeds)
        else:
            note = _("not even {seeds} nor {images} would settle it", seeds=more_seeds, images=more_images)
    return replace(c, needed_seeds=seeds, needed_groups=groups, note=note)


def withheld(c: Comparison) -> Comparison:
    """Take back the verdict of a comparison on test images that resemble images of another split."""
    return replace(c, verdict=WITHHELD, needed_seeds=None, needed_groups=None)
