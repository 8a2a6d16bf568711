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
from unetzoo.records.measured import TensorMemory, Timing

Status = Literal["ok", "crashed", "killed", "oom", "nan", "timeout", "hung"]


class Result(Strict):
    """Test scores, read once with the checkpoint chosen on validation.

    ``per_image`` maps an image's key to metric -> class name -> score; ``None`` where the class is neither in
    the truth nor in the prediction and the policy leaves that out (0/0): out of every mean, counted in
    ``undefined``. ``dice`` and ``iou`` are means over images of the mean over the data set's foreground classes;
    ``foreground`` holds that mean for every metric. ``per_class`` holds the means over images, class by class,
    ``pooled`` the overlap scores from pixel counts summed over all test images.
    """

    dice: float | None
    iou: float | None
    per_class: dict[str, dict[str, float | None]]  # class -> metric -> mean over images
    pooled: dict[str, dict[str, float | None]]  # class -> overlap metric -> score
    per_image: dict[str, dict[str, dict[str, float | None]]]  # key -> metric -> class -> score
    undefined: dict[str, int]  # class -> images in which it is neither true nor predicted
    missed: dict[str, int]  # class -> images in which it is true and no pixel of it is hit
    best_step: int
    best_val_dice: float | None
    foreground: dict[str, float | None] = {}  # metric -> mean
    calibration: dict[str, float | None] = {}  # "brier", "ece": over all pixels of the test set
    false_alarms: dict[str, int] = {}  # class -> images in which it is predicted and not true
    penalised: dict[str, int] = {}  # class -> images whose distances are the policy's penalty: one side is empty
    isbi: dict[str, float | None] = {}  # score -> mean over images, or best over thresholds; see metrics.isbi
    isbi_images: dict[str, dict[str, float | None]] = {}  # key -> score, of the class map
    policy: dict[str, Any] = {}  # how empty masks are scored, tolerances, units
    predictions: str | None = None  # a hash of every predicted class map: equal for equal predictions
    steps: int | None = None  # optimizer steps the chosen training went
    train_dice: float | None = None  # of the chosen weights on a few whole training images, to compare with validation


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
    peak_train_bytes: int | None = None  # by memory_method: the allocator's on a GPU, the process's on a CPU
    peak_infer_bytes: int | None = None
    memory_method: str
    tensors: TensorMemory | None = None  # the tracker on real tensors
    predicted: TensorMemory | None = None  # the tracker on fake tensors: nothing allocated
    predicted_train_seconds: float | None = None  # from a few steps, before training; without loading of data
    latency_p50_ms: float
    latency_p90_ms: float
    latency_repeats: int
    latency_method: str
    timings: list[Timing] = []  # in the trial's precision, then in float32 where that is another
    train_seconds: float | None = None  # forward, backward, step and data; validation not included
    images_per_second: float | None = None  # training images over train_seconds
    wall_seconds: float | None = None  # the whole trial
    phases: dict[str, float] = {}  # phase -> seconds; they add up to wall_seconds
    train_flops: int | None = None  # forward and backward, all steps of the chosen training
    data_share: float | None = None  # of the time of training steps: waiting for their data
    tuning_seconds: float | None = None  # training for the learning rates that were not chosen


class ModelFacts(Strict):
    """What the report says of a model beyond its options."""

    paper: dict[str, Any]  # title, authors, year, ...
    diff: dict[str, tuple[Any, Any]]  # option -> (the value in ``unet``, the value here)
    encoder_paper: dict[str, Any] = {}  # as paper, of an encoder that has one of its own
    matched: dict[str, Any] = {}  # what (params or macs), reference, target, reached, ratio


class Try(Strict):
    """One learning rate of the sweep; chosen by its best validation Dice."""

    lr: float
    val_dice: float | None
    val_loss: float
    steps: int
    seconds: float
    chosen: bool


class Event(Strict):
    """Reading a split or choosing the weights, in the order it happened: the test split stands last, once."""

    what: Literal["read", "select"]
    split: str
    items: int = 0
    step: int | None = None


class Flag(Strict):
    """Something that makes a result suspect; the report shows it in red."""

    kind: str
    text: str


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
    baseline: bool = False  # a trivial predictor, for reference
    trial: dict[str, Any]  # the resolved trial: model, data, train, measure, seed, protocol
    model: ModelFacts
    data: dict[str, Any]  # classes, class_names, foreground, ignore_index, channels, sizes and hashes of the splits
    result: Result | None = None
    curves: Curves | None = None
    cost: Cost | None = None
    tuning: list[Try] = []
    events: list[Event] = []
    resumed: list[int] = []  # steps at which an interrupted training went on
    flags: list[Flag] = []
    samples: list[Sample] = []
    environment: dict[str, Any] = {}

    def to_json(self) -> str:
        """A line for each field: short beside one for each value, and still told apart by a diff."""
        fields = self.model_dump(mode="json").items()
        lines = (f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in fields)
        return "{\n" + ",\n".join(lines) + "\n}\n"


def read_record(path: Path) -> Record:
    """Read one record. Raises `UnetzooError` naming the file where it is not one."""
    try:
        return Record.from_json(path.read_bytes(), f"{path}: not a unetzoo record")
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
