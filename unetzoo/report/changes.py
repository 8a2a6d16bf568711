"""Changes between two runs: scores by the rules of the verdicts, costs beyond noise, environment and settings."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from unetzoo.errors import UnetzooError
from unetzoo.metrics.policy import SURFACE
from unetzoo.records.frame import Tables
from unetzoo.records.record import Record
from unetzoo.report import check_margin
from unetzoo.report.groups import groups_by_key
from unetzoo.report.judgement import COST_TITLES, COUNTED, Judgement
from unetzoo.report.merge import Part, gather
from unetzoo.report.naming import distinct
from unetzoo.report.protocol import first_of_each
from unetzoo.report.standing import Standing, standing
from unetzoo.report.statistics import pairs_of, score_grids
from unetzoo.report.verdicts.comparison import Comparison, Family
from unetzoo.report.verdicts.costs import compare_costs
from unetzoo.report.verdicts.family import ALPHA, holm
from unetzoo.report.verdicts.observing import judge
from unetzoo.report.words import listed, words

NOT_SETTINGS = ("seed", "digest", "root", "source", "baseline", "label")  # of a trial
NOT_ENVIRONMENT = ("memory_limit", "jobs")  # of one moment, not of a machine


@dataclass(frozen=True)
class Change:
    """One quantity of one variant on one data set, in both runs.

    Attributes:
        data: Name of the data set.
        model: Label of the variant.
        what: Metric, cost, or "setbacks": trials that failed or did not learn.
        before: Value in the first run: a mean over seeds, or the number of setbacks.
        after: Value in the second run.
        verdict: Second run against the first: better, worse, equivalent, undecided, or why there is none.
        difference: Second minus first; of costs relative to the first.
        low: Lower bound of the simultaneous interval; None without a verdict.
        high: Its upper bound.
        note: Anything else to know.
        got_worse: True if this makes the comparison fail.
    """

    data: str
    model: str
    what: str
    before: float | None
    after: float | None
    verdict: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""
    got_worse: bool = False


@dataclass
class Changes:
    """Everything that differs between two runs.

    Attributes:
        scores: Metrics of the variants that both have.
        costs: Their costs.
        environment: Name -> (value in the first run, in the second) where they differ.
        settings: Variant (or "all variants") -> setting -> (first, second) where they differ.
        remarks: What could not be compared, and why.
    """

    scores: list[Change] = field(default_factory=list)
    costs: list[Change] = field(default_factory=list)
    environment: dict[str, tuple[str, str]] = field(default_factory=dict)
    settings: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def worse(self) -> list[Change]:
        """Everything that got worse."""
        return [c for c in (*self.scores, *self.costs) if c.got_worse]

    def as_json(self) -> dict[str, Any]:
        """Return everything as a JSON value."""
        return asdict(self)


def compare_runs(before: Path, after: Path, tolerance: float = 0.05, margin: float | None = None) -> Changes:
    """Compare two runs, the second with the first.

    A score got worse if the verdict on the second run against the first is "worse"; a cost, if it is shown to be higher
    and by more than the tolerance. Costs of different machines are not compared, except parameters and MACs.

    Args:
        before: Output folder of the first run or collection.
        after: Output folder of the second one.
        tolerance: Share by which a cost may grow: 0.05 is 5 %.
        margin: Largest difference in Dice that does not matter; None takes the records'.

    Raises:
        UnetzooError: If a folder has no records, or the runs have no data set and variant in common.
    """
    check_margin(margin)
    (old, remarks), (new, more) = gather([before], margin), gather([after], margin)
    found = Changes(remarks=[*remarks, *more])
    pairs = list(_common(old, new))
    if not pairs:
        data = [f"{words(p.label)} in {folder}" for parts, folder in ((old, before), (new, after)) for p in parts]
        raise UnetzooError(f"{before} and {after} have no data set in common, by its digest: {listed(data, 12)}")
    models = [{str(label) for pair in pairs for label in pair[k].tables.done["model"]} for k in (0, 1)]
    if not models[0] & models[1]:
        names = [listed(sorted(some)) if some else "none" for some in models]
        raise UnetzooError(f"{before} and {after} have no variant in common: {names[0]} and {names[1]}")
    for labels, other, which in ((models[0], models[1], "first"), (models[1], models[0], "second")):
        if only := sorted(labels - other):
            found.remarks.append(f"Only in the {which} run: {listed(only, 12)}.")
    for a, b in pairs:
        _compare_part(a, b, tolerance, found)
    return found


def _common(old: Sequence[Part], new: Sequence[Part]) -> Iterator[tuple[Part, Part]]:
    by_data = {_digests(part): part for part in new}
    for part in old:
        if (other := by_data.get(_digests(part))) is not None:
            yield part, other


def _digests(part: Part) -> str:
    return "; ".join(sorted(set(part.tables.images["data"]))) or part.label


def _compare_part(a: Part, b: Part, tolerance: float, found: Changes) -> None:
    labels = sorted({str(x) for x in a.tables.done["model"]} & {str(x) for x in b.tables.done["model"]})
    conditions = (standing(a.tables), standing(b.tables))
    for metric in ("dice", *SURFACE):
        found.scores += _scores(a, b, labels, metric, conditions)
    found.scores += _setbacks(a, b, conditions)
    for label, changes in _settings(a.tables.models, b.tables.models).items():
        found.settings.setdefault(label, {}).update(changes)
    same_machine = set(a.machines) == set(b.machines) and len(a.machines) < 2
    if not same_machine:
        where = [listed(sorted(part.machines)) if part.machines else "no machine" for part in (a, b)]
        found.remarks.append(
            f"{a.label}: measured costs are not compared, since they are not of one machine: {where[0]} and {where[1]}."
        )
    elif any(key.startswith("measure.") for some in found.settings.values() for key in some):
        found.remarks.append(f"{a.label}: the settings of measurement differ, and with them costs may.")
    found.costs += _costs(a, b, labels, [c for c in COST_TITLES if same_machine or c in COUNTED], tolerance)
    found.environment |= _environment(a.tables.models, b.tables.models)


def _scores(
    a: Part, b: Part, labels: Sequence[str], metric: str, conditions: tuple[Standing, Standing]
) -> list[Change]:
    """Compare one metric of all variants, as one family of tests."""
    grids: dict[str, pd.DataFrame] = {}
    for part, name, s in zip((a, b), (_first, _second), conditions, strict=True):
        own = score_grids(s.counted(part.tables.images), metric)
        grids |= {name(label): own[label] for label in labels if label in own}
    pairs = [(_second(x), _first(x)) for x in labels if _first(x) in grids and _second(x) in grids]
    groups = groups_by_key(a.tables) | groups_by_key(b.tables)
    margin = min(a.judgement.margin, b.judgement.margin) if metric == "dice" else None
    tempering = Standing(
        unlearnt={},
        setbacks=_renamed(conditions, "setbacks"),
        uneven=_renamed(conditions, "uneven"),
        rising=frozenset(name for s, n in zip(conditions, (_first, _second), strict=True) for name in map(n, s.rising)),
    )
    changes = []
    for c in judge(pairs_of(grids, pairs, groups), Family(margin, metric=metric, plan=False)):
        label = c.model.removesuffix(SECOND)
        if a.tables.leaking or b.tables.leaking:
            changes.append(Change(a.label, label, metric, None, None, "not judged: near-duplicates across splits"))
            continue
        before, after = (float(grids[name].mean(axis=1).mean()) for name in (c.reference, c.model))
        changes.append(_change(a.label, label, tempering.temper(c), before, after))
    return changes


FIRST, SECOND = " in the first run", " in the second run"


def _first(label: str) -> str:
    return label + FIRST


def _second(label: str) -> str:
    return label + SECOND


def _renamed(conditions: tuple[Standing, Standing], what: str) -> dict[str, Any]:
    pairs = zip(conditions, (_first, _second), strict=True)
    return {name(label): value for s, name in pairs for label, value in getattr(s, what).items()}


def _change(data: str, label: str, c: Comparison, before: float, after: float) -> Change:
    judged = Judgement.judged(c)
    low, high = (c.low, c.high) if judged else (None, None)
    note = "the same to the last digit" if before == after and c.difference == 0 else c.note
    return Change(
        data, label, c.metric, before, after, c.verdict, c.difference, low, high, note, got_worse=c.verdict == "worse"
    )


def _setbacks(a: Part, b: Part, conditions: tuple[Standing, Standing]) -> list[Change]:
    """List the variants of which more, or fewer, trials failed or did not learn than before."""
    counts = [_idle(part.tables, s) for part, s in zip((a, b), conditions, strict=True)]
    changes = []
    for label in sorted(set(counts[0]) & set(counts[1])):
        (n, of), (m, among) = counts[0][label], counts[1][label]
        if n != m:
            note = f"{n} of {of} trials, then {m} of {among}: {conditions[m > n].setbacks.get(label, '')}"
            verdict = "worse" if m > n else "better"
            changes.append(Change(a.label, label, "setbacks", n, m, verdict, m - n, note=note, got_worse=m > n))
    return changes


def _idle(t: Tables, s: Standing) -> dict[str, tuple[int, int]]:
    """Return, for each label, the number of trials that failed or did not learn, and of all trials."""
    trials = t.trials[~t.trials["baseline"] & t.trials["model"].notna()]
    bad = (trials["status"] != "ok") | trials["id"].isin(list(s.unlearnt))
    grouped = bad.groupby(trials["model"])
    return {str(label): (int(some.sum()), len(some)) for label, some in grouped}


def _costs(a: Part, b: Part, labels: Sequence[str], costs: Sequence[str], tolerance: float) -> list[Change]:
    """Compare costs over seeds, corrected over all costs and variants together."""
    found: list[tuple[str, Comparison, float, float]] = []
    for cost in costs:
        for label in labels:
            values = [_by_seed(part.tables, label, cost) for part in (a, b)]
            if not all(values):
                continue
            c = compare_costs({"first": values[0], "second": values[1]}, "first", cost)[0]
            middle = [float(pd.Series(list(v.values())).median()) for v in values]
            noisy = cost.startswith("latency") and any(_noisy(part.tables, label) for part in (a, b))
            if noisy:
                c = replace(c, verdict="not enough data", note="a timing was noisy", p=None)
            found.append((label, c, *middle))
    tested = [k for k, (_, c, *_) in enumerate(found) if c.p is not None]
    corrected = dict(zip(tested, holm([found[k][1].p or 0.0 for k in tested]).tolist(), strict=True)) if tested else {}
    changes = []
    for k, (label, c, before, after) in enumerate(found):
        if k in corrected and c.verdict in ("better", "worse") and corrected[k] >= ALPHA:
            c = replace(c, verdict="undecided")
        grew = c.verdict == "worse" and (c.difference or 0.0) > tolerance
        changes.append(replace(_change(a.label, label, c, before, after), got_worse=grew))
    return changes


def _by_seed(t: Tables, label: str, cost: str) -> Mapping[int, float]:
    trials = t.done[(t.done["model"] == label) & (t.done[cost] > 0).fillna(False)]
    return trials.astype({cost: float}).groupby("seed")[cost].mean().to_dict()


def _noisy(t: Tables, label: str) -> bool:
    return bool(t.done.loc[t.done["model"] == label, "noisy"].fillna(False).any())


def _environment(old: list[Record], new: list[Record]) -> dict[str, tuple[str, str]]:
    keys = dict.fromkeys(key for r in (*old, *new) for key in r.environment if key not in NOT_ENVIRONMENT)
    changed = {}
    for key in keys:
        a, b = (", ".join(distinct(some, lambda r, key=key: r.environment.get(key))) for some in (old, new))
        if a != b:
            changed[key] = (a or "not stated", b or "not stated")
    return changed


def _settings(old: list[Record], new: list[Record]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return the settings that differ, by variant; those that differ alike in all of them under "all variants"."""
    first, second = (first_of_each(some) for some in (old, new))
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for label in sorted(set(first) & set(second)):
        a, b = (dict(_leaves(some[label].trial)) for some in (first, second))
        changed = {key: (a.get(key, "not set"), b.get(key, "not set")) for key in (a | b) if a.get(key) != b.get(key)}
        if changed:
            found[label] = changed
    if len(found) == len(set(first) & set(second)) > 1:
        shared = set.intersection(*(set(changed.items()) for changed in found.values()))
        if shared:
            rest = {label: {k: v for k, v in c.items() if (k, v) not in shared} for label, c in found.items()}
            found = {"all variants": dict(sorted(shared)), **{label: c for label, c in rest.items() if c}}
    return found


def _leaves(tree: Mapping[str, Any], begin: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if key in NOT_SETTINGS:
            continue
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{begin}{key}.")
        else:
            yield f"{begin}{key}", words(value)
