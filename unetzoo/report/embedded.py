"""The data of a page as JSON inside it, from which its script sorts, filters, draws and recommends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from markupsafe import Markup

from unetzoo._util.language import N_, _
from unetzoo.records.columns import METRICS
from unetzoo.records.fields import name_of
from unetzoo.records.frame import Tables
from unetzoo.report.advice import DECIDED
from unetzoo.report.judgement import Judgement
from unetzoo.report.limits import KINDS, Kind
from unetzoo.report.protocol import first_of_each
from unetzoo.report.recommend import METRICS as JUDGED_METRICS
from unetzoo.report.recommend import NOT_WORSE, TIE_BREAKERS, Field, field_of, noise_of
from unetzoo.report.sections import DISTANCES, metric_title
from unetzoo.report.verdicts.family import LOWER_IS_BETTER
from unetzoo.report.words import missing

AXES = {  # cost -> its name on an axis and in the table of limits, unit there, size of that unit
    "params": (N_("parameters"), "M", 1e6),
    "macs": (N_("MACs of one image"), "G", 1e9),
    "latency_p50_ms": (N_("latency, median"), "ms", 1.0),
    "peak_train_bytes": (N_("training memory"), "MiB", 2.0**20),
    "peak_infer_bytes": (N_("inference memory"), "MiB", 2.0**20),
    "train_seconds": (N_("training time"), "s", 1.0),
}
MOST_DETAILED = 60  # variants up to which each pair's difference is there, not only its verdict
UNCHANGED = "none"  # family of a variant whose options are all those of `unet`


def as_script(value: Any) -> Markup:
    """Return JSON that is safe inside a ``<script>`` element: no text in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # in ASCII, so without U+2028
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 (escaped above)


def embedded(rows: Sequence[Mapping[str, Any]], t: Tables, j: Judgement, pages: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page's script knows.

    Args:
        rows: Summary rows of the variants, in the order of the table.
        t: Tables of the report.
        j: The verdicts.
        pages: Label -> address of the variant's own page.
    """
    fields = {m: field_of(rows, j, m) for m in JUDGED_METRICS if any(not missing(row[m]) for row in rows)}
    families = {label: sorted(map(str, r.model.diff)) for label, r in first_of_each(t.models).items()}
    names = {label: name_of(r) for label, r in first_of_each(t.models).items()}
    shown = [m for m in METRICS if any(not missing(row[m]) for row in rows)]
    return {
        "reference": j.reference,
        "margin": j.margin,
        "notWorse": NOT_WORSE,
        "tieBreakers": TIE_BREAKERS,
        "decided": {name: _(phrase) for name, phrase in DECIDED.items()},
        "metrics": [
            {
                "key": m,
                "title": metric_title(m),
                "lower": m in LOWER_IS_BETTER,
                "digits": 2 if m in DISTANCES else 3,
                "judged": m in fields,
            }
            for m in shown
        ],
        "costs": [_cost(KINDS[cost]) for cost in AXES if any(not missing(row[cost]) for row in rows)],
        "variants": [_variant(row, j, shown, families, names, pages) for row in rows],
        "eligible": {m: [c.eligible for c in field.candidates] for m, field in fields.items()},
        "pairs": {m: _letters(field) for m, field in fields.items()},
        "differences": {m: _differences(field) for m, field in fields.items() if len(rows) <= MOST_DETAILED},
    }


def _cost(kind: Kind) -> dict[str, Any]:
    title, unit, scale = AXES[kind.cost]
    return {
        "key": kind.cost,
        "title": _(title),
        "unit": unit,
        "scale": scale,
        "option": kind.option,
        "units": kind.units,
        "example": kind.example,
        "noun": _(kind.noun),
        "phrase": _(kind.phrase),
        "superlative": _(kind.superlative),
        "cheapest": _(kind.cheapest),
    }


def _variant(
    row: Mapping[str, Any],
    j: Judgement,
    metrics: Sequence[str],
    families: Mapping[str, list[str]],
    names: Mapping[str, str],
    pages: Mapping[str, str],
) -> dict[str, Any]:
    def known(*values: Any) -> list[float | None]:
        return [None if missing(value) else float(value) for value in values]

    label = str(row["model"])
    c = j.against.get(label)
    judged = c is not None and j.judged(c)
    return {
        "label": label,
        "name": names.get(label, label),
        "page": pages.get(label),
        "family": families.get(label) or [UNCHANGED],
        "scores": {m: known(row[m], row[f"{m}_sd"]) for m in metrics},
        "costs": {cost: known(row[cost], row[f"{cost}_low"], row[f"{cost}_high"]) for cost in AXES},
        "noise": noise_of(row),
        "tuning": known(row["tuning_seconds"])[0],
        "seeds": int(row["seeds"]),
        "failed": int(row["failed"]),
        "learnt": j.learnt.get(label, 0),
        "rising": label in j.standing.rising,
        "noisy": bool(row["noisy"]),
        "setback": j.standing.setbacks.get(label, ""),
        "verdict": None if c is None else c.verdict if judged else "not judged",
        "words": None if c is None else j.standing.wording(c),
        "difference": None if c is None else [_rounded(x) for x in (c.difference, c.low, c.high)][: 3 if judged else 1],
    }


def _letters(field: Field) -> list[str]:
    """Return the verdict of each variant against each other as a letter: b, w, e, u; a dot where there is none."""
    labels = [c.label for c in field.candidates]
    return ["".join((field.verdict(a, b) or ".")[0] for b in labels) for a in labels] if field.pairs else []


def _differences(field: Field) -> dict[str, list[float | None]]:
    """Return difference, low and high of each judged pair, by the numbers of its two variants: "0,3"."""
    found = {}
    for (k, a), (n, b) in combinations(enumerate(c.label for c in field.candidates), 2):
        if field.verdict(a, b):
            c = field.pairs[a, b]
            found[f"{k},{n}"] = [_rounded(x) for x in (c.difference, c.low, c.high)]
    return found


def _rounded(value: float | None) -> float | None:
    return None if missing(value) or value is None else float(f"{value:.6g}")
