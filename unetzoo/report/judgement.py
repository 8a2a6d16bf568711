"""All verdicts on one data set: against the reference and between all pairs, on Dice, other metrics and costs."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from unetzoo._util.language import N_, _
from unetzoo.metrics.policy import SURFACE
from unetzoo.records.fields import margin_of
from unetzoo.records.frame import Tables
from unetzoo.report.groups import groups_by_key
from unetzoo.report.protocol import matched_to
from unetzoo.report.standing import JUDGED, Standing, standing
from unetzoo.report.statistics import all_pairs, compare, pick_reference, score_grids
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.verdicts.costs import compare_costs
from unetzoo.report.verdicts.family import MIN_SEEDS

METRIC_TITLES = {  # metric -> title, unit
    "nsd": ("NSD", ""),
    "boundary_iou": (N_("boundary IoU"), ""),
    "hd95": ("HD95", N_("lower is better")),
    "assd": ("ASSD", N_("lower is better")),
}
COST_TITLES = {
    "params": (N_("parameters"), ""),
    "macs": (N_("MACs"), ""),
    "peak_train_bytes": (N_("memory"), N_("training")),
    "peak_infer_bytes": (N_("memory"), N_("inference")),
    "latency_p50_ms": (N_("latency"), N_("median")),
    "train_seconds": (N_("training"), N_("time")),
}
COUNTED = ("params", "macs")  # exact whatever the number of seeds


def turned(c: Comparison) -> Comparison:
    """Return a comparison with its two sides exchanged."""
    other = {"better": "worse", "worse": "better"}.get(c.verdict, c.verdict)

    def negative(value: float | None) -> float | None:
        return None if value is None else -value

    return replace(
        c,
        model=c.reference,
        reference=c.model,
        verdict=other,
        difference=negative(c.difference),
        low=negative(c.high),
        high=negative(c.low),
        low_alone=negative(c.high_alone),
        high_alone=negative(c.low_alone),
        effect=negative(c.effect),
        superiority=None if c.superiority is None else 1 - c.superiority,
    )


@dataclass(frozen=True)
class Judgement:
    """The verdicts on one data set.

    Attributes:
        reference: Label of the reference; None if no trial finished.
        margin: Largest difference in Dice that does not matter.
        standing: Conditions under which the variants are judged.
        learnt: Label -> number of its seeds that finished and learnt.
        against: Label -> its Dice against the reference's.
        pairs: Dice of the pairs without the reference, corrected over all pairs.
        others: Metric or cost -> comparisons with the reference, then of the other pairs.
        images: Number of test images with a score.
        groups: Number of groups that they were sampled in, images without one counted singly; None without groups.
    """

    reference: str | None
    margin: float
    standing: Standing
    learnt: dict[str, int]
    against: dict[str, Comparison]
    pairs: list[Comparison]
    others: dict[str, list[Comparison]]
    images: int = 0
    groups: int | None = None

    @property
    def ranked(self) -> bool:
        """True if some variant has the seeds that a verdict needs; else nothing is ranked."""
        return max(self.learnt.values(), default=0) >= MIN_SEEDS

    @staticmethod
    def judged(c: Comparison) -> bool:
        """Return True if a comparison has one of the four verdicts."""
        return c.verdict in JUDGED

    def eligible(self, label: str) -> bool:
        """Return True if a variant may be named the highest: enough seeds, and none that failed or did not learn."""
        return self.learnt.get(label, 0) >= MIN_SEEDS and label not in self.standing.setbacks

    def not_inferior(self, c: Comparison) -> bool:
        """Return True if a comparison shows the variant to be at most the margin below the other."""
        sound = c.verdict in ("better", "equivalent", "undecided") and c.model not in self.standing.setbacks
        return sound and c.low is not None and c.low >= -self.margin

    def verdict(self, model: str, reference: str) -> str | None:
        """Return the verdict on Dice of one variant against another; None if there is none."""
        c = self.by_pair.get((model, reference))
        return c.verdict if c else None

    @cached_property
    def by_pair(self) -> dict[tuple[str, str], Comparison]:
        """Comparison of Dice of each (variant, other variant), in both orders."""
        found = [*self.against.values(), *self.pairs]
        return {(x.model, x.reference): x for c in found for x in (c, turned(c))}

    @property
    def every(self) -> list[Comparison]:
        """All comparisons: Dice against the reference, Dice of the other pairs, then the other metrics and costs."""
        return [*self.against.values(), *self.pairs, *(c for some in self.others.values() for c in some)]


def judge_all(t: Tables, margin: float | None = None) -> Judgement:
    """Judge the variants of one data set.

    Args:
        t: Tables of the report.
        margin: Largest difference in Dice that does not matter; None takes the records'.
    """
    margin = margin_of(t.records) if margin is None else margin
    s = standing(t)
    trials, images = s.counted(t.done), s.counted(t.images)
    seeds = trials.groupby("model")["seed"].nunique()
    learnt = {str(label): int(seeds.get(label, 0)) for label in dict.fromkeys(t.done["model"])}
    reference = pick_reference(trials, matched_to(t.models))
    groups = groups_by_key(t)
    keys = sorted(set(images["data"] + "/" + images["image"]))
    many = [label for label, n in learnt.items() if n >= MIN_SEEDS]

    def family(metric: str) -> tuple[list[Comparison], list[Comparison]]:
        """Return the comparisons with the reference, and the other pairs that have the seeds for a verdict."""
        grids = score_grids(images, metric)
        options: dict[str, Any] = {"groups": groups, "metric": metric, "leaking": t.leaking}
        options["margin"] = margin if metric == "dice" else None
        against = compare(grids, reference, **options) if reference is not None else []
        every = all_pairs({label: grids[label] for label in many if label in grids}, **options)
        rest = [c for c in every if reference not in (c.model, c.reference)]
        return [s.temper(c) for c in against], [s.temper(c) for c in rest]

    against, rest = family("dice")
    others: dict[str, list[Comparison]] = {}
    if reference is not None and many:
        others = {metric: [*first, *more] for metric in SURFACE for first, more in [family(metric)]}
        others |= {cost: [s.unselected(c) for c in _costs(trials, reference, cost)] for cost in COST_TITLES}
    return Judgement(
        reference=reference,
        margin=margin,
        standing=s,
        learnt=learnt,
        against={c.model: c for c in against},
        pairs=rest,
        others={metric: some for metric, some in others.items() if some},
        images=len(keys),
        groups=len({groups.get(key, f"alone: {key}") for key in keys}) if groups else None,
    )


def _costs(trials: pd.DataFrame, reference: str, cost: str) -> list[Comparison]:
    """Compare a cost with the reference's; a noisy timing, or a single measurement, gives no verdict."""
    known = trials[trials[cost] > 0].astype({cost: float})
    by_seed = known.groupby(["model", "seed"])[cost].mean()
    costs = {str(label): by_seed[label].to_dict() for label in dict.fromkeys(known["model"])}
    noisy = set(known.loc[known["noisy"].fillna(False).astype(bool), "model"]) if cost.startswith("latency") else set()
    found = []
    for c in compare_costs(costs, reference, cost):
        if {c.model, reference} & noisy:
            c = replace(c, verdict="not enough data", note=_("a timing was noisy"))
        elif c.seeds < MIN_SEEDS and cost not in COUNTED:
            note = _("{n} seeds in common, a verdict needs {least}", n=c.seeds, least=MIN_SEEDS)
            c = replace(c, verdict="not enough data", note=note)
        found.append(c)
    return found
