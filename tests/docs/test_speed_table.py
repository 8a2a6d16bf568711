"""The README's table of speeds is the one that its script makes from the committed timings."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_readme_quotes_the_committed_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    page = import_module("speed_page")
    table = page.readme_table(page.read_runs(ROOT / "reports" / "speed"))
    assert page.BEGIN + table + page.END in (ROOT / "README.md").read_text()
    assert table.count("\n") > 5
