"""The share of a machine that Slurm gives to a job."""

from __future__ import annotations

import pytest

from unetzoo._util import batch_job
from unetzoo.machine import memory


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play a machine of 64 cores without a batch job."""
    for name in ("JOB_ID", "CPUS_PER_TASK", "CPUS_ON_NODE", "MEM_PER_NODE", "MEM_PER_CPU"):
        monkeypatch.delenv(f"SLURM_{name}", raising=False)
    monkeypatch.setattr(batch_job.os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(batch_job.os, "cpu_count", lambda: 64)


def job(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in {"JOB_ID": "17", **values}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


def test_without_a_job_the_machine_is_whole() -> None:
    assert batch_job.cores() == 64
    assert batch_job.memory() is None
    assert batch_job.whole_machine()


@pytest.mark.parametrize(
    ("values", "cores"),
    [
        ({"CPUS_PER_TASK": "4", "CPUS_ON_NODE": "8"}, 4),
        ({"CPUS_ON_NODE": "8"}, 8),
        ({"CPUS_PER_TASK": "128"}, 64),
        ({"CPUS_PER_TASK": "nonsense"}, 64),
        ({}, 64),
    ],
)
def test_cores_are_those_of_the_job(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], cores: int) -> None:
    job(monkeypatch, **values)
    assert batch_job.cores() == cores
    assert batch_job.whole_machine() == (cores == 64)


def test_variables_of_slurm_outside_of_a_job_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
    assert batch_job.cores() == 64


@pytest.mark.parametrize(
    ("values", "mib"),
    [
        ({"MEM_PER_NODE": "4096"}, 4096),
        ({"MEM_PER_CPU": "1000", "CPUS_ON_NODE": "4"}, 4000),
        ({"MEM_PER_NODE": "0"}, None),
        ({}, None),
    ],
)
def test_memory_is_that_of_the_job(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], mib: int | None) -> None:
    job(monkeypatch, **values)
    assert batch_job.memory() == (None if mib is None else mib * 2**20)
    if mib is not None:
        monkeypatch.setattr(memory, "_cgroup_limits", lambda: [2**60])
        assert (memory.memory_limit("cpu") or (0, ""))[0] <= mib * 2**20
