"""The verdicts at the top of a page, in sentences that claim no more than they do; the recommendation stands above."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from unetzoo._util.language import N_, _, _n
from unetzoo.report.judgement import Judgement
from unetzoo.report.outlook import more_seeds
from unetzoo.report.standing import reason
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.verdicts.family import MIN_SEEDS
from unetzoo.report.words import between, listed, signed

RELATIONS = {  # verdict -> the words for it, and those for it if it only holds at this budget
    "better": (N_("higher than {reference}"), N_("higher than {reference} at this budget")),
    "worse": (N_("lower than {reference}"), N_("lower than {reference} at this budget")),
    "equivalent": (N_("equivalent to {reference}"), N_("equivalent to {reference} at this budget")),
}
EACH = 3  # up to this many variants have a sentence each
Rows = list[dict[str, Any]]


def answer(rows: Rows, j: Judgement) -> list[str]:
    """State the verdicts against the reference in sentences, and what would settle those that are open.

    Args:
        rows: Summary rows.
        j: The verdicts.
    """
    scored = {row["model"]: row for row in rows if not pd.isna(row["dice"])}
    if j.reference is None or j.reference not in scored:
        return [*_nothing_learnt(j), _("No trial finished with a test score that counts, so there is no result yet.")]
    base = scored[j.reference]
    if len(scored) == 1:
        spread = "" if pd.isna(base["dice_sd"]) else f" ± {base['dice_sd']:.3f}"
        dice = f"{base['dice']:.3f}{spread}"
        return [
            _n(
                "{label} reaches Dice {dice} over {n} seed; there is no other variant to compare it with.",
                "{label} reaches Dice {dice} over {n} seeds; there is no other variant to compare it with.",
                base["seeds"],
                label=j.reference,
                dice=dice,
            )
        ]
    if not j.ranked:
        return [*_too_few_seeds(scored, j), *_nothing_learnt(j)]
    sentences = [*_claims(scored, j), *_open(j), *_not_judged(j)]
    return [*sentences, *_nothing_learnt(j), *more_seeds(j)]


def _too_few_seeds(scored: dict[str, dict[str, Any]], j: Judgement) -> list[str]:
    """Say what one or two seeds show, and how to get verdicts."""
    most = max(row["seeds"] for row in scored.values())
    if most == 1:
        first = _(
            "There is one seed, so differences are between these trained networks over the test images: training again"
            " may reverse them, and nothing here says which variant is better."
        )
    else:
        first = _(
            "There are {n} seeds, too few to say which variant is better: verdicts need {least} or more.",
            n=most,
            least=MIN_SEEDS,
        )
    differences = [c for c in j.against.values() if c.difference is not None] if most == 1 else []
    shown = [f"{c.model} {signed(c.difference)}" for c in differences] if len(differences) <= EACH else []
    more = _("Run the suite with --seeds {least} for verdicts; finished trials are kept.", least=MIN_SEEDS)
    if not shown:
        return [first, more]
    against = _(
        "Dice of the trained network against the trained {reference}: {differences}.",
        reference=j.reference,
        differences=listed(shown),
    )
    return [first, against, more]


def _claims(scored: dict[str, dict[str, Any]], j: Judgement) -> list[str]:
    """Return the sentences on variants that are better, worse or equivalent."""
    base = scored[str(j.reference)]
    sentences = []
    for verdict in ("better", "worse"):
        for than, found in _by_budget(j, verdict):
            if len(found) > EACH:
                names = listed([f"{c.model} ({signed(c.difference)})" for c in found], len(found))
                several = _(
                    "{names} score {than} (Dice {base:.3f}; differences in brackets).",
                    names=names,
                    than=than,
                    base=base["dice"],
                )
                sentences.append(several)
                continue
            sentences += [
                _(
                    "{label} scores {than} (Dice {dice:.3f} against {base:.3f}, simultaneous 95 % interval of the"
                    " difference {interval}).",
                    label=c.model,
                    than=than,
                    dice=scored[c.model]["dice"],
                    base=base["dice"],
                    interval=between(c.low, c.high),
                )
                for c in found
            ]
    for to, found in _by_budget(j, "equivalent"):
        names = listed([f"{c.model} ({between(c.low, c.high)})" for c in found], len(found))
        are = _n(
            "{names} is {equivalent}: within ±{margin:g} Dice.",
            "{names} are {equivalent}: within ±{margin:g} Dice.",
            len(found),
            names=names,
            equivalent=to,
            margin=j.margin,
        )
        sentences.append(are)
    return sentences


def _by_budget(j: Judgement, verdict: str) -> Iterable[tuple[str, list[Comparison]]]:
    """Yield a verdict on the reference in words with its comparisons, apart for those that hold at this budget only."""
    found = [c for c in j.against.values() if c.verdict == verdict]
    for at_budget in (False, True):
        some = [c for c in found if j.standing.at_budget(c) == at_budget]
        if some:
            words = _(RELATIONS[verdict][at_budget], reference=j.reference)
            yield words, sorted(some, key=lambda c: -(c.difference or 0.0))


def _open(j: Judgement) -> list[str]:
    """Return the sentences on undecided variants, together where the same would settle them."""
    ways: dict[str, list[Comparison]] = {}
    for c in j.against.values():
        if c.verdict == "undecided":
            ways.setdefault(settled_by(c), []).append(c)
    sentences = []
    for way, found in ways.items():
        names = listed([f"{c.model} ({between(c.low, c.high)})" for c in found], len(found))
        sentences.append(
            _n(
                "{names} is undecided against {reference}: {way}.",
                "{names} are each undecided against {reference}: {way}.",
                len(found),
                names=names,
                reference=j.reference,
                way=way,
            )
        )
    return sentences


def settled_by(c: Comparison) -> str:
    """Say how many seeds, or test images or groups, would settle an undecided comparison."""
    seeds = "" if c.needed_seeds is None else _("{n:,} seeds", n=c.needed_seeds)
    if c.groups is None:
        images = "" if c.needed_groups is None else _("{n:,} test images", n=c.needed_groups)
        never = _("no number of seeds or test images would settle it")
    else:
        images = "" if c.needed_groups is None else _("{n:,} test groups", n=c.needed_groups)
        never = _("no number of seeds or test groups would settle it")
    if seeds and images:
        return _("about {seeds} or {images} would settle it", seeds=seeds, images=images)
    if seeds or images:
        return _("about {sample} would settle it", sample=seeds or images)
    return c.note or never


def _not_judged(j: Judgement) -> list[str]:
    """Return a sentence for each reason for which variants have no verdict."""
    reasons: dict[str, list[str]] = {}
    for c in j.against.values():
        if not j.judged(c):
            why = c.note if c.verdict == "not enough data" else reason(c.verdict)
            if c.note and c.note not in why:
                why = _("{why} ({note})", why=why, note=c.note)
            reasons.setdefault(why or _("not enough data"), []).append(c.model)
    return [
        _n(
            "{names} is not judged against {reference}: {why}.",
            "{names} are not judged against {reference}: {why}.",
            len(names),
            names=listed(names),
            reference=j.reference,
            why=why,
        )
        for why, names in reasons.items()
    ]


def _nothing_learnt(j: Judgement) -> list[str]:
    out = [label for label, n in j.learnt.items() if n == 0]
    if not out:
        return []
    return [
        _n(
            "{names} did not learn in any seed, and has no verdict and no rank.",
            "{names} did not learn in any seed, and have no verdict and no rank.",
            len(out),
            names=listed(out),
        )
    ]
