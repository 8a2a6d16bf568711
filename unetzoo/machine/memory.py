"""Memory that this machine has for a trial."""

from __future__ import annotations

import os
from pathlib import Path

from unetzoo._util import batch_job

CGROUP = Path("/sys/fs/cgroup")


def memory_limit(device: str) -> tuple[int, str] | None:
    """Return the memory in bytes that a trial may use, and in words which limit that is.

    It is the free memory of the GPU, or on a CPU the limit of the control group, that of the batch job or the physical
    memory, whichever is smallest. None if the system does not tell (Windows, MPS).

    Args:
        device: 'cuda', 'mps' or 'cpu'.
    """
    if device == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0], "free memory of the GPU"
    if device != "cpu":
        return None
    found = [(limit, "limit of the control group") for limit in _cgroup_limits()]
    if (given := batch_job.memory()) is not None:
        found.append((given, "memory of the batch job"))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append((os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "physical memory"))
    return min(found, default=None)


def _cgroup_limits() -> list[int]:
    """Return the memory limits of this process's control group and its parents, version 1 or 2; see cgroups(7)."""
    limits = []
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            root, file = CGROUP, "memory.max"
        elif "memory" in controllers.split(","):
            root, file = CGROUP / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / name.lstrip("/")
        for folder in (group, *group.parents):
            text = _text(folder / file).strip()
            if text.isdigit():  # "max" means no limit
                limits.append(int(text))
            if folder == root:
                break
    return limits


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
