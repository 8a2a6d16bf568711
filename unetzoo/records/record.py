"""The record of a trial: one JSON file, written atomically, and all that the report reads.

A record is a fact. ``result`` and ``curves`` are functions of the trial (same seed, same machine, same thread count:
same values); ``cost`` and ``environment`` are measured. This module does not import torch, because the report reads
records on machines that have never trained anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unetzoo._util.text import REASON, TAIL, shortened, visible_values
from unetzoo.errors import Strict, UnetzooError
from unetzoo.records.image_scores import ImageScores
from unetzoo.records.measured import TensorMemory, Timing

if TYPE_CHECKING:
    from typing_extensions import Self

WEIGHTS_NOT_SAVED = "weights-not-saved"  # kind of the flag of a trial that succeeded and whose weights are missing
SHARED = "none, because other jobs shared the machine and measure.where = 'exclusive'"
NOT_MEASURED = "none, because measure.where = 'off'"
_ESCAPED = re.compile(rb"\\[bfru]")
_CHECKSUM = re.compile(rb',\s*"checksum": *"[0-9a-f]{64}"\s*\}\s*\Z')
Status = Literal["ok", "crashed", "killed", "oom", "nan", "timeout", "hung"]


class Result(Strict):
    """Scores of the test split, read once with the checkpoint chosen on validation.

    A score is None if the class is neither in the truth nor in the prediction and the policy excludes that case (0/0):
    it is left out of every mean and counted in ``undefined``.

    Attributes:
        dice: Mean over images of the mean Dice over the data set's foreground classes.
        iou: The same mean of the intersection over union.
        per_class: Class -> metric -> mean over images.
        pooled: Class -> overlap metric -> score from pixel counts summed over all test images.
        per_image: Key of the image -> metric -> class -> score.
        undefined: Class -> images in which it is neither true nor predicted.
        missed: Class -> images in which it is true and none of its pixels is hit.
        best_step: Optimizer step of the chosen checkpoint.
        best_val_dice: Validation Dice of the chosen checkpoint, or of a trivial predictor.
        foreground: Metric -> mean over images of the mean over the foreground classes.
        calibration: "brier" and "ece", over all pixels of the test split.
        false_alarms: Class -> images in which it is predicted and not true.
        penalised: Class -> images whose distances are the policy's penalty because one side is empty.
        isbi: Score -> mean over images, or the best over thresholds; see `unetzoo.metrics.isbi`.
        isbi_images: Key of the image -> score of the class map.
        policy: The policy: how empty masks are scored, tolerances, units.
        predictions: Hash of all predicted class maps, equal for equal predictions.
        steps: Optimizer steps of the chosen training.
        ended: What ended the chosen training: "budget", "patience", "converged" or "most_steps", its cap.
        train_dice: Dice of the chosen weights on a few whole training images, to compare with validation.
        groups: Key of the image -> what it was sampled with: a patient, a film, a volume. An image without one was
            sampled by itself.
    """

    dice: float | None
    iou: float | None
    per_class: dict[str, dict[str, float | None]]
    pooled: dict[str, dict[str, float | None]]
    per_image: ImageScores
    undefined: dict[str, int]
    missed: dict[str, int]
    best_step: int
    best_val_dice: float | None
    foreground: dict[str, float | None] = {}
    calibration: dict[str, float | None] = {}
    false_alarms: dict[str, int] = {}
    penalised: dict[str, int] = {}
    isbi: dict[str, float | None] = {}
    isbi_images: dict[str, dict[str, float | None]] = {}
    policy: dict[str, Any] = {}
    predictions: str | None = None
    steps: int | None = None
    ended: str | None = None
    train_dice: float | None = None
    groups: dict[str, str] = {}


class Curves(Strict):
    """Learning curves of the chosen training.

    Attributes:
        train: (step, training loss); steps count from 1, and the loss is the mean since the last point.
        val: (step, validation loss, validation Dice).
    """

    train: list[tuple[int, float]]
    val: list[tuple[int, float, float | None]]


class Cost(Strict):
    """Cost of a model, measured apart from training in the trial's precision, and of its training.

    Attributes:
        params: Learnable parameters.
        macs: Multiply-accumulates of one image.
        shape: Shape (N, C, H, W) of a batch in inference, for memory and latency.
        train_shape: Shape (N, C, H, W) of a training batch on one device.
        peak_train_bytes: Peak memory of training: the allocator's on a GPU, the process's on a CPU.
        peak_infer_bytes: The same of inference.
        memory_method: How peak memory was measured.
        tensors: Memory by the tracker on real tensors.
        predicted: Memory by the tracker on fake tensors, with nothing allocated.
        predicted_train_seconds: Duration of the training, predicted from a few steps without loading data.
        latency_p50_ms: Median time of a forward pass in ms; None if other jobs shared the machine.
        latency_p90_ms: 90th percentile of that time in ms; None likewise.
        latency_repeats: Timed forward passes.
        latency_method: How latency was measured.
        timings: Timings in the trial's precision, then in float32 if that is another.
        train_seconds: Forward, backward, optimizer step and data; validation not included.
        images_per_second: Training images over ``train_seconds``.
        wall_seconds: Duration of the whole trial.
        phases: Phase -> seconds; they add up to ``wall_seconds``.
        train_flops: Floating-point operations, forward and backward, of all steps of the chosen training.
        data_share: Share of the training steps' time spent waiting for data.
        tuning_seconds: Training with the learning rates that were not chosen.
    """

    params: int
    macs: int
    shape: tuple[int, int, int, int]
    train_shape: tuple[int, int, int, int]
    peak_train_bytes: int | None = None
    peak_infer_bytes: int | None = None
    memory_method: str
    tensors: TensorMemory | None = None
    predicted: TensorMemory | None = None
    predicted_train_seconds: float | None = None
    latency_p50_ms: float | None
    latency_p90_ms: float | None
    latency_repeats: int
    latency_method: str
    timings: list[Timing] = []
    train_seconds: float | None = None
    images_per_second: float | None = None
    wall_seconds: float | None = None
    phases: dict[str, float] = {}
    train_flops: int | None = None
    data_share: float | None = None
    tuning_seconds: float | None = None

    def without_times(self) -> Self:
        """Return the cost without what other jobs on the machine may have disturbed."""
        names = ("predicted_train_seconds", "latency_p50_ms", "latency_p90_ms", "train_seconds", "images_per_second")
        names = (*names, "wall_seconds", "data_share", "tuning_seconds")
        left_out = {"latency_repeats": 0, "latency_method": SHARED, "timings": [], "phases": {}}
        return self.model_copy(update=dict.fromkeys(names) | left_out)


class ModelDescription(Strict):
    """Description of a model for the report, beyond its options.

    Attributes:
        paper: Title, authors, year and more of its paper.
        diff: Option -> (its value in ``unet``, its value here).
        encoder_paper: The same as ``paper`` for an encoder that has its own.
        matched: How its width was matched: what (params or macs), reference, target, reached, ratio.
    """

    paper: dict[str, Any]
    diff: dict[str, tuple[Any, Any]]
    encoder_paper: dict[str, Any] = {}
    matched: dict[str, Any] = {}


class Try(Strict):
    """One learning rate of the sweep; the one with the best validation Dice is chosen."""

    lr: float
    val_dice: float | None
    val_loss: float
    steps: int
    seconds: float
    chosen: bool


class Event(Strict):
    """An event in the order of reading: items of a split were read, or the weights were chosen."""

    what: Literal["read", "select"]
    split: str
    items: int = 0
    step: int | None = None


class Flag(Strict):
    """A reason to suspect a result; the report shows it in red."""

    kind: str
    text: str


class Sample(Strict):
    """One test image as PNG files, named relative to the folder of the records.

    Attributes:
        key: Key of the image.
        image: The image, grey or RGB.
        truth: The mask as 8-bit class indices, 255 where ignored.
        prediction: The prediction as 8-bit class indices.
    """

    key: str
    image: str
    truth: str
    prediction: str


class Record(Strict):
    """The outcome of one trial, whether it succeeded or failed.

    Attributes:
        version: Version of the format that the record was read from: 2, or 1, whose scores of images are dictionaries.
        id: The trial's id.
        status: How the trial ended.
        reason: Why it failed, in one line.
        log_tail: Last lines of its log, if it failed.
        suite: Name of the suite.
        question: The suite's question.
        baseline: True for a trivial predictor.
        trial: The resolved trial: model, data, train, measure, score, seed, protocol.
        model: Description of the model.
        data: The data set: classes, class_names, foreground, ignore_index, channels, sizes and hashes of the splits.
        result: Test scores.
        curves: Learning curves.
        cost: Measured cost.
        tuning: The learning rates that were tried.
        events: The order in which the data was read.
        resumed: Steps at which an interrupted training was continued.
        flags: Reasons to suspect the result.
        samples: A few test images.
        weights: SHA-256 of the file with the trained weights, if it was saved.
        environment: The machine and the software.

    In its file, the record ends with ``checksum``, a SHA-256 of all other fields, which reading verifies. Older files
    have none.
    """

    version: Literal[1, 2] = 2
    id: str
    status: Status
    reason: str | None = None
    log_tail: str | None = None
    suite: str
    question: str = ""
    baseline: bool = False
    trial: dict[str, Any]
    model: ModelDescription
    data: dict[str, Any]
    result: Result | None = None
    curves: Curves | None = None
    cost: Cost | None = None
    tuning: list[Try] = []
    events: list[Event] = []
    resumed: list[int] = []
    flags: list[Flag] = []
    samples: list[Sample] = []
    weights: str | None = None
    environment: dict[str, Any] = {}

    def to_json(self) -> str:
        """Return the record as JSON with one line per field, without spaces: compact, and still readable in a diff."""
        # Dumped in Python's own types, because pydantic's JSON fails at text that is not sound Unicode.
        fields = json.loads(json.dumps(visible_values(self.model_dump()), allow_nan=False, default=str)) | {
            "version": 2
        }
        if self.weights is None:
            del fields["weights"]
        fields["checksum"] = checksum(fields)
        close = {"allow_nan": False, "separators": (",", ":")}
        lines = (f" {json.dumps(key)}: {json.dumps(value, **close)}" for key, value in fields.items())
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Self:
        """Parse and validate JSON, and compare it with its checksum if it has one.

        Args:
            text: The JSON.
            where: Source of the text, such as a file name; error messages begin with it.

        Raises:
            DamagedRecordError: If it is not JSON, not what its checksum says, or has no checksum and is not valid.
            UnetzooError: If it is valid JSON of another version of the format.
        """
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            fields = None
        stated = None
        if isinstance(fields, dict):
            stated = fields.pop("checksum", None)
            if stated is not None and stated != checksum(fields):
                raise DamagedRecordError(f"{where}: damaged, its content does not match its checksum")
        raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        if fields is not None and not _plain(raw):
            text = json.dumps(visible_values(fields))
        elif stated is not None and isinstance(fields, dict):
            text = _without_checksum(raw, fields)
        try:
            record = super().from_json(text, where)
        except UnetzooError as error:
            if isinstance(fields, dict) and (stated is not None or fields.get("version", 1) not in (1, 2)):
                raise
            raise DamagedRecordError(shortened(str(error), REASON)) from None
        return record._bounded()

    def _bounded(self) -> Self:
        """Return the record with no text longer than a new one has."""
        texts = {"reason": (self.reason, REASON), "log_tail": (self.log_tail, TAIL)}
        long = {name: shortened(text, limit) for name, (text, limit) in texts.items() if text and len(text) > 2 * limit}
        return self.model_copy(update=long) if long else self


def _plain(raw: bytes) -> bool:
    """Return True if this JSON has no character, as such or escaped, that `visible_values` changes."""
    return raw.isascii() and b"\x7f" not in raw and (b"\\" not in raw or _ESCAPED.search(raw) is None)


def _without_checksum(raw: bytes, fields: dict[str, Any]) -> bytes:
    """Return the JSON of a record without its last field, the checksum, or ``fields`` as JSON if it is not the last."""
    cut = _CHECKSUM.search(raw)
    return raw[: cut.start()] + b"}" if cut else json.dumps(fields).encode()


class DamagedRecordError(UnetzooError):
    """A file that was a record and is not valid any more, or that holds the record of another trial."""


def checksum(fields: dict[str, Any]) -> str:
    """Return the SHA-256 of a record's fields as JSON with sorted keys, however its file is laid out."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        UnetzooError: If the file cannot be read or is not a record, or its name ends with the id of another trial; the
            message names it.
    """
    try:
        record = Record.from_json(path.read_bytes(), f"{path}: not a unetzoo record")
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
    named = re.search(r"-([0-9a-f]{12})$", path.stem)
    if named and named[1] != record.id:
        raise DamagedRecordError(f"{path}: not the record of this trial, but of trial {shortened(record.id, 40)}")
    return record


def recorded_weights(file: Path) -> tuple[str, Path] | None:
    """Return the checksum of a trial's weights that its record states, and the record.

    Args:
        file: ``OUT/trials/TRIAL/model.safetensors``; its record is ``OUT/records/TRIAL.json``.

    Returns:
        None if the file is not in the folder of a trial, or its record is missing, damaged or states no checksum.
    """
    folder = file.absolute().parent
    path = folder.parent.with_name("records") / f"{folder.name}.json"
    if folder.parent.name != "trials" or not path.is_file():
        return None
    try:
        weights = read_record(path).weights
    except UnetzooError:
        return None
    return (weights, path) if weights else None
