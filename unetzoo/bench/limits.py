"""What one trial may use before it is ended: time, memory, silence."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pydantic import Field

from unetzoo.errors import Strict

GIB = 2**30


class Limits(Strict):
    """They decide whether a trial ends well, never what its result is; so they are no part of its id."""

    minutes: float = Field(1440, gt=0, description="wall time of a trial; over it, its status is timeout")
    hang_minutes: float = Field(15, gt=0, description="without a sign of progress; over it, its status is hung")
    memory_gib: float | None = Field(
        None, gt=0, description="memory of a trial; default: the machine's, shared out among --jobs"
    )
    cache_gib: float | None = Field(
        None, ge=0, description="decoded images held in memory, the others in files; default: a quarter of the memory"
    )
    checkpoint_seconds: float = Field(60, ge=0, description="between two checkpoints; more where saving takes long")


def cache_bytes(limits: Limits, jobs: int, devices: int = 1) -> int | None:
    """What each of a trial's ``devices`` processes may hold of decoded images; None where memory is not known."""
    from unetzoo.machine.memory import memory_limit

    if limits.cache_gib is not None:
        return int(limits.cache_gib * GIB) // devices
    everything = memory_limit("cpu")
    whole = limits.memory_gib * GIB if limits.memory_gib else everything[0] / jobs if everything else None
    return None if whole is None else int(whole / 4) // devices


def limit_memory(limits: Limits, device: str, jobs: int, devices: int = 1) -> str:
    """Hold this process to its memory; returns how, in words. Past it an allocation fails, as on a full machine.

    ``devices`` processes of a distributed trial share its memory.

    On a CPU by RLIMIT_DATA (setrlimit(2): heap and private writable mappings; Linux), on a GPU by the share of its
    memory that torch's allocator may take, which is only lowered where ``memory_gib`` is given.
    """
    if device != "cpu":
        return _limit_gpu(limits, device)
    _die_first()
    try:
        import resource

        from unetzoo.machine.memory import memory_limit

        everything = memory_limit("cpu")
        wanted = int(limits.memory_gib * GIB) if limits.memory_gib else everything[0] // jobs if everything else None
        if wanted is None or not Path("/proc/self/status").exists():  # elsewhere the limit is accepted and not kept
            return "none on this system"
        limit = wanted // devices
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (ImportError, OSError, ValueError) as error:
        return f"none ({error})"
    return f"RLIMIT_DATA, {limit / GIB:.1f} GiB"


def _limit_gpu(limits: Limits, device: str) -> str:
    import torch

    if limits.memory_gib is None:
        return "the device's own"
    if device == "cuda":
        share = min(1.0, limits.memory_gib * GIB / torch.cuda.get_device_properties(0).total_memory)
        torch.cuda.set_per_process_memory_fraction(share)
    else:
        share = min(1.0, limits.memory_gib * GIB / torch.mps.recommended_max_memory())
        torch.mps.set_per_process_memory_fraction(share)
    return f"torch's allocator, {limits.memory_gib:.1f} GiB"


def _die_first() -> None:
    """Where the system runs out of memory all the same, let its killer choose this process, not the harness."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def oom_kills() -> int | None:
    """How many processes the kernel has killed for want of memory so far; None where it does not tell."""
    for file in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        try:
            counts = dict(line.split() for line in Path(file).read_text().splitlines())
            return int(counts["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return None
