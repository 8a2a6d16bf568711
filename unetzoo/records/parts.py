"""The parts of a record: scores, curves, costs and what else is known of a trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from unetzoo.errors import Strict
from unetzoo.records.image_scores import ImageScores
from unetzoo.records.measured import TensorMemory, Timing

if TYPE_CHECKING:
    from typing_extensions import Self

SHARED = "none, because other jobs shared the machine and measure.where = 'exclusive'"
NOT_MEASURED = "none, because measure.where = 'off'"


class Result(Strict):
    """Scores of the test split, read once with the checkpoint chosen on validation.

    A score is None if the class is neither in the truth nor in the prediction and the policy excludes that case (0/0):
    it is left out of every mean and counted in ``undefined``.

    Attributes:
        dice: Mean over images of the mean Dice over the data set's foreground classes.
        iou: The same mean of the intersection over union.
        per_class: Class -> metric -> mean over images.
        pooled: Class -> overlap metric -> score from pixel counts summed over all test images.
        per_image: Key of the image -> metric -> class -> score; in the file in columns, see `Table`.
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
