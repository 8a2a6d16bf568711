"""The share of a machine that a batch system has given to this process; without one, the whole machine.

Slurm tells it by variables of its own. Other systems, Ray among them, by ``UNETZOO_CORES`` and ``UNETZOO_MEMORY_MIB``.
"""

from __future__ import annotations

import os

MIB = 2**20


def cores() -> int:
    """Return the number of cores that this process may use: of its CPU set, and of its job."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = _given("UNETZOO_CORES") or _of_slurm("SLURM_CPUS_PER_TASK") or _of_slurm("SLURM_CPUS_ON_NODE")
    return min(here, given or here)


def memory() -> int | None:
    """Return the bytes of memory of this process's job on this machine; None if there is no such limit."""
    whole = _given("UNETZOO_MEMORY_MIB") or _of_slurm("SLURM_MEM_PER_NODE")
    each = _of_slurm("SLURM_MEM_PER_CPU")
    if whole:
        return whole * MIB
    on_node = _of_slurm("SLURM_CPUS_ON_NODE") or _of_slurm("SLURM_CPUS_PER_TASK")
    return each * on_node * MIB if each and on_node else None


def whole_machine() -> bool:
    """Return True if this process may use all cores of its machine, so that no other job shares it."""
    return cores() >= (os.cpu_count() or 1)


def _of_slurm(name: str) -> int:
    """Return a number that Slurm has set; 0 if this is no Slurm job, or for no limit."""
    return _given(name) if "SLURM_JOB_ID" in os.environ else 0


def _given(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0
