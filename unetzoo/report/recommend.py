"""Recommendation of a variant under limits on its costs, by the report's own verdicts.

The rule, which the script of the page follows too:

1. A variant *fits* if it has a test score, learnt in some seed, and its costs (medians over seeds) meet every limit.
   A cost that was not measured meets no limit.
2. The *best* is the one with the highest mean (lowest, of distances) of those that fit and are eligible: three seeds
   or more, none of which failed or did not learn.
3. *Not worse* are the best and those that fit and are better, equivalent or undecided against it, unless one of these
   is shown to be better than they are. Without a verdict against the best a variant is left out. Nothing is
   recommended if the report has one variant alone, or if several fit and none of them has a verdict against the best.
4. Of those not worse the fastest is sought. Those whose latency is above the lowest by no more than the measured noise
   (`as_fast`) are as fast as it; of them the one with the fewest parameters is taken, then the one with the least
   training memory, then the first name.
"""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from typing import Any, Literal

from unetzoo._util.language import _, _n
from unetzoo.errors import UnetzooError, nearest
from unetzoo.report.judgement import METRIC_TITLES, Judgement, turned
from unetzoo.report.limits import KINDS, asked
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.verdicts.family import LOWER_IS_BETTER
from unetzoo.report.words import listed, missing

METRICS = ("dice", *METRIC_TITLES)
LATENCY = "latency_p50_ms"
TIE_BREAKERS = ("params", "peak_train_bytes")  # decide between variants that are as fast within the noise
NOT_WORSE = ("better", "equivalent", "undecided")
Relation = Literal["best", "only", "better", "equivalent", "undecided"]


@dataclass(frozen=True)
class Candidate:
    """A variant as the rule sees it.

    Attributes:
        label: Its label.
        score: Mean of the metric over seeds; None without a test score.
        sd: SD over seeds; None for one seed.
        learnt: Number of seeds that finished and learnt.
        eligible: True if it may be the best.
        rising: True if a run was still rising when its budget ended.
        noisy: True if a timing was noisy.
        setback: Trials that failed or did not learn, in words; empty if there are none.
        costs: Median cost by column of the summary; None if it was not measured.
        noise: Noise of its latency in ms: the range of its repetitions (10th to 90th percentile), or of its medians
            over seeds if that is wider; 0 if neither was recorded.
    """

    label: str
    score: float | None
    sd: float | None
    learnt: int
    eligible: bool
    rising: bool
    noisy: bool
    setback: str
    costs: dict[str, float | None]
    noise: float = 0.0


@dataclass(frozen=True)
class Field:
    """All variants of a report, and the verdicts of each against each other.

    Attributes:
        metric: Name of the score.
        candidates: The variants, in the order of the page.
        pairs: (variant, other) -> comparison, in both orders.
    """

    metric: str
    candidates: list[Candidate]
    pairs: dict[tuple[str, str], Comparison]

    def verdict(self, label: str, other: str) -> str | None:
        """Return the verdict of one variant against another; None if they are not judged."""
        c = self.pairs.get((label, other))
        return c.verdict if c is not None and Judgement.judged(c) else None

    def as_json(self) -> dict[str, Any]:
        """Return all that the rule needs as a JSON value; ``pairs[a][b]`` is [verdict, difference, low, high]."""
        pairs: dict[str, dict[str, list[Any]]] = {}
        for (a, b), c in self.pairs.items():
            if Judgement.judged(c):
                pairs.setdefault(a, {})[b] = [c.verdict, c.difference, c.low, c.high]
        return {"metric": self.metric, "candidates": [asdict(c) for c in self.candidates], "pairs": pairs}


@dataclass(frozen=True)
class Choice:
    """The outcome of the rule.

    Attributes:
        taken: Label of the recommended variant; None if no verdict supports one.
        relation: Its relation to the best: "best", "only" (no other fits), or the verdict against it.
        best: Label of the best; None if none is eligible.
        not_worse: Labels of the best and of those not shown worse, than the best or than one another.
        fit: Labels that meet all limits.
        over: Label -> costs above a limit.
        unmeasured: Label -> limited costs that were not measured.
        as_fast: Labels of the others that are as fast as the recommended one within the noise.
        decided: Cost that decided between it and them, or "label"; None if the latency did.
    """

    taken: str | None
    relation: Relation | None
    best: str | None
    not_worse: list[str]
    fit: list[str]
    over: dict[str, list[str]]
    unmeasured: dict[str, list[str]]
    as_fast: list[str] = dataclass_field(default_factory=list)
    decided: str | None = None


def field_of(rows: Sequence[Mapping[str, Any]], j: Judgement, metric: str = "dice") -> Field:
    """Return the variants and verdicts that the rule needs.

    Args:
        rows: Summary rows of the variants.
        j: The verdicts.
        metric: Name of the score, from `METRICS`.

    Raises:
        UnetzooError: If the metric is unknown, or no record has it.
    """
    if metric not in METRICS:
        raise UnetzooError(f"metric {metric!r} has no verdicts; {nearest(metric, METRICS)}")
    if rows and all(missing(row[metric]) for row in rows) and any(not missing(row["dice"]) for row in rows):
        known = [m for m in METRICS if any(not missing(row[m]) for row in rows)]
        raise UnetzooError(f"metric {metric!r}: no record has this score; they have {listed(known)}")
    pairs = j.by_pair
    if metric != "dice":
        pairs = {(x.model, x.reference): x for c in j.others.get(metric, []) for x in (c, turned(c))}

    def value(number: Any) -> float | None:
        return None if missing(number) else float(number)

    candidates = [
        Candidate(
            label=(label := str(row["model"])),
            score=value(row[metric]),
            sd=value(row[f"{metric}_sd"]),
            learnt=j.learnt.get(label, 0),
            eligible=j.eligible(label),
            rising=label in j.standing.rising,
            noisy=bool(row["noisy"]),
            setback=j.standing.setbacks.get(label, ""),
            costs={cost: value(row[cost]) for cost in KINDS},
            noise=noise_of(row),
        )
        for row in rows
    ]
    return Field(metric, candidates, pairs)


def choose(field: Field, limits: Mapping[str, float] | None = None) -> Choice:
    """Apply the rule of this module.

    Args:
        field: The variants and their verdicts.
        limits: Highest allowed cost, by column of the summary.

    Raises:
        UnetzooError: If no variant meets the limits; it names the cheapest.
    """
    limits = limits or {}
    scored = [c for c in field.candidates if c.score is not None and c.learnt > 0]
    unmeasured = {c.label: lacking for c in scored if (lacking := [x for x in limits if c.costs[x] is None])}
    over = {
        c.label: costs for c in scored if (costs := [x for x, most in limits.items() if (c.costs[x] or 0.0) > most])
    }
    fit = [c for c in scored if c.label not in unmeasured and c.label not in over]
    if scored and not fit:
        raise UnetzooError(_none_fits(scored, limits))
    sign = 1 if field.metric in LOWER_IS_BETTER else -1
    eligible = sorted((c for c in fit if c.eligible), key=lambda c: (sign * (c.score or 0.0), c.label))
    rest = {"fit": [c.label for c in fit], "over": over, "unmeasured": unmeasured}
    if not eligible:
        return Choice(None, None, None, [], **rest)
    best = eligible[0].label
    pool = [c for c in fit if c.label == best or field.verdict(c.label, best) in NOT_WORSE]
    pool = [c for c in pool if not any(field.verdict(c.label, other.label) == "worse" for other in pool)] or pool
    labels = [c.label for c in pool]
    if len(fit) == 1 < len(scored):
        return Choice(best, "only", best, labels, **rest)
    if not any(field.verdict(c.label, best) for c in fit):
        return Choice(None, None, best, labels, **rest)
    taken, as_fast, decided = cheapest(pool)
    relation = "best" if taken == best else field.verdict(taken, best)
    rest |= {"as_fast": as_fast, "decided": decided}
    return Choice(taken, relation, best, labels, **rest)  # pyright: ignore[reportArgumentType]


def noise_of(row: Mapping[str, Any]) -> float:
    """Return the noise of a summary row's latency in ms; see `Candidate`."""
    p50, low, high, spread = (
        row.get(name) for name in (LATENCY, f"{LATENCY}_low", f"{LATENCY}_high", "latency_spread")
    )
    over_seeds = 0.0 if missing(low) or missing(high) else float(high) - float(low)
    repetitions = 0.0 if missing(p50) or missing(spread) else float(p50) * float(spread)
    return max(over_seeds, repetitions)


def as_fast(slower: Candidate, faster: Candidate) -> bool:
    """Return True if a latency is above another by no more than the larger of their two noises."""
    slow, fast = _cost(slower, LATENCY), _cost(faster, LATENCY)
    return slow == fast or slow - fast <= max(slower.noise, faster.noise)


def _cost(c: Candidate, cost: str) -> float:
    """Return a cost; infinity if it was not measured."""
    value = c.costs.get(cost)
    return math.inf if value is None else value


def cheapest(pool: Sequence[Candidate]) -> tuple[str, list[str], str | None]:
    """Return the variant to take of those not shown worse.

    Returns:
        Its label, the labels of the others that are as fast within the noise, and what decided between them: the name
        of a cost, or "label"; None if the latency did.
    """
    quickest = min(pool, key=lambda c: _cost(c, LATENCY))
    tied = [c for c in pool if as_fast(c, quickest)]
    taken, *others = sorted(tied, key=lambda c: (*(_cost(c, cost) for cost in TIE_BREAKERS), c.label))
    if not others or _cost(taken, LATENCY) == math.inf:
        return taken.label, [], None
    decided = next((cost for cost in TIE_BREAKERS if _cost(taken, cost) < _cost(others[0], cost)), "label")
    return taken.label, [c.label for c in tied if c is not taken], decided


def _none_fits(scored: Sequence[Candidate], limits: Mapping[str, float]) -> str:
    """Say that no variant meets the limits, and what the cheapest one costs."""
    parts = []
    for cost, most in limits.items():
        kind = KINDS[cost]
        known = [(value, c.label) for c in scored if (value := c.costs[cost]) is not None]
        if not known:
            parts.append(_("no record has {cost}", cost=_(kind.noun)))
        elif (least := min(known))[0] > most or len(limits) > 1:
            cost, label = kind.has(least[0]), least[1]
            parts.append(_("the {cheapest}, {label}, has {cost}", cheapest=_(kind.cheapest), label=label, cost=cost))
    return _n(
        "none of {n} variant has {asked}; {why}",
        "none of {n} variants has {asked}; {why}",
        len(scored),
        asked=asked(limits),
        why=_("; ").join(parts),
    )
