"""Device and floating-point precision of a trial."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch

from unetzoo.errors import UnetzooError

FABRIC_PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


def resolve_device(wanted: str) -> str:
    """Return the device to use.

    Args:
        wanted: 'cuda', 'mps', 'cpu', or 'auto' for the first of these that is present.

    Raises:
        UnetzooError: If the device is not present.
    """
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(device for device, present in here.items() if present)
    if not here.get(wanted):
        present = ", ".join(device for device, yes in here.items() if yes)
        raise UnetzooError(f"device = {wanted!r} is not available on this machine; it has {present}")
    return wanted


def resolve_precision(wanted: str, device: str) -> str:
    """Return the precision to use.

    Args:
        wanted: 'float32', 'bfloat16', 'float16', or 'auto' for bfloat16 if the device supports it in hardware, else
            float16 on a GPU that is fast in it and float32 elsewhere.
        device: 'cuda', 'mps' or 'cpu'.

    Raises:
        UnetzooError: If float16 is wanted of another device than 'cuda'.
    """
    if wanted == "float16" and device != "cuda":
        raise UnetzooError(f"precision = 'float16' needs a device 'cuda', but this is {device!r}; use 'auto'")
    if wanted != "auto":
        return wanted
    if device == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16"
        return "float16" if torch.cuda.get_device_capability(device) >= (7, 0) else "float32"  # slow before Volta
    return "bfloat16" if device == "cpu" and cpu_has_bfloat16() else "float32"


@contextmanager
def autotuned(device: str, deterministic: bool) -> Iterator[None]:
    """Let cuDNN time its algorithms on each new shape inside the block, which pays where shapes recur.

    Args:
        device: 'cuda', 'mps' or 'cpu'; nothing changes on the last two.
        deterministic: Keep cuDNN's own choice, which is the same on every run.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or (device == "cuda" and not deterministic)
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def cpu_has_bfloat16() -> bool:
    """Return True if the CPU lists a bfloat16 instruction set (AVX512_BF16, AMX, or Arm's); always False off Linux."""
    flags: set[str] = set()
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags.update(value.split())
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def cpu_name() -> str:
    """Return the model name of the CPU, with family and model where the name is that of many, as on virtual machines.

    Examples are "AMD Ryzen 7 5800X" and "AMD EPYC (family 26, model 2)".
    """
    found: dict[str, str] = {}
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    name = found.get("model name")
    if not name:
        return platform.processor() or platform.machine()
    numbered = "Virtual" not in name and re.search(r"\d{3}", name.partition("@")[0])  # "9654", not "EPYC-v4"
    if numbered or not {"cpu family", "model"} <= found.keys():
        return name
    return f"{name} (family {found['cpu family']}, model {found['model']})"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def check_devices(count: int, device: str) -> None:
    """Check that the machine has ``count`` devices of a kind.

    Args:
        count: Number of devices that are wanted.
        device: 'cuda', 'mps' or 'cpu'.

    Raises:
        UnetzooError: If it has fewer.
    """
    present = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device)
    if present is not None and count > present:
        raise UnetzooError(f"devices = {count}, but this machine has {present} of kind {device}")


def check_compiler(device: str) -> None:
    """Check that `torch.compile` finds what it needs.

    Args:
        device: 'cuda', 'mps' or 'cpu'.

    Raises:
        UnetzooError: If it finds no compiler.
    """
    if device == "cuda":
        if find_spec("triton") is None:
            raise UnetzooError(
                "compile = True needs the package triton for device 'cuda'; install it or set compile = False"
            )
        return
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception:  # which one differs between versions of torch
        raise UnetzooError(
            "compile = True needs a C++ compiler, and none is found; install one such as g++ or set compile = False"
        ) from None
