"""What a fresh process does for the harness: a whole trial, a model's costs, or a rehearsal of its training steps."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import torch

from unetzoo.bench.channel import Channel
from unetzoo.bench.model_costs import costs_of
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.setting import enter
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.data.base import DatasetInfo
from unetzoo.machine.lock import MachineLock
from unetzoo.machine.phases import Phases
from unetzoo.measure.latency import synchronize
from unetzoo.measure.rehearsal import Rehearsal
from unetzoo.train.loop import make_optimizer

REHEARSED_SECONDS = 1.5
WARM_UP, FEWEST = 1, 3  # steps


def measure_costs(
    suite: Suite, trial: Trial, info: DatasetInfo, folders: OutputFolders, channel: Channel
) -> dict[str, Any]:
    """Measure the costs of a trial's model, unless they are known, and keep them in their file.

    Args:
        suite: The suite of the trial.
        trial: A trial of the model.
        info: Channels, classes and ignored label of the data set.
        folders: Folders of the output.
        channel: Connection to the harness.

    Returns:
        The seconds of a training step, its peak memory in bytes, the device, and the memory of each GPU that is
        visible if it is one, for the harness.
    """
    threads = trial.train.threads or OutputFolders(folders.out).threads
    setting = enter(suite, trial, jobs=1, threads=threads)
    channel.send({"phase": "measure", "environment": setting.conditions})
    costs = costs_of(trial, info, setting, folders, channel, Phases("measure"))
    gpus = range(torch.cuda.device_count() if setting.device == "cuda" else 0)
    return {
        "step_seconds": costs.step_seconds,
        "peak": costs.cost.peak_train_bytes,
        "device": setting.device,
        "gpus": tuple(torch.cuda.get_device_properties(gpu).total_memory for gpu in gpus),
    }


def rehearse(suite: Suite, trial: Trial, info: DatasetInfo, folders: OutputFolders, channel: Channel) -> dict[str, Any]:
    """Train on random pixels for a moment, with the threads that a trial has beside others.

    Args:
        suite: The suite of the trial.
        trial: The trial.
        info: Channels, classes and ignored label of the data set.
        folders: Folders of the output, with the number of trials side by side.
        channel: Connection to the harness.

    Returns:
        The steps per second, for the harness.
    """
    setting = enter(suite, trial, jobs=folders.jobs, threads=folders.threads)
    choice = costs_of(trial, info, setting, folders, channel, Phases("measure")).choice  # from their file
    setting, recipe = setting.choosing(choice), choice.applied(trial.train)
    work = Rehearsal(
        trial.model.config,
        info.classes,
        precision=setting.precision,
        channels_last=recipe.channels_last,
        device=setting.device,
        ignore_index=info.ignore_index,
        fake=False,
        optimizer=partial(make_optimizer, recipe),
        recompute=recipe.recompute,
    )
    shape = (recipe.batch_size, info.channels, recipe.crop, recipe.crop)
    images, masks = work.images(shape), work.masks(shape)
    lock, taken = MachineLock(beat=channel.check, say=channel.note), list[float]()
    while len(taken) < WARM_UP + FEWEST or sum(taken[WARM_UP:]) < REHEARSED_SECONDS:
        channel.check()
        with lock.shared():
            begun = time.monotonic()
            work.step(images, masks)
            synchronize(setting.device)
            taken.append(time.monotonic() - begun)
    return {"steps_per_second": (len(taken) - WARM_UP) / sum(taken[WARM_UP:])}
