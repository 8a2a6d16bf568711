"""The training of a trial: by its learning rate, or by the one of several that does best on validation."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from unetzoo._util.versions import __version__
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.data.stream import EvaluationItems, TrainingCrops
from unetzoo.records.parts import Try
from unetzoo.train.checkpoint import Checkpoint
from unetzoo.train.history import History
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.loop import train
from unetzoo.train.recipe import BUDGETS, Recipe


def choose(
    fabric: Fabric,
    suite: Suite,
    trial: Trial,
    recipe: Recipe,
    crops: TrainingCrops,
    validation: EvaluationItems,
    folders: OutputFolders,
    hooks: TrainingHooks,
) -> tuple[History, nn.Module, list[Try]]:
    """Train a trial's network, by the learning rate that does best on validation if there are several.

    Args:
        fabric: Devices and precision.
        suite: The suite, which has the time between two checkpoints.
        trial: The trial.
        recipe: How to train.
        crops: Stream of training crops.
        validation: The validation images.
        folders: Where checkpoints go.
        hooks: Progress, sign of life, stop, clock and lock.

    Returns:
        The history of the chosen training, its network, and the learning rates that were tried.
    """

    def run(name: str, recipe: Recipe, final: bool) -> tuple[History, nn.Module]:
        for seeded in (torch.manual_seed, random.seed, np.random.seed):
            seeded(trial.seed)
        with hooks.phases.during("build"):
            network = trial.model.config.build()
            if synchronised(fabric.world_size, fabric.device.type):
                from unetzoo.train.sync_norm import synchronise_batch_norms  # imports timm

                synchronise_batch_norms(network)
        path = folders.folder(trial) / f"checkpoint{name}.pt"
        machine = (__version__, fabric.device, fabric.strategy.precision.precision, torch.get_num_threads())
        identity = " ".join(map(str, (trial.id + name, *machine)))  # elsewhere not bit for bit the same
        checkpoint = Checkpoint(path, identity, suite.limits.checkpoint_seconds, final=final)
        here = replace(hooks, checkpoint=checkpoint)
        return train(fabric, network, crops, validation, crops.info, recipe, here, trial.score.both_empty), network

    hooks.phases("other")
    if recipe.tune is None:
        return (*run("", recipe, final=False), [])
    kept: tuple[History, nn.Module, float] | None = None
    tried: list[tuple[float, History]] = []
    budget = dict.fromkeys((*BUDGETS, "until")) | {"steps": recipe.tune.steps} if recipe.tune.steps else {}
    for lr in recipe.tune.lr:
        done, network = run(f"-lr{lr:g}", recipe.model_copy(update={**budget, "tune": None, "lr": lr}), final=True)
        tried.append((lr, done))
        if kept is None or _merit(done) > _merit(kept[0]):
            kept = (done, network, lr)
    assert kept is not None
    done, network, lr = kept
    if recipe.tune.steps:
        done, network = run("", recipe.model_copy(update={"tune": None, "lr": lr}), final=False)
    tries = [
        Try(lr=rate, val_dice=d.best_dice, val_loss=d.best_loss, steps=d.step, seconds=d.seconds, chosen=rate == lr)
        for rate, d in tried
    ]
    return done, network, tries


def synchronised(processes: int, device: str) -> bool:
    """Return True if batch norms use the batches of all processes, which torch can do on GPUs alone."""
    return processes > 1 and device == "cuda"


def _merit(done: History) -> tuple[float, float]:
    return done.best_dice or 0.0, -done.best_loss
