"""Scores that records lack, computed from the weights that a suite's trials saved: one CSV beside the records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetzoo._util.atomic import write_atomic
from unetzoo.bench.suite import Suite
from unetzoo.claims.evidence import PREDICTIONS, read_predictions
from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError
from unetzoo.measure.checkerboard import checkerboard_energy
from unetzoo.metrics.centreline import cldice, recall_by_width
from unetzoo.metrics.post_processing import best_threshold, fill_holes, largest_component, without_small
from unetzoo.nn.sizes import SameSize
from unetzoo.records.fields import label_of, seed_of
from unetzoo.records.frame import csv_text
from unetzoo.records.reading import read_all
from unetzoo.records.record import Record
from unetzoo.train.weights import load_model

WIDTH_EDGES = (3.0, 6.0)  # px; thin, medium and wide structures
SMALLEST = 20  # pixels of the smallest component that post-processing keeps
SCALES = (0.5, 2.0)
Row = dict[str, str | int | float]


def score_predictions(
    folder: Path, suite: Suite, progress: Callable[[str], None] = lambda line: None, *, again: bool = False
) -> Path:
    """Score the predictions of the finished trials of a folder and write ``predictions.csv``.

    Trials that the table has already keep their rows, so that it may grow on several machines: weights stay on the
    machine that trained them. A trial that has neither rows nor weights is named and left out.

    Args:
        folder: Folder with ``records`` and ``trials``.
        suite: The suite, which has the data.
        progress: Called with a line for each trial.
        again: Score trials again whose weights are here.

    Returns:
        The path of the table.

    Raises:
        UnetzooError: If no trial finished, or no predictions can be scored.
    """
    records = [r for r in read_all(folder)[0] if r.status == "ok" and not r.baseline]
    if not records:
        raise UnetzooError(f"{folder}: no trial finished, so there are no predictions to score")
    path = folder / PREDICTIONS
    table = read_predictions(path)
    tables = {str(key): rows for key, rows in table.groupby("id") if str(key) in {r.id for r in records}}
    data = suite.data.open()
    for record in sorted(records, key=lambda r: (label_of(r), seed_of(r))):
        trial, weights = f"{label_of(record)}, seed {seed_of(record)}", weights_of(folder, record)
        if record.id in tables and not (again and weights):
            continue
        if weights is None:
            progress(f"not scored: {trial}, whose weights are not in {folder / 'trials'}")
            continue
        progress(f"predictions: {trial}")
        rows = [{"id": record.id, "model": label_of(record), "seed": seed_of(record), **row}
                for row in _scores(load_model(weights), data)]  # fmt: skip
        tables[record.id] = pd.DataFrame(rows)
        write_atomic(path, csv_text(pd.concat(tables.values())))
    if not tables:
        raise UnetzooError(
            f"{folder}: the weights of all trials are missing, so there are no predictions to score; 'unetzoo bench' "
            "with --retry failed trains them again"
        )
    return path


def weights_of(folder: Path, record: Record) -> Path | None:
    """Return the file of a trial's weights below the folder of its suite's results; None if it is not there."""
    return next(iter(sorted((folder / "trials").glob(f"*{record.id}/model.safetensors"))), None)


def predictor(network: nn.Module, classes: int) -> Callable[..., Tensor]:
    """Return a function from an image (C, H, W), as a data set gives it, to its logits (1, classes, H, W).

    Its second argument, by default 1, is a factor by which the image is resized before.

    Args:
        network: A trained network.
        classes: Number of its classes.
    """
    model = SameSize(network, classes).eval()
    normalization = getattr(network, "unetzoo_normalization", None) or (lambda image: image)

    def predict(image: Tensor, scale: float = 1.0) -> Tensor:
        image = normalization(image)[None]
        if scale != 1:
            image = F.interpolate(image, scale_factor=scale, mode="bilinear", antialias=scale < 1)
        return model(image)[0]

    return predict


def logits_energy(logits: Tensor) -> float:
    """Return the checkerboard energy of one image's logits (classes, H, W) less their mean: only differences count."""
    return float(checkerboard_energy(logits - logits.mean(0)).mean())


@torch.inference_mode()
def _scores(network: nn.Module, data: SegmentationDataset) -> Iterator[Row]:
    """Yield the scores of each foreground class of every test image; NaN where one is not defined."""
    info = data.info
    predict = predictor(network, info.classes)

    def probabilities(key: str, scale: float = 1.0) -> tuple[Tensor, np.ndarray, Tensor]:
        image, mask = data[key]
        logits = predict(image, scale)
        if scale != 1:
            logits = F.interpolate(logits, size=mask.shape, mode="bilinear")
        return logits.softmax(1)[0], mask.numpy(), logits[0]

    threshold = None
    if info.classes == 2 and info.ignore_index is None:
        validation = ((p[1].numpy(), m == 1) for p, m, _ in map(probabilities, data.splits["val"]))
        threshold = best_threshold(validation)
    for key in data.splits["test"]:
        probability, mask, logits = probabilities(key)
        counted = mask != info.ignore_index
        energy = logits_energy(logits)
        maps = {"_at_1": probability.argmax(0).numpy()}
        maps |= {f"_at_{scale:g}": probabilities(key, scale)[0].argmax(0).numpy() for scale in SCALES}
        for c in info.foreground:
            truth = mask == c
            scored = {f"dice{end}": _dice((p == c) & counted, truth) for end, p in maps.items()}
            mine = (maps["_at_1"] == c) & counted
            scored |= _of_class(mine, truth)
            if threshold is not None:
                scored["dice_threshold"] = _dice(probability[1].numpy() > threshold, truth)
            scored["checkerboard"] = energy  # of all classes
            yield {"image": key, "class": c} | {name: float(f"{value:.6g}") for name, value in scored.items()}


def _of_class(mine: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return clDice, recall by width and Dice after each post-processing."""
    scored = {"cldice": cldice(mine, truth)}
    for name, (hit, total) in zip(("thin", "medium", "wide"), recall_by_width(mine, truth, WIDTH_EDGES), strict=True):
        scored[f"recall_{name}"] = hit / total if total else math.nan
    processed = {"largest": largest_component, "holes": fill_holes, "small": lambda m: without_small(m, SMALLEST)}
    return scored | {f"dice_{name}": _dice(work(mine), truth) for name, work in processed.items()}


def _dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    total = int(prediction.sum()) + int(truth.sum())
    return 2 * int((prediction & truth).sum()) / total if total else math.nan
