"""Where and in which number format a trial runs."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from unetzoo.errors import UnetzooError

FABRIC_PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed"}


def resolve_device(wanted: str) -> str:
    """'auto' to cuda, mps or cpu, in that order. Raises `UnetzooError` where the wanted one is missing."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(device for device, present in here.items() if present)
    if not here.get(wanted):
        present = ", ".join(device for device, yes in here.items() if yes)
        raise UnetzooError(f"device = {wanted!r} is not on this machine; it has {present}")
    return wanted


def resolve_precision(wanted: str, device: str) -> str:
    """'auto' to bfloat16 where the device computes with it in hardware, else float32."""
    if wanted != "auto":
        return wanted
    fast = torch.cuda.is_bf16_supported() if device == "cuda" else device == "cpu" and cpu_has_bfloat16()
    return "bfloat16" if fast else "float32"


def cpu_has_bfloat16() -> bool:
    """Whether the CPU lists a bfloat16 instruction set (AVX512_BF16, AMX, or Arm's); Linux only."""
    flags: set[str] = set()
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags.update(value.split())
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def cpu_name() -> str:
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def check_devices(count: int, device: str) -> None:
    """Raise `UnetzooError` if this machine has fewer than ``count`` GPUs of the kind ``device``."""
    present = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device)
    if present is not None and count > present:
        raise UnetzooError(f"devices = {count}, but this machine has {present} of kind {device}")
