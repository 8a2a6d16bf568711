"""The live view of a run has the report's imports done while the last trials run, and not before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from unetzoo.cli import bench_progress
from unetzoo.cli.bench_progress import LiveWatcher


def job(label: str, *, baseline: bool = False, task: str = "trial") -> Any:
    model, train = SimpleNamespace(label=label, baseline=baseline), SimpleNamespace(steps=5)
    trial = SimpleNamespace(model=model, train=train, seed=0)
    return SimpleNamespace(trial=trial, task=task, data=None, last={}, status="ok", reason=None, stopped=False)


@pytest.mark.parametrize("baseline", [True, False])
def test_the_report_is_imported_once_nothing_else_is_to_start(baseline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []

    def fail(name: str) -> None:
        imported.append(name)
        raise ImportError(name)

    monkeypatch.setattr(bench_progress, "import_module", fail)
    watcher, last = LiveWatcher(Console(quiet=True)), job("last", baseline=baseline)
    jobs = [job("a", task="costs"), job("a"), job("b")]
    watcher.start([each.trial for each in (*jobs[1:], last, *([last] if baseline else []))], 0)
    watcher.change(jobs[0])
    watcher.measured(jobs[0])
    for each in jobs[1:]:
        watcher.change(each)
    watcher.end(jobs[1])
    assert watcher.report is None
    watcher.change(last)
    assert watcher.report is not None
    watcher.report.join()
    watcher.change(last)
    assert imported == ["unetzoo.report.page"]
