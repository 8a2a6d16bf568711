"""Warnings of the report, printed in red: suspect results and unsound comparisons."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Mapping

from unetzoo._util.language import _
from unetzoo.records.fields import data_of, label_of, seed_of
from unetzoo.records.frame import Tables
from unetzoo.records.learnt import two_camps
from unetzoo.records.record import Record
from unetzoo.report.naming import by_label, distinct, named
from unetzoo.report.words import listed, words

MOST_FLAGS = 8  # lines on the page; all flags are in results.csv


def red_lines(t: Tables) -> list[str]:
    """Return all warnings, those about single results first."""
    return [
        *did_not_learn(t),
        *flags(t.records),
        *same_predictions(t.records),
        *same_dice(t),
        *below_baseline(t),
        *read_early(t.models),
        *mixed(t),
    ]


def did_not_learn(t: Tables) -> list[str]:
    """Name each run that did not learn, with the reason, and the variants whose seeds fall in two camps."""
    out = t.unlearnt
    found: dict[str, list[Record]] = {}
    for record in t.models:
        if record.id in out:
            found.setdefault(label_of(record), []).append(record)
    lines = []
    for some in found.values():
        reasons = list(dict.fromkeys(words(out[r.id]) for r in some))
        names = {"trials": named(some), "why": reasons[0], "n": len(some) - 1}
        if len(reasons) > 1:
            lines.append(_("Did not learn: {trials}: {why}; {n} more alike.", **names))
        else:
            lines.append(_("Did not learn: {trials}: {why}.", **names))
    if len(lines) > MOST_FLAGS:
        rest = len(lines) - MOST_FLAGS
        more = _("Did not learn: {n} more variants; see the column unlearnt of results.csv.", n=rest)
        lines = [*lines[:MOST_FLAGS], more]
    if lines:
        last = _("{sentence} Runs that did not learn take part in no verdict and no rank.", sentence=lines[-1])
        lines = [*lines[:-1], last]
    apart = {label: two_camps(some) for label, some in by_label(t.models).items() if not _some_learnt(some, out)}
    return [*lines, *(_("{label}: {what}.", label=label, what=text) for label, text in apart.items() if text)]


def _some_learnt(records: list[Record], unlearnt: Mapping[str, str]) -> bool:
    """Return True if some of a variant's runs learnt and some did not."""
    learnt = [r.id not in unlearnt for r in records if r.status == "ok" and r.result]
    return any(learnt) and not all(learnt)


def flags(records: list[Record]) -> list[str]:
    """Return one line for each flag, naming all trials that have it."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        for flag in record.flags:
            if _constant(record) and flag.kind == "trivial-score":  # the constant flag says the same
                continue
            found.setdefault((words(flag.kind), words(flag.text)), []).append(record)
    every = sum(not r.baseline for r in records)
    lines = []
    for (kind, text), some in found.items():
        models = [r for r in some if not r.baseline]
        who = _("all {n} trials", n=every) if len(models) == every > 1 else named(some)
        lines.append(_("{kind}: {text} \u2013 {trials}.", kind=kind, text=text, trials=who))
    if len(lines) > MOST_FLAGS:
        rest = len(lines) - MOST_FLAGS
        lines = [*lines[:MOST_FLAGS], _("{n} more flags: see the column flags of results.csv.", n=rest)]
    return lines


def same_predictions(records: list[Record]) -> list[str]:
    """Report trials of different models or seeds, or a model and a baseline, whose predictions are identical."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "ok" and record.result and record.result.predictions:
            groups.setdefault(record.result.predictions, []).append(record)
    return [
        _(
            "{trials} predict exactly the same in every test image: a constant, or one network twice?",
            trials=named(some),
        )
        for some in groups.values()
        if len({(label_of(r), seed_of(r)) for r in some}) > 1 and not all(r.baseline or _constant(r) for r in some)
    ]


def _constant(record: Record) -> bool:
    return any(flag.kind == "constant" for flag in record.flags)


def same_dice(t: Tables) -> list[str]:
    """Report models with equal test Dice, for records that keep no hash of their predictions."""
    done = t.done.loc[t.done["predictions"].isna(), ["model", "dice"]]
    groups = done.assign(score=done["dice"].round(6)).groupby("score")["model"].unique()
    return [
        _(
            "{labels} share a test Dice of {score:.6f}: a constant, or one network twice?",
            labels=listed(sorted(map(str, names))),
            score=score,
        )
        for score, names in groups.items()
        if len(names) > 1
    ]


def best_baseline(t: Tables) -> tuple[str, float] | None:
    """Return the label and test Dice of the best baseline, or None without baselines."""
    scores = t.baselines.groupby("model")["dice"].mean()
    return None if scores.empty else (str(scores.idxmax()), float(scores.max()))


def below_baseline(t: Tables) -> list[str]:
    """Report models whose mean test Dice is no higher than the best baseline's."""
    if (best := best_baseline(t)) is None:
        return []
    means = t.done.groupby("model")["dice"].mean()
    beaten = [f"{label} ({dice:.3f})" for label, dice in means.items() if dice <= best[1]]
    if not beaten:
        return []
    names = {"baseline": best[0], "dice": best[1], "labels": listed(beaten)}
    return [_("Not better than the baseline {baseline} (Dice {dice:.3f}): {labels}.", **names)]


def in_order(record: Record) -> bool:
    """Return True if the test split was read exactly once, last, and after the weights had been chosen."""
    tests = [k for k, event in enumerate(record.events) if event.what == "read" and event.split == "test"]
    chosen = any(event.what == "select" for event in record.events[:-1])
    return tests == [len(record.events) - 1] and chosen


def read_early(records: list[Record]) -> list[str]:
    """Report trials whose recorded order of events breaks the rule of `in_order`."""
    wrong = [r for r in records if r.status == "ok" and r.events and not in_order(r)]
    if not wrong:
        return []
    rule = _("The test split was not read exactly once, after the weights had been chosen: {trials}.")
    return [rule.format(trials=named(wrong))]


def mixed(t: Tables) -> list[str]:
    """Report mixed conditions and unequal seeds; baselines are ignored, since they do not train."""
    sentences = []
    for sentence, get in (
        (_("{n} different suites are mixed here; comparisons are only sound within one."), lambda r: r.suite),
        (_("{n} different data sets are mixed here; comparisons are only sound within one."), data_of),
        (
            _("{n} different protocol versions are mixed here; comparisons are only sound within one."),
            lambda r: r.trial.get("protocol"),
        ),
        (
            _("{n} different devices are mixed here; comparisons are only sound within one."),
            lambda r: r.environment.get("device"),
        ),
        (
            _("{n} different precisions are mixed here; comparisons are only sound within one."),
            lambda r: r.environment.get("precision"),
        ),
        (
            _("{n} different thread counts are mixed here; comparisons are only sound within one."),
            lambda r: r.environment.get("threads"),
        ),
        (
            _("{n} different processors are mixed here; comparisons are only sound within one."),
            lambda r: r.environment.get("cpu"),
        ),
    ):
        if (n := len(distinct(t.models, get))) > 1:
            sentences.append(sentence.format(n=n))
    done, models = t.done, {label_of(r) for r in t.models}
    learnt = set(done.loc[~done["id"].isin(list(t.unlearnt)), "model"])
    if "unet" in models - learnt:
        sentences.append(_("No trial of unet finished and learnt, so another variant is the reference."))
    if len({len(seeds) for _label, seeds in done.groupby("model")["seed"]}) > 1:
        sentences.append(_("The variants have different numbers of finished seeds; see the failures."))
    if done.duplicated(["model", "seed"]).any():
        sentences.append(_("Some variants have several records for one seed; they are averaged."))
    return sentences
