"""Measured time of a training step and of a validation image, from which `unetzoo.bench.plan` extrapolates."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from unetzoo.data.base import DatasetInfo
from unetzoo.data.decoded import Decoded
from unetzoo.data.stream import EvaluationItems, Normalization
from unetzoo.measure.latency import synchronize
from unetzoo.measure.rehearsal import Rehearsal
from unetzoo.models.factory import ModelConfig
from unetzoo.train.loop import make_optimizer, training_crops
from unetzoo.train.losses import cross_entropy_dice
from unetzoo.train.recipe import Recipe

TIMED_STEPS = 5
MOST_SECONDS = 10.0  # spent on timed steps, once there are two of them


class Samples:
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


def time_model(
    config: ModelConfig, recipe: Recipe, samples: Samples, info: DatasetInfo, device: str, precision: str
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


@contextmanager
def cpu_threads(number: int) -> Iterator[None]:
    """Compute with this number of threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
