"""Trained models on disk: safetensors files whose header has all that is needed to rebuild the model.

The header begins with a checksum of the whole file, taken with zeros in its own place. Older files have none.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from unetzoo._util.atomic import atomic_path
from unetzoo._util.paths import user_path
from unetzoo.data.expected import Expected
from unetzoo.data.stream import Normalization
from unetzoo.errors import UnetzooError, one_line, shown
from unetzoo.models.factory import ModelConfig
from unetzoo.records.record import recorded_weights

FILE_NAME = "model.safetensors"
NO_CHECKSUM = "0" * 64


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
        UnetzooError: If the model was not made by `create_model`, the path or an extra value is not valid (none may be
            called ``checksum``), or the file cannot be written.
    """
    config = getattr(model, "unetzoo_config", None)
    if not isinstance(config, ModelConfig):
        raise UnetzooError(f"{type(model).__name__} was not made by create_model, so it could not be rebuilt")
    if "checksum" in extra:
        raise UnetzooError("checksum is a name that the header itself uses; save the value under another name")
    path = weights_file(user_path(path, "save_model: path"))
    normalization = getattr(model, "unetzoo_normalization", None)
    if isinstance(normalization, Normalization):
        extra.setdefault("normalization", asdict(normalization))
    expected = expected or getattr(model, "unetzoo_expected", None)
    if isinstance(expected, Expected) and expected.known:
        extra["expected"] = expected.model_dump(mode="json")
    header = {"unetzoo": _header(config, extra)}
    try:
        with atomic_path(path) as temporary:
            # Tied weights in channels_last are views that safetensors cannot flatten.
            contiguous = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            safetensors.torch.save_model(contiguous, str(temporary), metadata=header)
            _write_checksum(temporary)
    except (OSError, SafetensorError) as error:
        raise UnetzooError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
    return path


def _header(config: ModelConfig, extra: dict[str, Any]) -> str:
    """Return the header as JSON.

    Raises:
        UnetzooError: If an extra value is not JSON.
    """
    for name, value in extra.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise UnetzooError(
                f"save_model: {name} = {shown(value)}: must be a value of JSON ({one_line(error)})"
            ) from None
    return json.dumps({"checksum": NO_CHECKSUM, "model": config.model_dump(mode="json"), **extra})  # filled in later


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
        UnetzooError: If the file was not saved by unetzoo, its model is not registered, or it is damaged: it does not
            match its checksum, or that in the record of the trial whose folder it is in.
    """
    path = weights_file(user_path(path, "load_model: path"))
    header = read_header(path)
    check_weights(path)
    config = header["model"]
    _check_sizes(path, config)
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


def _check_sizes(path: Path, config: ModelConfig) -> None:
    """Compare the sizes of a file's tensors with those of its model before the model takes memory.

    Raises:
        UnetzooError: If they differ.
    """
    misfit = f"{path}: does not fit model {config.name!r}"
    try:
        with safe_open(path, framework="pt") as file:
            held = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        with torch.random.fork_rng(devices=[]), torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that copies to the meta device have no effect
            model = config.build(weights=False)
    except SafetensorError as error:
        raise UnetzooError(f"{misfit}: {str(error).splitlines()[0]}") from None
    except Exception:  # a user's class that needs real numbers; it is built below
        return
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if wrong := [name for name, shape in held.items() if wanted.get(name, shape) != shape]:
        name = wrong[0]
        raise UnetzooError(f"{misfit}: {name} is {held[name]} in the file, {wanted[name]} in the model")
    # Tensors that modules share are saved once, so that only the sum can be compared.
    ours = {id(t): t.numel() for t in (*model.parameters(), *model.state_dict(keep_vars=True).values())}
    numbers = sum(math.prod(shape) for shape in held.values())
    if sum(ours.values()) > 2 * numbers + 2**20:
        raise UnetzooError(f"{misfit}: the file has {numbers} numbers, the model {sum(ours.values())}")


def read_header(path: Path | str) -> dict[str, Any]:
    """Read the header of a saved model: ``model`` (a `ModelConfig`) and everything that was saved with it.

    Args:
        path: The ``.safetensors`` file, or its folder.

    Raises:
        UnetzooError: If there is no such file or it was not saved by unetzoo.
    """
    path = weights_file(user_path(path, "path"))
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["unetzoo"])
        if next(iter(header)) != "model":  # as in older files
            del header["checksum"]
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


def check_weights(path: Path) -> None:
    """Compare a saved model with its own checksum and with that in its trial's record, if it has them.

    Args:
        path: An existing ``.safetensors`` file.

    Raises:
        UnetzooError: If one of them differs.
    """
    recorded, whole = recorded_weights(path), None
    if recorded is not None:
        whole = file_checksum(path)
        if whole != recorded[0]:
            raise UnetzooError(
                f"{path}: damaged or not of this trial, its content does not match its checksum in {recorded[1]}; "
                "'unetzoo bench' with --retry failed makes it again"
            )
    stated = _stated_checksum(path)
    if stated is not None and whole is None and stated != file_checksum(path, without=stated):
        raise UnetzooError(f"{path}: damaged, its content does not match its checksum; copy it or make it again")


def file_checksum(path: Path, without: str | None = None) -> str:
    """Return the SHA-256 of a saved model.

    Args:
        path: The ``.safetensors`` file.
        without: A checksum in its header, which is taken for zeros.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        header = _read_raw_header(file)
        digest.update(header.replace(without.encode(errors="replace"), NO_CHECKSUM.encode(), 1) if without else header)
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _stated_checksum(path: Path) -> str | None:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["unetzoo"]).get("checksum")


def _write_checksum(path: Path) -> None:
    """Fill in the checksum of a file that has zeros in its place."""
    checksum = file_checksum(path)
    with path.open("rb+") as file:
        at = _read_raw_header(file).index(NO_CHECKSUM.encode())
        file.seek(at)
        file.write(checksum.encode())


def _read_raw_header(file: BinaryIO) -> bytes:
    """Read a safetensors file up to its tensors: eight bytes with the length of the header, and the header."""
    size = file.read(8)
    return size + file.read(int.from_bytes(size, "little"))
