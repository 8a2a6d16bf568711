"""Learning curves of a collection: test Dice against the number of training images.

Rows of a collection form one curve if they differ in ``n_train`` alone: same data set, budget and test images. The
bands are 95 % intervals of the mean over seeds and test images, by the rule of `unetzoo.report.verdicts.pair`.
"""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from unetzoo._util.language import N_, _, _n
from unetzoo.records.fields import dig
from unetzoo.report.groups import groups_by_key
from unetzoo.report.matrix import Row
from unetzoo.report.standing import standing
from unetzoo.report.statistics import pairs_of, score_grids
from unetzoo.report.style import RC, SCREEN, Drawn, Look, canvas, looks, save
from unetzoo.report.verdicts.comparison import WITHHELD, Family
from unetzoo.report.verdicts.family import MIN_GROUPS, MIN_SEEDS, interval
from unetzoo.report.verdicts.observing import judge
from unetzoo.report.verdicts.pair import complete, weigh
from unetzoo.report.words import listed, short

# Options of the training that all points of a curve share; models may differ in others, such as their learning rate.
BUDGET = ("steps", "minutes", "flops", "until", "most_steps", "patience", "batch_size", "crop")
MARKED = {  # mark of a model -> the words for it at some numbers of images
    "worse": N_("shown to score lower than the highest with {numbers}"),
    "equivalent": N_("equivalent to it with {numbers}"),
    "undecided": N_("undecided against it with {numbers}"),
    "not enough data": N_("not judged with {numbers}"),
    WITHHELD: N_("not judged: near-duplicates across splits with {numbers}"),
}


@dataclass(frozen=True)
class Curve:
    """Rows of one data set by their number of training images, fewest first."""

    name: str
    rows: dict[int, Row]


def learning_curves(rows: Sequence[Row]) -> list[Curve]:
    """Return the curves with at least two points, in the order of the rows; rows without a score are skipped."""
    found: dict[str, dict[int, Row]] = {}
    for row in rows:
        if all(cell.dice is None for cell in row.cells.values()):
            continue
        record = row.models[0]
        data = dict(dig(record.trial, "data") or {})
        n = dig(record.data, "splits", "train", "n")
        if not isinstance(n, int):
            continue
        options = {k: v for k, v in (data.get("options") or {}).items() if k != "n_train"}
        same = {k: v for k, v in data.items() if k not in ("n_train", "digest", "options")}
        budget = {option: dig(record.trial, "train", option) for option in BUDGET}
        test = dig(record.data, "splits", "test", "digest")
        key = json.dumps([same, options, budget, test], sort_keys=True)
        found.setdefault(key, {}).setdefault(n, row)
    return [
        Curve(str(json.loads(key)[0].get("name", "data")), dict(sorted(points.items())))
        for key, points in found.items()
        if len(points) > 1
    ]


def band(grid: pd.DataFrame, groups: Mapping[str, str] | None = None) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean Dice of a (seeds, images) grid; None for too few seeds, images or groups.

    Args:
        grid: Scores by seed and test image.
        groups: Group of each image that was sampled with others, by its column.
    """
    known = grid.dropna(axis=0, how="all").dropna(axis=1, how="all")
    names = [(groups or {}).get(key, f"\0{key}") for key in known.columns]  # an image without a group is its own
    if len(known) < MIN_SEEDS or len(set(names)) < MIN_GROUPS:
        return None
    codes = np.unique(names, return_inverse=True)[1]
    low, high = interval(weigh(complete(known.to_numpy(float)), codes))
    return max(0.0, float(low)), min(1.0, float(high))


def sentences(curve: Curve, models: Sequence[str]) -> list[str]:
    """Say which model is highest at each number of images, the verdicts on the others, and who needs fewer images."""
    sentences = []
    scored = {n: [model for model in models if row.cell(model).dice is not None] for n, row in curve.rows.items()}
    best = {n: row.best for n, row in curve.rows.items() if row.best is not None and len(scored[n]) > 1}
    if not best and any(len(found) > 1 for found in scored.values()):
        none = _(
            "{data}: nothing is ranked, since verdicts need {least} seeds; run the suite with --seeds 3.",
            data=curve.name,
            least=MIN_SEEDS,
        )
        return [none]
    for model in dict.fromkeys(best.values()):
        at = [str(n) for n in best if best[n] == model]
        highest = _n(
            "{label} has the highest mean Dice with {numbers} training image",
            "{label} has the highest mean Dice with {numbers} training images",
            1 if at == ["1"] else 2,
            label=model,
            numbers=listed(at, len(at)),
        )
        sentences.append(highest)
    for model in models:
        if at := [str(n) for n, found in scored.items() if found == [model]]:
            numbers = listed(at, len(at))
            sentences.append(
                _("with {numbers} training images {label} alone was trained", label=model, numbers=numbers)
            )
    lines = [_("{label}: {what}.", label=curve.name, what=_("; ").join(sentences))]
    for model in models:
        marks = {n: row.cell(model).mark for n, row in curve.rows.items()}
        parts = [
            _(text, numbers=listed(at, len(at)))
            for mark, text in MARKED.items()
            if (at := [str(n) for n, found in marks.items() if found == mark])
        ]
        if parts:
            lines.append(_("{label}: {what}.", label=model, what=_("; ").join(parts)))
    return [*lines, *_as_far(curve, models)]


def _as_far(curve: Curve, models: Sequence[str]) -> list[str]:
    """Say with how few images one model is shown to be no more than the margin below another that has the most.

    All of these comparisons, on the test images that the points share, are corrected together.
    """
    most = max(curve.rows)
    margin = curve.rows[most].margin
    few = [(n, m) for n, row in curve.rows.items() if n < most for m in models if row.cell(m).ranked]
    many = [(most, m) for m in models if curve.rows[most].cell(m).ranked]
    grids = {(n, m): grid for n, row in curve.rows.items() for m, grid in _grids(row).items()}
    names = {f"{n} {m}": (n, m) for n, m in [*few, *many] if (n, m) in grids}
    tested = [
        (a, b) for a in names for b in names if names[a] in few and names[b] in many and names[a][1] != names[b][1]
    ]
    pairs = pairs_of({name: grids[key] for name, key in names.items()}, tested, _groups(curve.rows[most]))
    reached: dict[tuple[str, str], int] = {}
    for c in judge(pairs, Family(margin=None, plan=False)):
        (n, fast), (_most, slow) = names[c.model], names[c.reference]
        if c.p_adjusted is not None and c.low is not None and c.low >= -margin:
            reached.setdefault((fast, slow), n)  # points are in the order of the numbers
    return [
        _n(
            "With {n} image {label} is shown to be at most {margin:g} Dice below {other} with {most}.",
            "With {n} images {label} is shown to be at most {margin:g} Dice below {other} with {most}.",
            n,
            label=fast,
            margin=margin,
            other=slow,
            most=most,
        )
        for (fast, slow), n in reached.items()
    ]


def _grids(row: Row) -> dict[str, pd.DataFrame]:
    """Return the scores that count, by image alone: the data set's digest differs with the training images."""
    if row.tables is None:
        return {}
    return score_grids(standing(row.tables).counted(row.tables.images).assign(data=""))


def _groups(row: Row) -> dict[str, str]:
    groups = groups_by_key(row.tables) if row.tables else {}
    return {f"/{key.partition('/')[2]}": group for key, group in groups.items()}


def plot(curves: Sequence[Curve], models: Sequence[str], formats: Iterable[str] = SCREEN) -> Drawn:
    """Draw a panel for each curve and a line with a band for each model; return the plot by format."""
    look = looks(models, "unet" if "unet" in models else None)
    with mpl.rc_context(RC):
        figure = canvas(0.8 + 4.6 * len(curves), 4.4)
        axes = figure.subplots(1, len(curves), squeeze=False)[0]
        for ax, curve in zip(axes, curves, strict=True):
            for model in models:
                _line(ax, curve, model, look[model])
            numbers = list(curve.rows)
            ax.set_xscale("log", base=2)
            ax.set_xticks(numbers, [str(n) for n in numbers])
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set(title=short(curve.name), xlabel="training images", ylabel="test Dice")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, max(1, len(labels))), frameon=False)
        return save(figure, formats)


def _line(ax: Axes, curve: Curve, model: str, look: Look) -> None:
    points = {n: row.cell(model).dice for n, row in curve.rows.items()}
    points = {n: dice for n, dice in points.items() if dice is not None}
    bands = {
        n: found
        for n in points
        if (grid := _grids(curve.rows[n]).get(model)) is not None
        and (found := band(grid, _groups(curve.rows[n]))) is not None
    }
    ax.plot(
        list(points),
        list(points.values()),
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        markersize=7,
        markeredgecolor="white",
        label=short(model, 40),
    )
    if bands:
        low, high = zip(*bands.values(), strict=True)
        ax.fill_between(list(bands), low, high, color=look.colour, alpha=0.15, linewidth=0)
