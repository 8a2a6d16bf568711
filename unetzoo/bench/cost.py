"""Cost of a model, measured on random pixels before any training."""

from __future__ import annotations

import time
from functools import partial

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from unetzoo.bench.trials import Trial
from unetzoo.data.base import DatasetInfo
from unetzoo.measure.counts import count_macs, count_parameters
from unetzoo.measure.latency import METHOD, synchronize, time_calmly
from unetzoo.measure.memory import PeakMemory
from unetzoo.measure.rehearsal import tensor_memory
from unetzoo.nn.recompute import recomputing
from unetzoo.nn.sizes import SameSize
from unetzoo.records.measured import Timing
from unetzoo.records.parts import Cost
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.loop import make_optimizer
from unetzoo.train.losses import supervised_loss
from unetzoo.train.recipe import Recipe

TIMED_STEPS = 2  # training steps from which the whole training is extrapolated
BESIDE = 0.1  # share of the time limit for the timing in float32 beside that in the trial's precision, tried once


def measure_cost(
    fabric: Fabric,
    trial: Trial,
    steps: int | None,
    info: DatasetInfo,
    device: str,
    precision: str,
    hooks: TrainingHooks,
) -> tuple[Cost, float]:
    """Measure inference, then a few training steps, then the memory of both with the tracker.

    Args:
        fabric: Fabric of the trial.
        trial: The trial, whose model is built without pretrained weights.
        steps: Optimizer steps the training will take, to predict its duration; None if not known.
        info: Channels, classes and ignored label of the data set.
        device: Device type, such as "cuda".
        precision: Resolved precision, "float32" or "bfloat16".
        hooks: Hooks of the trial, for signs of life, phases and turns on the machine.

    Returns:
        The cost, whose fields that need a finished training are still empty, and the seconds of a training step.
    """
    config, recipe, size = trial.model.config, trial.train, trial.measure.size
    memory_format = _memory_format(recipe)
    shape = (trial.measure.batch_size, info.channels, size, size)
    train_shape = (recipe.batch_size // recipe.devices, info.channels, recipe.crop, recipe.crop)
    with hooks.turn(hooks.phases.now):
        _wake_up(fabric, memory_format)
        memory = PeakMemory(device)
        torch.manual_seed(trial.seed)
        with hooks.phases.during("build"):
            network = config.build(weights=False).to(fabric.device)
            network.to(memory_format=memory_format)  # type: ignore[call-overload]
        params = count_parameters(network)
        optimizer = make_optimizer(recipe, network)
        model = SameSize(network, info.classes).eval()
        images = torch.rand(shape, device=fabric.device).contiguous(memory_format=memory_format)
        _forward(model, images, fabric)
        synchronize(device)
        peak_infer = memory.peak()

        hooks.beat()
        macs = count_macs(model, torch.rand(1, *shape[1:], device=fabric.device))
    timings = _timed(model, images, fabric, trial, device, precision, macs, hooks)

    memory.restart()
    step_seconds = _step_seconds(network, model, optimizer, fabric, recipe, info, train_shape, hooks)
    peak_train = memory.peak()
    del network, model, optimizer, images

    with hooks.turn(hooks.phases.now):
        tensors = tensor_memory(
            config,
            info.classes,
            train_shape,
            shape,
            precision=precision,
            channels_last=recipe.channels_last,
            device=device,
            ignore_index=info.ignore_index,
            fake=False,
            optimizer=partial(make_optimizer, recipe),
            recompute=recipe.recompute,
        )
    hooks.beat()
    layout_name = "channels_last" if recipe.channels_last else "contiguous"
    apart = "no other trial of this user computing" if hooks.lock and hooks.lock.exclusive else "not kept apart"
    threads = f"{torch.get_num_threads()} threads, " if device == "cpu" else ""
    cost = Cost(
        params=params,
        macs=macs,
        shape=shape,
        train_shape=train_shape,
        peak_train_bytes=peak_train,
        peak_infer_bytes=peak_infer,
        memory_method=memory.method,
        tensors=tensors,
        predicted_train_seconds=round(steps * step_seconds, 3) if steps else None,
        latency_p50_ms=timings[0].p50_ms,
        latency_p90_ms=timings[0].p90_ms,
        latency_repeats=timings[0].repeats,
        latency_method=f"{METHOD}; {precision}, {layout_name}, {threads}{apart}",
        timings=timings,
    )
    return cost, step_seconds


def _timed(
    model: nn.Module,
    images: Tensor,
    fabric: Fabric,
    trial: Trial,
    device: str,
    precision: str,
    macs: int,
    hooks: TrainingHooks,
) -> list[Timing]:
    """Time inference in the trial's precision, and, if that is another, briefly in float32."""
    works = {precision: partial(_forward, model, images, fabric), "float32": partial(_forward, model, images, None)}
    n, c, h, w = images.shape
    timings = []
    for kind in dict.fromkeys((precision, "float32")):
        with hooks.alone():
            timing = time_calmly(
                works[kind],
                device=device,
                precision=kind,
                shape=(n, c, h, w),
                macs=macs,
                repeats=trial.measure.repeats,
                seconds=trial.measure.seconds * (1 if kind == precision else BESIDE),
                attempts=trial.measure.attempts if kind == precision else 1,
                beat=hooks.beat,
            )
        hooks.beat()
        timings.append(timing)
    return timings


def _step_seconds(
    network: nn.Module,
    model: nn.Module,
    optimizer: Optimizer,
    fabric: Fabric,
    recipe: Recipe,
    info: DatasetInfo,
    shape: tuple[int, ...],
    hooks: TrainingHooks,
) -> float:
    """Return the mean seconds of `TIMED_STEPS` training steps on random crops (N, C, H, W)."""
    memory_format = _memory_format(recipe)
    model.train()
    taken: list[float] = []
    for _ in range(1 + TIMED_STEPS):  # the optimizer's state exists from the second step on
        hooks.beat()
        with hooks.turn(hooks.phases.now):
            begun = time.monotonic()
            images = torch.rand(shape, device=fabric.device).contiguous(memory_format=memory_format)
            masks = torch.randint(info.classes, (shape[0], *shape[2:]), device=fabric.device)
            with recomputing(network, recipe.recompute):
                with fabric.autocast():
                    outputs = model(images)
                supervised_loss(outputs, masks, info.ignore_index).backward()
            optimizer.step()
            optimizer.zero_grad()
            synchronize(fabric.device.type)
            taken.append(time.monotonic() - begun)
    return sum(taken[1:]) / TIMED_STEPS


def _memory_format(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.channels_last else torch.contiguous_format


@torch.inference_mode()
def _forward(model: nn.Module, images: Tensor, fabric: Fabric | None) -> None:
    if fabric is None:
        model(images)
        return
    with fabric.autocast():  # a new context each time: within one, the weights would be cast only once
        model(images)


def _wake_up(fabric: Fabric, memory_format: torch.memory_format) -> None:
    """Load the libraries' code and start their threads before a baseline is taken."""
    layer = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 8, 2, 2)).to(fabric.device)
    images = torch.rand(1, 8, 32, 32, device=fabric.device).contiguous(memory_format=memory_format)
    with fabric.autocast():
        layer(images).mean().backward()
    torch.optim.AdamW(layer.parameters()).step()
