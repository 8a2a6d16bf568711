"""Plots of single test images and of the set of the best: per-image lines, difficulty, differences from the best."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from unetzoo.report.forest import VERDICT_COLOURS
from unetzoo.report.judgement import Judgement
from unetzoo.report.recommend import choose, field_of
from unetzoo.report.style import Look, canvas
from unetzoo.report.words import short

MOST_WRITTEN = 25  # variants up to which the shares of ranks are written into their cells


def _by_image(images: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Return the mean Dice over seeds of each image (rows) and variant (columns), images that all variants have."""
    means = images.pivot_table("dice", "image", "model", aggfunc="mean")
    return means.reindex(columns=[name for name in order if name in means]).dropna()


def paired_lines(images: pd.DataFrame, order: Sequence[str], look: dict[str, Look]) -> Figure | None:
    """Draw one line per test image over the variants; None with fewer than two variants or images."""
    means = _by_image(images, order)
    if means.shape[0] < 2 or means.shape[1] < 2:
        return None
    figure = canvas(1.6 + 0.9 * means.shape[1], 4.4)
    ax = figure.subplots()
    at = np.arange(means.shape[1])
    faint = max(0.08, min(0.5, 12 / len(means)))
    ax.plot(at, means.to_numpy().T, color="#777777", linewidth=0.9, alpha=faint, zorder=1, rasterized=len(means) > 600)
    for k, name in enumerate(means):
        ax.plot([k], [means[name].mean()], look[name].marker, color=look[name].colour, markersize=9, zorder=3)
    ax.plot(at, means.mean().to_numpy(), color="#111111", linewidth=1.6, zorder=2)
    ax.set_xticks(at, [short(str(name), 18) for name in means], rotation=30, ha="right")
    ax.set_ylabel("test Dice of an image (mean over seeds)")
    ax.set_title(f"{len(means)} test images; black: their mean")
    return figure


def difficulty(images: pd.DataFrame, order: Sequence[str], look: dict[str, Look]) -> Figure | None:
    """Draw the variants' Dice on each test image, the hardest image first; None with fewer than two images."""
    means = _by_image(images, order)
    if len(means) < 2 or means.shape[1] < 1:
        return None
    means = means.loc[means.mean(axis=1).sort_values(kind="stable").index]
    figure = canvas(7.4, 4.2 + 0.22 * max(0, np.ceil(means.shape[1] / 4) - 2))  # room for the legend
    ax = figure.subplots()
    at = np.arange(1, len(means) + 1)
    ax.fill_between(at, means.min(axis=1), means.max(axis=1), color="#dddddd", linewidth=0, zorder=1)
    for name in means:
        style = {"color": look[name].colour, "linestyle": "none", "marker": look[name].marker, "markersize": 4}
        ax.plot(at, means[name], label=short(str(name)), zorder=2, **style)
    ax.set(xlabel="test images, hardest first (by the mean over variants)", ylabel="test Dice (mean over seeds)")
    figure.legend(loc="outside lower center", ncols=min(4, means.shape[1]), frameon=False)
    return figure


def image_ranks(images: pd.DataFrame, order: Sequence[str]) -> Figure | None:
    """Draw the share of the test images on which each variant has each rank, the best mean rank first.

    Variants with the same Dice on an image share their ranks evenly. None with fewer than two variants or images.
    """
    means = _by_image(images, order)
    if len(means) < 2 or means.shape[1] < 2:
        return None
    low, high = (means.rank(axis=1, ascending=False, method=way) for way in ("min", "max"))
    mean_rank = ((low + high) / 2).mean().sort_values(kind="stable")
    low, high = low[mean_rank.index].to_numpy(), high[mean_rank.index].to_numpy()
    ranks = range(1, means.shape[1] + 1)
    shares = np.stack([((low <= k) & (k <= high)) / (high - low + 1) for k in ranks], -1).mean(0)
    figure = canvas(3.4 + 0.55 * len(ranks), 1.6 + 0.36 * len(ranks))
    ax = figure.subplots()
    ax.pcolormesh(shares, cmap=mpl.colormaps["Blues"], vmin=0, vmax=1, edgecolors="white", linewidth=1)
    for (row, column), share in np.ndenumerate(shares) if len(ranks) <= MOST_WRITTEN else ():
        ink = "white" if share > 0.55 else "#111111"
        text = f"{100 * share:.0f}" if share else ""
        ax.text(column + 0.5, row + 0.5, text, color=ink, ha="center", va="center", fontsize=9)
    every = 1 if len(ranks) <= MOST_WRITTEN else 5
    ax.set_xticks(np.arange(0, len(ranks), every) + 0.5, [str(k) for k in ranks[::every]])
    names = [f"{short(str(name))} ({rank:.2f})" for name, rank in mean_rank.items()]
    ax.set_yticks(np.arange(len(names)) + 0.5, names)
    ax.set(xlabel="rank on a test image by Dice (in brackets: the mean rank)", ylim=(len(names), 0))
    ax.set_title(f"per cent of {len(means)} test images")
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return figure


def best_set(summary: pd.DataFrame, j: Judgement, most: int) -> Figure | None:
    """Draw the difference of the first variants from the best with its interval, by verdict; None without a verdict.

    Variants whose verdict is not "worse" are the set in which the best may be.
    """
    field = field_of(summary.to_dict("records"), j)
    if not any(c.score is not None and c.learnt for c in field.candidates):
        return None
    best = choose(field).best
    rows = [c for x in field.candidates if (c := field.pairs.get((x.label, str(best)))) and j.judged(c)]
    if not rows:
        return None
    rows = sorted(rows, key=lambda c: -(c.difference or 0.0))[: most - 1]
    figure = canvas(7.6, 1.5 + 0.4 * (len(rows) + 1))
    ax = figure.subplots()
    ax.axvspan(-j.margin, j.margin, color=VERDICT_COLOURS["equivalent"], alpha=0.1, linewidth=0)
    ax.axvline(0, color="#111111", linewidth=1)
    ax.plot([0], [0], "D", color="#111111", markersize=8)
    for row, c in enumerate(rows, 1):
        colour = VERDICT_COLOURS[c.verdict]
        ax.plot([c.low, c.high], [row, row], color=colour, linewidth=2.4, solid_capstyle="butt")
        ax.plot([c.difference], [row], "o", color=colour, markersize=8, markeredgecolor="white")
        ax.text(1.02, row, j.standing.wording(c), transform=ax.get_yaxis_transform(), va="center", fontsize=9)
    ax.set_yticks(range(len(rows) + 1), [f"{short(str(best))} (best)", *(short(c.model) for c in rows)])
    ax.set_ylim(len(rows) + 0.6, -0.6)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("difference in test Dice from the best mean (simultaneous 95 % intervals)")
    return figure
