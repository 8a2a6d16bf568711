"""The verdicts at the top of a page, in sentences that claim no more than they do; the recommendation stands above."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from unetzoo.report.judgement import Judgement
from unetzoo.report.outlook import more_seeds
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.verdicts.family import MIN_SEEDS
from unetzoo.report.words import between, listed, signed

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
        return [*_nothing_learnt(j), "No trial finished with a test score that counts, so there is no result yet."]
    base = scored[j.reference]
    if len(scored) == 1:
        spread = "" if pd.isna(base["dice_sd"]) else f" ± {base['dice_sd']:.3f}"
        return [
            f"{j.reference} reaches Dice {base['dice']:.3f}{spread} over {base['seeds']} seed"
            f"{'s' if base['seeds'] > 1 else ''}; there is no other variant to compare it with."
        ]
    if not j.ranked:
        return [*_too_few_seeds(scored, j), *_nothing_learnt(j)]
    sentences = [*_claims(scored, j), *_open(j), *_not_judged(j)]
    return [*sentences, *_nothing_learnt(j), *more_seeds(j)]


def _too_few_seeds(scored: dict[str, dict[str, Any]], j: Judgement) -> list[str]:
    """Say what one or two seeds show, and how to get verdicts."""
    most = max(row["seeds"] for row in scored.values())
    if most == 1:
        first = (
            "There is one seed, so differences are between these trained networks over the test images: training again"
            " may reverse them, and nothing here says which variant is better."
        )
    else:
        first = f"There are {most} seeds, too few to say which variant is better: verdicts need {MIN_SEEDS} or more."
    differences = [c for c in j.against.values() if c.difference is not None] if most == 1 else []
    shown = [f"{c.model} {signed(c.difference)}" for c in differences] if len(differences) <= EACH else []
    lines = [f"Dice of the trained network against the trained {j.reference}: {listed(shown)}."] if shown else []
    return [first, *lines, f"Run the suite with --seeds {MIN_SEEDS} for verdicts; finished trials are kept."]


def _claims(scored: dict[str, dict[str, Any]], j: Judgement) -> list[str]:
    """Return the sentences on variants that are better, worse or equivalent."""
    base = scored[str(j.reference)]
    sentences = []
    for verdict, way in (("better", "higher"), ("worse", "lower")):
        for budget, found in _by_budget(j, verdict):
            than = f"{way} than {j.reference}{budget}"
            if len(found) > EACH:
                names = listed([f"{c.model} ({signed(c.difference)})" for c in found], len(found))
                sentences.append(f"{names} score {than} (Dice {base['dice']:.3f}; differences in brackets).")
                continue
            sentences += [
                f"{c.model} scores {than} (Dice {scored[c.model]['dice']:.3f} against {base['dice']:.3f}, simultaneous"
                f" 95 % interval of the difference {between(c.low, c.high)})."
                for c in found
            ]
    for budget, found in _by_budget(j, "equivalent"):
        names = listed([f"{c.model} ({between(c.low, c.high)})" for c in found], len(found))
        are = "is" if len(found) == 1 else "are"
        sentences.append(f"{names} {are} equivalent to {j.reference}{budget}: within ±{j.margin:g} Dice.")
    return sentences


def _by_budget(j: Judgement, verdict: str) -> Iterable[tuple[str, list[Comparison]]]:
    """Yield the comparisons with a verdict, apart for those that only hold at this budget."""
    found = [c for c in j.against.values() if c.verdict == verdict]
    for words in ("", " at this budget"):
        some = [c for c in found if (j.standing.wording(c) != c.verdict) == bool(words)]
        if some:
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
        are = "is" if len(found) == 1 else "are each"
        sentences.append(f"{names} {are} undecided against {j.reference}: {way}.")
    return sentences


def settled_by(c: Comparison) -> str:
    """Say how many seeds, or test images or groups, would settle an undecided comparison."""
    unit = "test images" if c.groups is None else "test groups"
    parts = [f"{n:,} {what}" for n, what in ((c.needed_seeds, "seeds"), (c.needed_groups, unit)) if n is not None]
    if parts:
        return f"about {' or '.join(parts)} would settle it"
    return c.note or f"no number of seeds or {unit} would settle it"


def _not_judged(j: Judgement) -> list[str]:
    """Return a sentence for each reason for which variants have no verdict."""
    reasons: dict[str, list[str]] = {}
    for c in j.against.values():
        if not j.judged(c):
            why = c.note if c.verdict == "not enough data" else c.verdict.removeprefix("not judged: ")
            if c.note and c.note not in why:
                why = f"{why} ({c.note})"
            reasons.setdefault(why or "not enough data", []).append(c.model)
    return [
        f"{listed(names)} {'is' if len(names) == 1 else 'are'} not judged against {j.reference}: {why}."
        for why, names in reasons.items()
    ]


def _nothing_learnt(j: Judgement) -> list[str]:
    out = [label for label, n in j.learnt.items() if n == 0]
    if not out:
        return []
    return [
        f"{listed(out)} did not learn in any seed, and {'has' if len(out) == 1 else 'have'} no verdict and no rank."
    ]
