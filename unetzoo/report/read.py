"""The report of a folder as an object: its answer, tables, verdicts and figures, without writing a file."""

from __future__ import annotations

import os
from functools import cached_property

import pandas as pd

from unetzoo._util.paths import user_path
from unetzoo.errors import UnetzooError, nearest
from unetzoo.records.fields import current
from unetzoo.records.frame import Tables, load, tables
from unetzoo.records.manifest import read_manifest
from unetzoo.records.reading import read_members
from unetzoo.report import check_margin
from unetzoo.report.advice import Advice, advise
from unetzoo.report.judgement import Judgement, judge_all
from unetzoo.report.limits import read_limits
from unetzoo.report.statistics import summarise
from unetzoo.report.verdict_table import joined_verdicts, verdict_table


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

        Args:
            metric: Score to go by: dice, nsd, boundary_iou, hd95 or assd.
            **limits: ``max_params``, ``max_macs``, ``max_latency``, ``max_memory`` (training),
                ``max_inference_memory`` and ``max_time`` (training), with their units: "5M", "50ms", "2GiB".

        Raises:
            UnetzooError: If a limit or the metric is not valid, no variant meets the limits, or this is a collection.
        """
        return self.advise(read_limits(limits), metric)

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
        return Report(path.name, load(path), margin, {})
    members = {}
    for label, (records, unreadable) in read_members(path, manifest).items():
        asked = [(trial.model, trial.id) for trial in manifest.data[label]]
        members[label] = Report(label, tables(current(records, asked), unreadable), margin, {})
    return Report(manifest.name, None, margin, members)
