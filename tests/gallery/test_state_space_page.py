"""The script of ``reports/state-space``: a scan is measured once, and without a record the page says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from unetzoo.gallery.measured import Ratio

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("state_space", ROOT / "benchmarks/state_space.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_record_nothing_is_claimed(script: ModuleType, tmp_path: Path) -> None:
    assert script.main(["--page", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    assert "Not measured yet." in page
    assert "`python benchmarks/state_space.py`" in page
    assert "|" not in page


def test_a_scan_is_measured_once_and_its_chunk_bounds_its_memory(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[object] = []
    ratio = Ratio(median=1.5, p10=1.4, p90=1.8, rounds=9, p50_ms=3, other_p50_ms=2)
    monkeypatch.setattr("torch.set_num_threads", lambda threads: None)  # pytest's process keeps its own
    monkeypatch.setattr("unetzoo.gallery.paired.time_ratio", lambda *works, **how: timed.append(works) or ratio)
    arguments = ["--only", "scan", "--lengths", "512", "--chunks", "16", "--threads", "1", "--out", str(tmp_path)]
    for _ in range(2):
        assert script.main(arguments) == 0
    assert len(timed) == 4  # two scans, forward and backward, in the first run alone
    peaks = {row["chunk"]: row["training_peak"] for row in script.read_record(tmp_path)}
    assert peaks[16] < peaks[256] / 2
    page = (tmp_path / "README.md").read_text()
    assert "| 512 | 16 | 3.0 | 1.50 (1.40 to 1.80) |" in page
    assert "Not measured" not in page


def test_a_broken_record_is_told_in_a_line(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "measured.jsonl").write_text("[1]\n")
    assert script.main(["--page", "--out", str(tmp_path)]) == 2
    assert "measured.jsonl: line 1 is not a measurement" in capsys.readouterr().out


def test_the_answer_compares_the_longest_scan_with_the_shortest_at_the_usual_chunk(script: ModuleType) -> None:
    def scan(length: int, chunk: int, ratio: float) -> dict[str, object]:
        times = {what: {"median": ratio} for what in ("inference", "training")}
        return {"what": "scan", "length": length, "chunk": chunk, "training_peak": 100 * ratio, **times}

    rows = [scan(16384, 16, 90.0), scan(16384, 256, 17.0), scan(1024, 256, 1.0)]
    assert script.answer(rows) == (
        "16 times the tokens take 17 times as long, 17 times with the backward pass, and 17 times the memory then. "
        "The networks are not measured yet."
    )
    network = {"what": "network", "name": "vm_unet", "side": 256, "training": {"median": 2.5}}
    assert script.answer([network]) == "A training step at 256 px, in times unet's: vm_unet 2.5."
