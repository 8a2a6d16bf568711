"""The same masks through scikit-learn, torchmetrics, MONAI and unetzoo, and why the scores differ.

    python benchmarks/metric_conventions.py

writes reports/metric-conventions/README.md. Every score is computed here. Scores that differ from unetzoo's carry the
number of a reason. The script fails if a difference has no reason or a reason has no difference, so that the text
cannot outlive the libraries' behaviour.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import sklearn.metrics as sk
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torchmetrics.classification import MulticlassCalibrationError, MulticlassPrecision
from torchmetrics.segmentation import DiceScore, HausdorffDistance, MeanIoU

from unetzoo.metrics.calibration import Calibration
from unetzoo.metrics.policy import Scoring
from unetzoo.metrics.score import Scores

warnings.simplefilter("ignore")  # the libraries warn about empty masks
import monai.metrics as mm  # noqa: E402

PAGE = Path(__file__).parents[1] / "reports" / "metric-conventions" / "README.md"
VOID = 255
BINS = 15


# --- masks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Class maps (N, H, W) of N images; class 0 is background."""

    words: str
    prediction: Tensor
    truth: Tensor
    classes: int = 2


def boxes(*places: tuple[int, int, int], shape: tuple[int, int] = (32, 32), value: int = 1) -> Tensor:
    """Return a class map (1, H, W) with squares.

    Args:
        places: (top, left, size) of each square, in px.
        shape: (H, W).
        value: Class of the squares.
    """
    mask = torch.zeros(1, *shape, dtype=torch.long)
    for top, left, size in places:
        mask[:, top : top + size, left : left + size] = value
    return mask


def cases() -> dict[str, Case]:
    """Return the masks to score, by name."""
    square, shifted, nothing = boxes((12, 12, 8)), boxes((12, 13, 8)), boxes()
    two = boxes((2, 2, 8)) + boxes((20, 20, 8), value=2)
    void = square.clone()
    void[:, :, 18:24] = VOID
    return {
        "perfect": Case("an 8x8 square, found exactly", square, square),
        "shift": Case("an 8x8 square, found 1 px to the right", shifted, square),
        "small": Case("a 2x2 square, found 1 px to the right", boxes((12, 13, 2)), boxes((12, 12, 2))),
        "large": Case("a 24x24 square, found 1 px to the right", boxes((4, 5, 24)), boxes((4, 4, 24))),
        "border": Case("an 8x8 square in the corner, found 1 px to the right", boxes((0, 1, 8)), boxes((0, 0, 8))),
        "speck": Case("an 8x8 square, found; and one false pixel far away", boxes((12, 12, 8), (1, 1, 1)), square),
        "wide": Case("32x64 px image: a square, found 16 px too far right", *wide()),
        "tall": Case("64x32 px image: a square, found 16 px too low", *(m.transpose(1, 2) for m in wide())),
        "miss": Case("an 8x8 square, nothing predicted", nothing, square),
        "false alarm": Case("an 8x8 square predicted, nothing there", square, nothing),
        "empty": Case("nothing there, nothing predicted", nothing, nothing),
        "hit and miss": Case(
            "two images: a square found 1 px to the right, a miss",
            torch.cat([shifted, nothing]),
            torch.cat([square, square]),
        ),
        "hit and false alarm": Case(
            "two images: a square found 1 px to the right, a false alarm",
            torch.cat([shifted, square]),
            torch.cat([square, nothing]),
        ),
        "sizes": Case(
            "two images: 24x24 found exactly, 2x2 found 1 px to the right",
            torch.cat([boxes((4, 4, 24)), boxes((12, 13, 2))]),
            torch.cat([boxes((4, 4, 24)), boxes((12, 12, 2))]),
        ),
        "absent class": Case("three classes and background, found exactly; the third is nowhere", two, two, classes=4),
        "void": Case("a square of which two columns are void; found 2 px too wide, in void only", *wider(square, void)),
    }


def wide() -> tuple[Tensor, Tensor]:
    """Return prediction and truth on an image twice as wide as high, 16 px apart."""
    return boxes((12, 24, 8), shape=(32, 64)), boxes((12, 8, 8), shape=(32, 64))


def wider(square: Tensor, void: Tensor) -> tuple[Tensor, Tensor]:
    """Return a prediction 2 px too wide, only into void pixels, and the truth with these void pixels."""
    prediction = square.clone()
    prediction[:, 12:20, 20:22] = 1
    return prediction, void


# --- libraries ----------------------------------------------------------------------------------------------------

NONE = "n/a"  # not offered


def ours(metric: str, case: Case) -> float:
    """Return unetzoo's score; NaN if there is nothing to average."""
    foreground = tuple(range(1, case.classes))
    names = [str(c) for c in range(case.classes)]
    scores = Scores(names, foreground, VOID, Scoring())
    for i, (prediction, truth) in enumerate(zip(case.prediction, case.truth, strict=True)):
        scores.add_map(str(i), prediction, truth)
    found = scores.result()["foreground"][metric]
    return math.nan if found is None else found


def scikit_learn(metric: str, case: Case) -> float | str:
    """Return scikit-learn's score, or `NONE`; void pixels are dropped beforehand."""
    if metric not in ("dice", "iou", "precision"):
        return NONE
    counted = case.truth != VOID
    function = {"dice": sk.f1_score, "iou": sk.jaccard_score, "precision": sk.precision_score}[metric]
    labels = list(range(1, case.classes))
    return float(function(case.truth[counted], case.prediction[counted], labels=labels, average="macro"))


def torchmetrics(metric: str, case: Case) -> float | str:
    """Return torchmetrics' score, or `NONE`."""
    k = case.classes
    if metric == "precision":
        found = MulticlassPrecision(k, average=None, ignore_index=VOID)(case.prediction, case.truth)
        return float(found[1:].mean())
    options = {"include_background": False, "input_format": "index"}
    if metric == "dice":
        library = DiceScore(k, average="macro", **options)
    elif metric == "iou":
        library = MeanIoU(k, **options)
    elif metric == "hd95":
        library = HausdorffDistance(k, **options)
    else:
        return NONE
    return NONE if (case.truth == VOID).any() else float(library(case.prediction, case.truth))


def monai(metric: str, case: Case) -> float:
    """Return MONAI's score."""
    prediction = channels(case.prediction, case.classes)
    truth = channels(case.truth, case.classes)  # a void pixel is in no channel
    options = {"include_background": False, "ignore_index": VOID}
    library = {
        "dice": lambda: mm.DiceMetric(**options),
        "iou": lambda: mm.MeanIoU(**options),
        "precision": lambda: mm.ConfusionMatrixMetric(metric_name="precision", compute_sample=True, **options),
        "hd95": lambda: mm.HausdorffDistanceMetric(percentile=95, **options),
        "assd": lambda: mm.SurfaceDistanceMetric(symmetric=True, **options),
        "nsd": lambda: mm.SurfaceDiceMetric([2.0] * (case.classes - 1), **options),
    }[metric]()
    library(prediction, truth)
    found = library.aggregate()
    return float(found[0] if isinstance(found, list) else found)


def channels(maps: Tensor, classes: int) -> Tensor:
    """Return class maps (N, H, W) one-hot, as (N, K, H, W); a void pixel is zero in all channels."""
    return one_hot(maps.clamp(max=classes), classes + 1)[..., :classes].permute(0, 3, 1, 2).float()


LIBRARIES: dict[str, Callable[[str, Case], float | str]] = {
    "scikit-learn": scikit_learn,
    "torchmetrics": torchmetrics,
    "MONAI": monai,
}
METRICS = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "hd95": "HD95 (px)",
    "assd": "ASSD (px)",
    "nsd": "NSD, tolerance 2 px",
}


# --- probabilities ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Soft:
    """Logits (1, K, H, W) and class maps (1, H, W)."""

    words: str
    logits: Tensor
    truth: Tensor


def soft_cases() -> dict[str, Soft]:
    """Return the logits to score, by name."""
    random = np.random.default_rng(0)
    truth = torch.from_numpy(random.integers(0, 3, (1, 32, 32)))
    logits = torch.from_numpy(random.normal(0, 1, (1, 3, 32, 32))) + 1.5 * channels(truth, 3)
    void = truth.clone()
    void[:, :8] = VOID
    binary = truth.clamp(max=1)
    odd = torch.arange(32).remainder(2).bool()[None, :, None]  # every other row
    right = ~odd | torch.from_numpy(random.random((1, 32, 32)) < 0.6)
    certain = channels(torch.where(right, binary, 1 - binary), 2).double()
    certain *= torch.where(odd, 40.0, 2.8)[:, None]  # confidences of exactly 1 and of 0.943: in one bin of 15
    return {
        "2 classes": Soft("two classes, random logits", logits[:, :2], binary),
        "3 classes": Soft("three classes, random logits", logits, truth),
        "void rows": Soft("the same three classes, a quarter of the image void", logits, void),
        "certain": Soft(
            "two classes; one half 0.943 sure and right, one half wholly sure and 60 % right", certain, binary
        ),
        "small logits": Soft("three classes, logits between 0 and 1", logits.sigmoid(), truth),
    }


def soft_ours(metric: str, case: Soft) -> float:
    """Return unetzoo's calibration score."""
    found = Calibration(BINS)
    found.add(case.logits[0], case.truth[0], VOID)
    return found.brier() if metric == "brier" else found.ece()


def soft_scikit_learn(metric: str, case: Soft) -> float | str:
    """Return scikit-learn's Brier score, or `NONE`; void pixels are dropped beforehand."""
    if metric == "ece":
        return NONE
    counted = case.truth.flatten() != VOID
    probabilities = case.logits.softmax(1).flatten(2)[0].T[counted].numpy()
    labels = list(range(case.logits.shape[1]))
    return float(sk.brier_score_loss(case.truth.flatten()[counted].numpy(), probabilities, labels=labels))


def soft_torchmetrics(metric: str, case: Soft) -> float | str:
    """Return torchmetrics' expected calibration error, or `NONE`."""
    if metric == "brier":
        return NONE
    library = MulticlassCalibrationError(case.logits.shape[1], BINS, norm="l1", ignore_index=VOID)
    return float(library(case.logits, case.truth))


def soft_monai(metric: str, case: Soft) -> float | str:
    """Return MONAI's expected calibration error, or `NONE`."""
    if metric == "brier" or (case.truth == VOID).any():
        return NONE
    library = mm.CalibrationErrorMetric(num_bins=BINS, right=True)
    library(case.logits.softmax(1).float(), channels(case.truth, case.logits.shape[1]))
    return float(library.aggregate())


SOFT_LIBRARIES: dict[str, Callable[[str, Soft], float | str]] = {
    "scikit-learn": soft_scikit_learn,
    "torchmetrics": soft_torchmetrics,
    "MONAI": soft_monai,
}
SOFT_METRICS = {"brier": "Brier score", "ece": f"Expected calibration error, {BINS} bins"}


# --- reasons ------------------------------------------------------------------------------------------------------


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
