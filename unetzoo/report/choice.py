"""The answer of a collection's page: which model is highest where, and if one choice can serve all data sets."""

from __future__ import annotations

from collections.abc import Sequence

from unetzoo.report.matrix import Mark, Rank, Row, one_for_all
from unetzoo.report.verdicts.family import MIN_SEEDS
from unetzoo.report.words import listed, number


def answer(rows: Sequence[Row], models: Sequence[str], ranks: Sequence[Rank], ranked: Sequence[str]) -> list[str]:
    """State the result in sentences: the highest model by data set, whether the choice depends on it, mean ranks."""
    if not any(cell.dice is not None for row in rows for cell in row.cells.values()):
        return ["No trial finished with a test score, so there is no result yet."]
    shown = [row for row in rows if row.best is not None]
    if not shown:
        return [_unranked(rows)]
    where = {m: [row.label for row in shown if row.best == m] for m in models}
    order = sorted((m for m in models if where[m]), key=lambda m: -len(where[m]))
    counts = [f"{m} on {len(where[m])} ({listed(where[m])})" for m in order]
    sentences = [f"Highest mean Dice on {_data_sets(len(shown))}: {listed(counts)}."]
    marks: dict[str, list[Mark | None]] = {m: [row.cell(m).mark for row in shown] for m in models}
    judged = [m for m in models if set(marks[m]) & {"equivalent", "undecided", "worse"}]
    if len(shown) < 2 or not judged:
        return [*sentences, "Too few verdicts are available to say whether the best variant depends on the data set."]
    return [*sentences, *_depends(rows, marks), *_ranked(rows, ranks, ranked)]


def _unranked(rows: Sequence[Row]) -> str:
    """Say why nothing is ranked, and what helps."""
    most = max(cell.seeds for row in rows for cell in row.cells.values())
    if most >= MIN_SEEDS:
        return "Nothing is ranked, since of every variant a trial failed or did not learn; see the warnings."
    how_many = "No seed of any variant learnt anything" if most == 0 else f"With {most} seed{'s' * (most > 1)}"
    return (
        f"{how_many}, nothing here says which variant is better, and nothing is ranked: verdicts need {MIN_SEEDS}"
        f" seeds. Run the suite with --seeds {MIN_SEEDS}; finished trials are kept."
    )


def _depends(rows: Sequence[Row], marks: dict[str, list[Mark | None]]) -> list[str]:
    """Say if one variant is good enough everywhere; ``marks`` has one mark per data set for each variant."""
    least = f"at most {margins_text(rows)} Dice below every other variant"
    if serving := one_for_all(rows, list(marks)):
        are = "is" if len(serving) == 1 else "are each"
        return [f"One choice can serve all of them: {listed(serving)} {are} shown to be {least} on every data set."]
    beaten = [m for m, each in marks.items() if "worse" in each]
    if len(beaten) == len(marks):
        return [
            "The choice depends on the data set: each variant is shown to score lower than another on at least one."
        ]
    rest = [m for m in marks if m not in beaten]
    return [
        f"It is open whether one choice can serve all of them: no variant is shown to be {least} on every data set;"
        f" nowhere shown to score lower: {listed(rest)}."
    ]


def margins_text(rows: Sequence[Row]) -> str:
    """Return the margin of the rows, or "its margin (0.01 to 0.02)" if they differ."""
    margins = sorted({row.margin for row in rows})
    return f"{margins[0]:g}" if len(margins) == 1 else f"its margin ({margins[0]:g} to {margins[-1]:g})"


def _ranked(rows: Sequence[Row], ranks: Sequence[Rank], ranked: Sequence[str]) -> list[str]:
    if not ranks:
        return []
    over = _data_sets(len(ranked)) if len(ranked) < len(rows) else f"all {len(rows)} data sets"
    means = [f"{rank.model} {rank_texts(rank)['text']}" for rank in ranks]
    possible = " (in brackets, what the verdicts leave possible)"
    return [f"Mean rank over {over}{possible}: {listed(means, len(means))}."]


def _data_sets(n: int) -> str:
    return "1 data set" if n == 1 else f"{n} data sets"


def rank_texts(rank: Rank) -> dict[str, str]:
    """Format a mean rank, the interval that the verdicts leave possible, and both."""
    mean, interval = number(rank.mean, 2), f"{number(rank.low, 1)} to {number(rank.high, 1)}"
    return {"mean": mean, "interval": interval, "text": f"{mean} ({interval})"}
