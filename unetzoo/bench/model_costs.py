"""Costs of a model, measured once for all its seeds while nothing else of the run computes, and kept in a file."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import torch
from pydantic import ValidationError

from unetzoo._util.atomic import write_atomic
from unetzoo._util.batch_job import whole_machine
from unetzoo.bench.channel import Channel
from unetzoo.bench.cost import measure_cost
from unetzoo.bench.output import OutputFolders
from unetzoo.bench.setting import Setting
from unetzoo.bench.trials import Trial
from unetzoo.data.base import DatasetInfo
from unetzoo.errors import Strict
from unetzoo.machine.lock import MachineLock
from unetzoo.machine.phases import Phases
from unetzoo.measure.counts import count_macs, count_parameters, count_training_flops
from unetzoo.nn.sizes import SameSize
from unetzoo.records.parts import NOT_MEASURED, Cost
from unetzoo.train.compute import Compute, ComputeChoice, choose_compute
from unetzoo.train.hooks import TrainingHooks
from unetzoo.train.loop import make_optimizer
from unetzoo.train.recipe import steps_for

SAME_MACHINE = ("unetzoo", "torch", "cpu", "device", "device_name", "precision")


class ModelCosts(Strict):
    """Costs of a model under a recipe, without those that only a finished training has.

    Attributes:
        conditions: Versions and hardware; on others the costs are measured again.
        cost: The costs.
        step_flops: Floating-point operations of a training step.
        step_seconds: Seconds of a training step without loading data; 0 if nothing was measured.
        choice: How the steps are computed, with the timings by which that was chosen, if it was left open.
        timed: False if other jobs shared the machine, so that the times are left out.
    """

    conditions: dict[str, Any]
    cost: Cost
    step_flops: int
    step_seconds: float
    choice: ComputeChoice
    timed: bool = True

    def predicted_train_seconds(self, conditions: dict[str, Any]) -> float | None:
        """Return the predicted duration of a training; None under conditions that have another number of threads."""
        alike = conditions["threads"] == self.conditions["threads"]
        return self.cost.predicted_train_seconds if alike else None


def costs_of(
    trial: Trial, info: DatasetInfo, setting: Setting, folders: OutputFolders, channel: Channel, phases: Phases
) -> ModelCosts:
    """Return the costs of a trial's model from their file, or else measure them and write it.

    Args:
        trial: A trial of the model; its seed does not matter.
        info: Channels, classes and ignored label of the data set.
        setting: Device and precision of this process.
        folders: Folders of the output.
        channel: Connection to the harness.
        phases: Clock of this process.

    Returns:
        The costs; of those in the file only if they were measured on this machine and by this code.
    """
    if trial.measure.where == "off":
        return _counted(trial, info, setting)
    file = folders.costs(trial, "{cpu} {device} {device_name}".format_map(setting.conditions))
    apart = trial.measure.where == "any" or whole_machine()
    with suppress(OSError, ValidationError):
        found = ModelCosts.model_validate_json(file.read_bytes())
        same = all(found.conditions.get(name) == setting.conditions.get(name) for name in SAME_MACHINE)
        if same and (found.timed or not apart):
            return found
    phases("measure")
    channel.send({"phase": "measure"})
    found = _measure(trial, info, setting, channel, phases)
    if not apart:
        found = found.model_copy(update={"cost": found.cost.without_times(), "timed": False})
    with suppress(OSError):  # such as a full disk; the next trial then measures again
        write_atomic(file, found.model_dump_json(indent=1) + "\n")
    return found


def _counted(trial: Trial, info: DatasetInfo, setting: Setting) -> ModelCosts:
    """Return what can be counted without running the model."""
    recipe, size = trial.train, trial.measure.size
    with torch.device("meta"):
        network = trial.model.config.build(weights=False).eval()
        image = torch.zeros(1, info.channels, size, size)
    shape = (recipe.batch_size, info.channels, recipe.crop, recipe.crop)
    cost = Cost(
        params=count_parameters(network),
        macs=count_macs(SameSize(network, info.classes).eval(), image),
        shape=(trial.measure.batch_size, info.channels, size, size),
        train_shape=(recipe.batch_size // recipe.devices, *shape[1:]),
        memory_method=NOT_MEASURED,
        latency_p50_ms=None,
        latency_p90_ms=None,
        latency_repeats=0,
        latency_method=NOT_MEASURED,
    )
    flops = count_training_flops(trial.model.config, shape, partial(make_optimizer, recipe))
    choice = ComputeChoice(compute=Compute.of(recipe, setting.device))
    return ModelCosts(
        conditions=setting.conditions, cost=cost, step_flops=flops, step_seconds=0.0, choice=choice, timed=False
    )


def _measure(trial: Trial, info: DatasetInfo, setting: Setting, channel: Channel, phases: Phases) -> ModelCosts:
    recipe = trial.train
    shape = (recipe.batch_size, info.channels, recipe.crop, recipe.crop)
    hooks = TrainingHooks(beat=channel.check, phases=phases, lock=MachineLock(beat=channel.check, say=channel.note))
    flops = count_training_flops(trial.model.config, shape, partial(make_optimizer, recipe))
    steps = steps_for(recipe.flops, flops) if recipe.flops is not None else recipe.steps
    with hooks.alone():
        choice = choose_compute(
            partial(trial.model.config.build, weights=False),
            recipe,
            device=setting.device,
            channels=info.channels,
            classes=info.classes,
            beat=channel.check,
        )
    chosen, trial = setting.choosing(choice), trial.model_copy(update={"train": choice.applied(recipe)})
    fabric = chosen.fabric(recipe.devices)
    cost, seconds = measure_cost(fabric, trial, steps, info, chosen.device, chosen.precision, hooks)
    return ModelCosts(conditions=setting.conditions, cost=cost, step_flops=flops, step_seconds=seconds, choice=choice)
