"""From trials and records to what trackers are told."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unetzoo._util.text import shortened, visible
from unetzoo.bench.trackers.tracker import Ending, Setting, TrackedTrial
from unetzoo.records.record import Record
from unetzoo.report.pictures import read_kept
from unetzoo.report.predictions import Grid, paint

LONGEST = 500  # characters of a setting
GAP = 4  # px between the parts of a picture


def tracked(project: str, label: str | None, stem: str, identity: str, trial: Mapping[str, Any]) -> TrackedTrial:
    """Return a trial as trackers know it.

    Args:
        project: Name of the suite.
        label: Label of the data set in a collection.
        stem: File name of its record without suffix.
        identity: The trial's id.
        trial: The trial as records have it.
    """
    name = stem if label is None else f"{label}/{stem}"
    return TrackedTrial(visible(project), visible(name), identity, dict(_flat(trial)))


def curves(record: Record) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield each point of a record's curves: its step, and what was measured there."""
    if record.curves is None:
        return
    losses = dict(record.curves.train)
    for step, loss, dice in record.curves.val:
        yield step, finite({"train/loss": losses.get(step), "val/loss": loss, "val/dice": dice})


def ending(record: Record, path: Path) -> Ending:
    """Return the end of a trial by its record.

    Args:
        record: The record.
        path: Its file, which lies in ``records`` in the folder of the run.
    """
    found: dict[str, Any] = {}
    step = 0
    if (result := record.result) is not None:
        step = result.steps or 0
        found |= {"test/dice": result.dice, "test/iou": result.iou, "val/best_dice": result.best_val_dice}
        found |= {f"test/{name}": value for name, value in {**result.foreground, **result.calibration}.items()}
        found |= {f"test/isbi/{name}": value for name, value in result.isbi.items()}
    if record.cost is not None:
        found |= {f"cost/{name}": value for name, value in record.cost.model_dump(exclude={"phases"}).items()}
        found |= {f"cost/seconds/{name}": value for name, value in record.cost.phases.items()}
    pictures = dict(_pictures(record, path.parent.parent))
    reason = "" if record.status == "ok" else f"{record.status}: {record.reason}"
    return Ending("failed" if reason else "ok", reason, step, finite(found), pictures, path)


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the values that are finite numbers, which are all that every tracker takes."""
    numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def _flat(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Setting]]:
    """Yield the leaves of nested settings, named by their place, ``train.lr``."""
    for key, value in tree.items():
        name = visible(f"{before}{key}")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value if isinstance(value, bool | int | float) else shortened(visible(str(value)), LONGEST)


def _pictures(record: Record, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield key and PNG of each test image that was kept: the image, the truth, and the prediction with its errors."""
    for sample in record.samples:
        kept = read_kept(folder, sample)
        if kept.image is None or kept.truth is None or kept.prediction is None:
            continue
        image = kept.image if kept.image.ndim == 3 else np.repeat(kept.image[..., None], 3, axis=2)
        parts = [image, paint(kept.truth, kept.truth, record), paint(kept.truth, kept.prediction, record)]
        buffer = io.BytesIO()
        Image.fromarray(_side_by_side(parts)).save(buffer, format="PNG")
        yield visible(sample.key), buffer.getvalue()


def _side_by_side(parts: list[Grid]) -> Grid:
    height = max(part.shape[0] for part in parts)
    whole = np.full((height, sum(part.shape[1] for part in parts) + GAP * (len(parts) - 1), 3), 255, np.uint8)
    left = 0
    for part in parts:
        whole[: part.shape[0], left : left + part.shape[1]] = part
        left += part.shape[1] + GAP
    return whole
