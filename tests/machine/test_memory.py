"""Limits of memory: the machine's, and those of control groups."""

from __future__ import annotations

import pytest

from unetzoo.machine import memory


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({"/proc/self/cgroup": "0::/a/b\n", "a/memory.max": "4096\n", "a/b/memory.max": "max\n"}, [4096]),
        (
            {"/proc/self/cgroup": "5:devices:/\n4:cpu,memory:/a\n", "memory/a/memory.limit_in_bytes": "77\n"},
            [77],
        ),
        ({}, []),
    ],
)
def test_memory_limits_of_control_groups(
    files: dict[str, str], limits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {str(memory.CGROUP / name): text for name, text in files.items()}
    monkeypatch.setattr(memory, "_text", lambda path: known.get(str(path), ""))
    assert memory._cgroup_limits() == limits
    if limits:
        assert memory.memory_limit("cpu") == (limits[0], "limit of the control group")
