"""Comparisons behind the parts of a claim: from records, and from scores of the trained networks' predictions."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from unetzoo.claims.definition import SCORES, Evidence, Part
from unetzoo.claims.verdict import PartVerdict, describe, judge_comparison
from unetzoo.errors import UnetzooError
from unetzoo.records.frame import Tables, load
from unetzoo.report.groups import groups_by_key
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


def judge_part(part: Part, results: Path) -> PartVerdict:
    """Judge a part that compares two variants by the results of its suite.

    Args:
        part: The part.
        results: Folder of the suite's results; of a collection, with a folder for each data set.
    """
    folder = results / part.data if part.data else results
    if not any((folder / "records").glob("*.json")):
        return judge_comparison(part, None)
    t = load(folder)
    s = standing(t)
    rising = bool(s.rising & {str(part.model), str(part.against)})
    return judge_comparison(part, _comparison(part, t, folder), rising)


def _comparison(part: Part, t: Tables, folder: Path) -> Comparison | None:
    """Return the comparison of a part; on scores of records it is corrected over all pairs of the report."""
    s = standing(t)
    model, against = str(part.model), str(part.against)
    groups = groups_by_key(t)
    margin = part.margin
    if part.score in SCORES and part.against_score is None:
        images = s.counted(t.images)
        seeds = s.counted(t.done).groupby("model")["seed"].nunique()
        grids = {m: g for m, g in score_grids(images, part.score).items() if int(seeds.get(m, 0)) >= MIN_SEEDS}
        if model in grids and against in grids:
            found = all_pairs(grids, groups=groups, margin=margin, metric=part.score, leaking=t.leaking)
            return s.temper(_of_pair(found, model, against))
        grids = {m: g for m, g in score_grids(images, part.score).items() if m in (model, against)}
        found = compare(grids, against, groups=groups, margin=margin, metric=part.score, leaking=t.leaking)
        return s.temper(found[0]) if found else None
    path = folder / PREDICTIONS
    if not path.exists():
        return None
    table = pd.read_csv(path, dtype={"model": str, "score": str, "image": str})
    table = table[~table["id"].isin(list(t.unlearnt))]
    sides = {"ours": (model, part.score), "theirs": (against, part.against_score or part.score)}
    grids = {}
    for side, (label, score) in sides.items():
        rows = table[(table["model"] == label) & (table["score"] == score)]
        grids |= score_grids(rows.assign(model=side, data=t.images["data"].iloc[0]), "value")
    if len(grids) < 2:
        return None
    found = compare(grids, "theirs", groups=groups, margin=margin, metric=part.score, leaking=t.leaking)
    return s.temper(_renamed(found[0], model, against))


def _of_pair(found: list[Comparison], model: str, against: str) -> Comparison:
    from unetzoo.report.judgement import turned

    both = {(x.model, x.reference): x for c in found for x in (c, turned(c))}
    return both[model, against]


def _renamed(c: Comparison, model: str, against: str) -> Comparison:
    from dataclasses import replace

    return replace(c, model=model, reference=against)


def quote(evidence: Evidence, repository: Path) -> Quoted:
    """Quote a committed report by the verdict rules of `unetzoo.report`, never above what it says.

    Args:
        evidence: What to quote.
        repository: Folder with ``reports/``.

    Raises:
        UnetzooError: If the report has no comparison of these two variants.
    """
    from unetzoo.report.judgement import judge_all

    folder = repository / evidence.report / (evidence.data or "")
    t = load(folder)
    j = judge_all(t)
    pairs = j.by_pair if evidence.score == "dice" else _pairs_of(j.others.get(evidence.score, []))
    c = pairs.get((evidence.model, evidence.against))
    if c is None:
        raise UnetzooError(f"{folder}: has no comparison of {evidence.model} with {evidence.against} on {evidence.score}")
    return Quoted(evidence, describe(c), j.standing.wording(c) + (f" ({c.note})" if c.note else ""))


def _pairs_of(found: list[Comparison]) -> dict[tuple[str, str], Comparison]:
    from unetzoo.report.judgement import turned

    return {(x.model, x.reference): x for c in found for x in (c, turned(c))}
