"""A small cell of the simulation, and that it judges as the report does."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from unetzoo.report.statistics import compare
from unetzoo.report.verdicts.family import holm, interval, words
from unetzoo.report.verdicts.pair import two_sided, weigh

SCRIPTS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import ``benchmarks/verdict_error_rates.py``, which is not in a package."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    spec = importlib.util.spec_from_file_location("verdict_error_rates", SCRIPTS / "verdict_error_rates.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "verdict_error_rates", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("grouped", [False, True])
def test_a_small_cell_keeps_its_rates(benchmark: ModuleType, grouped: bool):
    row = benchmark.simulate(benchmark.Cell("isbi", 6, 3, 30, grouped), 1500)
    assert row["error"] <= 0.06
    assert row["pairs_error"] <= 0.06
    assert 0.93 <= row["covered"] <= 0.985
    assert row["all_covered"] >= 0.93
    assert row["half_found"] >= 0.05


def test_the_report_gives_the_verdicts_that_are_simulated(benchmark: ModuleType):
    cell = benchmark.Cell("driving", 6, 5, 30, True)
    drawn = 0.7 + benchmark.scores(np.random.default_rng(3), 20, cell)
    drawn[:, 1:3] += 0.06
    e = weigh(drawn[:, 1:] - drawn[:, :1], cell.groups)
    adjusted = holm(two_sided(e))
    low, high = interval(e, comparisons=5, p_adjusted=adjusted)
    expected = words(e.difference, low, high, adjusted, margin=0.01)
    for k, scores in enumerate(drawn):
        grids = {f"v{v}": pd.DataFrame(table) for v, table in enumerate(scores)}
        found = compare(grids, "v0", groups={image: str(group) for image, group in enumerate(cell.groups)})  # type: ignore[misc]
        assert [c.verdict for c in found] == expected[k].tolist()
        assert [c.p_adjusted for c in found] == pytest.approx(adjusted[k])


def test_finished_cells_are_kept(benchmark: ModuleType, tmp_path: Path):
    only = "isbi; 2 variants; 3 seeds; 6 images; grouped"
    (first,) = benchmark.run(tmp_path, only, 50)
    (again,) = benchmark.run(tmp_path, only, 50)
    assert again == first
    assert len((tmp_path / "cells.jsonl").read_text().splitlines()) == 1
    pages = benchmark.run_collections(tmp_path, 3)
    assert benchmark.run_collections(tmp_path, 3) == pages
    benchmark.write([again], pages, tmp_path, benchmark.described())
    assert "1 cells, 50 suites in each" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "rates.png").stat().st_size > 1000
    assert json.loads((tmp_path / "cells.jsonl").read_text())["variants"] == 2
