"""The setting of a process that works on a trial: device, precision, limits, and what is to be recorded of them."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
from lightning_fabric import Fabric

from unetzoo.bench.limits import limit_memory
from unetzoo.bench.one_machine import OneMachine
from unetzoo.bench.suite import Suite
from unetzoo.bench.trials import Trial
from unetzoo.errors import UnetzooError
from unetzoo.machine.device import FABRIC_PRECISION, check_devices, resolve_device, resolve_precision
from unetzoo.machine.environment import environment
from unetzoo.models.factory import ModelConfig
from unetzoo.models.registry import model_info
from unetzoo.train.compute import ComputeChoice


@dataclass(frozen=True)
class Setting:
    """Device and precision of a process, and its conditions for the record."""

    device: str
    precision: str
    conditions: dict[str, Any]

    def choosing(self, choice: ComputeChoice) -> Setting:
        """Return the setting with the precision of a choice, which its conditions tell with the timings behind it."""
        conditions = {**self.conditions, "precision": choice.compute.precision}
        if choice.timings:
            conditions["compute"] = choice.model_dump(mode="json")
        return replace(self, precision=choice.compute.precision, conditions=conditions)

    def fabric(self, devices: int) -> Fabric:
        """Return a Fabric for a number of devices of this setting."""
        return Fabric(
            accelerator=self.device,
            devices=devices,
            strategy="ddp_spawn" if devices > 1 else "auto",
            precision=FABRIC_PRECISION[self.precision],  # type: ignore[arg-type]
            plugins=[OneMachine()],
        )


def enter(suite: Suite, trial: Trial, *, jobs: int, threads: int) -> Setting:
    """Give this process its share of the machine, and check that the model is still that of the suite's start.

    Args:
        suite: The suite of the trial.
        trial: The trial.
        jobs: Trials that run side by side.
        threads: CPU threads of this process.

    Returns:
        The setting.

    Raises:
        UnetzooError: If the device is not present, or the model's source or weights have changed.
    """
    recipe = trial.train
    device = resolve_device(recipe.device)
    check_devices(recipe.devices, device)
    precision = resolve_precision(recipe.precision, device)
    if recipe.deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # before cuBLAS is first used
    memory_limit = limit_memory(suite.limits, device, jobs, recipe.devices)
    torch.set_num_threads(threads)
    conditions = {**environment(device, precision), "jobs": jobs, "memory_limit": memory_limit}
    if device == "cuda" and suite.limits.per_device > 1:
        conditions["per_device"] = suite.limits.per_device
    if not trial.model.baseline:
        conditions |= _describe_encoder(trial.model.config)
        _check_model(trial, conditions)
    return Setting(device, precision, conditions)


def _check_model(trial: Trial, conditions: dict[str, Any]) -> None:
    """Compare the source and the weights of a model with those it had when the suite was started.

    Raises:
        UnetzooError: If one of them differs.
    """
    model = trial.model
    if model_info(model.name).fingerprint() != model.source:
        raise UnetzooError(f"the source of model {model.name!r} has changed since the suite was started")
    if model.weights and model.weights != conditions["pretrained_weights"]:
        raise UnetzooError(f"the pretrained weights of {model.name!r} have changed since the suite was started")


def _describe_encoder(config: ModelConfig) -> dict[str, Any]:
    """Return the version of the encoder's package, and the weights and normalisation that the model starts from."""
    if config.encoder is None:
        return {}
    conditions: dict[str, Any] = {"timm": version("timm")}
    if config.pretrained is None or (normalization := config.normalization()) is None:
        return conditions
    from unetzoo.encoders.files import digest

    return {**conditions, "pretrained_weights": digest(*config.pretrained), "normalization": asdict(normalization)}
