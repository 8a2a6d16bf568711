"""Conditions beyond the scores: runs that did not learn, failed seeds, uneven budgets, runs that were still rising."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pandas as pd

from unetzoo._util.language import N_, _
from unetzoo.records.fields import dig, label_of
from unetzoo.records.frame import Tables
from unetzoo.records.learnt import still_rising
from unetzoo.report.protocol import MOST_SPREAD
from unetzoo.report.verdicts.comparison import Comparison, Verdict
from unetzoo.report.words import listed, status_text

UNEVEN: Verdict = "not judged: uneven steps"
JUDGED = ("better", "worse", "equivalent", "undecided")
WORDS: dict[str, str] = {  # verdict -> its words
    "better": N_("better"),
    "worse": N_("worse"),
    "equivalent": N_("equivalent"),
    "undecided": N_("undecided"),
    "not enough data": N_("not enough data"),
    "not judged: near-duplicates across splits": N_("not judged: near-duplicates across splits"),
    "not judged: uneven steps": N_("not judged: uneven steps"),
}
AT_BUDGET = {
    "better": N_("better at this budget"),
    "worse": N_("worse at this budget"),
    "equivalent": N_("equivalent at this budget"),
}
REASONS = {
    "not judged: near-duplicates across splits": N_("near-duplicates across splits"),
    "not judged: uneven steps": N_("uneven steps"),
}


def reason(verdict: str) -> str:
    """Return a verdict in words; if there is none, the reason alone."""
    return _(REASONS.get(verdict, WORDS.get(verdict, verdict)))


@dataclass(frozen=True)
class Standing:
    """Conditions under which the variants of one data set are judged.

    Attributes:
        unlearnt: Trial id -> why it did not learn; it takes part in no verdict and no rank.
        setbacks: Label -> its trials that failed or did not learn, in words; it is never called better.
        uneven: Label -> spread of its steps over seeds, if over `MOST_SPREAD` under a budget in minutes.
        rising: Labels with a trial whose best checkpoint was the last one; their verdicts read "at this budget".
    """

    unlearnt: dict[str, str]
    setbacks: dict[str, str]
    uneven: dict[str, float]
    rising: frozenset[str]

    def counted(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a table with a column ``id`` whose trials take part in verdicts and ranks."""
        return table.loc[~table["id"].isin(list(self.unlearnt)), :]

    def temper(self, c: Comparison) -> Comparison:
        """Take back a verdict on scores that the conditions do not allow, and say why in the note."""
        uneven = [
            _("{label}'s by {percent:.0f} %", label=x, percent=100 * self.uneven[x])
            for x in (c.model, c.reference)
            if x in self.uneven
        ]
        if c.verdict in JUDGED and uneven:
            note = _("in equal minutes the seeds' numbers of steps differ, {which}", which=listed(uneven))
            return replace(c, verdict=UNEVEN, note=note, needed_seeds=None, needed_groups=None)
        return self.unselected(c)

    def unselected(self, c: Comparison) -> Comparison:
        """Take back a verdict that is not against a variant with setbacks: its other seeds are a selection."""
        stopped = [
            _("{label}: {what}", label=x, what=self.setbacks[x]) for x in (c.model, c.reference) if x in self.setbacks
        ]
        allowed = {"better": c.model, "worse": c.reference}.get(c.verdict, "")
        if c.verdict not in JUDGED or not stopped or (allowed and allowed not in self.setbacks):
            return c
        note = _(
            "{stopped}, so what is left is a selection and never called better or equivalent",
            stopped=_("; ").join(stopped),
        )
        return replace(c, verdict="not enough data", note=note, needed_seeds=None, needed_groups=None)

    def wording(self, c: Comparison) -> str:
        """Return the verdict as the page words it: "better at this budget" if a run of either side was still rising."""
        return _((AT_BUDGET if self.at_budget(c) else WORDS)[c.verdict])

    def at_budget(self, c: Comparison) -> bool:
        """Return True if a verdict only holds at this budget, since a run of either side was still rising."""
        return c.verdict in AT_BUDGET and bool(self.rising & {c.model, c.reference})


def standing(t: Tables) -> Standing:
    """Return the conditions under which the variants of one data set are judged."""
    unlearnt = t.unlearnt
    trials = Counter(label_of(record) for record in t.models)
    stopped: dict[str, list[str]] = {}
    idle: Counter[str] = Counter()
    for record in t.models:
        if record.status != "ok":
            stopped.setdefault(label_of(record), []).append(record.status)
        elif record.id in unlearnt:
            idle[label_of(record)] += 1
    setbacks = {}
    for label in dict.fromkeys([*stopped, *idle]):
        how = []
        if label in stopped:
            why = _(", ").join(map(status_text, dict.fromkeys(stopped[label])))
            how.append(_("{n} failed ({why})", n=len(stopped[label]), why=why))
        if idle[label]:
            how.append(_("{n} did not learn", n=idle[label]))
        setbacks[label] = _("of {n} trials {what}", n=trials[label], what=listed(how))
    return Standing(
        unlearnt=unlearnt,
        setbacks=setbacks,
        uneven=_uneven(t),
        rising=frozenset(label_of(r) for r in t.models if still_rising(r)),
    )


def _uneven(t: Tables) -> dict[str, float]:
    """Return the spread of steps, (highest - lowest) / median, of the variants where it is over `MOST_SPREAD`."""
    timed = {label_of(r) for r in t.models if dig(r.trial, "train", "minutes")}
    steps = t.done.loc[t.done["model"].isin(list(timed)) & t.done["steps"].notna(), ["model", "steps"]]
    found = {}
    for label, some in steps.astype({"steps": float}).groupby("model")["steps"]:
        spread = float((some.max() - some.min()) / some.median())
        if spread > MOST_SPREAD:
            found[str(label)] = spread
    return found
