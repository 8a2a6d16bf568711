"""The recommendation in sentences: what to take, how sure that is, what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unetzoo._util.language import N_, _, _n
from unetzoo.report.judgement import METRIC_TITLES, Judgement
from unetzoo.report.limits import KINDS, asked
from unetzoo.report.recommend import LATENCY, NOT_WORSE, Choice, Field, as_fast, choose, field_of
from unetzoo.report.standing import reason
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.verdicts.family import MIN_SEEDS
from unetzoo.report.words import between, listed, number, signed

SHOWN_OFF = (LATENCY, "peak_train_bytes", "params")  # costs that the recommendation mentions
DECIDED = {  # what decides between variants that are as fast, in words
    "params": N_("fewer parameters decide"),
    "peak_train_bytes": N_("less training memory decides"),
    "label": N_("the first name is taken"),
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
        self.title = "Dice" if field.metric == "dice" else _(METRIC_TITLES[field.metric][0])
        self.digits = 2 if field.metric in ("hd95", "assd") else 3

    def taken(self) -> list[str]:
        """Name the variant and its relation to the best, with an interval; or say why none is named."""
        taken, best = self.choice.taken, self.choice.best
        if taken is None:
            return self._nothing()
        names = {"label": taken, "score": self._score(taken), "limits": asked(self.limits)}
        if self.choice.relation == "only":
            if self.limits:
                return [_("Take {label}: the only variant with {limits} ({score}).", **names)]
            return [_("Take {label}: the only variant with a score ({score}).", **names)]
        c = self._against_best() if taken == best else self.field.pairs[taken, str(best)]
        if self.choice.relation == "best":
            names |= {"lead": self._lead(c), "merits": self._merits()}
            return [_("Take {label} ({score}): {lead}{merits}.", **names)]
        relation = {
            "equivalent": _(
                "equivalent to {best}, within ±{margin:g} {metric}",
                best=self._the_best(),
                margin=self.j.margin,
                metric=self.title,
            ),
            "undecided": _("undecided against {best}", best=self._the_best()),
            "better": _("shown to score better than {best}", best=self._the_best(by_mean=True)),
        }[str(self.choice.relation)]
        names |= {"relation": self._at_budget(c, relation), "interval": self._interval(c), "merits": self._merits()}
        return [_("Take {label}: {relation} ({interval}){merits}.", **names)]

    def _the_best(self, by_mean: bool = False) -> str:
        """Name the best of those within the limits."""
        names = {"label": self.choice.best, "limits": asked(self.limits)}
        if by_mean:
            alone, limited = (
                _("the one with the best mean, {label}"),
                _("the one with the best mean with {limits}, {label}"),
            )
        else:
            alone, limited = _("the best, {label}"), _("the best with {limits}, {label}")
        return (limited if self.limits else alone).format(**names)

    def _at_budget(self, c: Comparison, relation: str) -> str:
        return _("{relation} at this budget", relation=relation) if self.j.standing.at_budget(c) else relation

    def _nothing(self) -> list[str]:
        fit, best = self.choice.fit, self.choice.best
        if not fit:
            return [_("No trial finished with a test score that counts, so there is nothing to recommend yet.")]
        if len(self.field.candidates) == 1:
            score = self._score(fit[0])
            return [_("There is no other variant to compare {label} with ({score}).", label=fit[0], score=score)]
        if best is None:
            most = max(self.by_label[label].learnt for label in fit)
            why = _("a verdict needs {least} seeds, all of which finished and learnt", least=MIN_SEEDS)
            if most < MIN_SEEDS:
                why = _n(
                    "there is {n} seed, and a verdict needs {least}",
                    "there are {n} seeds, and a verdict needs {least}",
                    most,
                    least=MIN_SEEDS,
                )
            return [self._none_is(_("{nothing}: {why}."), why)]
        if len(fit) == 1 and not self.limits:
            only = _(
                "{label} is the only variant with a score that counts ({score}), so there is none to compare it with."
            )
            return [only.format(label=fit[0], score=self._score(fit[0]))]
        notes = [c.note or reason(c.verdict) for label in fit if (c := self.field.pairs.get((label, best))) is not None]
        if notes:
            return [self._none_is(_("{nothing}, since none is judged against another: {why}."), notes[0])]
        return [self._none_is(_("{nothing}, since none is judged against another."))]

    def _none_is(self, sentence: str, why: str = "") -> str:
        nothing = _("No variant can be recommended")
        if self.limits:
            nothing = _("No variant can be recommended among those with {limits}", limits=asked(self.limits))
        return sentence.format(nothing=nothing, why=why)

    def _score(self, label: str) -> str:
        c = self.by_label[label]
        score = f"{self.title} {number(c.score, self.digits)}"
        if c.sd is None:
            return score
        return _("{score} ± {sd} over {n} seeds", score=score, sd=number(c.sd, self.digits), n=c.learnt)

    def _against_best(self) -> Comparison:
        """Return the closest comparison of the best with another one that fits."""
        best = str(self.choice.best)
        found = [self.field.pairs[best, x] for x in self.choice.fit if x != best and self.field.verdict(best, x)]
        return min(found, key=lambda c: abs(c.difference or 0.0))

    def _lead(self, c: Comparison) -> str:
        """Say how the best stands against those that fit; ``c`` is the closest of them."""
        best = str(self.choice.best)
        beaten = [x for x in self.choice.fit if x != best and self.field.verdict(x, best) == "worse"]
        ties = [x for x in self.choice.fit if self.field.verdict(x, best) in NOT_WORSE]
        if not ties:
            better = self._better_than(beaten)
            names = {"lead": self._at_budget(c, better), "interval": self._interval(c), "label": c.reference}
            if len(beaten) == 1:
                return _("{lead} ({interval})", **names)
            return _("{lead} (closest: {label}, {interval})", **names)
        mean = _("the best mean {metric}", metric=self.title)
        if self.limits:
            mean = _("the best mean {metric} with {limits}", metric=self.title, limits=asked(self.limits))
        tied = self._at_budget(c, _("{mean}, not shown to be better than {labels}", mean=mean, labels=listed(ties)))
        names = {"lead": tied, "interval": self._interval(c), "label": c.reference}
        return _("{lead} ({label}: {interval})", **names) if len(ties) > 1 else _("{lead} ({interval})", **names)

    def _better_than(self, beaten: list[str]) -> str:
        names = {"label": beaten[0], "n": len(beaten), "limits": asked(self.limits)}
        if len(beaten) == 1:
            alone = _("shown to score better than {label}", **names)
            return _("shown to score better than {label} with {limits}", **names) if self.limits else alone
        alone = _("shown to score better than each of {n} others", **names)
        return _("shown to score better than each of {n} others with {limits}", **names) if self.limits else alone

    def _interval(self, c: Comparison) -> str:
        return _("difference {difference}, {interval}", difference=self._difference(c), interval=self._simultaneous(c))

    def _difference(self, c: Comparison) -> str:
        return signed(c.difference, self.digits)

    def _simultaneous(self, c: Comparison) -> str:
        return _("simultaneous 95 % interval {interval}", interval=between(c.low, c.high, self.digits))

    def _merits(self) -> str:
        """Say in what the variant is the cheapest of those not shown worse."""
        pool = [self.by_label[label] for label in self.choice.not_worse]
        taken, merits = self.by_label[str(self.choice.taken)], []
        for kind in (KINDS[cost] for cost in SHOWN_OFF):
            values = [value for c in pool if (value := c.costs[kind.cost]) is not None]
            own = taken.costs[kind.cost]
            best = own is not None and own == min(values) < max(values)
            if own is not None and best and not (kind.cost == LATENCY and self.choice.as_fast):
                merits.append(_("{merit} ({amount})", merit=_(kind.superlative), amount=kind.amount(own)))
        if not merits:
            return self._tie()
        found = _("; of the {n} not shown worse: {merits}", n=len(pool), merits=_(", ").join(merits))
        return self._tie() + found

    def _tie(self) -> str:
        """Say which others are as fast within the noise, and what decided between them."""
        taken, decided = self.by_label[str(self.choice.taken)], self.choice.decided
        if decided is None:
            return ""
        return _(
            "; as fast as {labels} within the noise of the timings ({amount}), so {decided}",
            labels=listed(self.choice.as_fast),
            amount=KINDS[LATENCY].amount(taken.costs[LATENCY] or 0.0),
            decided=_(DECIDED[decided]),
        )

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
            sentences.append(self._slower(self.field.pairs[quick.label, taken], ratio))
        return [*sentences, *self._given_up(taken)]

    def _slower(self, c: Comparison, ratio: float) -> str:
        """Say by how much a faster variant scores worse."""
        sentence = (
            _("{label} scores {gap} higher ({interval}) than {taken}, at {ratio:.2g} times the latency.")
            if (c.difference or 0.0) > 0
            else _("{label} scores {gap} lower ({interval}) than {taken}, at {ratio:.2g} times the latency.")
        )
        gap = number(abs(c.difference or 0.0), self.digits)
        interval = self._simultaneous(c)
        return sentence.format(label=c.model, gap=gap, interval=interval, taken=c.reference, ratio=ratio)

    def _given_up(self, taken: str) -> list[str]:
        """Say what the best without limits would score."""
        if not self.limits:
            return []
        free = choose(self.field).best
        if free is None or free in self.choice.fit:
            return []
        verdict = self.field.verdict(taken, free)
        if verdict is None:
            return [_("The best without these limits, {label}, is not judged against it.", label=free)]
        sentence = {
            "worse": _("It is shown to be worse than the best without these limits, {label} ({interval})."),
            "better": _("It is better against the best without these limits, {label} ({interval})."),
            "equivalent": _("It is equivalent to the best without these limits, {label} ({interval})."),
            "undecided": _("It is undecided against the best without these limits, {label} ({interval})."),
        }[verdict]
        return [sentence.format(label=free, interval=self._interval(self.field.pairs[taken, free]))]

    def reservations(self) -> list[str]:
        """Say what the reader must know beside it."""
        sentences = []
        rising = [x for x in self.choice.not_worse if self.by_label[x].rising]
        if rising:
            still = _n(
                "{labels} was still rising when the budget ended: more steps may change this.",
                "{labels} were still rising when the budget ended: more steps may change this.",
                len(rising),
                labels=listed(rising),
            )
            sentences.append(still)
        taken = self.choice.taken
        if taken is not None and self.by_label[taken].noisy:
            sentences.append(_("The timing of {label} was noisy, so its latency is rough.", label=taken))
        for cost in self.limits:
            if lacking := [label for label, costs in self.choice.unmeasured.items() if cost in costs]:
                out = _(
                    "Left out, with no measured {cost}: {labels}.", cost=_(KINDS[cost].noun), labels=listed(lacking)
                )
                sentences.append(out)
        return [*sentences, *self._not_considered()]

    def _not_considered(self) -> list[str]:
        """Name the variants that fit and have no verdict, with what kept them from one."""
        if self.choice.taken is None:
            return []
        best = str(self.choice.best)
        out = [x for x in self.choice.fit if x != best and self.field.verdict(x, best) is None]
        if not out:
            return []
        names = [
            _("{label} ({setback})", label=x, setback=setback) if (setback := self.by_label[x].setback) else x
            for x in out
        ]
        return [_("Not considered, for lack of a verdict: {labels}.", labels=listed(names))]

    def basis(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Count trials, seeds, test images and groups."""
        trials = sum(int(row["seeds"]) + int(row["failed"]) for row in rows)
        seeds = sorted({c.learnt for c in self.field.candidates if c.learnt})
        seed_text = (
            _("{low} to {high} seeds", low=seeds[0], high=seeds[-1])
            if len(seeds) > 1
            else _n("{n} seed", "{n} seeds", seeds[0] if seeds else 0)
        )
        names = {
            "trials": _n("{n} trial", "{n} trials", trials),
            "seeds": seed_text,
            "images": _n("{n} test image", "{n} test images", self.j.images),
        }
        if self.j.groups is None:
            return _("{trials}, {seeds}, {images}.", **names)
        groups = _n("{n} group", "{n} groups", self.j.groups)
        return _("{trials}, {seeds}, {images} in {groups}.", **names, groups=groups)
