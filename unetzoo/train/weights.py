"""Weights on disk: safetensors, with what is needed to build the model again in the header."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from unetzoo._util.atomic import atomic_path
from unetzoo.data.stream import Normalization
from unetzoo.errors import UnetzooError
from unetzoo.models.factory import ModelConfig

FILE_NAME = "model.safetensors"


def save_model(model: nn.Module, path: Path | str, **extra: Any) -> Path:
    """Write a model made by `create_model` to ``path`` (a ``.safetensors`` file, or a folder to put one in).

    ``extra`` (JSON values, such as the normalisation) goes into the header; a normalisation that the model knows does
    in any case. All or nothing is written.
    Raises `UnetzooError` on a model that does not come from the registry.
    """
    config = getattr(model, "unetzoo_config", None)
    if not isinstance(config, ModelConfig):
        raise UnetzooError(f"{type(model).__name__} was not made by create_model, so it could not be built again")
    path = weights_file(Path(path))
    normalization = getattr(model, "unetzoo_normalization", None)
    if isinstance(normalization, Normalization):
        extra.setdefault("normalization", asdict(normalization))
    header = {"unetzoo": json.dumps({"model": config.model_dump(mode="json"), **extra})}
    with atomic_path(path) as temporary:
        # Tied weights in channels_last are views that safetensors cannot flatten.
        contiguous = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        safetensors.torch.save_model(contiguous, str(temporary), metadata=header)
    return path


def load_model(path: Path | str) -> nn.Module:
    """The model that `save_model` or a trial wrote, on the CPU and in eval mode.

    ``path`` is the ``.safetensors`` file or its folder. The normalisation (mean and std) that was saved beside
    the weights, if any, is ``model.unetzoo_normalization``, so that `unetzoo.predict` applies it by itself. Raises
    `UnetzooError` where it is not one of ours, or where its name is not registered (import the file that registers
    it first).
    """
    path = weights_file(Path(path))
    header = read_header(path)
    config = header["model"]
    model = config.build(weights=False)  # all of them are in the file
    saved = header.get("normalization")
    if isinstance(saved, dict) and {"mean", "std"} <= set(saved):  # what stands there is free; ours has both
        normalization = Normalization(tuple(saved["mean"]), tuple(saved["std"]))
        object.__setattr__(model, "unetzoo_normalization", normalization)  # plain data, as the config
    try:
        safetensors.torch.load_model(model, path)
    except (RuntimeError, SafetensorError) as error:
        raise UnetzooError(f"{path}: does not fit model {config.name!r}: {str(error).splitlines()[0]}") from None
    return model.eval()


def read_header(path: Path | str) -> dict[str, Any]:
    """What stands beside the weights: ``model`` (a `ModelConfig`) and what else was saved."""
    path = weights_file(Path(path))
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["unetzoo"])
        return {**header, "model": ModelConfig.from_mapping(header["model"], str(path))}
    except FileNotFoundError:
        raise UnetzooError(f"{path}: no such file") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UnetzooError(f"{path}: not a model saved by unetzoo ({type(error).__name__}: {error})") from None


def weights_file(path: Path) -> Path:
    """The ``.safetensors`` file that ``path``, itself or its folder, means."""
    return path / FILE_NAME if path.is_dir() or not path.suffix else path
