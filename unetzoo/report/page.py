"""Everything into words: the sentences, the tables and the two templates, and the files written."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from unetzoo.atomic import write_atomic
from unetzoo.bench.record import Record
from unetzoo.errors import UnetzooError
from unetzoo.report.frame import Tables, class_names, data_of, dig, label_of, load, seed_of
from unetzoo.report.plots import MIB, NAMES, PARETO, draw, signed
from unetzoo.report.predictions import draw_predictions
from unetzoo.report.statistics import (
    MIN_IMAGES,
    RESAMPLES,
    Comparison,
    compare,
    first_chances,
    pick_reference,
    score_grids,
    summarise,
)

DASH = "\u2013"
COSTS = {
    "latency_p50_ms": "fastest",
    "peak_train_bytes": "least training memory",
    "params": "fewest parameters",
}
CAPTIONS = {
    "dice_vs_latency": "Test Dice against the median time of one forward pass. Dashed: no variant that is as"
    " cheap scores higher. Bars: SD over seeds.",
    "dice_vs_params": "Test Dice against the number of parameters. Dashed: as above.",
    "dice_vs_memory": "Test Dice against the peak memory of one training step. Dashed: as above.",
    "dice_distribution": "Dice of each test image, all seeds, sorted by mean; box: quartiles and"
    " median, line: lowest to highest.",
    "learning_curves": "Mean over seeds; the band runs from the lowest to the highest seed.",
    "difference": "Difference in test Dice to the reference with its 95 % bootstrap interval (images and"
    " seeds resampled), p after Holm's correction, seeds whose own difference has the same sign, verdict.",
    "predictions": "Test images, the truth, and the prediction of each variant's lowest seed.",
}


def build(folder: Path) -> Path:
    """Read, compute, draw, then write; see `unetzoo.report.write_report`."""
    t = load(folder)
    summary, reference = summarise(t), pick_reference(t.done)
    grids = score_grids(t.images)
    comparisons = compare(grids, reference) if reference is not None else []
    order = sorted(summary["model"], key=lambda label: label != reference)  # the reference, then by rank
    plots = draw(t, summary, comparisons, reference)
    if (predictions := draw_predictions(t.records, folder, order)) is not None:
        plots["predictions"] = predictions
    facts = context(t, summary, comparisons, first_chances(grids), reference) | {
        "plots": {name: CAPTIONS[name] for name in NAMES if name in plots},
        "skipped": [name for name in NAMES if name not in plots],
        "main_plot": next((name for name in PARETO if name in plots), None),
        "pareto": [name for name in PARETO if name in plots],
    }
    try:
        _write(folder, t, facts, plots)
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot write the report: {error.strerror or error}") from None
    return folder / "index.html"


def _write(folder: Path, t: Tables, facts: dict[str, Any], plots: dict[str, tuple[bytes, bytes]]) -> None:
    for name in NAMES:
        for suffix, content in zip(("png", "svg"), plots.get(name, (None, None)), strict=True):
            path = folder / "plots" / f"{name}.{suffix}"
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_atomic(path, content)
    write_atomic(folder / "results.csv", t.trials.to_csv(index=False, lineterminator="\n"))
    write_atomic(folder / "summary.md", _render("summary.md.j2", facts, markdown=True))
    inline = {name: _data_uri(name, *both) for name, both in plots.items()}
    write_atomic(folder / "index.html", _render("index.html.j2", facts | {"inline": inline}, markdown=False))


def _data_uri(name: str, png: bytes, svg: bytes) -> str:
    kind, content = ("png", png) if name == "predictions" or len(png) < len(svg) / 3 else ("svg+xml", svg)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _render(template: str, facts: dict[str, Any], markdown: bool) -> str:
    environment = Environment(
        loader=PackageLoader("unetzoo.report"),
        autoescape=not markdown,  # noqa: S701 (in Markdown, `finalize` escapes)
        finalize=escape_markdown if markdown else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"num": number, "span": span, "link": link, "signed": signed}
    conventions = environment.get_template("conventions.txt.j2").render(**facts).splitlines()
    return environment.get_template(template).render(**facts, conventions=conventions)


def escape_markdown(value: Any) -> Any:
    """One line of plain text: nothing in it can end a table cell or start markup."""
    if isinstance(value, Markup):
        return value
    text = re.sub(r"[\\`*\[\]|~#]|(?<!\w)_|_(?!\w)", r"\\\g<0>", " ".join(str(value).split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def number(value: Any, digits: int = 3, unit: float = 1.0) -> str:
    """'0.790', '31.0', or a dash where there is none."""
    return DASH if value is None or pd.isna(value) else f"{value / unit:,.{digits}f}"


def span(seconds: Any) -> str:
    """'85 s', '12.3 min', '4.1 h'."""
    if seconds is None or pd.isna(seconds):
        return DASH
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 3600:,.1f} h"


def link(key: str, value: Any) -> str | None:
    """Where a citation's field points to: a DOI, an arXiv number or an https address; else None."""
    text = str(value)
    if key == "doi" and re.fullmatch(r"10\.\S+", text):
        return f"https://doi.org/{text}"
    if key == "arxiv" and re.fullmatch(r"[\w./-]+", text):
        return f"https://arxiv.org/abs/{text}"
    return text if re.fullmatch(r"https?://\S+", text) else None


def words(value: Any) -> str:
    """A JSON value for people: text as it is, lists with commas, the rest as compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(v, (str, int, float)) for v in value):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False, default=str)


def listed(names: list[str], most: int = 6) -> str:
    """'a', 'a and b', 'a, b and c', '... and 4 more'."""
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def distinct(records: list[Record], get: Callable[[Record], Any]) -> list[str]:
    """The different values over all records, in words, in order of appearance."""
    return list(dict.fromkeys(words(v) for r in records if (v := get(r)) not in (None, "", [], {})))


def context(
    t: Tables,
    summary: pd.DataFrame,
    comparisons: list[Comparison],
    first: dict[str, float],
    reference: str | None,
) -> dict[str, Any]:
    """Everything the templates print."""
    versus = {c.model: c for c in comparisons}
    rows = [
        {**row, "first": first.get(row["model"]), "versus": versus.get(row["model"])}
        for row in summary.to_dict("records")
    ]
    suites = distinct(t.records, lambda r: r.suite)
    return {
        "title": ", ".join(suites) or "report",
        "questions": distinct(t.records, lambda r: r.question),
        "answer": answer(rows, reference),
        "warnings": warnings_of(t),
        "reference": reference,
        "rows": rows,
        "trials": len(t.trials),
        "finished": len(t.done),
        "failures": failures(t),
        "variants": variants(t.records),
        "per_class": per_class(t),
        "protocol": protocol(t.records),
        "resamples": RESAMPLES,
        "min_images": MIN_IMAGES,
        "mib": MIB,
    }


def answer(rows: list[dict[str, Any]], reference: str | None) -> list[str]:
    """The result in plain sentences: who scores what, who is better, worse or neither, who is cheapest."""
    scored = [r for r in rows if not pd.isna(r["dice"])]
    by_name = {r["model"]: r for r in scored}
    if reference is None or reference not in by_name:
        return ["No trial finished with a test score, so there is no result yet."]
    base = by_name[reference]
    if len(scored) == 1:
        spread = "" if pd.isna(base["dice_sd"]) else f" ± {base['dice_sd']:.3f}"
        return [
            f"{reference} reaches Dice {base['dice']:.3f}{spread} over {base['seeds']} seed"
            f"{'s' if base['seeds'] > 1 else ''}; there is no other variant to compare it with."
        ]
    said = []
    for verdict, way in (("better", "higher"), ("worse", "lower")):
        judged = [r for r in scored if r["versus"] and r["versus"].verdict == verdict]
        said += _versus(judged, base, way)
    for verdict, text in (
        ("indistinguishable", "on this evidence indistinguishable from"),
        ("not enough data", "not judged, for want of seeds or test images, against"),
    ):
        names = [r["model"] for r in scored if r["versus"] and r["versus"].verdict == verdict]
        if names:
            score = "" if said else f" (Dice {base['dice']:.3f})"
            said.append(f"{listed(names)} {'is' if len(names) == 1 else 'are'} {text} {reference}{score}.")
    top = scored[0]
    chance = "" if top["first"] is None else f" and ranks first in {100 * top['first']:.0f} % of resamples"
    said.append(f"Highest mean Dice: {top['model']} ({top['dice']:.3f}){chance}.")
    fit = [base, *(r for r in scored if r["versus"] and r["versus"].verdict == "indistinguishable")]
    better = [r for r in scored if r["versus"] and r["versus"].verdict == "better"]
    said += _cheapest(better, "that score higher") + _cheapest(fit + better, "not shown to score lower")
    return said


def _cheapest(rows: list[dict[str, Any]], which: str) -> list[str]:
    wins: dict[str, list[str]] = {}
    for cost, title in COSTS.items():
        if known := [r for r in rows if not pd.isna(r[cost])]:
            wins.setdefault(min(known, key=lambda r: r[cost])["model"], []).append(title)
    cheapest = "; ".join(f"{model} ({', '.join(titles)})" for model, titles in wins.items())
    return [f"Cheapest of those {which}: {cheapest}."] if wins else []


def _versus(judged: list[dict[str, Any]], base: dict[str, Any], way: str) -> list[str]:
    """One sentence each for up to three variants, else one for all."""
    than = f"{way} than {base['model']}"
    if len(judged) > 3:
        names = listed([f"{r['model']} ({signed(r['versus'].difference)})" for r in judged])
        return [f"{names} score {than} (Dice {base['dice']:.3f}; differences in brackets)."]
    return [
        f"{r['model']} scores {than} (Dice {r['dice']:.3f} against {base['dice']:.3f}, 95 % interval of the"
        f" difference {signed(r['versus'].low)} to {signed(r['versus'].high)})."
        for r in judged
    ]


def warnings_of(t: Tables) -> list[str]:
    """What makes the comparison unsound: mixed conditions, unequal seeds, collapsed models."""
    said = []
    for title, get in (
        ("suites", lambda r: r.suite),
        ("data sets", data_of),
        ("protocol versions", lambda r: r.trial.get("protocol")),
        ("training recipes", lambda r: r.trial.get("train")),
        ("devices", lambda r: r.environment.get("device")),
        ("precisions", lambda r: r.environment.get("precision")),
        ("thread counts", lambda r: r.environment.get("threads")),
        ("processors", lambda r: r.environment.get("cpu")),
    ):
        if (n := len(distinct(t.records, get))) > 1:
            said.append(f"{n} different {title} are mixed here; comparisons are only sound within one.")
    if "unet" in set(t.trials["model"]) - set(t.done["model"]):
        said.append("No trial of unet finished, so another variant is the reference.")
    if len({len(seeds) for _, seeds in t.done.groupby("model")["seed"]}) > 1:
        said.append("The variants have different numbers of finished seeds; see the failures.")
    if t.done.duplicated(["model", "seed"]).any():
        said.append("Some variants have several records for one seed; they are averaged.")
    same = t.done.assign(score=t.done["dice"].round(6)).groupby("score")["model"].unique()
    for score, names in same.items():
        if len(names) > 1:
            together = listed(sorted(map(str, names)))
            said.append(f"{together} share a test Dice of {score:.6f}: constant predictions, or one network twice?")
    return said


def failures(t: Tables) -> list[dict[str, Any]]:
    """Every trial without a result, and why."""
    tails = {r.id: r.log_tail for r in t.records}
    bad = t.trials[~t.trials.index.isin(t.done.index)]
    return [
        {
            "who": row["id"] if pd.isna(row["model"]) else f"{row['model']}, seed {row['seed']}",
            "status": row["status"] if row["status"] != "ok" else "no score",
            "reason": "no reason recorded" if pd.isna(row["reason"]) else row["reason"],
            "log": tails.get(row["id"]) or "",
        }
        for row in bad.to_dict("records")
    ]


def variants(records: list[Record]) -> list[dict[str, Any]]:
    """Each label's difference from ``unet`` and its citation, from the first record that has it."""
    found: dict[str, Record] = {}
    for record in records:
        found.setdefault(label_of(record), record)
    return [
        {
            "model": label,
            "diff": [{"option": k, "base": words(old), "here": words(new)} for k, (old, new) in r.model.diff.items()],
            "title": words(r.model.paper.get("title") or "no paper named"),
            "by": ", ".join(words(r.model.paper[k]) for k in ("authors", "year") if r.model.paper.get(k)),
            "more": {
                k: words(v)
                for k, v in r.model.paper.items()
                if k not in ("title", "authors", "year") and v not in (None, "", [], {})
            },
        }
        for label, r in sorted(found.items())
    ]


def per_class(t: Tables) -> list[dict[str, Any]]:
    """Variant x class: scores as means over seeds, counts of undefined and missed images over all seeds."""
    scores = ["dice", "iou", "pooled_dice", "pooled_iou"]
    how = {**dict.fromkeys(scores, "mean"), "undefined": "sum", "missed": "sum"}
    grouped = t.per_class.groupby(["model", "class"]).agg(how).reset_index()
    order = {name: k for k, name in enumerate(t.classes)}
    images = t.images.groupby("model")["image"].count()
    rows = grouped.to_dict("records")
    rows.sort(key=lambda r: (order.get(r["class"], 0), -(r["dice"] if r["dice"] == r["dice"] else -1), r["model"]))
    return [r | {"images": int(images.get(r["model"], 0))} for r in rows]


def protocol(records: list[Record]) -> list[tuple[str, list[str]]]:
    """What all numbers rest on: (title, its distinct values); more than one value means it varied."""

    def fields(tree: Any) -> str | None:
        keys = tree if isinstance(tree, dict) else {}
        return ", ".join(f"{k} {words(v)}" for k, v in keys.items() if v is not None) or None

    def splits(record: Record) -> str | None:
        parts = record.data.get("splits")
        said = [
            f"{name}: {words(dig(part, 'n'))} ({words(dig(part, 'digest') or 'no hash')})"
            for name, part in (parts.items() if isinstance(parts, dict) else [])
        ]
        return "; ".join(said) or None

    def cost(record: Record, text: str) -> str | None:
        return text.format(c=record.cost) if record.cost else None

    def classes(record: Record) -> str | None:
        counted = record.data.get("foreground")
        names = class_names(record)
        return f"{', '.join(names)}; counted (indices): {words(counted)}" if names else None

    rows: list[tuple[str, list[str]]] = [
        ("Data", distinct(records, lambda r: r.data.get("description") or dig(r.trial, "data", "name"))),
        ("Data digest", distinct(records, lambda r: dig(r.trial, "data", "digest"))),
        ("Classes", distinct(records, classes)),
        ("Splits", distinct(records, splits)),
        ("Seeds", [", ".join(map(str, sorted({seed_of(r) for r in records})))] if records else []),
        ("Training", distinct(records, lambda r: fields(r.trial.get("train")))),
        ("Measuring", distinct(records, lambda r: fields(r.trial.get("measure")))),
        (
            "Memory",
            distinct(records, lambda r: cost(r, "{c.memory_method}; training step at {c.train_shape}")),
        ),
        (
            "Latency",
            distinct(
                records,
                lambda r: cost(r, "{c.latency_method}; {c.latency_repeats} repeats at {c.shape} (N, C, H, W)"),
            ),
        ),
        ("MACs", distinct(records, lambda r: cost(r, "one forward pass at {c.shape} (N, C, H, W)"))),
        ("Protocol version", distinct(records, lambda r: r.trial.get("protocol"))),
    ]
    keys = dict.fromkeys(k for r in records for k in r.environment)
    rows += [(key, distinct(records, lambda r, key=key: r.environment.get(key))) for key in keys]
    return [(title, values) for title, values in rows if values]
