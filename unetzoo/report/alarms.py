"""Warnings of the report, printed in red: suspect results and unsound comparisons."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from unetzoo.records.fields import data_of, label_of, seed_of
from unetzoo.records.frame import Tables
from unetzoo.records.learnt import camps
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
        alike = f"; {len(some) - 1} more alike" if len(reasons) > 1 else ""
        lines.append(f"Did not learn: {named(some)}: {reasons[0]}{alike}.")
    if len(lines) > MOST_FLAGS:
        rest = len(lines) - MOST_FLAGS
        lines = [*lines[:MOST_FLAGS], f"Did not learn: {rest} more variants; see the column unlearnt of results.csv."]
    if lines:
        lines[-1] += " Runs that did not learn take part in no verdict and no rank."
    baselines = [r for r in t.records if r.baseline]
    apart = {label: camps(some, baselines) for label, some in by_label(t.models).items()}
    return [*lines, *(f"{label}: {text}." for label, text in apart.items() if text and "camps" in text)]


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
        who = f"all {every} trials" if len(models) == every > 1 else named(some)
        lines.append(f"{kind}: {text} \u2013 {who}.")
    if len(lines) > MOST_FLAGS:
        rest = len(lines) - MOST_FLAGS
        lines = [*lines[:MOST_FLAGS], f"{rest} more flags: see the column flags of results.csv."]
    return lines


def same_predictions(records: list[Record]) -> list[str]:
    """Report trials of different models or seeds, or a model and a baseline, whose predictions are identical."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "ok" and record.result and record.result.predictions:
            groups.setdefault(record.result.predictions, []).append(record)
    return [
        f"{named(some)} predict exactly the same in every test image: a constant, or one network twice?"
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
        f"{listed(sorted(map(str, names)))} share a test Dice of {score:.6f}: a constant, or one network twice?"
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
    return [f"Not better than the baseline {best[0]} (Dice {best[1]:.3f}): {listed(beaten)}."] if beaten else []


def in_order(record: Record) -> bool:
    """Return True if the test split was read exactly once, last, and after the weights had been chosen."""
    tests = [k for k, event in enumerate(record.events) if event.what == "read" and event.split == "test"]
    chosen = any(event.what == "select" for event in record.events[:-1])
    return tests == [len(record.events) - 1] and chosen


def read_early(records: list[Record]) -> list[str]:
    """Report trials whose recorded order of events breaks the rule of `in_order`."""
    wrong = [r for r in records if r.status == "ok" and r.events and not in_order(r)]
    rule = "The test split was not read exactly once, after the weights had been chosen"
    return [f"{rule}: {named(wrong)}."] if wrong else []


def mixed(t: Tables) -> list[str]:
    """Report mixed conditions and unequal seeds; baselines are ignored, since they do not train."""
    sentences = []
    for title, get in (
        ("suites", lambda r: r.suite),
        ("data sets", data_of),
        ("protocol versions", lambda r: r.trial.get("protocol")),
        ("devices", lambda r: r.environment.get("device")),
        ("precisions", lambda r: r.environment.get("precision")),
        ("thread counts", lambda r: r.environment.get("threads")),
        ("processors", lambda r: r.environment.get("cpu")),
    ):
        if (n := len(distinct(t.models, get))) > 1:
            sentences.append(f"{n} different {title} are mixed here; comparisons are only sound within one.")
    done, models = t.done, {label_of(r) for r in t.models}
    learnt = set(done.loc[~done["id"].isin(list(t.unlearnt)), "model"])
    if "unet" in models - learnt:
        sentences.append("No trial of unet finished and learnt, so another variant is the reference.")
    if len({len(seeds) for _, seeds in done.groupby("model")["seed"]}) > 1:
        sentences.append("The variants have different numbers of finished seeds; see the failures.")
    if done.duplicated(["model", "seed"]).any():
        sentences.append("Some variants have several records for one seed; they are averaged.")
    return sentences
