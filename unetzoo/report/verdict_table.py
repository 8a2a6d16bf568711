"""The rows of ``verdicts.csv``."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pandas as pd

from unetzoo.report.standing import JUDGED
from unetzoo.report.verdicts.comparison import Comparison

COLUMNS = [
    "reference",
    "model",
    "metric",
    "difference",
    "low",
    "high",
    "p",
    "p_adjusted",
    "verdict",
    "seeds",
    "groups",
    "images",
    "needed_seeds",
    "needed_groups",
    "prob_false",
]
INTEGERS = ["seeds", "groups", "images", "needed_seeds", "needed_groups"]


def verdict_table(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """Return comparisons as a table, one row each; without a verdict there is no interval, which would be read as one.

    Args:
        comparisons: Of any metric.
    """
    bare = {"low": None, "high": None, "p": None, "p_adjusted": None, "prob_false": None}
    shown = [c if c.verdict in JUDGED else replace(c, **bare) for c in comparisons]
    frame = pd.DataFrame([[getattr(c, name) for name in COLUMNS] for c in shown], columns=pd.Index(COLUMNS))
    frame["images"] = [c.images or None for c in shown]  # none of a cost
    for name in INTEGERS:
        frame[name] = pd.array(frame[name].tolist(), dtype="Int64")
    return frame


def joined_verdicts(found: Mapping[str, Iterable[Comparison]]) -> pd.DataFrame:
    """Return the comparisons of several data sets as one table, whose first column ``data`` is the label.

    Args:
        found: Label -> comparisons.
    """
    tables = [verdict_table(some).assign(data=label) for label, some in found.items()]
    joined = pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)
    return joined.reindex(columns=["data", *COLUMNS])
