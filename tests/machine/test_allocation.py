"""Freed memory is reused: large blocks cost page faults once."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from unetzoo.machine.allocation import keep_freed_memory

if "keep" in sys.argv and not keep_freed_memory():
    sys.exit(77)
b"x" * 2**26
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    b"x" * 2**26
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="malloc's options are those of glibc")
def test_kept_memory_costs_no_page_faults() -> None:
    def faults(*argv: str) -> int:
        done = subprocess.run([sys.executable, "-c", FAULTS, *argv], capture_output=True, text=True, check=False)
        if done.returncode == 77:
            pytest.skip("this C library has no mallopt")
        return int(done.stdout)

    assert faults("keep") < 100 < 10_000 < faults()
