"""Read tensors from a file of weights without running code in it."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch
from safetensors.torch import load_file
from timm.models import clean_state_dict
from torch import Tensor

from unetzoo.errors import UnetzooError, one_line, shown

State = dict[str, Tensor]


def read_state(path: Path) -> State:
    """Read the tensors of a file by name; no code in the file is run.

    Args:
        path: A .safetensors file, or one that `torch.save` wrote.

    Raises:
        UnetzooError: If the file is damaged, would run code, asks for far more memory than it has bytes, or holds
            anything but tensors with finite values.
    """
    _check_requests(path)
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
    content = _unwrapped(path, content)
    asked = sum(tensor.nbytes for tensor in content.values())  # a view may repeat one value as often as it likes
    if asked > _most(size := path.stat().st_size):
        raise UnetzooError(f"{path}: its tensors ask for {asked} bytes, but it has {size}; save contiguous tensors")
    if bad := [key for key, tensor in content.items() if not tensor.float().isfinite().all()]:
        raise UnetzooError(f"{path}: {bad[0]} has values that are not finite")
    return _bare(clean_state_dict(dict(content)))


def _unwrapped(path: Path, content: Any) -> State:
    """Return the tensors by name, taken out of what training scripts save around them.

    Raises:
        UnetzooError: If there are none, or there is something else among them.
    """
    at = ""
    for _ in range(4):
        if not isinstance(content, Mapping):
            break
        key = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if key is None:
            break
        content, at = content[key], f"{at}[{key!r}]"
    if isinstance(content, Mapping) and content and all(map(_named, content, content.values())):
        return dict(content)
    if not isinstance(content, Mapping):
        held = f"a {type(content).__name__}"
    else:
        other = [key for key, value in content.items() if not _named(key, value)]
        held = ", ".join(shown(key) for key in other[:5]) + (", ..." if len(other) > 5 else "")
    where = f" in {at}" if at else ""
    raise UnetzooError(
        f"{path}: holds no tensors by name{where}, but {held or 'nothing'}; save a state_dict(), alone or under one of "
        f"{', '.join(map(repr, WRAPPERS))}"
    )


def _bare(state: State) -> State:
    """Return the tensors under the names that they have within the encoder, if all names share a prefix."""
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in state)), ""):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _most(size: int) -> int:
    """Return the bytes that a file of ``size`` bytes may ask for; compression and views allow for more than its own."""
    return max(64 << 20, 4 * size)


def _check_requests(path: Path) -> None:
    """Check that a pickle, before it is read, asks for no more memory than its file has bytes.

    Raises:
        UnetzooError: If it asks for more.
    """
    if path.suffix.lower() == ".safetensors":  # its reader checks this
        return
    size = path.stat().st_size
    if (unpacked := _unpacked(path)) > _most(size):
        raise UnetzooError(
            f"{path}: has {size} bytes, but unpacks to {unpacked}; save it anew by torch.save, which does not compress"
        )
    for name, asked in _requested(path):
        if asked > _most(size):
            raise UnetzooError(f"{path}: {name} asks for memory for {asked} numbers, but the file has {size} bytes")


def _unpacked(path: Path) -> int:
    """Return the size of an archive's members; 0 of another file or a damaged one, of which the reader says more."""
    with suppress(Exception):  # zipfile raises five types, among them NotImplementedError
        if _zipped(path):
            with zipfile.ZipFile(path) as archive:
                return sum(member.file_size for member in archive.infolist())
    return 0


ALLOCATING = ("builtins.bytearray", "__builtin__.bytearray", "torch.Tensor")
WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "encoder_state_dict",
    "net_state_dict",
    "net",
    "network",
    "weights",
)
PREFIXES = ("module.", "_orig_mod.", "model.", "encoder.", "backbone.", "net.", "network.")


def _requested(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the sizes that a pickle asks for: those of storages, and numbers given to types that allocate so many."""
    allocating, last = "", 0
    with suppress(Exception):  # as in `_called`
        for code, argument in _opcodes(path):
            if isinstance(argument, int) and code not in MEMO:
                last = argument
                if allocating:
                    yield allocating, argument
            elif code in ("GLOBAL", "STACK_GLOBAL"):
                name = str(argument).replace(" ", ".")
                allocating = name if name in ALLOCATING else allocating
            elif code in ("REDUCE", "NEWOBJ"):
                allocating = ""
            elif code == "BINPERSID":
                yield "a storage", last


MEMO = ("BINPUT", "LONG_BINPUT", "PUT", "BINGET", "LONG_BINGET", "GET", "PROTO", "FRAME")


def _opcodes(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the operations of the pickles in a file and their arguments, as far as they can be parsed; runs nothing."""
    if _zipped(path):
        with zipfile.ZipFile(path) as archive:
            stream: IO[bytes] = io.BytesIO(archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl"))))
    else:
        stream = io.BytesIO(path.read_bytes())
    strings = ["", ""]
    for _ in range(5):  # before 1.6 torch wrote five pickles in a row, and then the values
        for code, argument, _ in pickletools.genops(stream):
            if isinstance(argument, str) and code.name not in ("GLOBAL", "INST"):
                strings.append(argument)
            yield code.name, ".".join(strings[-2:]) if code.name == "STACK_GLOBAL" else argument


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
        for code, argument in _opcodes(path):
            if code in ("GLOBAL", "INST", "STACK_GLOBAL"):
                found.append(str(argument).replace(" ", "."))
    return [name for name in found if not name.startswith(("torch.", "collections.OrderedDict"))]


def _named(name: object, value: object) -> bool:
    """Return True if this is a name and a dense tensor with values."""
    if not isinstance(name, str) or not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and not value.is_meta and not value.is_quantized
