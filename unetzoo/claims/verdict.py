"""Verdicts on claims: pure functions of what was measured and of the rules stated beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unetzoo.claims.definition import Part
from unetzoo.claims.measured import Estimate
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.words import between, listed, signed

NOISE = 2.0  # a time from a machine that was not quiet may be wrong by this factor
Word = Literal["holds", "holds only if", "does not hold", "undecided", "not run yet"]


@dataclass(frozen=True)
class PartVerdict:
    """The verdict on one part of a claim.

    Attributes:
        part: The part.
        word: The verdict; never "holds only if".
        found: What was found, in words.
        needed: What would settle an undecided part; empty if it is settled or unknown.
        budget: True if a network was still rising, so that it holds at this budget alone.
        numbers: Value, lower and upper bound, to be drawn; None if there is no interval.
    """

    part: Part
    word: Word
    found: str
    needed: str = ""
    budget: bool = False
    numbers: tuple[float, float, float] | None = None

    @property
    def wording(self) -> str:
        """The verdict as the page words it."""
        settled = self.word in ("holds", "does not hold")
        return f"{self.word} at this budget" if settled and self.budget else self.word


def judge_quantity(part: Part, estimate: Estimate | None) -> PartVerdict:
    """Judge a part by its quantity: its whole interval must be on one side of the bound.

    If the machine was not quiet, so must the interval from the lower bound over `NOISE` to `NOISE` times the upper one.

    Args:
        part: The part.
        estimate: The quantity; None if it was not measured.
    """
    if estimate is None:
        return PartVerdict(part, "not run yet", "not measured")
    unit = f" {part.unit}" if part.unit else ""
    found = f"{estimate.value:.4g}{unit}"
    if estimate.low != estimate.high:
        found += f" ({estimate.low:.4g} to {estimate.high:.4g}, n = {estimate.n})"
    low, high = estimate.low, estimate.high
    if estimate.noisy:
        found += "; the machine was not quiet"
        low, high = low / NOISE, high * NOISE
    upward = part.at_least is not None
    holds = low >= part.bound if upward else high <= part.bound
    fails = high < part.bound if upward else low > part.bound
    if estimate.noisy and not (holds or fails):
        return PartVerdict(part, "undecided", found, "a quiet machine")
    if holds or fails:
        return PartVerdict(part, "holds" if holds else "does not hold", found)
    return PartVerdict(part, "undecided", found, _repetitions(estimate, part.bound))


def _repetitions(estimate: Estimate, bound: float) -> str:
    """Return the repetitions at which the interval, with this value and spread, would end at the bound."""
    half = estimate.high - estimate.value if bound > estimate.value else estimate.value - estimate.low
    distance = abs(estimate.value - bound)
    if distance == 0 or half == 0:
        return "no number of repetitions, as the value is the bound"
    return f"about {math.ceil(estimate.n * (half / distance) ** 2)} repetitions in place of {estimate.n}"


def judge_comparison(part: Part, c: Comparison | None, budget: bool = False) -> PartVerdict:
    """Judge a part by a comparison of the report, never above what the report says of it.

    Args:
        part: The part.
        c: The comparison of ``part.model`` with ``part.against``; None if there are no records of both.
        budget: True if a network of either side was still rising.
    """
    if c is None:
        return PartVerdict(part, "not run yet", "no records of both variants")
    found = describe(c)
    if c.verdict not in ("better", "worse", "equivalent", "undecided"):
        return PartVerdict(part, "undecided", f"{found}; {c.verdict}{f': {c.note}' if c.note else ''}")
    inside = c.low is not None and c.low >= -part.margin
    outside = c.high is not None and c.high < -part.margin
    if part.expect == "higher":
        word = {"better": "holds", "worse": "does not hold", "equivalent": "does not hold"}.get(c.verdict, "undecided")
        if c.verdict == "better" and c.high is not None and c.high <= part.margin:
            word = "does not hold"  # higher, but by no more than what does not matter
    else:
        word = "holds" if inside else "does not hold" if outside else "undecided"
    needed = "" if word != "undecided" else _needed(c) or _in_proportion(c, -part.margin)
    known = c.difference is not None and c.low is not None and c.high is not None
    numbers = (c.difference, c.low, c.high) if known else None
    return PartVerdict(part, word, found, needed, budget, numbers)  # type: ignore[arg-type]


def describe(c: Comparison) -> str:
    """Return the difference of a comparison, its interval and its sample, in words."""
    if c.difference is None:
        return "no score in common"
    interval = f" ({between(c.low, c.high)})" if c.low is not None else ""
    groups = f", in {c.groups} group{'s' * (c.groups != 1)}" if c.groups is not None else ""
    seeds = f"{c.seeds} seed{'s' * (c.seeds != 1)}"
    return f"{signed(c.difference)}{interval}, {seeds}, {c.images} test images{groups}"


def _needed(c: Comparison) -> str:
    what = "test images" if c.groups is None else "groups of test images"
    ways = [f"{c.needed_seeds} seeds"] if c.needed_seeds else []
    ways += [f"{c.needed_groups} {what}"] if c.needed_groups else []
    return " or ".join(ways) or c.note


def _in_proportion(c: Comparison, bound: float) -> str:
    """Return the seeds and images, in today's proportion, at which the interval around this difference ends at a bound.

    The report plans for verdicts that it leaves open; that a difference is shown says nothing of a margin beside it.
    """
    if c.difference is None or c.low is None or c.high is None or c.difference == bound:
        return ""
    half = c.high - c.difference if bound > c.difference else c.difference - c.low
    times = (half / (c.difference - bound)) ** 2
    images, what = (c.images, "test images") if c.groups is None else (c.groups, "test groups")
    seeds, images = (math.ceil(times * n) for n in (c.seeds, images))
    return f"about {seeds} seeds together with about {images:,} {what}"


def overall(parts: Sequence[PartVerdict]) -> tuple[Word, str]:
    """Return the verdict on a claim and a sentence that says what it rests on.

    All parts hold: holds. None holds and all are settled: does not hold. All are settled and some hold: holds only if
    the conditions of these are met. Otherwise undecided, or not run yet if nothing was measured.

    Args:
        parts: The verdicts on its parts.
    """
    by_word: dict[str, list[PartVerdict]] = {}
    for verdict in parts:
        by_word.setdefault(verdict.word, []).append(verdict)
    held, refuted = by_word.get("holds", []), by_word.get("does not hold", [])
    pending = by_word.get("not run yet", [])
    budget = _budget([*held, *refuted])
    if len(pending) == len(parts):
        return "not run yet", "Nothing of it was measured yet."
    if len(held) + len(refuted) < len(parts):
        counts = [
            (held, f"holds{_budget(held)}", f"hold{_budget(held)}"),
            (refuted, f"does not hold{_budget(refuted)}", f"do not hold{_budget(refuted)}"),
            (by_word.get("undecided", []), "is undecided", "are undecided"),
            (pending, "is not run", "are not run"),
        ]
        told = [f"{len(some)} {one if len(some) == 1 else many}" for some, one, many in counts if some]
        named = [f"{word}: {_named(some)}." for some, word in ((held, "Hold"), (refuted, "Do not hold")) if some]
        return "undecided", " ".join([f"Of {len(parts)} parts {listed(told)}.", *named])
    if not refuted:
        return "holds", f"All {len(parts)} parts hold{budget}."
    if not held:
        return "does not hold", f"None of {len(parts)} parts holds{budget}."
    conditions = list(dict.fromkeys(v.part.condition or v.part.name for v in held))
    exceptions = [v.part.name for v in refuted]
    return "holds only if", f"{'; or if '.join(conditions)}{budget} (does not hold: {listed(exceptions)})."


def _budget(verdicts: Sequence[PartVerdict]) -> str:
    return " at this budget" if any(v.budget for v in verdicts) else ""


def _named(verdicts: Sequence[PartVerdict]) -> str:
    """Name parts, the data sets on which they were judged after those that share them."""
    data: dict[str, list[str]] = {}
    for part in (verdict.part for verdict in verdicts):
        data.setdefault(part.name, []).extend([part.data] if part.data else [])
    groups: dict[str, list[str]] = {}
    for name, labels in data.items():
        groups.setdefault(f" on {listed(labels)}" if labels else "", []).append(name)
    return "; ".join(f"{'; '.join(names)}{where}" for where, names in groups.items())
