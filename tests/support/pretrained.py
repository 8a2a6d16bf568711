"""A tiny encoder with weights to load, and the trials of a suite."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import unetzoo
from unetzoo.bench.expand import expand
from unetzoo.bench.suite import Suite


def body(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key.removeprefix("model."): value for key, value in model.encoder.body.state_dict().items()}


def tiny(**changes: Any) -> nn.Module:
    return unetzoo.create_model("unet", **{"encoder": "test_resnet", "depth": 6, "width": 4, **changes})


def suite(**changes: Any) -> Suite:
    data = {"name": "cells", "options": {"n_train": 2, "n_val": 1, "n_test": 1, "size": 48}}
    return Suite.from_mapping({"name": "s", "models": ["unet"], "data": data, "baselines": False, **changes}, "s.toml")


def trials(**changes: Any) -> list[Any]:
    made = suite(**changes)
    return expand(made, made.data.open())
