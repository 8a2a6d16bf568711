"""The recommendation in sentences: what to take, how sure that is, what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unetzoo.report.judgement import METRIC_TITLES, Judgement
from unetzoo.report.limits import KINDS
from unetzoo.report.recommend import LATENCY, Choice, Field, as_fast, choose, field_of
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.verdicts.family import MIN_SEEDS
from unetzoo.report.words import between, listed, number, signed

SHOWN_OFF = (LATENCY, "peak_train_bytes", "params")  # costs that the recommendation mentions
DECIDED = {  # what decides between variants that are as fast, in words
    "params": "fewer parameters decide",
    "peak_train_bytes": "less training memory decides",
    "label": "the first name is taken",
}


@dataclass(frozen=True)
class Advice:
    """A recommendation with its words.

    Attributes:
        metric: Name of the score.
        limits: Highest allowed cost, by column of the summary.
        choice: The outcome of the rule.
        sentences: The recommendation, what it costs, its reservations, and what it rests on.
    """

    metric: str
    limits: dict[str, float]
    choice: Choice
    sentences: list[str]

    def __str__(self) -> str:
        return " ".join(self.sentences)

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {"metric": self.metric, "limits": self.limits, **vars(self.choice), "sentences": self.sentences}


def advise(
    rows: Sequence[Mapping[str, Any]], j: Judgement, limits: Mapping[str, float] | None = None, metric: str = "dice"
) -> Advice:
    """Recommend a variant; the rule is in `unetzoo.report.recommend`.

    Args:
        rows: Summary rows of the variants.
        j: The verdicts.
        limits: Highest allowed cost, by column of the summary.
        metric: Name of the score, from `unetzoo.report.recommend.METRICS`.

    Raises:
        UnetzooError: If no variant meets the limits, or the metric is unknown or was not recorded.
    """
    limits = dict(limits or {})
    field = field_of(rows, j, metric)
    choice = choose(field, limits)
    words = _Words(field, choice, j, limits)
    sentences = [*words.taken(), *words.traded(), *words.reservations(), words.basis(rows)]
    return Advice(metric, limits, choice, sentences)


class _Words:
    """The sentences on one choice."""

    def __init__(self, field: Field, choice: Choice, j: Judgement, limits: dict[str, float]) -> None:
        self.field, self.choice, self.j, self.limits = field, choice, j, limits
        self.by_label = {c.label: c for c in field.candidates}
        self.title = "Dice" if field.metric == "dice" else METRIC_TITLES[field.metric][0]
        self.digits = 2 if field.metric in ("hd95", "assd") else 3

    def taken(self) -> list[str]:
        """Name the variant and its relation to the best, with an interval; or say why none is named."""
        taken, best = self.choice.taken, self.choice.best
        if taken is None:
            return self._nothing()
        asked = self._with()
        if self.choice.relation == "only":
            return [f"Take {taken}: the only variant{asked or ' with a score'}{self._reached(taken)}."]
        c = self._against_best() if taken == best else self.field.pairs[taken, str(best)]
        if self.choice.relation == "best":
            return [f"Take {taken}{self._reached(taken)}: {self._lead(c)}{self._merits()}."]
        relation = {
            "equivalent": f"equivalent to the best{asked}, {best}, within ±{self.j.margin:g} {self.title}",
            "undecided": f"undecided against the best{asked}, {best}",
            "better": f"shown to score better than the one with the best mean{asked}, {best}",
        }[str(self.choice.relation)]
        return [f"Take {taken}: {relation}{self._budget(c)} ({self._interval(c)}){self._merits()}."]

    def _nothing(self) -> list[str]:
        fit, best = self.choice.fit, self.choice.best
        if not fit:
            return ["No trial finished with a test score that counts, so there is nothing to recommend yet."]
        if len(self.field.candidates) == 1:
            return [f"There is no other variant to compare {fit[0]} with{self._reached(fit[0])}."]
        if best is None:
            most = max(self.by_label[label].learnt for label in fit)
            why = f"a verdict needs {MIN_SEEDS} seeds, all of which finished and learnt"
            if most < MIN_SEEDS:
                why = f"there {'is 1 seed' if most == 1 else f'are {most} seeds'}, and a verdict needs {MIN_SEEDS}"
            return [f"No variant can be recommended{self._within()}: {why}."]
        notes = [c.note or c.verdict for label in fit if (c := self.field.pairs.get((label, best))) is not None]
        why = f": {notes[0].removeprefix('not judged: ')}" if notes else ""
        return [f"No variant can be recommended{self._within()}, since none is judged against another{why}."]

    def _within(self) -> str:
        return f" among those with {self._asked()}" if self.limits else ""

    def _with(self) -> str:
        return f" with {self._asked()}" if self.limits else ""

    def _asked(self) -> str:
        return " and ".join(KINDS[cost].most(most) for cost, most in self.limits.items())

    def _reached(self, label: str) -> str:
        c = self.by_label[label]
        spread = "" if c.sd is None else f" ± {number(c.sd, self.digits)} over {c.learnt} seeds"
        return f" ({self.title} {number(c.score, self.digits)}{spread})"

    def _against_best(self) -> Comparison:
        """Return the closest comparison of the best with another one that fits."""
        best = str(self.choice.best)
        found = [self.field.pairs[best, x] for x in self.choice.fit if x != best and self.field.verdict(best, x)]
        return min(found, key=lambda c: abs(c.difference or 0.0))

    def _lead(self, c: Comparison) -> str:
        """Say how the best stands against those that fit; ``c`` is the closest of them."""
        best = str(self.choice.best)
        beaten = [x for x in self.choice.fit if x != best and self.field.verdict(x, best) == "worse"]
        ties = [x for x in self.choice.not_worse if x != best]
        if not ties:
            others = beaten[0] if len(beaten) == 1 else f"each of {len(beaten)} others"
            closest = "" if len(beaten) == 1 else f"closest: {c.reference}, "
            return f"shown to score better than {others}{self._with()}{self._budget(c)} ({closest}{self._interval(c)})"
        tied = f"not shown to be better than {listed(ties)}"
        whose = f"{c.reference}: " if len(ties) > 1 else ""
        return f"the best mean {self.title}{self._with()}, {tied}{self._budget(c)} ({whose}{self._interval(c)})"

    def _budget(self, c: Comparison) -> str:
        return " at this budget" if self.j.standing.wording(c) != c.verdict else ""

    def _interval(self, c: Comparison) -> str:
        simultaneous = f"simultaneous 95 % interval {between(c.low, c.high, self.digits)}"
        return f"difference {signed(c.difference, self.digits)}, {simultaneous}"

    def _merits(self) -> str:
        """Say in what the variant is the cheapest of those not shown worse."""
        pool = [self.by_label[label] for label in self.choice.not_worse]
        taken, merits = self.by_label[str(self.choice.taken)], []
        for kind in (KINDS[cost] for cost in SHOWN_OFF):
            values = [value for c in pool if (value := c.costs[kind.cost]) is not None]
            own = taken.costs[kind.cost]
            best = own is not None and own == min(values) < max(values)
            if own is not None and best and not (kind.cost == LATENCY and self.choice.as_fast):
                merits.append(f"{kind.superlative} ({kind.amount(own)})")
        return self._tie() + (f"; of the {len(pool)} not shown worse: {', '.join(merits)}" if merits else "")

    def _tie(self) -> str:
        """Say which others are as fast within the noise, and what decided between them."""
        taken, decided = self.by_label[str(self.choice.taken)], self.choice.decided
        if decided is None:
            return ""
        fast = f"; as fast as {listed(self.choice.as_fast)} within the noise of the timings"
        return f"{fast} ({KINDS[LATENCY].amount(taken.costs[LATENCY] or 0.0)}), so {DECIDED[decided]}"

    def traded(self) -> list[str]:
        """Name the fastest variant that is shown worse, and what the limits cost."""
        taken = self.choice.taken
        if taken is None:
            return []
        ours, sentences = self.by_label[taken].costs[LATENCY], []
        faster = [
            c
            for label in self.choice.fit
            if self.field.verdict(label, taken) == "worse"
            and (latency := (c := self.by_label[label]).costs[LATENCY]) is not None
            and ours is not None
            and latency < ours
            and not as_fast(self.by_label[taken], c)
        ]
        if faster and ours:
            quick = min(faster, key=lambda c: c.costs[LATENCY] or 0.0)
            ratio = (quick.costs[LATENCY] or 0.0) / ours
            gap = self._gap(self.field.pairs[quick.label, taken])
            sentences.append(f"{quick.label} {gap} than {taken}, at {ratio:.2g} times the latency.")
        return [*sentences, *self._given_up(taken)]

    def _gap(self, c: Comparison) -> str:
        way = "higher" if (c.difference or 0.0) > 0 else "lower"
        return f"scores {number(abs(c.difference or 0.0), self.digits)} {way} ({self._interval(c).partition(', ')[2]})"

    def _given_up(self, taken: str) -> list[str]:
        """Say what the best without limits would score."""
        if not self.limits:
            return []
        free = choose(self.field).best
        if free is None or free in self.choice.fit:
            return []
        verdict = self.field.verdict(taken, free)
        if verdict is None:
            return [f"The best without these limits, {free}, is not judged against it."]
        c = self.field.pairs[taken, free]
        relation = "shown to be worse than" if verdict == "worse" else f"{verdict} against"
        relation = "equivalent to" if verdict == "equivalent" else relation
        return [f"It is {relation} the best without these limits, {free} ({self._interval(c)})."]

    def reservations(self) -> list[str]:
        """Say what the reader must know beside it."""
        sentences = []
        rising = [x for x in self.choice.not_worse if self.by_label[x].rising]
        if rising:
            are = "was" if len(rising) == 1 else "were"
            sentences.append(f"{listed(rising)} {are} still rising when the budget ended: more steps may change this.")
        taken = self.choice.taken
        if taken is not None and self.by_label[taken].noisy:
            sentences.append(f"The timing of {taken} was noisy, so its latency is rough.")
        for cost in self.limits:
            if lacking := [label for label, costs in self.choice.unmeasured.items() if cost in costs]:
                sentences.append(f"Left out, with no measured {KINDS[cost].noun}: {listed(lacking)}.")
        return [*sentences, *self._not_considered()]

    def _not_considered(self) -> list[str]:
        """Name the variants that fit and have no verdict, with what kept them from one."""
        if self.choice.taken is None:
            return []
        best = str(self.choice.best)
        out = [x for x in self.choice.fit if x != best and self.field.verdict(x, best) is None]
        if not out:
            return []
        names = [f"{x} ({setback})" if (setback := self.by_label[x].setback) else x for x in out]
        return [f"Not considered, for lack of a verdict: {listed(names)}."]

    def basis(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Count trials, seeds, test images and groups."""
        trials = sum(int(row["seeds"]) + int(row["failed"]) for row in rows)
        seeds = sorted({c.learnt for c in self.field.candidates if c.learnt})
        seed_text = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0] if seeds else 0}"
        parts = [
            f"{trials} trial{'s' * (trials != 1)}",
            f"{seed_text} seed{'s' * (seed_text != '1')}",
            f"{self.j.images} test image{'s' * (self.j.images != 1)}",
        ]
        groups = self.j.groups
        grouped = "" if groups is None else f" in {groups} group{'s' * (groups != 1)}"
        return f"{', '.join(parts)}{grouped}."
