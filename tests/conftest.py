"""The registry is as it was after each file; with pytest-xdist, processes have threads and temporary folders apart.

Timings exclude each other by locks in the temporary folder; no test checks a time, so none has to wait.
"""

from __future__ import annotations

import ctypes
import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from unetzoo.models import registry
from unetzoo.models.entry import Entry

SLOW = frozenset((Path(__file__).parent / "slow.txt").read_text(encoding="utf-8").splitlines())

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


@pytest.hookimpl(tryfirst=True)  # before the marks choose
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and put those that load other runtimes last: after them xdist's processes ended unheard."""
    for item in items:
        if item.nodeid in SLOW:
            item.add_marker("slow")
    items.sort(key=lambda item: "export" in str(item.path.relative_to(Path(__file__).parent)))


def pytest_collection_finish() -> None:
    """Keep the garbage collector off modules and tests, which it would otherwise go through again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def clean_registry() -> Iterator[dict[str, Entry]]:
    """Remove the models that a test registers."""
    registry.entries()  # loads the built-in entries, which must stay
    with patch.dict(registry._REGISTRY.entries):
        yield registry._REGISTRY.entries


@pytest.fixture(scope="module", autouse=True)
def memory_of_a_file() -> Iterator[None]:
    """Give back what a file's tests freed; of many small tensors glibc would keep gigabytes for the rest of the run."""
    yield
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="module", autouse=True)
def registry_of_a_file() -> Iterator[None]:
    """Remove the models that a file's tests register, also where a module fixture or a suite's imports do so."""
    registry.entries()
    with patch.dict(registry._REGISTRY.entries):
        yield
