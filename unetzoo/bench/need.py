"""Predicted memory of one model, and the largest batch that fits, from shapes alone (`unetzoo.measure.rehearsal`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import torch

from unetzoo.bench.limits import PROCESS_BASE, PROCESS_FACTOR
from unetzoo.errors import Strict, UnetzooError, one_line
from unetzoo.machine.memory import memory_limit
from unetzoo.measure.batch_peaks import BatchPeaks
from unetzoo.measure.counts import count_macs, count_parameters
from unetzoo.measure.rehearsal import Rehearsal, Shape
from unetzoo.models.factory import ModelConfig
from unetzoo.nn.sizes import SameSize
from unetzoo.records.measured import TensorMemory
from unetzoo.train.loop import make_optimizer
from unetzoo.train.recipe import Recipe


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
            return process_bytes(peaks.at(batch).total, device)

        largest = None
        if limit is not None:
            with suppress(ValueError):  # raised by batch norm if the crops are too small to train on a batch of one
                largest = largest_batch(process_at, limit, train_shape[0])
    except Exception as error:  # a user's model may raise anything, and may not run on fake tensors
        return Need(params=params, macs=macs, problem=reason(error), **shapes)
    process = process_bytes(max(memory.train.total, memory.infer.total), device)
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


def reason(error: Exception) -> str:
    """Return in one line why a model failed."""
    return str(error) if isinstance(error, UnetzooError) else one_line(error)


def process_bytes(tensors: int, device: str) -> int:
    """Return the peak memory of a process in bytes, from the peak of its tensors in bytes."""
    return round(PROCESS_FACTOR * tensors) + (PROCESS_BASE if device == "cpu" else 0)


def fits_here(need: Need, device: str) -> bool:
    """Return True if the model may be timed here: a plan for a larger machine must not exhaust this one."""
    here = memory_limit(device)
    return need.fits is not False and need.process_bytes is not None and (here is None or need.process_bytes <= here[0])


def memory_to_plan(given: int | None, device: str) -> tuple[int | None, str]:
    """Return the bytes of memory to plan for, and where that limit comes from, in words.

    Args:
        given: Bytes that were asked for; None for this machine's.
        device: Device type.
    """
    if given is not None:
        return given, "as given"
    return memory_limit(device) or (None, "not known")
