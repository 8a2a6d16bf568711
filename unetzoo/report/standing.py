"""Conditions beyond the scores: runs that did not learn, failed seeds, uneven budgets, runs that were still rising."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pandas as pd

from unetzoo.records.fields import dig, label_of
from unetzoo.records.frame import Tables
from unetzoo.records.learnt import still_rising
from unetzoo.report.protocol import MOST_SPREAD
from unetzoo.report.verdicts.comparison import Comparison, Verdict

UNEVEN: Verdict = "not judged: uneven steps"
JUDGED = ("better", "worse", "equivalent", "undecided")


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
        uneven = [f"{x}'s by {100 * self.uneven[x]:.0f} %" for x in (c.model, c.reference) if x in self.uneven]
        if c.verdict in JUDGED and uneven:
            note = f"in equal minutes the seeds' numbers of steps differ, {' and '.join(uneven)}"
            return replace(c, verdict=UNEVEN, note=note, needed_seeds=None, needed_groups=None)
        return self.unselected(c)

    def unselected(self, c: Comparison) -> Comparison:
        """Take back a verdict that is not against a variant with setbacks: its other seeds are a selection."""
        stopped = [f"{x}: {self.setbacks[x]}" for x in (c.model, c.reference) if x in self.setbacks]
        allowed = {"better": c.model, "worse": c.reference}.get(c.verdict, "")
        if c.verdict not in JUDGED or not stopped or (allowed and allowed not in self.setbacks):
            return c
        note = f"{'; '.join(stopped)}, so what is left is a selection and never called better or equivalent"
        return replace(c, verdict="not enough data", note=note, needed_seeds=None, needed_groups=None)

    def wording(self, c: Comparison) -> str:
        """Return the verdict as the page words it: "better at this budget" if a run of either side was still rising."""
        claimed = c.verdict in JUDGED and c.verdict != "undecided"
        return f"{c.verdict} at this budget" if claimed and self.rising & {c.model, c.reference} else c.verdict


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
        how = [f"{len(stopped[label])} failed ({', '.join(dict.fromkeys(stopped[label]))})"] if label in stopped else []
        how += [f"{idle[label]} did not learn"] if idle[label] else []
        setbacks[label] = f"of {trials[label]} trials {' and '.join(how)}"
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
