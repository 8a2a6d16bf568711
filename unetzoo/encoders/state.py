"""Read tensors from a file of weights without running code in it."""

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
    """Read the tensors of a file by name; no code in the file is run.

    Args:
        path: A .safetensors file, or one that `torch.save` wrote.

    Raises:
        UnetzooError: If the file is damaged, would run code, or holds anything but tensors with finite values.
    """
    try:
        if path.suffix.lower() == ".safetensors":
            content: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about newer pickle protocols; the content is checked below
                content = torch.load(path, map_location="cpu", weights_only=True)
            _check_sums(path)
    except pickle.UnpicklingError as error:
        if wanted := re.findall(r"GLOBAL ([\w.]+)", str(error)) or _called(path):
            raise UnetzooError(
                f"{path}: wants to run code when it is loaded ({wanted[0]}), so it was not loaded; save the network's "
                "state_dict() instead"
            ) from None
        raise UnetzooError(f"{path}: is damaged, or not a file of weights") from None
    except Exception as error:  # the readers raise many exception types on damaged files
        raise UnetzooError(f"{path}: is damaged, or not a file of weights ({one_line(error)})") from None
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):  # training scripts wrap the weights in these
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content or not all(map(_named, content, content.values())):
        raise UnetzooError(f"{path}: holds no tensors by name; save a state_dict()")
    if bad := [key for key, tensor in content.items() if not tensor.float().isfinite().all()]:
        raise UnetzooError(f"{path}: {bad[0]} has values that are not finite")
    return clean_state_dict(dict(content))


def _zipped(path: Path) -> bool:
    """Return True if a file is a zip archive, as torch saves since 1.6."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _check_sums(path: Path) -> None:
    """Check the checksums of an archive, which torch does not.

    Raises:
        BadZipFile: If one does not match.
    """
    if _zipped(path):
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"the checksum of {bad} does not match")


def _called(path: Path) -> list[str]:
    """Return the names that a pickle would import, as far as it can be parsed; nothing is run."""
    found: list[str] = []
    with suppress(Exception):  # pickletools raises many types on files that are no pickles or are cut off
        if _zipped(path):
            with zipfile.ZipFile(path) as archive:
                content = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
        else:
            content = path.read_bytes()
        stream, strings = io.BytesIO(content), ["", ""]
        while True:  # before 1.6 torch wrote several pickles in a row
            for code, argument, _ in pickletools.genops(stream):
                if code.name in ("GLOBAL", "INST"):
                    found.append(str(argument).replace(" ", "."))
                elif code.name == "STACK_GLOBAL":
                    found.append(".".join(strings[-2:]))
                elif isinstance(argument, str):
                    strings.append(argument)
    return [name for name in found if not name.startswith(("torch.", "collections.OrderedDict"))]


def _named(name: object, value: object) -> bool:
    """Return True if this is a name and a dense tensor with values."""
    if not isinstance(name, str) or not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and not value.is_meta and not value.is_quantized
