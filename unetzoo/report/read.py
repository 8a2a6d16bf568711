"""The report of a folder as an object: its answer, tables, verdicts and figures, without writing a file."""

from __future__ import annotations

import html
import os
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from unetzoo._util.paths import user_path
from unetzoo.errors import UnetzooError, nearest, shown
from unetzoo.records.fields import current
from unetzoo.records.frame import Tables, load, tables
from unetzoo.records.manifest import read_manifest
from unetzoo.records.reading import read_members
from unetzoo.report import check_margin
from unetzoo.report.advice import Advice, advise
from unetzoo.report.judgement import Judgement, judge_all
from unetzoo.report.limits import read_limits
from unetzoo.report.machines import apart
from unetzoo.report.statistics import summarise
from unetzoo.report.verdict_table import joined_verdicts, verdict_table
from unetzoo.report.words import MIB

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FRONT = "dice_vs_"


def _answer(report: Report) -> str:
    return str(report.advise({}))


class Report:
    """The report of one data set, or of a collection of them; made by `read_report`.

    Attributes:
        name: Name of the folder, or label of the data set.
        members: The report of each data set of a collection, by its label; empty for a single data set.
    """

    def __init__(self, name: str, t: Tables | None, margin: float | None, members: dict[str, Report]) -> None:
        self.name, self.members = name, members
        self._tables, self._margin = t, margin

    def __getitem__(self, label: str) -> Report:
        if label not in self.members:
            raise UnetzooError(f"{self.name} has no data set {label!r}; {nearest(label, self.members)}")
        return self.members[label]

    @cached_property
    def tables(self) -> Tables:
        """The records as tables."""
        if self._tables is None:
            raise UnetzooError(
                f"{self.name} is a collection, whose data sets are judged one by one: take one of them, such as"
                f" report[{next(iter(self.members))!r}]"
            )
        return self._tables

    @cached_property
    def judgement(self) -> Judgement:
        """The verdicts."""
        return judge_all(self.tables, self._margin)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Means and SDs of scores and medians of costs, one row per variant."""
        return summarise(self.tables)

    def advise(self, limits: dict[str, float], metric: str = "dice") -> Advice:
        """Recommend a variant under limits by column of the summary; see `unetzoo.report.advice.advise`."""
        return advise(self.summary.to_dict("records"), self.judgement, limits, metric)

    def recommend(self, metric: str = "dice", **limits: str | float) -> Advice:
        """Recommend the fastest variant that meets the limits and is not shown to be worse than the best of these.

        Of those that are as fast within the noise of the timings, the one with the fewest parameters is taken.

        Args:
            metric: Score to go by: dice, nsd, boundary_iou, hd95 or assd.
            **limits: ``max_params``, ``max_macs``, ``max_latency``, ``max_memory`` (training),
                ``max_inference_memory`` and ``max_time`` (training), with their units: "5M", "50ms", "2GiB".

        Raises:
            UnetzooError: If a limit or the metric is not valid, no variant meets the limits, or this is a collection.
        """
        return self.advise(read_limits(limits), metric)

    def table(self) -> pd.DataFrame:
        """Return the main table: score, difference from the reference with its interval and verdict, costs.

        One row per variant (and data set); costs are medians over seeds in the units of their column.
        """
        if self.members:
            return pd.concat([m.table().assign(data=label) for label, m in self.members.items()], ignore_index=True)
        j = self.judgement
        rows = []
        for row in self.summary.to_dict("records"):
            c = j.against.get(row["model"])
            judged = c is not None and j.judged(c)
            verdict = "reference" if row["model"] == j.reference else j.standing.wording(c) if c else "no result"
            rows.append(
                {
                    "variant": row["model"],
                    "dice": row["dice"],
                    "sd": row["dice_sd"],
                    "seeds": row["seeds"],
                    "difference": c.difference if c else None,
                    "low": c.low if c and judged else None,
                    "high": c.high if c and judged else None,
                    "verdict": verdict,
                    "params": row["params"],
                    "macs": row["macs"],
                    "latency_ms": row["latency_p50_ms"],
                    "train_mib": row["peak_train_bytes"] / MIB,
                    "infer_mib": row["peak_infer_bytes"] / MIB,
                    "train_seconds": row["train_seconds"],
                }
            )
        return pd.DataFrame(rows)

    def plot(self, name: str = "front", cost: str = "latency") -> Figure:
        """Draw a plot and return it as a matplotlib figure.

        Args:
            name: "front"; "difference", "dice_distribution", "learning_curves", "memory_split" or "phases", as on the
                page; "best_set" (differences from the best), "paired_images" or "difficulty" (of single images).
            cost: Cost axis of the front: "latency", "params" or "memory".

        Raises:
            UnetzooError: If there is no such plot, the records lack what it shows, or this is a collection.
        """
        import matplotlib as mpl

        from unetzoo.report.plots import makers
        from unetzoo.report.style import RC

        made = makers(self.tables, self.summary, self.judgement)
        costs = [known.removeprefix(FRONT) for known in made if known.startswith(FRONT)]
        if cost not in costs:
            raise UnetzooError(f"plot: cost = {shown(cost)} is not an axis of the front; {nearest(cost, costs)}")
        chosen = f"{FRONT}{cost}" if name == "front" else name
        if chosen not in made:
            raise UnetzooError(f"plot: there is no plot {shown(name)}; {nearest(name, ['front', *made])}")
        with mpl.rc_context(RC):
            figure = made[chosen]()
        if figure is None:
            raise UnetzooError(f"plot: {name!r} cannot be drawn, because the records lack the data for it")
        return figure

    def __repr__(self) -> str:
        if self.members:
            return "\n".join([f"Report of {self.name}", *(f"{k}: {_answer(m)}" for k, m in self.members.items())])
        table = self.table().to_string(index=False, na_rep="-", float_format=lambda v: f"{v:,.4g}")
        return f"Report of {self.name}\n{_answer(self)}\n\n{table}"

    def _repr_html_(self) -> str:
        if self.members:
            parts = [f"<h4>{html.escape(label)}</h4>{m._repr_html_()}" for label, m in self.members.items()]
            return f"<div><b>{html.escape(self.name)}</b>{''.join(parts)}</div>"
        table = self.table().to_html(index=False, na_rep="-", border=0, float_format=lambda v: f"{v:,.4g}", escape=True)
        return f"<div><p><b>{html.escape(_answer(self))}</b></p>{table}</div>"

    def verdicts(self) -> pd.DataFrame:
        """Return all comparisons of pairs as a table, as in ``verdicts.csv``."""
        if not self.members:
            return verdict_table(self.judgement.every)
        return joined_verdicts({label: member.judgement.every for label, member in self.members.items()})


def read_report(folder: str | os.PathLike[str], *, margin: float | None = None) -> Report:
    """Read the records of a folder as a report, to look at in a notebook; no file is written.

    Args:
        folder: Output folder of a run, or of a collection.
        margin: Largest difference in Dice that does not matter; None takes the records'.

    Raises:
        UnetzooError: If the folder or its records are missing, or the margin is below 0.
    """
    check_margin(margin)
    path = user_path(folder, "read_report: folder")
    if (manifest := read_manifest(path)) is None:
        return Report(path.name, apart(load(path)), margin, {})
    members = {}
    for label, (records, unreadable) in read_members(path, manifest).items():
        asked = [(trial.model, trial.id) for trial in manifest.data[label]]
        members[label] = Report(label, apart(tables(current(records, asked), unreadable)), margin, {})
    return Report(manifest.name, None, margin, members)
