"""Trained models on disk: safetensors files whose header has all that is needed to rebuild the model."""

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
from unetzoo.data.expected import Expected
from unetzoo.data.stream import Normalization
from unetzoo.errors import UnetzooError
from unetzoo.models.factory import ModelConfig

FILE_NAME = "model.safetensors"


def save_model(model: nn.Module, path: Path | str, *, expected: Expected | None = None, **extra: Any) -> Path:
    """Write a model made by `create_model` to disk, atomically.

    Args:
        model: The model. Its normalisation, if it has one, is saved in the header.
        path: A ``.safetensors`` file, or a folder to put one into.
        expected: How the training images were stored and read, such as ``Expected.of(dataset)``, by which `predict`
            reads images; default: that of the model, if it was loaded.
        extra: Further JSON values for the header.

    Returns:
        The file.

    Raises:
        UnetzooError: If the model was not made by `create_model`.
    """
    config = getattr(model, "unetzoo_config", None)
    if not isinstance(config, ModelConfig):
        raise UnetzooError(f"{type(model).__name__} was not made by create_model, so it could not be rebuilt")
    path = weights_file(Path(path))
    normalization = getattr(model, "unetzoo_normalization", None)
    if isinstance(normalization, Normalization):
        extra.setdefault("normalization", asdict(normalization))
    expected = expected or getattr(model, "unetzoo_expected", None)
    if isinstance(expected, Expected) and expected.known:
        extra["expected"] = expected.model_dump(mode="json")
    header = {"unetzoo": json.dumps({"model": config.model_dump(mode="json"), **extra})}
    with atomic_path(path) as temporary:
        # Tied weights in channels_last are views that safetensors cannot flatten.
        contiguous = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        safetensors.torch.save_model(contiguous, str(temporary), metadata=header)
    return path


def load_model(path: Path | str) -> nn.Module:
    """Load a model that `save_model` or a trial wrote.

    If the file has a normalisation (mean and standard deviation), it becomes the attribute ``unetzoo_normalization`` of
    the model, and what is known of the training images (an `Expected`) becomes ``unetzoo_expected``; `unetzoo.predict`
    takes both. A model of your own must be registered first: import its file.

    Args:
        path: The ``.safetensors`` file, or its folder.

    Returns:
        The model on the CPU, in eval mode.

    Raises:
        UnetzooError: If the file was not saved by unetzoo, or its model is not registered.
    """
    path = weights_file(Path(path))
    header = read_header(path)
    config = header["model"]
    model = config.build(weights=False)  # the file has all weights
    saved = header.get("normalization")
    if isinstance(saved, dict) and {"mean", "std"} <= set(saved):  # users may save anything under this name
        normalization = Normalization(tuple(saved["mean"]), tuple(saved["std"]))
        object.__setattr__(model, "unetzoo_normalization", normalization)  # plain data, not a submodule or a buffer
    object.__setattr__(model, "unetzoo_expected", Expected.from_header(header, str(path)))
    try:
        safetensors.torch.load_model(model, path)
    except (RuntimeError, SafetensorError) as error:
        raise UnetzooError(f"{path}: does not fit model {config.name!r}: {str(error).splitlines()[0]}") from None
    return model.eval()


def read_header(path: Path | str) -> dict[str, Any]:
    """Read the header of a saved model: ``model`` (a `ModelConfig`) and everything that was saved with it.

    Args:
        path: The ``.safetensors`` file, or its folder.

    Raises:
        UnetzooError: If there is no such file or it was not saved by unetzoo.
    """
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
    """Return the ``.safetensors`` file that a path stands for.

    Args:
        path: The file or its folder.
    """
    return path / FILE_NAME if path.is_dir() or not path.suffix else path
