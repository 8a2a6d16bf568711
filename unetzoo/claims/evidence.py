"""Comparisons behind the parts of a claim: from records, and from scores of the trained networks' predictions."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from unetzoo.claims.definition import SCORES, TRIVIAL, Evidence, Part
from unetzoo.claims.verdict import PartVerdict, describe, judge_comparison
from unetzoo.errors import UnetzooError, nearest
from unetzoo.records.fields import image_score, label_of, seed_of
from unetzoo.records.frame import Tables, load
from unetzoo.report.alarms import best_baseline
from unetzoo.report.groups import groups_by_key
from unetzoo.report.judgement import judge_all, turned
from unetzoo.report.standing import standing
from unetzoo.report.statistics import all_pairs, compare, score_grids
from unetzoo.report.verdicts.comparison import Comparison
from unetzoo.report.verdicts.family import MIN_SEEDS

PREDICTIONS = "predictions.csv"  # scores that records lack; see `unetzoo.claims.trained`


@dataclass(frozen=True)
class Quoted:
    """Evidence from a committed report, as it stands there.

    Attributes:
        evidence: What was asked of the report.
        found: Difference and sample in words.
        verdict: The report's verdict, never more.
    """

    evidence: Evidence
    found: str
    verdict: str


def judge_part(part: Part, results: Path, parts: Sequence[Part] = ()) -> PartVerdict:
    """Judge a part that compares two variants by the results of its suite.

    Args:
        part: The part.
        results: Folder of the suite's results; of a collection, with a folder for each data set.
        parts: All parts of the claim. On scores of records, verdicts are corrected over all pairs of the variants that
            these compare on the same data set and score; without them, over all pairs of the report.
    """
    folders = [results / label if label else results for label in (part.data, part.against_data or part.data)]
    if not all(any((folder / "records").glob("*.json")) for folder in folders):
        return judge_comparison(part, None)
    ours, theirs = (load(folder) for folder in folders)
    first, second = standing(ours), standing(theirs)
    if part.score in SCORES and not (part.against_score or part.against_data or part.against == TRIVIAL):
        asked = [p for p in parts if (p.data, p.score) == (part.data, part.score) and p.against != TRIVIAL]
        c = _of_report(part, ours, {str(label) for p in asked for label in (p.model, p.against)})
    else:
        trivial = part.against == TRIVIAL  # then a network that is not above them is the answer, not left out
        grids = {"ours": _scores(str(part.model), part.score, ours, folders[0], every=trivial)}
        if trivial:
            grids["theirs"] = _trivial(theirs, part.score, grids["ours"])
        else:
            grids["theirs"] = _scores(str(part.against), part.against_score or part.score, theirs, folders[1])
        found = {side: grid for side, grid in grids.items() if grid is not None}
        groups = {f"/{key.split('/', 1)[1]}": group for key, group in groups_by_key(ours).items()}
        c = None
        if len(found) == 2:
            options: dict[str, Any] = {"groups": groups, "margin": part.margin, "metric": part.score}
            (one,) = compare(found, "theirs", **options, leaking=ours.leaking)
            c = replace(one, model=str(part.model), reference=str(part.against))
    if c is None:
        wanted = zip((part.model, part.against), (ours, theirs), strict=True)
        run = all(x == TRIVIAL or x in {label_of(r) for r in t.models} for x, t in wanted)
        scored = part.score in SCORES or any((folder / PREDICTIONS).exists() for folder in folders)
        if run and scored:
            pairs = zip((part.model, part.against), (first, second), (ours, theirs), strict=True)
            left_out = dict.fromkeys(
                _left_out(str(x), t) for x, s, t in pairs if x != TRIVIAL and x not in set(s.counted(t.images)["model"])
            )
            if not left_out:
                return PartVerdict(part, "undecided", "no score in common")
            return PartVerdict(part, "undecided", "; ".join(left_out), "longer trainings")
        return judge_comparison(part, None)
    rising = str(part.model) in first.rising or str(part.against) in second.rising
    return judge_comparison(part, second.temper(first.temper(c)), rising)


def _left_out(label: str, t: Tables) -> str:
    """Say why a variant takes no part in any verdict: the reason of its first trial that did not learn, or failed."""
    trials, unlearnt = [record for record in t.models if label_of(record) == label], t.unlearnt
    reasons = {seed_of(r): unlearnt[r.id] for r in trials if r.id in unlearnt}
    if not reasons:
        return f"{label} takes no part: its trials failed"
    seed = min(reasons)
    return f"{label} takes no part: of {len(trials)} trials {len(reasons)} did not learn (seed {seed}: {reasons[seed]})"


def _of_report(part: Part, t: Tables, family: set[str]) -> Comparison | None:
    """Return a comparison on scores of records, corrected over all pairs of the family that have the seeds."""
    s = standing(t)
    seeds = s.counted(t.done).groupby("model")["seed"].nunique()
    grids = score_grids(s.counted(t.images), part.score)
    grids = {m: g for m, g in grids.items() if not family or m in family}
    pair = {str(part.model), str(part.against)}
    counted = {m: g for m, g in grids.items() if int(seeds.get(m, 0)) >= MIN_SEEDS}
    if not pair <= set(counted):
        counted = {m: g for m, g in grids.items() if m in pair}
    options: dict[str, Any] = {"groups": groups_by_key(t), "margin": part.margin, "metric": part.score}
    found = all_pairs(counted, **options, leaking=t.leaking)
    return both_ways(found).get((str(part.model), str(part.against)))


def _scores(label: str, score: str, t: Tables, folder: Path, *, every: bool = False) -> pd.DataFrame | None:
    """Return a score of a variant by seed and image, of records or else of predictions; None if there is none.

    Trials that did not learn are left out, unless ``every`` finished one counts.
    """
    images = t.images if every else standing(t).counted(t.images)
    if score not in SCORES:
        table = read_predictions(folder / PREDICTIONS)
        if score not in table:
            return None
        images = table[table["id"].isin(list(images["id"]))].dropna(subset=[score])
    rows = images[images["model"] == label].assign(data="")
    return score_grids(rows, score).get(label)


def read_predictions(path: Path) -> pd.DataFrame:
    """Return the scores of predictions, a column each, by trial, image and class; no rows if there is no such file.

    Raises:
        UnetzooError: If it is not such a table.
    """
    keys = {"id": str, "model": str, "seed": int, "image": str, "class": int}
    if not path.exists():
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in keys.items()})
    try:
        table = pd.read_csv(path, dtype=keys)
        if lacking := [name for name in keys if name not in table]:
            raise ValueError(f"columns {', '.join(lacking)} are missing")
        return table.astype({name: float for name in table.columns if name not in keys})
    except (ValueError, OSError) as error:
        raise UnetzooError(f"{path}: is not a table of predictions ({error}); remove it to score anew") from None


def _trivial(t: Tables, score: str, ours: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the scores of the best trivial predictor, the same for every seed of ``ours``; None without one."""
    best = best_baseline(t)
    if best is None or ours is None:
        return None
    record = next(r for r in t.records if r.baseline and r.result and label_of(r) == best[0])
    assert record.result is not None
    values = {f"/{key}": image_score(record, key, score) for key in record.result.per_image}
    row = [math.nan if value is None else value for value in values.values()]
    return pd.DataFrame([row] * len(ours.index), index=ours.index, columns=pd.Index(values, name="key"))


def both_ways(found: Iterable[Comparison]) -> dict[tuple[str, str], Comparison]:
    """Return comparisons by (variant, other variant), in both orders."""
    return {(x.model, x.reference): x for c in found for x in (c, turned(c))}


def quote(evidence: Evidence, repository: Path) -> Quoted:
    """Quote a committed report by the verdict rules of `unetzoo.report`, never above what it says.

    Args:
        evidence: What to quote.
        repository: Folder with ``reports/``.

    Raises:
        UnetzooError: If the report has no such variant.
    """
    folder = repository / evidence.report / (evidence.data or "")
    t = load(folder)
    j = judge_all(t)
    pairs = j.by_pair if evidence.score == "dice" else both_ways(j.others.get(evidence.score, []))
    c = pairs.get((evidence.model, evidence.against))
    labels = {label_of(record) for record in t.models}
    for label in (evidence.model, evidence.against):
        if label not in labels:
            raise UnetzooError(f"{folder}: has no variant {label!r}; {nearest(label, labels)}")
    if c is None:
        return Quoted(evidence, "no comparison", "not judged, as too few of their trials learnt")
    return Quoted(evidence, describe(c), j.standing.wording(c) + (f" ({c.note})" if c.note else ""))
