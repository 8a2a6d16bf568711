"""The answer of a collection's page: which model is highest where, and if one choice can serve all data sets."""

from __future__ import annotations

from collections.abc import Sequence

from unetzoo._util.language import _, _n
from unetzoo.report.matrix import Mark, Rank, Row, one_for_all
from unetzoo.report.verdicts.family import MIN_SEEDS
from unetzoo.report.words import listed, number


def answer(rows: Sequence[Row], models: Sequence[str], ranks: Sequence[Rank], ranked: Sequence[str]) -> list[str]:
    """State the result in sentences: the highest model by data set, whether the choice depends on it, mean ranks."""
    if not any(cell.dice is not None for row in rows for cell in row.cells.values()):
        return [_("No trial finished with a test score, so there is no result yet.")]
    shown = [row for row in rows if row.best is not None]
    if not shown:
        return [_unranked(rows)]
    where = {m: [row.label for row in shown if row.best == m] for m in models}
    order = sorted((m for m in models if where[m]), key=lambda m: -len(where[m]))
    counts = [_("{label} on {n} ({names})", label=m, n=len(where[m]), names=listed(where[m])) for m in order]
    highest = _n(
        "Highest mean Dice on {n} data set: {counts}.",
        "Highest mean Dice on {n} data sets: {counts}.",
        len(shown),
        counts=listed(counts),
    )
    sentences = [highest]
    marks: dict[str, list[Mark | None]] = {m: [row.cell(m).mark for row in shown] for m in models}
    judged = [m for m in models if set(marks[m]) & {"equivalent", "undecided", "worse"}]
    if len(shown) < 2 or not judged:
        few = _("Too few verdicts are available to say whether the best variant depends on the data set.")
        return [*sentences, few]
    return [*sentences, *_depends(rows, marks), *_ranked(rows, ranks, ranked)]


def _unranked(rows: Sequence[Row]) -> str:
    """Say why nothing is ranked, and what helps."""
    most = max(cell.seeds for row in rows for cell in row.cells.values())
    if most >= MIN_SEEDS:
        return _("Nothing is ranked, since of every variant a trial failed or did not learn; see the warnings.")
    none = _("No seed of any variant learnt anything")
    return _(
        "{how_many}, nothing here says which variant is better, and nothing is ranked: verdicts need {least} seeds. Run"
        " the suite with --seeds {least}; finished trials are kept.",
        how_many=none if most == 0 else _n("With {n} seed", "With {n} seeds", most),
        least=MIN_SEEDS,
    )


def _depends(rows: Sequence[Row], marks: dict[str, list[Mark | None]]) -> list[str]:
    """Say if one variant is good enough everywhere; ``marks`` has one mark per data set for each variant."""
    least = _("at most {margin} Dice below every other variant", margin=margins_text(rows))
    if serving := one_for_all(rows, list(marks)):
        one = _n(
            "One choice can serve all of them: {labels} is shown to be {least} on every data set.",
            "One choice can serve all of them: {labels} are each shown to be {least} on every data set.",
            len(serving),
            labels=listed(serving),
            least=least,
        )
        return [one]
    beaten = [m for m, each in marks.items() if "worse" in each]
    if len(beaten) == len(marks):
        return [
            _("The choice depends on the data set: each variant is shown to score lower than another on at least one.")
        ]
    if not beaten:
        return [
            _(
                "It is open whether one choice can serve all of them: no variant is shown to be {least} on every data"
                " set, and none is shown to score lower than another on any.",
                least=least,
            )
        ]
    rest = [m for m in marks if m not in beaten]
    return [
        _(
            "It is open whether one choice can serve all of them: no variant is shown to be {least} on every data set;"
            " nowhere shown to score lower: {labels}.",
            least=least,
            labels=listed(rest),
        )
    ]


def margins_text(rows: Sequence[Row]) -> str:
    """Return the margin of the rows, or "its margin (0.01 to 0.02)" if they differ."""
    margins = sorted({row.margin for row in rows})
    if len(margins) == 1:
        return f"{margins[0]:g}"
    return _("its margin ({low:g} to {high:g})", low=margins[0], high=margins[-1])


def _ranked(rows: Sequence[Row], ranks: Sequence[Rank], ranked: Sequence[str]) -> list[str]:
    if not ranks:
        return []
    if open_ranks(ranks):
        return [_("Ranks tell nothing here, since the verdicts leave every mean rank possible for each variant.")]
    means = [f"{rank.model} {rank_texts(rank)['text']}" for rank in ranks]
    if len(ranked) == len(rows):
        return [
            _(
                "Mean rank over all {n} data sets (in brackets, what the verdicts leave possible): {means}.",
                n=len(rows),
                means=listed(means, len(means)),
            )
        ]
    return [
        _n(
            "Mean rank over {n} data set (in brackets, what the verdicts leave possible): {means}.",
            "Mean rank over {n} data sets (in brackets, what the verdicts leave possible): {means}.",
            len(ranked),
            means=listed(means, len(means)),
        )
    ]


def open_ranks(ranks: Sequence[Rank]) -> bool:
    """Return True if the verdicts leave every mean rank possible for each variant."""
    return all((rank.low, rank.high) == (1, len(ranks)) for rank in ranks)


def rank_texts(rank: Rank) -> dict[str, str]:
    """Format a mean rank, the interval that the verdicts leave possible, and both."""
    mean = number(rank.mean, 2)
    interval = _("{low} to {high}", low=number(rank.low, 1), high=number(rank.high, 1))
    return {"mean": mean, "interval": interval, "text": _("{mean} ({interval})", mean=mean, interval=interval)}
