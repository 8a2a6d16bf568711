"""The page of `verdict_error_rates`: reports/verdict-error-rates/README.md, rates.csv and rates.png."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

PAGE = Path(__file__).with_name("verdict_error_rates.md")  # with fields in braces
TARGETS = {3: 0.08, 5: 0.06, 10: 0.06}  # seeds -> highest family-wise rate asked for
COVERED = (0.93, 0.98)


def listed(values: pd.Series) -> str:
    """Return the different values, such as '2, 6 or 20'."""
    *first, last = (f"{value:,}" for value in sorted(set(values)))
    return f"{', '.join(first)} or {last}" if first else last


def percent(row: pd.Series, name: str) -> str:
    """Return a rate and its standard error in percent."""
    return f"{100 * row[name]:.1f} ± {100 * row[name + '_se']:.1f}"


def named(row: dict[str, Any]) -> str:
    """Return a cell in words."""
    how = "grouped" if row["grouped"] else "independent"
    return f"{row['scenario']}; {row['variants']} variants; {row['seeds']} seeds; {row['images']} images; {how}"


def worst(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return the row with the highest value of a column."""
    return frame.loc[frame[name].idxmax()]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, [":--", *["--:"] * (len(head) - 1)], *rows])


def by(frame: pd.DataFrame, rows: str, columns: list[str], text: Any) -> str:
    """Return a table of ``text`` of the cells that share a value of ``rows`` and of ``columns``."""
    groups = list(frame.groupby(columns))
    head = [rows, *(", ".join(map(_word, zip(columns, key, strict=True))) for key, _ in groups)]
    lines = [
        [str(value), *(text(some[some[rows] == value]) for _, some in groups)] for value in sorted(set(frame[rows]))
    ]
    return table(head, lines)


def _word(column: tuple[str, Any]) -> str:
    name, value = column
    return ("grouped" if value else "independent") if name == "grouped" else f"{value} {name}"


def write(rows: list[dict[str, Any]], pages: list[dict[str, Any]], folder: Path, described: dict[str, str]) -> None:
    """Write the page, the table and the plot.

    Args:
        rows: Rates of each cell.
        pages: Rates of collections.
        folder: Where they go.
        described: Fields of the page that describe the simulation.
    """
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "rates.csv", index=False, lineterminator="\n")
    plot(frame, folder / "rates.png")
    several = frame[frame["pairs_error"].notna()] if "pairs_error" in frame else frame.iloc[:0]
    wide = frame[frame["covered"] > COVERED[1]]
    beyond = [f"- {named(r)}: {percent(r, 'covered')} %" for r in wide.to_dict("records")]
    (folder / "README.md").write_text(
        PAGE.read_text().format(
            cells=len(frame),
            highest=f"{100 * frame['error'].max():.1f}",
            cells_within=sum(row["error"] <= TARGETS.get(row["seeds"], 0.06) for row in frame.to_dict("records")),
            replications=listed(frame["replications"]),
            **{name: listed(frame[name]) for name in ("variants", "seeds", "images")},
            **described,
            collections=collections(pages),
            minutes=frame["seconds"].sum() / 60,
            error=by(frame, "seeds", ["variants", "grouped"], lambda some: percent(worst(some, "error"), "error")),
            pairs=f"{percent(worst(several, 'pairs_error'), 'pairs_error')} %" if len(several) else "not simulated",
            half=f"{percent(worst(frame, 'half_error'), 'half_error')} %",
            power=by(
                frame[(frame["images"] == 30) & ~frame["grouped"]],
                "scenario",
                ["variants", "seeds"],
                lambda some: f"{100 * some['half_found'].max():.0f}",
            ),
            coverage=by(
                frame,
                "seeds",
                ["images", "grouped"],
                lambda some: f"{100 * some['covered'].min():.1f} to {100 * some['covered'].max():.1f}",
            ),
            conservative="\n".join(["More cautious than asked for:", "", *beyond]) if beyond else "No cell is outside.",
            lowest_all=f"{100 * frame[['all_covered', 'half_all_covered']].min().min():.1f} %",
            lowest_together=f"{100 * frame['half_together'].min():.1f} %",
        )
    )


def collections(pages: list[dict[str, Any]]) -> str:
    """Return the rates of collections as a Markdown table."""
    head = ["seeds", "truth", "a variant wrongly shown lower", "a variant wrongly said to serve all", "any said to"]
    lines = []
    for row in pages:
        truth = f"one is {row['ahead']:g} better" if row["ahead"] else "none differs"
        found = [percent(pd.Series(row), name) for name in ("lower", "wrong", "serving")]
        lines.append([str(row["seeds"]), truth, *found])
    return table(head, lines) if lines else "Not simulated."


def plot(frame: pd.DataFrame, path: Path) -> None:
    """Draw the family-wise rate and the coverage of every cell against the number of seeds."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    seeds = sorted(set(frame["seeds"]))
    shades = dict(zip(sorted(set(frame["variants"])), ("#56B4E9", "#0072B2", "#111111"), strict=False))
    spread = np.linspace(-0.3, 0.3, max(1, len(frame) // max(1, len(seeds))))
    for position, n in enumerate(seeds):
        some = frame[frame["seeds"] == n]
        for x, row in zip(spread, some.to_dict("records"), strict=False):
            look = {"color": shades[row["variants"]], "marker": "s" if row["grouped"] else "o", "ms": 3.5, "ls": ""}
            left.plot(position + x, 100 * row["error"], **look)
            right.plot(position + x, 100 * row["covered"], **look)
        left.hlines(100 * TARGETS.get(n, 0.06), position - 0.4, position + 0.4, color="#D55E00", lw=1)
    right.hlines([100 * c for c in COVERED], -0.4, len(seeds) - 0.6, color="#D55E00", lw=1)
    left.set(title='some "better" or "worse", though none differs', ylabel="suites (%)", ylim=(0, None))
    right.set(title="95 % intervals that hold the truth", ylabel="intervals (%)")
    for axes in (left, right):
        axes.set_xticks(range(len(seeds)), [f"{n} seeds" for n in seeds])
        axes.spines[["top", "right"]].set_visible(False)
    for variants, colour in shades.items():
        right.plot([], [], color=colour, marker="o", ls="", ms=4, label=f"{variants} variants")
    right.plot([], [], color="#6b6b6b", marker="s", ls="", ms=4, label="grouped images")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
