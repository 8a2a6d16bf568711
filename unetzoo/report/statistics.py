"""Comparisons of the report: grids of scores, one verdict for each pair, and the summary over seeds.

The rules, each with formula and source, are in `unetzoo.report.verdicts`; their error rates, measured through the
same functions, are in reports/verdict-error-rates. In short:

- A variant's score is the mean over seeds of the mean over test images of the image's score.
- A difference uses the seeds and images both have, and is paired. Seeds stand for training again, images (or groups of
  images that were sampled together) for the population to segment; its variance has both.
- An image without a score (0/0) is left out of the mean of that side only, as in the table: a false alarm in an
  image where the reference rightly predicts nothing counts against the variant.
- p is two-sided and corrected over all comparisons by Holm. Intervals are simultaneous and never contradict the
  verdict; the 95 % interval of one comparison by itself stands beside them.
- Verdicts: better or worse (corrected p below 0.05), equivalent (interval within the margin), else undecided. Fewer
  than three common seeds or five groups: not enough data. One seed gives no statement about variants at all:
  difference and interval then describe these two trained networks.

What takes back a verdict, such as a seed that failed, is in `unetzoo.report.standing`.
"""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from unetzoo.records.columns import COSTS, COUNTS, METRICS
from unetzoo.records.frame import Tables
from unetzoo.report.verdicts.comparison import (
    MARGIN,
    Comparison,
    Family,
    Pair,
    withheld,
)
from unetzoo.report.verdicts.family import ALPHA
from unetzoo.report.verdicts.observing import judge


def pick_reference(trials: pd.DataFrame, matched: str | None = None) -> str | None:
    """Return the label of the reference, or None without trials.

    It is ``matched``, else ``unet``, else the first label of the model ``unet``, else the first label of all.

    Args:
        trials: Finished trials of models.
        matched: Label that all widths were matched to, if any.
    """
    labels = sorted(set(trials["model"].dropna()))
    if matched in labels:
        return matched
    named = sorted(set(trials.loc[trials["name"] == "unet", "model"].dropna()))
    return "unet" if "unet" in labels else (named or labels or [None])[0]


def score_grids(images: pd.DataFrame, metric: str = "dice") -> dict[str, pd.DataFrame]:
    """Return a score of each label by seed (rows) and test image (columns); NaN where there is none.

    Args:
        images: Scores of single images, `Tables.images`.
        metric: Column of the score.
    """
    images = images.assign(key=images["data"] + "/" + images["image"])
    return {
        str(label): _grid(scores["seed"], scores["key"], scores[metric].to_numpy(float))
        for label, scores in images.groupby("model", sort=True)
        if scores[metric].notna().any()
    }


def _grid(seeds: pd.Series, keys: pd.Series, scores: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Return scores by seed and key, the mean where several share both; much faster than a pivot table."""
    (row, rows), (column, columns) = (pd.factorize(each, sort=True) for each in (seeds, keys))
    known = np.isfinite(scores)
    place = (row * len(columns) + column)[known]
    total = np.bincount(place, scores[known], len(rows) * len(columns))
    count = np.bincount(place, minlength=len(total))
    means = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    index, header = pd.Index(rows, name="seed"), pd.Index(columns, name="key")
    return pd.DataFrame(means.reshape(len(rows), -1), index=index, columns=header)


def compare(
    grids: Mapping[str, pd.DataFrame],
    reference: str,
    *,
    groups: Mapping[str, str] | None = None,
    margin: float | None = MARGIN,
    alpha: float = ALPHA,
    metric: str = "dice",
    leaking: bool = False,
) -> list[Comparison]:
    """Compare every other variant with the reference, in order of label, as one family of tests.

    Args:
        grids: Scores of each label by seed and test image, from `score_grids`.
        reference: Label of the reference.
        groups: Group of each test image, by its column in ``grids``; images without one are their own group.
        margin: Largest difference that does not matter, in units of the metric; None for no equivalence.
        alpha: Family-wise error rate.
        metric: Name of the score; of distances and calibration errors, lower is better.
        leaking: Withhold the verdicts, as too many test images resemble images of another split.

    Returns:
        One comparison for each other label; empty if the reference has no scores.
    """
    if reference not in grids:
        return []
    pairs = [(name, reference) for name in sorted(grids) if name != reference]
    return _judged(grids, pairs, groups, Family(margin, alpha, metric), leaking)


def all_pairs(
    grids: Mapping[str, pd.DataFrame],
    *,
    groups: Mapping[str, str] | None = None,
    margin: float | None = MARGIN,
    alpha: float = ALPHA,
    metric: str = "dice",
    leaking: bool = False,
) -> list[Comparison]:
    """Compare every variant with every other one, as one family of tests; for the arguments see `compare`.

    Returns:
        One comparison for each pair, the label that sorts first as its reference.
    """
    pairs = [(name, other) for other in sorted(grids) for name in sorted(grids) if name > other]
    return _judged(grids, pairs, groups, Family(margin, alpha, metric), leaking)


def _judged(
    grids: Mapping[str, pd.DataFrame],
    pairs: Iterable[tuple[str, str]],
    groups: Mapping[str, str] | None,
    family: Family,
    leaking: bool,
) -> list[Comparison]:
    found = judge(pairs_of(grids, pairs, groups or {}), family)
    return [withheld(c) for c in found] if leaking else found


def pairs_of(
    grids: Mapping[str, pd.DataFrame], pairs: Iterable[tuple[str, str]], groups: Mapping[str, str]
) -> list[Pair]:
    """Return the scores of the seeds and images that both sides of each pair have.

    Args:
        grids: Scores of each label by seed and test image.
        pairs: Labels of a variant and its reference.
        groups: Group of each test image that has one.
    """
    seeds = sorted({seed for grid in grids.values() for seed in grid.index})
    grids = {name: grid.reindex(seeds) for name, grid in grids.items()}  # a seed without a score is not compared
    arrays = {name: grid.to_numpy(float) for name, grid in grids.items()}
    columns = {name: tuple(grid.columns) for name, grid in grids.items()}
    codes: dict[tuple[str, ...], npt.NDArray[np.intp] | None] = {}
    found = []
    for name, other in pairs:
        ours, theirs, images = arrays[name], arrays[other], columns[name]
        if images != columns[other]:
            images = tuple(image for image in images if image in grids[other].columns)
            ours, theirs = (grids[each][list(images)].to_numpy(float) for each in (name, other))
        if images not in codes:
            codes[images] = codes_of(images, groups)
        found.append(Pair(name, other, ours, theirs, codes[images]))
    return found


def codes_of(images: Iterable[str], groups: Mapping[str, str]) -> npt.NDArray[np.intp] | None:
    """Return the number of each image's group; None if no image has a group.

    Args:
        images: Keys of the images; one without a group is its own.
        groups: Group of each image that has one.
    """
    keys = list(images)
    if not any(key in groups for key in keys):
        return None
    return np.unique([groups.get(key, f"\0{key}") for key in keys], return_inverse=True)[1]


def summarise(tables: Tables, baselines: bool = False) -> pd.DataFrame:
    """Summarise the trials over seeds, one row per model label.

    Rows have mean and SD (n - 1; NaN for one seed) of the scores, median, lowest and highest of the costs, and sums
    of the counts. They are sorted from the highest mean Dice down; labels whose trials all failed come last.

    Args:
        tables: Tables of the report.
        baselines: Summarise the trivial predictors instead of the models.
    """
    trials = tables.trials[tables.trials["baseline"] == baselines]
    done = tables.baselines if baselines else tables.done
    asked = trials["model"].value_counts()
    finished = dict(iter(done.groupby("model", sort=False)))
    rows = [
        _summary_row(str(label), finished.get(label, done[:0]), int(asked[label]), tables)
        for label in sorted(set(trials["model"].dropna()))
    ]
    columns = ["model", "seeds", "failed", *(name + end for name in METRICS for end in ("", "_sd")), *COUNTS]
    columns += [
        "timed",
        "noisy",
        "noisy_float32",
        *(name + end for name in [*COSTS, "steps"] for end in ("", "_low", "_high")),
    ]
    frame = pd.DataFrame(rows, columns=pd.Index([*columns, *tables.phases.values()]))
    return frame.sort_values("dice", ascending=False, kind="stable", na_position="last", ignore_index=True)


def _summary_row(label: str, finished: pd.DataFrame, trials: int, tables: Tables) -> dict[str, object]:
    row: dict[str, object] = {
        "model": label,
        "seeds": int(finished["seed"].nunique()),
        "failed": trials - len(finished),
        "timed": int(finished["noisy"].notna().sum()),  # trials with a timing that was checked for noise
        "noisy": int(finished["noisy"].fillna(False).sum()),
        "noisy_float32": int(finished["noisy_float32"].fillna(False).sum()),
    }
    counted = [*COSTS, "steps", *tables.phases.values()]
    table = finished[[*METRICS, *COUNTS, *counted]].to_numpy(float, na_value=np.nan)
    values = {name: x[np.isfinite(x)] for name, x in zip([*METRICS, *COUNTS, *counted], table.T, strict=True)}
    for name in METRICS:
        some = values[name]
        row[name] = some.mean() if len(some) else np.nan
        row[f"{name}_sd"] = some.std(ddof=1) if len(some) > 1 else np.nan
    for name in COUNTS:
        row[name] = values[name].sum() if len(values[name]) else np.nan
    for name in counted:
        if len(some := values[name]):
            row |= {name: np.median(some), f"{name}_low": some.min(), f"{name}_high": some.max()}
    return row
