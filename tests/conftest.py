"""With pytest-xdist, each process gets one thread and a temporary folder of its own.

Timings exclude each other by locks in the temporary folder; no test checks a time, so none has to wait.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest

if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _folder = tempfile.TemporaryDirectory(prefix=f"unetzoo-{worker}-", ignore_cleanup_errors=True)
    os.environ["TMPDIR"] = tempfile.tempdir = _folder.name


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process consecutive files instead of every other test, so that few module fixtures are built twice."""
    if config.getoption("dist") != "load":  # the user chose another scheduler
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)
