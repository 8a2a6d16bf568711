"""The same masks through scikit-learn, torchmetrics, MONAI and unetzoo, and why the scores differ.

    python benchmarks/metric_conventions.py

writes reports/metric-conventions/README.md. Every score is computed here. Scores that differ from unetzoo's carry the
number of a reason. The script fails if a difference has no reason or a reason has no difference, so that the text
cannot outlive the libraries' behaviour.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from metric_cases import (
    BINS,
    LIBRARIES,
    METRICS,
    NONE,
    SOFT_LIBRARIES,
    SOFT_METRICS,
    VOID,
    Case,
    Soft,
    cases,
    ours,
    soft_cases,
    soft_ours,
)

PAGE = Path(__file__).parents[1] / "reports" / "metric-conventions" / "README.md"


@dataclass(frozen=True)
class Reason:
    """Explanation of the differences in some metrics of some libraries in some cases."""

    text: str
    cells: frozenset[tuple[str, str, str]]  # (metric, library, case)


def reason(text: str, *groups: tuple[str, str, str]) -> Reason:
    """Build a reason.

    Args:
        text: Explanation, in Markdown; whitespace is collapsed.
        groups: Metrics, libraries and cases that it covers, each comma-separated.
    """
    cells = [(m, lib, c) for group in groups for m, lib, c in product(group)]
    return Reason(" ".join(text.split()), frozenset(cells))


def product(group: tuple[str, str, str]) -> list[tuple[str, str, str]]:
    """Return every (metric, library, case) of a group."""
    metrics, libraries, names = (part.split(", ") for part in group)
    return [(m, lib, c) for m in metrics for lib in libraries for c in names]


REASONS = [
    reason(
        """**Pooled or per image.** scikit-learn and torchmetrics' classification metrics see one long list of
        pixels: the pixels of all images are counted together, so a large object outweighs a small one and a
        missed image may not show in the precision at all. unetzoo's headline scores are means over images; the
        pooled scores stand beside them in every record (`pooled`).""",
        ("dice, iou", "scikit-learn", "hit and miss, hit and false alarm, sizes"),
        ("precision", "scikit-learn, torchmetrics", "hit and miss, sizes"),
    ),
    reason(
        """**Empty against empty is 0.** With nothing true and nothing predicted every overlap is 0/0. scikit-learn
        (`zero_division="warn"`) and torchmetrics' precision make it 0, so a correct empty answer counts as the
        worst one, and a class that is nowhere lowers the mean over classes. unetzoo leaves the pair out (NaN
        above means that nothing is left to average) and counts it in `undefined`; with `both_empty = "perfect"`
        it is 1.""",
        ("dice, iou, precision", "scikit-learn", "empty, absent class"),
        ("precision", "torchmetrics", "empty, absent class"),
    ),
    reason(
        """**A mean of nothing is 0.** MONAI's functions return NaN here, as unetzoo does, but its `aggregate()`
        turns a mean over no values into 0: the worst Dice, and the best distance.""",
        ("dice, iou, precision, hd95, assd, nsd", "MONAI", "empty"),
    ),
    reason(
        """**False alarms are left out.** By default (`ignore_empty=True`) MONAI's Dice and IoU are NaN wherever the
        truth is empty, whatever was predicted, and the mean is over the other images. unetzoo scores a false
        alarm 0. With one image the two agree by chance: MONAI's 0 in the row *false alarm* is a mean of nothing.""",
        ("dice, iou", "MONAI", "hit and false alarm"),
    ),
    reason(
        """**Precision of a miss.** Where nothing is predicted precision is 0/0. MONAI leaves the image out, so a
        model that predicts nothing on hard images gains. unetzoo makes it 0, as scikit-learn does with one image.
        With one image MONAI agrees by chance, as in the row *miss*: a mean of nothing.""",
        ("precision", "MONAI", "hit and miss"),
    ),
    reason(
        """**A miss improves HD95.** The distance to nothing is infinite; MONAI's percentile of infinite values is
        NaN, and its mean leaves NaN out: in *hit and miss* the missed image vanishes, and a miss alone comes out
        as 0, the perfect score. unetzoo gives a miss and a false alarm the image diagonal (45.2548 px here),
        longer than any distance within the image, leaves neither out, and counts both in `penalised`.""",
        ("hd95", "MONAI", "miss, false alarm, hit and miss, hit and false alarm"),
    ),
    reason(
        """**A miss is infinite.** One missed image makes the mean infinite, however good the others are, and models
        can no longer be told apart. This is honest, and of no use in a mean; unetzoo: the image diagonal, as
        above.""",
        ("assd", "MONAI", "miss, false alarm, hit and miss, hit and false alarm"),
        ("hd95", "torchmetrics", "miss, false alarm, hit and miss, hit and false alarm"),
    ),
    reason(
        """**No percentile.** torchmetrics has the Hausdorff distance, the maximum, alone: one false pixel decides
        it. The 95th percentile forgives that pixel, for it is less than 5 % of the edge.""",
        ("hd95", "torchmetrics", "speck"),
    ),
    reason(
        """**Height taken for width.** On an image that is not square torchmetrics' distance transform stores its
        values under `row * height + column` where it should be `row * width + column`. The distance here is 16 px
        by construction. On one taller than wide it may
        raise an IndexError.""",
        ("hd95", "torchmetrics", "wide, tall"),
    ),
    reason(
        """**No answer.** torchmetrics takes the maximum of an empty list and raises, also where one class of several
        is neither true nor predicted.""",
        ("hd95", "torchmetrics", "empty, absent class"),
    ),
    reason(
        """**Half a Brier score.** For two classes scikit-learn counts the error of one class, the usual binary form;
        the sum over both classes is twice that. unetzoo takes the sum over classes for any number of them (Brier
        1950), as scikit-learn does from three on, or always with `scale_by_half=False`.""",
        ("brier", "scikit-learn", "2 classes, certain"),
    ),
    reason(
        """**Calibration of what.** MONAI bins the probability of every class, of the predicted ones and the others
        alike, and averages over classes. unetzoo and torchmetrics bin the confidence: the probability of the
        predicted class alone (Guo et al. 2017). These are two
        quantities under one name; in *certain* they happen to be equal.""",
        ("ece", "MONAI", "2 classes, 3 classes, small logits"),
    ),
    reason(
        """**Confidence of exactly 1.** torchmetrics' bins include their lower edge, so probabilities of exactly 1,
        which float32 gives often, fall into a bin of their own beyond the last one. unetzoo's bins include their
        upper edge, as those of Guo et al. do: there are exactly as many bins as asked for. Elsewhere the two
        agree.""",
        ("ece", "torchmetrics", "certain"),
    ),
    reason(
        """**Logits taken for probabilities.** torchmetrics applies the softmax only where a value lies outside [0,
        1]. Logits that happen to lie within pass for probabilities. unetzoo is given logits and always applies
        it.""",
        ("ece", "torchmetrics", "small logits"),
    ),
]


# --- the page -----------------------------------------------------------------------------------------------------


def table(title: str, metric: str, rows: dict, mine: Callable, libraries: dict, unexplained: list, used: set) -> str:
    """Return the table of one metric: cases by the libraries that offer it.

    Args:
        title: Heading of the table.
        metric: Name of the metric.
        rows: Cases by name.
        mine: Computes unetzoo's score.
        libraries: Computes each library's score.
        unexplained: Differences without exactly one reason are appended here.
        used: (metric, library, case) of explained differences are added here.
    """
    libraries = {n: f for n, f in libraries.items() if any(ask(f, metric, case) != NONE for case in rows.values())}
    lines = [
        f"### {title}",
        "",
        f"| case | unetzoo | {' | '.join(libraries)} |",
        "|---|" + "---:|" * (1 + len(libraries)),
    ]
    for name, case in rows.items():
        reference = mine(metric, case)
        cells = [number(reference)]
        for library, score in libraries.items():
            theirs = ask(score, metric, case)
            if theirs == NONE or same(theirs, reference):
                cells.append(number(theirs))
                continue
            place = (metric, library, name)
            numbers = [i for i, r in enumerate(REASONS, start=1) if place in r.cells]
            if len(numbers) == 1:
                used.add(place)
            else:
                unexplained.append((place, reference, theirs, numbers))
            cells.append(f"**{number(theirs)}** [{', '.join(map(str, numbers))}]")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ask(score: Callable, metric: str, case: Case | Soft) -> float | str:
    """Return a library's score, or the name of the exception it raises."""
    try:
        return score(metric, case)
    except Exception as error:
        return type(error).__name__


def same(a: float | str, b: float) -> bool:
    """Return True if both scores are NaN or differ by less than 0.00001."""
    return not isinstance(a, str) and ((math.isnan(a) and math.isnan(b)) or abs(a - b) < 1e-5)


def number(value: float | str) -> str:
    """Format a score with four decimals; text is kept."""
    if isinstance(value, str):
        return value
    return "NaN" if math.isnan(value) else f"{value:.4f}"


def page(tables: list[str], soft_tables: list[str]) -> str:
    """Return the README with the tables of masks and of probabilities."""
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("scikit-learn", "torchmetrics", "monai", "torch", "scipy")
    )
    images = "\n".join(f"| {name} | {case.words} |" for name, case in (cases() | soft_cases()).items())
    reasons = "\n\n".join(f"{i}. {r.text}" for i, r in enumerate(REASONS, start=1))
    return f"""# Metric conventions

Why do libraries give different scores to the same masks?

For {len(REASONS)} reasons, such as whether pixels are pooled over images, what an empty mask scores, and how far
away a missed object is; elsewhere they agree.

The same masks scored by unetzoo, scikit-learn, torchmetrics and MONAI. Where all speak of the same thing, they agree:
`tests/metrics/test_metrics.py` checks that on thousands of random masks. Here are the cases in which they do not,
and why.

Written by `python benchmarks/metric_conventions.py`; every score is computed there. Versions: {versions}.

**How to read it.** A score in bold differs from unetzoo's (by more than 0.00001), and the number in brackets is that of
the reason [below](#why-they-differ). A library that does not offer a metric has no column there; `n/a`: it does not
offer it with void pixels. NaN: nothing to average. A word such as `RuntimeError` is what the library raised. Images are
32x32 px where nothing else is said; all scores are of the foreground, that is of every class but class 0.

## unetzoo's conventions

Its policy is one object, `unetzoo.metrics.policy.Scoring`; a suite's `[score]` table sets it, and every record states
it and counts the cases.

- Headline scores: the mean over the foreground classes of an image, then over images. Pooled scores stand beside them.
- Empty against empty (class neither true nor predicted): left out of the means, counted in `undefined`. Specificity is
  defined there, and 1.
- Miss or false alarm: 0 for Dice, IoU, precision, recall, NSD and boundary IoU; the image diagonal for HD95 and ASSD.
  Counted in `penalised`.
- Edges: pixels of the mask with a 4-neighbour outside it; what lies beyond the image is outside. HD95: the larger of
  the two directed 95th percentiles. ASSD: the mean over the edge pixels of both masks. NSD: the share of those pixels
  within the tolerance.
- Void pixels: left out of every count and removed from both masks before edges are sought.
- Brier score: mean over pixels of the sum over classes. Calibration error: confidence of the predicted class, {BINS}
  bins of equal width. Both over all pixels of the test set.

## The cases

| case | what it is |
|---|---|
{images}

## What is called

Options not named are the libraries' defaults, except that background is left out of all of them.

- scikit-learn: `f1_score` (Dice), `jaccard_score`, `precision_score`, all with `labels` = the foreground classes and
  `average="macro"`; `brier_score_loss`. It knows no void pixels: they are taken out by hand before.
- torchmetrics: `segmentation.DiceScore(average="macro")`, `segmentation.MeanIoU`, `segmentation.HausdorffDistance`,
  which know no void pixels, and `classification.MulticlassPrecision(average=None, ignore_index={VOID})`, averaged over
  the foreground classes; `classification.MulticlassCalibrationError(norm="l1")`.
- MONAI: `DiceMetric`, `MeanIoU`, `ConfusionMatrixMetric("precision", compute_sample=True)`,
  `HausdorffDistanceMetric(percentile=95)`, `SurfaceDistanceMetric(symmetric=True)`, `SurfaceDiceMetric([2.0])`,
  all with `ignore_index={VOID}`; `CalibrationErrorMetric(right=True)`, which knows no void pixels. Then `aggregate()`.

## Masks

{(chr(10) * 2).join(tables)}

## Probabilities

{(chr(10) * 2).join(soft_tables)}

## Why they differ

{reasons}
"""


def main() -> None:
    """Write the README; exit with code 1 if differences and reasons do not match."""
    unexplained, used = [], set()
    hard, soft = cases(), soft_cases()
    tables = [table(t, m, hard, ours, LIBRARIES, unexplained, used) for m, t in METRICS.items()]
    soft_tables = [table(t, m, soft, soft_ours, SOFT_LIBRARIES, unexplained, used) for m, t in SOFT_METRICS.items()]
    for place, reference, theirs, numbers in unexplained:
        print(f"{place}: unetzoo {reference}, theirs {theirs}: reasons {numbers}", file=sys.stderr)
    idle = sorted(set().union(*(r.cells for r in REASONS)) - used)
    for place in idle:
        print(f"{place}: has a reason and no difference", file=sys.stderr)
    if unexplained or idle:
        sys.exit(1)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(tables, soft_tables), encoding="utf-8")


if __name__ == "__main__":
    main()
