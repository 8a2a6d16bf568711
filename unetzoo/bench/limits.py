"""Limits of one trial, past which it is ended: time, memory, time without progress."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pydantic import Field

from unetzoo.errors import Strict

GIB = 2**30

# Memory of a process: the median ratio of its peak to the predicted peak of its tensors in training, and a constant.
# Together they cover every model in reports/memory-prediction (CPU; not measured on a GPU).
PROCESS_FACTOR = 1.27
PROCESS_BASE = 896 * 2**20


class Limits(Strict):
    """Limits of a trial; they decide whether it succeeds, never its result, so they are not part of its id."""

    minutes: float = Field(1440, gt=0, description="minutes of wall time per trial; beyond, its status is timeout")
    hang_minutes: float = Field(15, gt=0, description="minutes without a sign of progress; beyond, its status is hung")
    memory_gib: float | None = Field(
        None, gt=0, description="GiB of memory per trial; default: the machine's memory divided by --jobs"
    )
    cache_gib: float | None = Field(
        None, ge=0, description="GiB of decoded images in memory, the others in files; default: a quarter of the memory"
    )
    per_device: int = Field(
        1, ge=1, description="trials that may share a GPU, if their memory fits; without --jobs, all GPUs are used"
    )
    checkpoint_seconds: float = Field(60, ge=0, description="seconds between two checkpoints; more if saving is slow")
    stale_seconds: float = Field(
        120, ge=1, description="seconds without a heartbeat after which another process takes a trial over"
    )


def cache_bytes(limits: Limits, jobs: int, devices: int = 1) -> int | None:
    """Return the bytes of decoded images that each process of a trial may hold in memory.

    Args:
        limits: The limits of the trial.
        jobs: Trials that run side by side.
        devices: Processes of a distributed trial, which share its memory.

    Returns:
        Bytes per process; None if the machine's memory is not known.
    """
    from unetzoo.machine.memory import memory_limit

    if limits.cache_gib is not None:
        return int(limits.cache_gib * GIB) // devices
    everything = memory_limit("cpu")
    whole = limits.memory_gib * GIB if limits.memory_gib else everything[0] / jobs if everything else None
    return None if whole is None else int(whole / 4) // devices


def limit_memory(limits: Limits, device: str, jobs: int, devices: int = 1) -> str:
    """Limit the memory of this process; beyond the limit an allocation fails, as on a full machine.

    On a CPU the limit is RLIMIT_DATA (setrlimit(2): heap and private writable mappings; Linux). On a GPU it is the
    share of its memory that torch's allocator may take, which is lowered only if ``memory_gib`` is given.

    Args:
        limits: The limits of the trial.
        device: Device type, such as "cpu".
        jobs: Trials that run side by side.
        devices: Processes of a distributed trial, which share its memory.

    Returns:
        The method and the limit in words, for the record.
    """
    if device != "cpu":
        return _limit_gpu(limits, device)
    _die_first()
    try:
        import resource

        from unetzoo.machine.memory import memory_limit

        everything = memory_limit("cpu")
        wanted = int(limits.memory_gib * GIB) if limits.memory_gib else everything[0] // jobs if everything else None
        if wanted is None or not Path("/proc/self/status").exists():  # other systems accept the limit and ignore it
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
    """Make the kernel's out-of-memory killer choose this process rather than the harness."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def oom_kills() -> int | None:
    """Return the number of processes the kernel has killed for lack of memory; None if it does not report it."""
    for file in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        try:
            counts = dict(line.split() for line in Path(file).read_text().splitlines())
            return int(counts["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return None
