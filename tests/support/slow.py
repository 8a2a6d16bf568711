"""Lists the slow tests in tests/slow.txt: `python tests/support/slow.py`, an hour or two for all but the nightly ones.

Slow is a test that takes more than `LIMIT` seconds of processor time, those of its processes included, or that needs a
fixture of several tests which does. Processor time, since it depends less on what else the machine does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

LIMIT = 1.0
LIST = Path(__file__).parents[1] / "slow.txt"


class Times:
    """Plugin that takes the processor time of tests, and apart from it that of fixtures which several tests share."""

    def __init__(self) -> None:
        self.own: dict[str, float] = {}
        self.shared: dict[tuple[str, str], float] = {}
        self.needed: dict[str, list[tuple[str, str]]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
        before = _spent()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                key = (fixturedef.baseid, fixturedef.argname)
                self.shared[key] = max(self.shared.get(key, 0.0), _spent() - before)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        before = _spent()
        try:
            return (yield)
        finally:
            self.own[item.nodeid] = _spent() - before
            found = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
            self.needed[item.nodeid] = [(each.baseid, each.argname) for some in found.values() for each in some]

    def slow(self) -> list[str]:
        """Return the ids of the slow tests."""
        shared = {node: [self.shared.get(key, 0.0) for key in keys] for node, keys in self.needed.items()}
        return sorted(node for node, own in self.own.items() if max([own, *shared[node]]) > LIMIT)


def _spent() -> float:
    return sum(os.times()[:4])


if __name__ == "__main__":
    times = Times()
    pytest.main([*sys.argv[1:], "-q", "-m", "not nightly", "-p", "no:cacheprovider"], plugins=[times])
    LIST.write_text("".join(f"{node}\n" for node in times.slow()), encoding="utf-8")
    print(f"{LIST}: {len(times.slow())} of {len(times.own)} tests")
