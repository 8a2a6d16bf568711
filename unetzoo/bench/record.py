"""What one trial leaves behind: one JSON file, written atomically, read by the report alone.

A record is a fact. ``result`` and ``curves`` are functions of the trial (same seed, same machine, same
thread count: same values); ``cost`` and ``environment`` are measured. No torch in here: the report reads
records on machines that never trained anything.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from unetzoo.errors import Strict, UnetzooError

Status = Literal["ok", "crashed", "killed", "oom", "nan"]


class Result(Strict):
    """Test scores, read once with the checkpoint chosen on validation.

    ``per_image`` maps an image's key to class name -> score; ``None`` where the class is neither in the
    truth nor in the prediction (0/0), which is left out of every mean and counted in ``undefined``.
    ``dice`` and ``iou`` are means over images of the mean over the data set's foreground classes.
    ``per_class`` holds the means over images, class by class, ``pooled`` the same scores from pixel counts
    summed over all test images.
    """

    dice: float | None
    iou: float | None
    per_class: dict[str, dict[str, float | None]]  # class -> {"dice", "iou"}
    pooled: dict[str, dict[str, float | None]]  # class -> {"dice", "iou"}
    per_image: dict[str, dict[str, dict[str, float | None]]]  # key -> {"dice", "iou"} -> class -> score
    undefined: dict[str, int]  # class -> images in which it is neither true nor predicted
    missed: dict[str, int]  # class -> images in which it is true and no pixel of it is hit
    best_step: int
    best_val_dice: float | None


class Curves(Strict):
    """``step`` counts optimizer steps from 1; loss is the mean since the last point."""

    train: list[tuple[int, float]]  # (step, training loss)
    val: list[tuple[int, float, float | None]]  # (step, validation loss, validation Dice)


class Cost(Strict):
    """Measured apart from training, at ``shape`` (N, C, H, W) in and in the trial's precision."""

    params: int
    macs: int  # of one image
    shape: tuple[int, int, int, int]
    train_shape: tuple[int, int, int, int]
    peak_train_bytes: int | None = None
    peak_infer_bytes: int | None = None
    memory_method: str
    latency_p50_ms: float
    latency_p90_ms: float
    latency_repeats: int
    latency_method: str
    train_seconds: float | None = None  # forward, backward, step and data; validation not included
    images_per_second: float | None = None  # training images over train_seconds
    wall_seconds: float | None = None  # the whole trial


class ModelFacts(Strict):
    """What the report says of a model beyond its options."""

    paper: dict[str, Any]  # title, authors, year, ...
    diff: dict[str, tuple[Any, Any]]  # option -> (the value in ``unet``, the value here)


class Sample(Strict):
    """One test image as PNG files, named relative to the records folder."""

    key: str
    image: str  # grey or RGB
    truth: str  # 8-bit class indices; 255 where ignored
    prediction: str  # 8-bit class indices


class Record(Strict):
    version: Literal[1] = 1
    id: str
    status: Status
    reason: str | None = None
    log_tail: str | None = None
    suite: str
    question: str = ""
    trial: dict[str, Any]  # the resolved trial: model, data, train, measure, seed, protocol
    model: ModelFacts
    data: dict[str, Any]  # classes, class_names, foreground, ignore_index, channels, sizes and hashes of the splits
    result: Result | None = None
    curves: Curves | None = None
    cost: Cost | None = None
    samples: list[Sample] = []
    environment: dict[str, Any] = {}

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"


def read_record(path: Path) -> Record:
    """Read one record. Raises `UnetzooError` naming the file where it is not one."""
    try:
        return Record.from_json(path.read_bytes(), f"{path}: not a unetzoo record")
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
