"""What a suite, or one model, will cost: predicted before anything is trained.

Memory is predicted on fake tensors (`unetzoo.measure.tracker`); time from a few measured steps, extrapolated.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unetzoo._util.plugins import import_plugins
from unetzoo.bench.expand import expand
from unetzoo.bench.limits import GIB
from unetzoo.bench.output import Where
from unetzoo.bench.suite import Measurement, Suite
from unetzoo.bench.trials import Trial
from unetzoo.data.base import DatasetInfo
from unetzoo.data.decoded import Decoded
from unetzoo.data.stream import EvaluationItems, Normalization
from unetzoo.errors import Strict, UnetzooError, plain
from unetzoo.machine.device import check_devices, resolve_device, resolve_precision
from unetzoo.machine.memory import memory_limit
from unetzoo.measure.counts import count_macs, count_parameters, count_training_flops, side_read
from unetzoo.measure.latency import Latency, measure_latency, synchronize
from unetzoo.measure.tracker import Rehearsal, Shape
from unetzoo.models.factory import ModelConfig
from unetzoo.nn.sizes import SameSize
from unetzoo.records.measured import TensorMemory
from unetzoo.train.loop import make_optimizer, training_crops
from unetzoo.train.losses import cross_entropy_dice
from unetzoo.train.recipe import Recipe, steps_for

# What a process takes: the median ratio of its peak to the predicted peak of its tensors while it trains, and what it
# holds besides; together they cover every model in reports/memory-prediction (CPU; not measured on a GPU).
PROCESS_FACTOR = 1.27
PROCESS_BASE = 896 * 2**20
TIMED_STEPS = 5
MOST_SECONDS = 10.0  # of timed steps, where there are two


class Need(Strict):
    """Predicted for one model; what could not be predicted is None, and ``problem`` says why."""

    params: int | None = None
    macs: int | None = None  # of one image
    train_shape: Shape
    infer_shape: Shape
    memory: TensorMemory | None = None
    process_bytes: int | None = None  # what the trial's process will take at its peak
    fits: bool | None = None
    largest_batch: int | None = None  # the largest training batch that fits, all else equal; 0: none does; None:
    # the memory is not known, or a batch so small that it would have to be cannot be trained
    problem: str | None = None


class PlanRow(Strict):
    """One model of a suite; seconds are None where they were not measured."""

    label: str
    trials: int
    need: Need
    width: float | None = None  # where it was chosen to meet the reference's parameters or MACs
    matched: dict[str, Any] = {}  # what, reference, target, reached, ratio
    step_seconds: float | None = None  # one training step, its data included
    image_seconds: float | None = None  # one validation image
    trial_seconds: float | None = None  # training, validation and test


class Plan(Strict):
    """``limit_bytes`` is what a trial may take on this machine, or was said to be; None where that is not known."""

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

    @property
    def seconds(self) -> float | None:
        """Of all trials one after the other; None where one is not known."""
        each = [row.trial_seconds for row in self.rows]
        return None if None in each else sum(row.trials * (row.trial_seconds or 0.0) for row in self.rows)


class Profile(Strict):
    """One model by itself; the latency is measured, the rest is predicted."""

    name: str
    options: dict[str, object]
    device: str
    precision: str
    limit_bytes: int | None
    limit_source: str
    need: Need
    reads: int  # side in px that the images of ``need`` are mirrored to: for valid convolutions more than they have
    latency_p50_ms: float | None = None
    latency_p90_ms: float | None = None
    latency_repeats: int | None = None


def plan_suite(
    suite: Suite,
    *,
    limit: int | None = None,
    timed: bool = True,
    on_model: Callable[[str], None] = lambda label: None,
) -> Plan:
    """Predict memory and time of every model of a suite, for a machine with ``limit`` bytes (default: this one).

    Without ``timed`` nothing is allocated. ``on_model`` hears each label before its model is looked at. Raises
    `UnetzooError` where the suite or its data is not sound; a model that fails has its reason in its row.
    """
    import_plugins(suite.imports)
    dataset = suite.data.open()
    info, common = dataset.info, suite.train
    device = resolve_device(common.device)
    check_devices(common.devices, device)
    precision = resolve_precision(common.precision, device)
    threads = common.threads or Where(Path()).threads
    own = suite.limits.memory_gib
    limit, source = _limit(limit, device) if limit or not own else (round(own * GIB), "limits.memory_gib")
    trials = [trial for trial in expand(suite, dataset) if not trial.model.baseline]  # those cost next to nothing
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
    """What one model needs for training and inference on ``batch`` square images, and how long a forward pass takes.

    Without ``timed`` nothing is allocated, but for a model of one's own that needs memory to be built. Raises
    `UnetzooError` where it cannot be built, and with what the network raises while it is timed.
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
    except Exception as error:  # of a model of one's own, which `check` does not build
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
    """Parameters, MACs, memory and the largest batch, from shapes alone."""
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
        )
        infer = work.inference_peak(infer_shape)  # first, as in a trial: the optimizer has no state yet
        memory = TensorMemory(train=work.training_peak(train_shape), infer=infer)

        def process_at(batch: int) -> int:
            return _process_bytes(work.training_peak((batch, *train_shape[1:])).total, device)

        largest = None
        if limit is not None:
            with suppress(ValueError):  # of batch norm: crops so small that a batch of one cannot be trained
                largest = largest_batch(process_at, limit, train_shape[0])
    except Exception as error:  # a model of one's own may raise anything, and may not run on fake tensors
        return Need(params=params, macs=macs, problem=_reason(error), **shapes)
    process = _process_bytes(max(memory.train.total, memory.infer.total), device)
    fits = None if limit is None else process <= limit
    return Need(
        params=params, macs=macs, memory=memory, process_bytes=process, fits=fits, largest_batch=largest, **shapes
    )


def largest_batch(bytes_at: Callable[[int], int], limit: int, start: int = 1) -> int:
    """The largest batch b with ``bytes_at(b) <= limit``, 0 where not even one image fits.

    Memory is nearly linear in the batch: a line through what is known proposes the next b, until b is known to fit
    and b + 1 not to.
    """
    known = {b: bytes_at(b) for b in (start, 2 * start)}
    for tries in count():
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
    raise AssertionError("count() does not end")


class _Samples:
    """A data set's training crops and its first validation image, as a trial reads them."""

    def __init__(self, data: Decoded, recipe: Recipe, config: ModelConfig) -> None:
        normalization = config.normalization() or Normalization.of(data)
        self.batch = recipe.batch_size // recipe.devices
        self.crops = training_crops(data, normalization, recipe, seed=0, length=self.batch * (TIMED_STEPS + 1))
        self.validation = next(iter(EvaluationItems(data, data.splits["val"], normalization).values()))
        self.images = {split: len(data.splits[split]) for split in ("val", "test")}

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        for first in range(0, len(self.crops), self.batch):
            images, masks, *_ = zip(*(self.crops[first + i] for i in range(self.batch)), strict=True)
            yield torch.stack(images), torch.stack(masks)


def _timed(
    row: PlanRow, trial: Trial, samples: _Samples, info: DatasetInfo, device: str, precision: str, threads: int
) -> PlanRow:
    """The row with its seconds; with its problem where the model fails on real tensors."""
    recipe = trial.train
    try:
        with _threads(threads):
            step, image = time_model(trial.model.config, recipe, samples, info, device, precision)
    except Exception as error:
        return row.model_copy(update={"need": row.need.model_copy(update={"problem": _reason(error)})})
    steps = recipe.steps or math.ceil(60 * (recipe.minutes or 0) / step)
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
    """Median seconds of a training step with its data, and of a validation image; each after a warm-up."""
    work = Rehearsal(
        config,
        info.classes,
        precision=precision,
        channels_last=recipe.channels_last,
        device=device,
        ignore_index=info.ignore_index,
        fake=False,
        optimizer=partial(make_optimizer, recipe),
    )
    steps: list[float] = []
    clock = time.perf_counter()
    for images, masks in samples.batches():
        work.step(images.to(device).contiguous(memory_format=work.layout), masks.to(device))
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
        logits = work.forward(image.contiguous(memory_format=work.layout))
        cross_entropy_dice(logits, mask, info.ignore_index)
        logits.argmax(dim=1).cpu()
        passes.append(time.perf_counter() - clock)
    return statistics.median(steps[1:]), statistics.median(passes[1:])


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnetzooError) else plain(error)


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
    """Whether it may be timed: a plan for a larger machine must not take this one down."""
    here = memory_limit(device)
    return need.fits is not False and need.process_bytes is not None and (here is None or need.process_bytes <= here[0])


def _limit(given: int | None, device: str) -> tuple[int | None, str]:
    if given is not None:
        return given, "as given"
    return memory_limit(device) or (None, "not known")
