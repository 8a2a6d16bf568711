"""The table of results with the marks that the verdicts support, in LaTeX (booktabs) and Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unetzoo.records.fields import data_of, dig
from unetzoo.records.frame import Tables
from unetzoo.report.judgement import METRIC_TITLES, Judgement
from unetzoo.report.limits import KINDS
from unetzoo.report.naming import distinct
from unetzoo.report.paper.latex import tex
from unetzoo.report.recommend import choose, field_of
from unetzoo.report.statistics import summarise
from unetzoo.report.verdicts.family import LOWER_IS_BETTER
from unetzoo.report.words import DASH, MIB, between, escape_markdown, listed, missing, number, signed

COSTS = {  # column -> head, unit of the shown number, digits
    "params": ("Params (M)", 1e6, 2),
    "macs": ("MACs (G)", 1e9, 2),
    "latency_p50_ms": ("Latency (ms)", 1.0, 1),
    "peak_train_bytes": ("Training memory (MiB)", float(MIB), 0),
    "train_seconds": ("Training (s)", 1.0, 0),
}
DAGGER, DOUBLE = "†", "‡"


@dataclass(frozen=True)
class Cell:
    """Text of a cell; the bold part comes first, the mark last."""

    text: str
    bold: str = ""
    mark: str = ""


@dataclass(frozen=True)
class ResultsTable:
    """A table as text.

    Attributes:
        heads: Titles of the columns; the first is left-aligned.
        rows: Cells of the variants.
        baselines: Cells of the trivial predictors, under a line.
        caption: What is shown, on what it rests, and what the marks mean.
        label: Name for references within LaTeX.
    """

    heads: list[str]
    rows: list[list[Cell]]
    baselines: list[list[Cell]]
    caption: str
    label: str

    def as_latex(self) -> str:
        """Return a ``table`` environment, for which the preamble needs ``\\usepackage{booktabs}``."""

        def line(cells: Sequence[Cell]) -> str:
            return " & ".join(map(shown, cells)) + r" \\"

        def shown(cell: Cell) -> str:
            bold = rf"\textbf{{{tex(cell.bold)}}}" if cell.bold else ""
            space = "~" if cell.text.startswith(" ") else ""
            return bold + space + tex(cell.text) + (f"$^{{{tex(cell.mark)[1:-1]}}}$" if cell.mark else "")

        return "\n".join(
            [
                r"% needs \usepackage{booktabs}",
                r"\begin{table}",
                r"  \centering",
                rf"  \caption{{{tex(self.caption)}}}",
                rf"  \label{{{self.label}}}",
                rf"  \begin{{tabular}}{{l{'r' * (len(self.heads) - 1)}}}",
                r"    \toprule",
                "    " + " & ".join(tex(head) for head in self.heads) + r" \\",
                r"    \midrule",
                *(f"    {line(row)}" for row in self.rows),
                *([r"    \midrule"] if self.baselines else []),
                *(f"    {line(row)}" for row in self.baselines),
                r"    \bottomrule",
                r"  \end{tabular}",
                r"\end{table}",
                "",
            ]
        )

    def as_markdown(self) -> str:
        """Return a Markdown table and its caption."""

        def shown(cell: Cell) -> str:
            bold = f"**{escape_markdown(cell.bold)}**" if cell.bold else ""
            space = " " if cell.text.startswith(" ") else ""
            return bold + space + str(escape_markdown(cell.text)) + (f" {cell.mark}" if cell.mark else "")

        lines = [f"| {' | '.join(map(shown, row))} |" for row in (*self.rows, *self.baselines)]
        heads = f"| {' | '.join(str(escape_markdown(head)) for head in self.heads)} |"
        rule = f"|:--|{'--:|' * (len(self.heads) - 1)}"
        return "\n".join([heads, rule, *lines, "", str(escape_markdown(self.caption)), ""])


def results_table(t: Tables, rows: Sequence[Mapping[str, Any]], j: Judgement) -> ResultsTable:
    """Return the table of all variants that have a score, best mean first where variants are ranked.

    Bold are the best mean and those equivalent to it, by the verdicts; a dagger stands for undecided against it, a
    double dagger for no verdict. Without verdicts nothing is bold.

    Args:
        t: Tables of the report.
        rows: Summary rows of the variants.
        j: The verdicts.
    """
    shown = [row for row in rows if not missing(row["dice"])]
    metrics = [m for m in METRIC_TITLES if any(not missing(row[m]) for row in shown)]
    costs = [cost for cost in COSTS if any(not missing(row[cost]) for row in shown)]
    marks = {metric: _marks(rows, j, metric) for metric in ("dice", *metrics)}
    against = any(c.difference is not None for c in j.against.values())
    heads = ["Variant", "Dice", *([f"Difference from {j.reference}"] if against else [])]
    heads += [f"{METRIC_TITLES[m][0]}{' (lower is better)' if m in LOWER_IS_BETTER else ''}" for m in metrics]
    heads += [COSTS[cost][0] for cost in costs]

    def cells(row: Mapping[str, Any], baseline: bool = False) -> list[Cell]:
        label = str(row["model"])
        scores = {m: Cell(DASH) if missing(row[m]) else _score(row, m, marks[m].get(label, "")) for m in marks}
        line = [Cell(label), scores["dice"], *([_difference(j, label)] if against else [])]
        return [*line, *(scores[m] for m in metrics), *(_cost(row, cost, baseline) for cost in costs)]

    baselines = [row for row in summarise(t, baselines=True).to_dict("records") if row["seeds"]]
    suite = ", ".join(distinct(t.records, lambda r: r.suite))
    return ResultsTable(
        heads=heads,
        rows=[cells(row) for row in shown],
        baselines=[cells(row, baseline=True) for row in baselines],
        caption=caption(t, shown, j, marks["dice"]),
        label=f"tab:{re.sub(r'[^A-Za-z0-9]+', '-', suite).strip('-').lower() or 'results'}",
    )


def _marks(rows: Sequence[Mapping[str, Any]], j: Judgement, metric: str) -> dict[str, str]:
    """Return "bold", a dagger or a double dagger of each variant that has one; empty without any verdict."""
    field = field_of(rows, j, metric)
    best = choose(field).best
    if best is None or not any(field.verdict(c.label, best) for c in field.candidates):
        return {}
    by_verdict = {"equivalent": "bold", "better": "bold", "undecided": DAGGER, "worse": "", None: DOUBLE}
    scored = [c.label for c in field.candidates if c.score is not None]
    return {label: "bold" if label == best else by_verdict[field.verdict(label, best)] for label in scored}


def _score(row: Mapping[str, Any], metric: str, mark: str) -> Cell:
    digits = 2 if metric in ("hd95", "assd") else 3
    mean, sd = number(row[metric], digits), row[f"{metric}_sd"]
    spread = "" if missing(sd) else f" ± {number(sd, digits)}"
    return Cell(spread, bold=mean) if mark == "bold" else Cell(f"{mean}{spread}", mark=mark)


def _difference(j: Judgement, label: str) -> Cell:
    c = j.against.get(label)
    if c is None:
        return Cell("reference" if label == j.reference else DASH)
    judged = j.judged(c) and c.low is not None
    return Cell(signed(c.difference) + (f" [{between(c.low, c.high)}]" if judged else ""))


def _cost(row: Mapping[str, Any], cost: str, baseline: bool) -> Cell:
    _, unit, digits = COSTS[cost]
    noisy = "ca. " if cost == "latency_p50_ms" and not baseline and row["noisy"] else ""
    return Cell("" if baseline else noisy + number(row[cost], digits, unit))


def caption(t: Tables, rows: Sequence[Mapping[str, Any]], j: Judgement, marks: Mapping[str, str]) -> str:
    """State data, n, seeds, groups, intervals and marks."""
    models = t.models
    data = distinct(models, lambda r: dig(r.trial, "data", "name"))
    images = f"{j.images} test image{'s' * (j.images != 1)}"
    groups = "" if j.groups is None else f" in {j.groups} group{'s' * (j.groups != 1)}"
    seeds = sorted({int(row["seeds"]) for row in rows})
    text = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else "".join(map(str, seeds)) or "0"
    lines = [
        f"Scores on {images}{groups}{f' of {listed(data)}' if data else ''}: mean ± SD over {text}"
        f" seed{'s' * (text != '1')}, each the mean over images."
    ]
    if len({data_of(r) for r in models}) > 1:
        lines.append("Several data sets are mixed in this table; comparisons are only sound within one.")
    if any(j.judged(c) for c in j.against.values()):
        lines.append(
            f"In brackets: simultaneous 95 % intervals of the difference in Dice over {len(j.against)} comparisons."
        )
    if marks:
        lines.append(
            f"Bold: the best mean of those that can be judged, and what is equivalent to it (Dice: ±{j.margin:g})."
        )
        for mark, meaning in ((DAGGER, "undecided against the best"), (DOUBLE, "no verdict")):
            if mark in marks.values():
                lines.append(f"{mark}: {meaning}.")
        lines.append("Unmarked: shown to be worse than the best.")
    else:
        lines.append("Nothing is marked, since no verdict is possible on these trials.")
    if any(not missing(row[cost]) for row in rows for cost in KINDS):
        where = distinct(models, lambda r: r.environment.get("device_name") or r.environment.get("device"))
        lines.append(f"Costs: medians over seeds{f' on {listed(where)}' if where else ''}.")
    if any(row["noisy"] for row in rows):
        lines.append("ca.: a noisy timing.")
    return " ".join(lines)
