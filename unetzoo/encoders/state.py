"""Tensors read from a file of weights; no code in it is run."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from timm.models import clean_state_dict
from torch import Tensor

from unetzoo.errors import UnetzooError, one_line

State = dict[str, Tensor]


def read_state(path: Path) -> State:
    """The tensors in a file by name; no code in it is run. Raises `UnetzooError` on anything else."""
    try:
        if path.suffix.lower() == ".safetensors":
            content: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a newer pickle: what it holds is looked at below
                content = torch.load(path, map_location="cpu", weights_only=True)
            _check_sums(path)
    except pickle.UnpicklingError as error:
        if wanted := re.findall(r"GLOBAL ([\w.]+)", str(error)) or _called(path):
            raise UnetzooError(
                f"{path}: wants to run code when it is loaded ({wanted[0]}), and was not; of a network, save its "
                "state_dict()"
            ) from None
        raise UnetzooError(f"{path}: is damaged, or no file of weights") from None
    except Exception as error:  # of a reader that trusts what is damaged, which has many
        raise UnetzooError(f"{path}: is damaged, or no file of weights ({one_line(error)})") from None
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):  # what training scripts put around it
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content or not all(map(_named, content, content.values())):
        raise UnetzooError(f"{path}: holds no tensors by name")
    if bad := [key for key, tensor in content.items() if not tensor.float().isfinite().all()]:
        raise UnetzooError(f"{path}: {bad[0]} has values that are not finite")
    return clean_state_dict(dict(content))


def _zipped(path: Path) -> bool:
    """As torch saves since 1.6."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _check_sums(path: Path) -> None:
    """Raise where a part of an archive is not what was saved, at which torch does not look."""
    if _zipped(path):
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"the checksum of {bad} is another one")


def _called(path: Path) -> list[str]:
    """What a pickle that torch cannot read would import, as far as it goes; nothing is run."""
    found: list[str] = []
    with suppress(Exception):  # pickletools raises anything where a file is none, or ends
        if _zipped(path):
            with zipfile.ZipFile(path) as archive:
                content = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
        else:
            content = path.read_bytes()
        stream, strings = io.BytesIO(content), ["", ""]
        while True:  # before 1.6 torch wrote several, one after the other
            for code, argument, _ in pickletools.genops(stream):
                if code.name in ("GLOBAL", "INST"):
                    found.append(str(argument).replace(" ", "."))
                elif code.name == "STACK_GLOBAL":
                    found.append(".".join(strings[-2:]))
                elif isinstance(argument, str):
                    strings.append(argument)
    return [name for name in found if not name.startswith(("torch.", "collections.OrderedDict"))]


def _named(name: object, value: object) -> bool:
    if not isinstance(name, str) or not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and not value.is_meta and not value.is_quantized
