"""The choice of trials for a GPU: what settles most for a second comes first, as far as the time goes."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from unetzoo.claims.definition import claims_folder, read_claims

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return import_module("gpu_evidence")


def test_seeds_for_a_verdict_come_together_and_further_ones_singly(script: Any) -> None:
    first, second, third = script.batches("skips", "nuclei", 4, {"a": 10.0, "b": 20.0}, {"a": 3, "b": 1}, most=5)
    assert (first.seeds, first.seconds, first.worth) == (3, 40.0, 4.0)
    assert (second.seeds, second.seconds, second.worth) == (4, 30.0, 2.0)
    assert (third.seeds, third.seconds) == (5, 30.0)
    assert script.batches("skips", "nuclei", 4, {"a": 10.0}, {"a": 5}, most=5) == []


def test_what_settles_most_for_a_second_comes_first_within_the_time(script: Any) -> None:
    dear = script.batches("dear", "x", 10, {"a": 100.0}, {}, most=4)  # 300 s for 10 parts, then 100 s for 5
    cheap = script.batches("cheap", "x", 3, {"a": 10.0}, {}, most=4)  # 30 s for 3 parts, then 10 s for 1.5
    order = [("cheap", 3), ("cheap", 4), ("dear", 3), ("dear", 4)]
    assert [(batch.suite, batch.seeds) for batch in script.chosen([dear, cheap], 1000)] == order
    assert [b.suite for b in script.chosen([dear, cheap], 100)] == ["cheap", "cheap"]
    assert script.chosen([dear, cheap], 5) == []


def test_without_results_every_comparison_is_open(script: Any, tmp_path: Path) -> None:
    claims = read_claims(claims_folder())
    found = script.open_parts(claims, tmp_path)
    parts = [part for c in claims if (c.suite or "").startswith("suites/") for part in c.parts]
    asked = sum(part.data is not None for part in parts)
    apart = sum(part.against_data not in (None, part.data) for part in parts)
    assert sum(map(len, found.values())) == asked + apart > 50
    trained = {
        key: [m.label for m in script.asked(key[0], parts).suites[key[1]].models] for key, parts in found.items()
    }
    assert trained["few-samples", "nuclei-all"] == ["unet"]
    assert "unet, width 16" in trained["variants", "vessels"]
    assert "unet, width 16" not in trained["variants", "nuclei"]  # no part asks for it there


@pytest.mark.parametrize(
    ("words", "said"), [(["--minutes", "0"], "must be above 0"), (["--minutes", "5"], "torch sees no CUDA device")]
)
def test_what_cannot_be_done_is_said(
    words: list[str], said: str, script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_evidence.py", *words])
    monkeypatch.setattr(script, "resolve_device", lambda device: "cpu")
    with pytest.raises(SystemExit) as stopped:
        script.main()
    assert (stopped.value.code, said in capsys.readouterr().err) == (2, True)
