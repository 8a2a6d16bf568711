"""Uncertainty of the comparisons: paired two-way bootstrap, Holm's correction, verdicts and rank stability.

The random draws are fixed, so the same records give the same results.

Conventions, and where they come from:

- A variant's score is the mean over seeds of the mean over test images of the image's Dice.
- The difference from the reference uses the seeds and images both have. Every resample draws images *and*
  seeds with replacement, the same draw for both sides, so the comparison is paired; where every score is
  defined this is the bootstrap of the per-image differences averaged over seeds. Images stand for the
  population to segment, seeds for training again; leaving either out gives intervals that are too narrow.
  Drawing both is the "pigeonhole" bootstrap (Owen 2007, Ann. Appl. Stat. 1, 386-411).
- A resample draws n - 1 of n seeds or images, which makes the variance of a resampled mean unbiased (Rao and Wu
  1988, doi 10.1080/01621459.1988.10478591), and deviations from the observed difference are stretched by
  `widening`. Without these two measures, three seeds of two equal variants gave a verdict in 12 to 16 % of
  simulations; with them, in 4 % (two seeds: 7 %).
- An image without a score (0/0) is left out of the mean of that side only, as in the table: a false alarm in an
  image where the reference rightly predicts nothing counts against the variant.
- 95 % intervals are percentiles of the resampled differences, one comparison at a time (Christodoulou et
  al. 2024, arXiv 2409.17763, on why segmentation results need intervals).
- p is two-sided: twice the smaller share of resamples on one side of zero, (count + 1) / (resamples + 1).
- p is corrected over all variants by Holm (1979, Scand. J. Statist. 6, 65-70). Verdict: "better" or "worse"
  if the corrected p is below 0.05, else "indistinguishable".
- Fewer than 5 common images, or no common seed: "not enough data". A sign-flip test on 4 images cannot give
  p < 0.12 whatever the values, so a bootstrap that did would be claiming what the data cannot hold.
- One common seed: only images are resampled, so the interval describes these two trained networks and not the
  variants, and the verdict is never "better" or "worse": it is "not enough data" instead.
"""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm, t

from unetzoo.records.frame import COSTS, COUNTS, METRICS, Tables

RESAMPLES = 10_000
ALPHA = 0.05
MIN_IMAGES = 5
CHUNK = 500  # resamples at a time, to bound memory on large test sets
RNG = 20150518  # seed of the draws; fixed, so that the same records give the same report
Verdict = Literal["better", "worse", "indistinguishable", "not enough data"]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One variant against the reference; ``seeds`` and ``images`` count those that both have."""

    model: str
    seeds: int
    images: int
    verdict: Verdict = "not enough data"
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    agree: int = 0  # number of seeds whose own difference has the sign of the overall one
    note: str = ""


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


def score_grids(images: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the Dice of each label by seed (rows) and test image (columns); NaN where there is no score."""
    images = images.assign(key=images["data"] + "/" + images["image"])
    return {
        str(label): scores.pivot_table(index="seed", columns="key", values="dice", dropna=False)
        for label, scores in images.groupby("model", sort=True)
        if scores["dice"].notna().any()
    }


def means(x: Array, image_weights: Array, seed_weights: Array) -> Array:
    """Return the weighted mean over seeds of the weighted mean over images, for each of B weightings.

    Args:
        x: Scores (seeds, images); NaN where there is none.
        image_weights: (B, images).
        seed_weights: (B, seeds).

    Returns:
        Means (B,); NaN where no score has a weight.
    """
    defined = np.isfinite(x)
    total = image_weights @ np.where(defined, x, 0.0).T
    count = image_weights @ defined.astype(float).T
    per_seed = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    weight = seed_weights * (count > 0)
    total, count = (weight * per_seed).sum(1), weight.sum(1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def resample(grids: Sequence[Array]) -> Array:
    """Return the bootstrap means of grids over the same images.

    All grids share the drawn images; grids with the same number of seeds share the drawn seeds.

    Args:
        grids: Scores, each (seeds, images).

    Returns:
        Means (RESAMPLES, len(grids)).
    """
    out = np.empty((RESAMPLES, len(grids)))
    for start in range(0, RESAMPLES, CHUNK):
        rows = slice(start, start + CHUNK)
        drawn = draws("images", grids[0].shape[1])[rows].astype(float)
        for k, grid in enumerate(grids):
            out[rows, k] = means(grid, drawn, draws("seeds", grid.shape[0])[rows].astype(float))
    return out


@lru_cache(maxsize=8)
def draws(what: Literal["images", "seeds"], n: int) -> npt.NDArray[np.uint16]:
    """Return how often each of n items is drawn in n - 1 draws with replacement.

    Args:
        what: Selects the random stream, so that images and seeds are drawn independently.
        n: Number of items.

    Returns:
        Counts (RESAMPLES, n), the same on every call.
    """
    rng = np.random.default_rng([RNG, what == "seeds", n])
    rows = (rng.multinomial(max(n - 1, 1), np.full(n, 1 / n), size=CHUNK) for _ in range(RESAMPLES // CHUNK))
    return np.concatenate([row.astype(np.uint16) for row in rows])


def widening(difference: Array) -> float:
    """Return the factor, at least 1, by which few seeds and images must widen a bootstrap interval.

    It is the ratio of Student's t to the normal quantile, with Satterthwaite's degrees of freedom for the variance
    over seeds plus the variance over images: 2.2 if three seeds cause all of the noise, 1.04 if thirty images do.

    Args:
        difference: Paired differences (seeds, images); NaN where there is none.
    """
    scored = np.isfinite(difference)
    difference = difference[scored.any(1)][:, scored.any(0)]
    over = [np.nanmean(difference, axis) for axis in (0, 1)] if difference.size else []
    parts = [(np.var(m, ddof=1) / len(m), len(m) - 1) for m in over if len(m) > 1]
    total = sum(variance for variance, _ in parts)
    if total < 1e-20:
        return 1.0
    freedom = total**2 / sum(variance**2 / n for variance, n in parts)
    return float(t.ppf(1 - ALPHA / 2, freedom) / norm.ppf(1 - ALPHA / 2))


def two_sided_p(differences: Array) -> float:
    """Return the bootstrap p of 'no difference'; values are rounded so that floating-point noise is no evidence."""
    d = np.round(differences[np.isfinite(differences)], 12)
    one_sided = (min((d <= 0).sum(), (d >= 0).sum()) + 1) / (d.size + 1)
    return float(min(1.0, 2 * one_sided))


def holm(p: Sequence[float]) -> list[float]:
    """Return p after Holm's step-down correction: the i-th smallest of m times (m - i + 1), monotone, at most 1."""
    values = np.asarray(p, float)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected.tolist()


def compare(grids: dict[str, pd.DataFrame], reference: str) -> list[Comparison]:
    """Compare every other variant with the reference, in order of label, with Holm's correction over all of them.

    Args:
        grids: Dice of each label by seed and test image, from `score_grids`.
        reference: Label of the reference.

    Returns:
        One comparison for each other label; empty if the reference has no scores.
    """
    if reference not in grids:
        return []
    raw = [_pair(name, grids[name], grids[reference]) for name in sorted(grids) if name != reference]
    tested = [c for c in raw if c.p is not None]
    corrected = dict(zip((c.model for c in tested), holm([c.p or 0.0 for c in tested]), strict=True))
    return [_judge(c, corrected.get(c.model)) for c in raw]


def _pair(name: str, variant: pd.DataFrame, reference: pd.DataFrame) -> Comparison:
    """Return difference, interval and p of one variant, without a verdict."""
    seeds = variant.index.intersection(reference.index)
    images = variant.columns.intersection(reference.columns)
    ours, theirs = (g.loc[seeds, images].to_numpy(float) for g in (variant, reference))
    scored = np.isfinite(ours).any(0), np.isfinite(theirs).any(0)
    n_seeds, n_images = len(seeds), int(min(scored[0].sum(), scored[1].sum()))
    found = Comparison(name, n_seeds, n_images)
    if n_seeds == 0 or n_images == 0:
        return replace(found, note="no seed or no test image in common with the reference")
    ours, theirs = (x[:, scored[0] | scored[1]] for x in (ours, theirs))
    one = np.ones((1, ours.shape[1]))
    own = [float((means(a, one, e) - means(b, one, e))[0]) for a, b, e in _seed_by_seed(ours, theirs)]
    whole = float((means(ours, one, np.ones((1, n_seeds))) - means(theirs, one, np.ones((1, n_seeds))))[0])
    found = replace(found, difference=whole, agree=sum(np.sign(d) == np.sign(whole) for d in own))
    if n_images < MIN_IMAGES:
        return replace(found, note=f"{n_images} test images in common, at least {MIN_IMAGES} are needed")
    resampled = resample([ours, theirs])
    differences = whole + widening(ours - theirs) * (resampled[:, 0] - resampled[:, 1] - whole)
    low, high = np.nanpercentile(differences, [100 * ALPHA / 2, 100 - 100 * ALPHA / 2])
    return replace(found, low=float(low), high=float(high), p=two_sided_p(differences))


def _seed_by_seed(ours: Array, theirs: Array) -> list[tuple[Array, Array, Array]]:
    return [(ours[[s]], theirs[[s]], np.ones((1, 1))) for s in range(len(ours))]


def _judge(c: Comparison, p_holm: float | None) -> Comparison:
    """Add the verdict, by the rules at the top of this module."""
    if p_holm is None or c.difference is None:
        return c
    c = replace(c, p_holm=p_holm)
    if c.seeds < 2:
        note = "one seed in common: seed-to-seed variation is not covered"
        return replace(c, verdict="not enough data" if p_holm < ALPHA else "indistinguishable", note=note)
    if p_holm >= ALPHA:
        return replace(c, verdict="indistinguishable")
    return replace(c, verdict="better" if (c.difference or 0.0) > 0 else "worse")


def first_chances(grids: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Return the share of resamples in which each variant has the highest mean Dice; ties are split evenly.

    Only images that all variants have are drawn, while each variant keeps its own seeds; empty if there are none.
    """
    if not grids:
        return {}
    common = None
    for grid in grids.values():
        common = grid.columns if common is None else common.intersection(grid.columns)
    if common is None or len(common) == 0:
        return {}
    scores = resample([g[common].to_numpy(float) for g in grids.values()])
    scores = np.round(np.where(np.isfinite(scores), scores, -1.0), 12)
    first = scores == scores.max(axis=1, keepdims=True)
    shares = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    return dict(zip(grids, shares.tolist(), strict=True))


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
    rows = [
        _summary_row(label, done[done["model"] == label], int((trials["model"] == label).sum()), tables)
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
    for name in METRICS:
        row |= {name: finished[name].mean(), f"{name}_sd": finished[name].std()}
    for name in COUNTS:
        row[name] = finished[name].sum() if finished[name].notna().any() else np.nan
    for name in [*COSTS, "steps", *tables.phases.values()]:
        values = finished[name].dropna().astype(float)
        if len(values):
            row |= {name: values.median(), f"{name}_low": values.min(), f"{name}_high": values.max()}
    return row
