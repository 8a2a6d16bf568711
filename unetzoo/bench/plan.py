"""Predicted cost of a suite, or of one model, before anything is trained.

Memory is predicted on fake tensors (`unetzoo.measure.tracker`); time is extrapolated from a few measured steps.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unetzoo._util.plugins import import_plugins
from unetzoo.bench.expand import expand
from unetzoo.bench.limits import GIB
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.suite import Measurement, Suite
from unetzoo.bench.trials import Trial
from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.data.decoded import Decoded
from unetzoo.data.stream import EvaluationItems, Normalization
from unetzoo.errors import Strict, UnetzooError, one_line
from unetzoo.machine.device import check_devices, resolve_device, resolve_precision
from unetzoo.machine.memory import memory_limit
from unetzoo.measure.batch_peaks import BatchPeaks
from unetzoo.measure.counts import count_macs, count_parameters, count_training_flops, side_read
from unetzoo.measure.latency import Latency, measure_latency, synchronize
from unetzoo.measure.tracker import Rehearsal, Shape
from unetzoo.models.factory import ModelConfig
from unetzoo.nn.sizes import SameSize
from unetzoo.records.measured import TensorMemory
from unetzoo.train.loop import make_optimizer, training_crops
from unetzoo.train.losses import cross_entropy_dice
from unetzoo.train.recipe import Recipe, steps_for

# Memory of a process: the median ratio of its peak to the predicted peak of its tensors in training, and a constant.
# Together they cover every model in reports/memory-prediction (CPU; not measured on a GPU).
PROCESS_FACTOR = 1.27
PROCESS_BASE = 896 * 2**20
TIMED_STEPS = 5
MOST_SECONDS = 10.0  # spent on timed steps, once there are two of them


class Need(Strict):
    """The predicted needs of one model; what could not be predicted is None, and ``problem`` says why.

    Attributes:
        params: Learnable parameters.
        macs: Multiply-accumulates of one image.
        train_shape: Shape (N, C, H, W) of a training batch on one device.
        infer_shape: Shape (N, C, H, W) of a batch in inference.
        memory: Peak memory of the tensors in training and in inference.
        process_bytes: Peak memory of the trial's process.
        fits: True if that is within the limit; None if the limit is not known.
        largest_batch: Largest training batch that fits, all else equal; 0 if none does; None if the limit is not
            known, or if a batch small enough to fit cannot be trained.
        problem: The reason for what is None, in one line.
    """

    params: int | None = None
    macs: int | None = None
    train_shape: Shape
    infer_shape: Shape
    memory: TensorMemory | None = None
    process_bytes: int | None = None
    fits: bool | None = None
    largest_batch: int | None = None
    problem: str | None = None


class PlanRow(Strict):
    """One model of a suite.

    Attributes:
        label: The model's label.
        trials: Trials of the model, one per seed.
        need: Its predicted memory and size.
        width: The width chosen to match the reference; None if nothing was matched.
        matched: How it was matched: what, reference, target, reached, ratio.
        step_seconds: Time of a training step, its data included; None if not measured.
        image_seconds: Time of a validation image; None if not measured.
        trial_seconds: Time of training, validation and test; None if not measured.
    """

    label: str
    trials: int
    need: Need
    width: float | None = None
    matched: dict[str, Any] = {}
    step_seconds: float | None = None
    image_seconds: float | None = None
    trial_seconds: float | None = None


class Plan(Strict):
    """The predicted cost of a suite.

    Attributes:
        suite: Name of the suite.
        data: Name of the data set.
        device: Device type.
        precision: Resolved precision.
        threads: CPU threads of a trial.
        steps: Budget of a training in steps, if it is given so.
        minutes: Budget of a training in minutes, if it is given so.
        flops: Budget of a training in floating-point operations, if it is given so.
        limit_bytes: Memory that a trial may use; None if not known.
        limit_source: Source of that limit, in words.
        rows: One row per model.
        most_steps: Most steps of a training until it has converged, if it is given so; the times are for all of them.
    """

    suite: str
    data: str
    device: str
    precision: str
    threads: int
    steps: int | None
    minutes: float | None
    flops: float | None
    limit_bytes: int | None
    limit_source: str
    rows: list[PlanRow]
    most_steps: int | None = None

    def __repr__(self) -> str:
        """Return the plan as a table: parameters, MACs, memory, whether it fits, minutes of a trial."""

        def amount(value: float | None, unit: float, digits: int = 1) -> str:
            return "-" if value is None else f"{value / unit:,.{digits}f}"

        heads = ["model", "trials", "params (M)", "MACs (G)", "training (MiB)", "process (MiB)", "fits", "minutes"]
        rows = [
            [
                row.label,
                str(row.trials),
                amount(row.need.params, 1e6, 2),
                amount(row.need.macs, 1e9, 2),
                amount(row.need.memory.train.total if row.need.memory else None, 2**20),
                amount(row.need.process_bytes, 2**20),
                {True: "yes", False: "no", None: "-"}[row.need.fits],
                amount(row.trial_seconds, 60),
            ]
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        lines = [f"Plan of {self.suite!r} on {self.data}: {self.device}, {self.precision}, {self.threads} threads"]
        for first, *rest in [heads, *rows]:
            cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))]
            lines.append("  ".join(cells))
        lines += [f"{row.label}: {row.need.problem}" for row in self.rows if row.need.problem]
        return "\n".join([*lines, f"all trials: {amount(self.seconds, 60)} min, one after the other"])

    __str__ = __repr__

    @property
    def seconds(self) -> float | None:
        """Duration of all trials one after the other; None if that of one is not known."""
        each = [row.trial_seconds for row in self.rows]
        return None if None in each else sum(row.trials * (row.trial_seconds or 0.0) for row in self.rows)


class Profile(Strict):
    """The cost of one model by itself; the latency is measured, the rest is predicted.

    Attributes:
        name: Name of the model.
        options: Its options.
        device: Device type.
        precision: Resolved precision.
        limit_bytes: Memory that it may use; None if not known.
        limit_source: Source of that limit, in words.
        need: Its predicted memory and size.
        reads: Side in px that the images of ``need`` are mirrored to: larger than theirs for valid convolutions.
        latency_p50_ms: Median time of a forward pass in ms; None if not measured.
        latency_p90_ms: 90th percentile of that time in ms; None if not measured.
        latency_repeats: Timed forward passes.
    """

    name: str
    options: dict[str, object]
    device: str
    precision: str
    limit_bytes: int | None
    limit_source: str
    need: Need
    reads: int
    latency_p50_ms: float | None = None
    latency_p90_ms: float | None = None
    latency_repeats: int | None = None


def plan_suite(
    suite: Suite,
    *,
    limit: int | None = None,
    timed: bool = True,
    on_model: Callable[[str], None] = lambda label: None,
    on_data: Callable[[SegmentationDataset], None] = lambda dataset: None,
) -> Plan:
    """Predict memory and time of every model of a suite.

    Args:
        suite: The suite.
        limit: Bytes of memory to plan for; default: the suite's limit, or else this machine's memory.
        timed: Measure a few steps of each model; otherwise nothing is allocated.
        on_model: Called with each label before its model is examined.
        on_data: Called with the data set once it is open.

    Returns:
        The plan; a model that fails has the reason in its row.

    Raises:
        UnetzooError: If the suite or its data is not valid.
    """
    import_plugins(suite.imports)
    dataset = suite.data.open()
    on_data(dataset)
    info, common = dataset.info, suite.train
    device = resolve_device(common.device)
    check_devices(common.devices, device)
    precision = resolve_precision(common.precision, device)
    threads = common.threads or OutputFolders(Path()).threads
    own = suite.limits.memory_gib
    limit, source = _limit(limit, device) if limit or not own else (round(own * GIB), "limits.memory_gib")
    trials = [trial for trial in expand(suite, dataset) if not trial.model.baseline]  # baselines cost almost nothing
    infer_shape = (suite.measure.batch_size, info.channels, suite.measure.size, suite.measure.size)
    data = Decoded(dataset)
    rows = []
    for trial in {trial.model.label: trial for trial in trials}.values():
        label, recipe = trial.model.label, trial.train
        on_model(label)
        train_shape = (recipe.batch_size // recipe.devices, info.channels, recipe.crop, recipe.crop)
        need = predict(
            trial.model.config, train_shape, infer_shape, info.ignore_index, recipe, device, precision, limit
        )
        if need.largest_batch is not None:
            need = need.model_copy(update={"largest_batch": need.largest_batch * recipe.devices})
        matched = trial.model.matched
        width = trial.model.options.get("width") if matched else None
        row = PlanRow(label=label, trials=len(suite.seeds), need=need, width=width, matched=matched)
        if timed and _fits_here(need, device):
            row = _timed(row, trial, _Samples(data, recipe, trial.model.config), info, device, precision, threads)
        rows.append(row)
    return Plan(
        suite=suite.name,
        data=info.name,
        device=device,
        precision=precision,
        threads=threads,
        steps=common.steps,
        minutes=common.minutes,
        flops=common.flops,
        most_steps=common.most_steps if common.until is not None else None,
        limit_bytes=limit,
        limit_source=source,
        rows=rows,
    )


def profile_model(
    config: ModelConfig,
    *,
    size: int = 256,
    batch: int = 1,
    precision: str = "auto",
    limit: int | None = None,
    timed: bool = True,
) -> Profile:
    """Predict the memory of one model in training and inference on square images, and time a forward pass.

    Args:
        config: The model.
        size: Side of the images in px.
        batch: Images at once, in training and in inference.
        precision: "auto", "float32" or "bfloat16".
        limit: Bytes of memory to plan for; default: this machine's memory.
        timed: Measure the latency; otherwise nothing is allocated, unless a user's model needs memory to be built.

    Returns:
        The profile.

    Raises:
        UnetzooError: If the model cannot be built, or fails while it is timed.
    """
    config.check(fetch=False)
    recipe = Recipe.from_mapping({"precision": precision}, "")  # checks the value
    device = resolve_device(recipe.device)
    precision = resolve_precision(recipe.precision, device)
    limit, source = _limit(limit, device)
    shape = (batch, config.in_channels, size, size)
    need = predict(config, shape, shape, None, recipe, device, precision, limit)
    try:
        reads = side_read(config, size)
    except Exception as error:  # raised by a user's model, which `check` does not build
        raise UnetzooError(f"model {config.name!r}: {_reason(error)}") from None
    latency: Latency | None = None
    if timed and _fits_here(need, device):
        try:
            work = Rehearsal(config, config.num_classes, precision=precision, device=device, fake=False)
            images = work.images(shape)
            latency = measure_latency(lambda: work.forward(images), device, Measurement().repeats)
        except Exception as error:
            raise UnetzooError(f"model {config.name!r}: {_reason(error)}") from None
    return Profile(
        name=config.name,
        options=config.options,
        device=device,
        precision=precision,
        limit_bytes=limit,
        limit_source=source,
        need=need,
        reads=reads,
        latency_p50_ms=latency.p50_ms if latency else None,
        latency_p90_ms=latency.p90_ms if latency else None,
        latency_repeats=latency.repeats if latency else None,
    )


def predict(
    config: ModelConfig,
    train_shape: Shape,
    infer_shape: Shape,
    ignore_index: int | None,
    recipe: Recipe,
    device: str,
    precision: str,
    limit: int | None,
) -> Need:
    """Predict parameters, MACs, memory and the largest batch of a model from shapes alone.

    Args:
        config: The model.
        train_shape: Shape (N, C, H, W) of a training batch.
        infer_shape: Shape (N, C, H, W) of a batch in inference.
        ignore_index: The label that the loss ignores, if any.
        recipe: The recipe, for optimizer and memory format.
        device: Device type.
        precision: Resolved precision.
        limit: Bytes of memory to fit into; None if not known.

    Returns:
        The predicted needs; if the model fails, ``problem`` says why.
    """
    shapes = {"train_shape": train_shape, "infer_shape": infer_shape}
    params = macs = None
    try:
        with torch.device("meta"):
            network = config.build(weights=False).eval()
            image = torch.zeros(1, *infer_shape[1:])
        params = count_parameters(network)
        macs = count_macs(SameSize(network, config.num_classes).eval(), image)
        work = Rehearsal(
            config,
            config.num_classes,
            precision=precision,
            channels_last=recipe.channels_last,
            device=device,
            ignore_index=ignore_index,
            optimizer=partial(make_optimizer, recipe),
            recompute=recipe.recompute,
        )
        infer = work.inference_peak(infer_shape)  # first, as in a trial, where the optimizer has no state yet
        peaks = BatchPeaks(work, train_shape)
        memory = TensorMemory(train=peaks.at(train_shape[0]), infer=infer)

        def process_at(batch: int) -> int:
            return _process_bytes(peaks.at(batch).total, device)

        largest = None
        if limit is not None:
            with suppress(ValueError):  # raised by batch norm if the crops are too small to train on a batch of one
                largest = largest_batch(process_at, limit, train_shape[0])
    except Exception as error:  # a user's model may raise anything, and may not run on fake tensors
        return Need(params=params, macs=macs, problem=_reason(error), **shapes)
    process = _process_bytes(max(memory.train.total, memory.infer.total), device)
    fits = None if limit is None else process <= limit
    return Need(
        params=params, macs=macs, memory=memory, process_bytes=process, fits=fits, largest_batch=largest, **shapes
    )


def largest_batch(bytes_at: Callable[[int], int], limit: int, start: int = 1) -> int:
    """Find the largest batch b with ``bytes_at(b) <= limit``.

    Memory is nearly linear in the batch: a line through two known points proposes the next b, until b is known to fit
    and b + 1 is known not to.

    Args:
        bytes_at: Function from a batch size to its memory in bytes; it must grow.
        limit: Bytes of memory.
        start: Batch size to try first.

    Returns:
        The batch size; 0 if not even one image fits.
    """
    known = {b: bytes_at(b) for b in (start, 2 * start)}
    tries = 0
    while True:
        fits = max((b for b, need in known.items() if need <= limit), default=0)
        fails = min((b for b, need in known.items() if need > limit), default=None)
        if fails is not None and fails - fits == 1:
            return fits
        near, far = sorted(known, key=lambda b: abs(known[b] - limit))[:2]
        slope = (known[far] - known[near]) / (far - near)
        guess = near + math.floor((limit - known[near]) / slope) if slope > 0 else 2 * max(known)
        if fails is None:
            guess = max(fits + 1, guess)
        else:
            guess = min(max(fits + 1, guess), fails - 1)
            if tries >= 4:  # far from linear
                guess = (fits + fails) // 2
        known[guess] = bytes_at(guess)
        tries += 1


class _Samples:
    """Training crops and the first validation image of a data set, as a trial reads them."""

    def __init__(self, data: Decoded, recipe: Recipe, config: ModelConfig) -> None:
        normalization = config.normalization() or Normalization.of(data)
        self.batch = recipe.batch_size // recipe.devices
        self.crops = training_crops(data, normalization, recipe, seed=0, length=self.batch * (TIMED_STEPS + 1))
        self.validation = next(iter(EvaluationItems(data, data.splits["val"], normalization).values()))
        self.images = {split: len(data.splits[split]) for split in ("val", "test")}

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield training batches: images (N, C, H, W) and masks (N, H, W)."""
        for first in range(0, len(self.crops), self.batch):
            images, masks, *_ = zip(*(self.crops[first + i] for i in range(self.batch)), strict=True)
            yield torch.stack(images), torch.stack(masks)


def _timed(
    row: PlanRow, trial: Trial, samples: _Samples, info: DatasetInfo, device: str, precision: str, threads: int
) -> PlanRow:
    """Return the row with its times, or with the problem if the model fails on real tensors."""
    recipe = trial.train
    try:
        with _threads(threads):
            step, image = time_model(trial.model.config, recipe, samples, info, device, precision)
    except Exception as error:
        return row.model_copy(update={"need": row.need.model_copy(update={"problem": _reason(error)})})
    steps = recipe.steps or math.ceil(60 * (recipe.minutes or 0) / step)
    if recipe.until is not None:
        steps = recipe.most_steps
    if recipe.flops is not None:
        shape = (recipe.batch_size, *row.need.train_shape[1:])
        steps = steps_for(
            recipe.flops, count_training_flops(trial.model.config, shape, partial(make_optimizer, recipe))
        )
    trainings = [steps]
    if recipe.tune is not None:
        rates = len(recipe.tune.lr)
        trainings = [*[recipe.tune.steps] * rates, steps] if recipe.tune.steps else [steps] * rates
    validations = sum(math.ceil(each / recipe.validate_every) for each in trainings)
    scoring = image * (validations * samples.images["val"] + samples.images["test"])
    seconds = {"step_seconds": step, "image_seconds": image, "trial_seconds": sum(trainings) * step + scoring}
    return row.model_copy(update={name: round(value, 4) for name, value in seconds.items()})


def time_model(
    config: ModelConfig, recipe: Recipe, samples: _Samples, info: DatasetInfo, device: str, precision: str
) -> tuple[float, float]:
    """Time a training step with its data, and a validation image, each after a warm-up.

    Args:
        config: The model.
        recipe: The recipe of its training.
        samples: The training crops and the validation image.
        info: Classes and ignored label of the data set.
        device: Device type.
        precision: Resolved precision.

    Returns:
        The median seconds of a step and of an image.
    """
    work = Rehearsal(
        config,
        info.classes,
        precision=precision,
        channels_last=recipe.channels_last,
        device=device,
        ignore_index=info.ignore_index,
        fake=False,
        optimizer=partial(make_optimizer, recipe),
        recompute=recipe.recompute,
    )
    steps: list[float] = []
    clock = time.perf_counter()
    for images, masks in samples.batches():
        work.step(images.to(device).contiguous(memory_format=work.memory_format), masks.to(device))
        synchronize(device)
        now = time.perf_counter()
        steps.append(now - clock)
        clock = now
        if len(steps) > 2 and sum(steps[1:]) > MOST_SECONDS:
            break
    passes: list[float] = []
    image, mask = (tensor[None].to(device) for tensor in samples.validation)
    for _ in range(3):
        clock = time.perf_counter()
        logits = work.forward(image.contiguous(memory_format=work.memory_format))
        cross_entropy_dice(logits, mask, info.ignore_index)
        logits.argmax(dim=1).cpu()
        passes.append(time.perf_counter() - clock)
    return statistics.median(steps[1:]), statistics.median(passes[1:])


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnetzooError) else one_line(error)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _process_bytes(tensors: int, device: str) -> int:
    return round(PROCESS_FACTOR * tensors) + (PROCESS_BASE if device == "cpu" else 0)


def _fits_here(need: Need, device: str) -> bool:
    """Return True if the model may be timed here: a plan for a larger machine must not exhaust this one."""
    here = memory_limit(device)
    return need.fits is not False and need.process_bytes is not None and (here is None or need.process_bytes <= here[0])


def _limit(given: int | None, device: str) -> tuple[int | None, str]:
    if given is not None:
        return given, "as given"
    return memory_limit(device) or (None, "not known")
