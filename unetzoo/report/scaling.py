"""Plot of sizes: Dice and latency against parameters, along variants that differ in width alone or depth alone."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from unetzoo.records.fields import dig, name_of
from unetzoo.records.record import Record
from unetzoo.report.protocol import first_of_each
from unetzoo.report.style import canvas, looks
from unetzoo.report.words import missing, number, short

SIZES = ("width", "depth")  # options that make a network larger and leave it the same in kind
PANELS = (("dice", "test Dice (mean ± SD over seeds)"), ("latency_p50_ms", "latency, median (ms)"))


def families(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return labels that differ in one option of `SIZES` alone, by the option and what they have in common.

    Args:
        records: Records of models.
    """
    found: dict[str, list[str]] = {}
    for label, record in first_of_each(list(records)).items():
        options = dig(record.trial, "model", "options")
        for size in SIZES if isinstance(options, dict) else ():
            if size in options:
                same = {name: value for name, value in options.items() if name != size}
                name = name_of(record) if dig(record.trial, "model", "source") else ""  # the grid's options say it all
                found.setdefault(json.dumps([size, name, same], sort_keys=True, default=str), []).append(label)
    return {key: labels for key, labels in found.items() if len(labels) > 1}


def size_scaling(records: Sequence[Record], summary: pd.DataFrame) -> Figure | None:
    """Draw a line for each family of two sizes or more; None if there is none."""
    rows = {str(row["model"]): row for row in summary.to_dict("records")}
    lines = []
    for key, labels in families(records).items():
        known = [row for label in labels if (row := rows.get(label)) and not missing(row["dice"])]
        known.sort(key=lambda row: row["params"])
        if len({row["params"] for row in known if not missing(row["params"])}) > 1:
            size = json.loads(key)[0]
            ends = " … ".join(short(str(known[end]["model"]), 20) for end in (0, -1))
            lines.append((f"{ends} ({size})", known))
    if not lines:
        return None
    lines.sort(key=lambda line: line[0])
    look = looks([name for name, _ in lines], None)
    panels = [(c, title) for c, title in PANELS if any(not missing(row[c]) for _, known in lines for row in known)]
    figure = canvas(4.7 * len(panels), 4.2 + 0.2 * (len(lines) // 3))
    for ax, (column, title) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name, known in lines:
            shown = [row for row in known if not missing(row[column]) and not missing(row["params"])]
            style = {"color": look[name].colour, "marker": look[name].marker, "linestyle": look[name].line}
            _line(ax, shown, column, style | {"label": name})
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value / 1e6, 3).rstrip("0").rstrip(".")))
        ax.set(xlabel="parameters (millions)", ylabel=title)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _line(ax: Any, rows: Sequence[Mapping[str, Any]], column: str, style: dict[str, Any]) -> None:
    spread = [0.0 if missing(sd := row.get(f"{column}_sd")) else sd for row in rows]
    ax.errorbar(
        [row["params"] for row in rows],
        [row[column] for row in rows],
        yerr=spread if any(spread) else None,
        markersize=7,
        markeredgecolor="white",
        elinewidth=1.1,
        capsize=2.5,
        **style,
    )
