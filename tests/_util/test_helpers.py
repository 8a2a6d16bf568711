"""Helper processes give what the work gives here, in order, and what a dead helper leaves is done here."""

from __future__ import annotations

import math
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from unetzoo._util import helpers
from unetzoo._util.helpers import spread
from unetzoo._util.progress import listening, tell


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start two helpers for few items, and let them import this module."""
    monkeypatch.setattr(helpers, "LEAST", 10)
    monkeypatch.setattr(helpers, "CHUNK", 3)
    monkeypatch.setattr(helpers, "cores", lambda: 2)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def where(number: int) -> tuple[int, int]:
    return number, os.getpid()


def fatal(parent: int, number: int) -> int:
    if number == 7 and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    return number


def raises(number: int) -> int:
    return math.isqrt(5 - number)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 50])
def test_the_results_are_in_order(count: int) -> None:
    found = list(spread(math.sqrt, range(count)))
    assert found == [math.sqrt(i) for i in range(count)]


def test_many_items_are_worked_on_elsewhere_and_few_here() -> None:
    assert {pid for _, pid in spread(where, range(9))} == {os.getpid()}
    assert {pid for _, pid in spread(where, range(50), alone=True)} == {os.getpid()}
    others = {pid for _, pid in spread(where, range(50))}
    assert len(others) == 2
    assert os.getpid() not in others


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_what_a_dead_helper_leaves_is_done_here() -> None:
    assert list(spread(partial(fatal, os.getpid()), range(40))) == list(range(40))


def test_an_error_of_the_work_is_raised_here() -> None:
    found = spread(raises, range(40))
    with pytest.raises(ValueError, match="nonnegative"):
        list(found)


def test_helpers_end_if_the_results_are_not_wanted() -> None:
    found = spread(where, range(50))
    pids = {next(found)[1] for _ in range(5)}
    found.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_progress_reaches_the_listener_and_nobody_else() -> None:
    heard: list[tuple[str, int, int]] = []
    tell("files", 1, 2)
    with listening(lambda *what: heard.append(what)):
        tell("files", 2, 2)
    tell("files", 1, 2)
    assert heard == [("files", 2, 2)]
