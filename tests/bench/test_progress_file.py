"""The file from which a run is followed while it goes on."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unetzoo.bench import progress_file
from unetzoo.bench.progress_file import ProgressFile, together
from unetzoo.bench.watcher import Watcher
from unetzoo.records.progress import PROGRESS, read_progress


def job(seed: int = 0, task: str = "trial", **change: Any) -> Any:
    trial = SimpleNamespace(model=SimpleNamespace(label="unet"), seed=seed)
    return SimpleNamespace(
        **{"trial": trial, "data": None, "task": task, "last": {}, "status": None, "stopped": False} | change
    )


def test_it_tells_what_is_done_and_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_file, "EVERY_SECONDS", 0.0)
    watcher = ProgressFile(tmp_path)
    watcher.start([None] * 3, reused=2)  # type: ignore[list-item]
    watcher.change(job(task="costs"))
    assert read_progress(tmp_path)[0].running[0].name == "unet: costs"  # type: ignore[index]
    watcher.measured(job(task="costs"))
    for step in range(1, 1001):
        message = {
            "phase": "train",
            "step": step,
            "steps": 1000,
            "loss": 1 / step,
            "val_dice": None if step < 9 else 0.5,
        }
        watcher.change(job(last=message))
    watcher.change(job(last={"phase": "train", "step": 1000, "steps": 1000, "loss": float("nan"), "val_dice": None}))
    watcher.end(job(seed=1, status="oom"))
    progress, _ = read_progress(tmp_path) or pytest.fail("no file")
    assert (progress.total, progress.reused, progress.done, progress.failed) == (3, 2, 1, 1)
    (running,) = progress.running
    assert (running.name, running.step, running.steps, running.loss) == ("unet seed 0", 1000, 1000, None)
    assert 190 < len(running.curve) <= 202
    assert progress.left is not None
    watcher.end(job(stopped=True))
    assert read_progress(tmp_path)[0].done == 1  # type: ignore[index]
    watcher.remove()
    assert not (tmp_path / PROGRESS).exists()


def test_both_watchers_hear_everything(tmp_path: Path) -> None:
    heard: list[tuple[str, Any]] = []

    class Hears(Watcher):
        def note(self, line: str) -> None:
            heard.append(("note", line))

        def start(self, todo: list[Any], reused: int) -> None:
            heard.append(("start", reused))

    both = together(Hears(), ProgressFile(tmp_path))
    both.note("a line")
    both.start([], 4)
    both.stopping()
    assert heard == [("note", "a line"), ("start", 4)]
    assert read_progress(tmp_path)[0].reused == 4  # type: ignore[index]


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    watcher = ProgressFile(tmp_path / "file")
    watcher.start([], 0)
    watcher.remove()
    assert read_progress(tmp_path / "file") is None


def test_two_processes_of_a_run_are_shown_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_file, "EVERY_SECONDS", 0.0)
    first, second, killed = (ProgressFile(tmp_path) for _ in range(3))
    first.start([None] * 5, reused=1)  # type: ignore[list-item]
    first.change(job(seed=1))
    first.end(job(seed=0, status="ok"))  # wherever it ran
    second.start([None] * 4, reused=2)  # type: ignore[list-item]
    second.change(job(seed=2))
    killed.start([None] * 9, reused=0)  # type: ignore[list-item]
    killed.change(job(seed=3))
    os.utime(killed._path, (1, 1))
    progress, written = read_progress(tmp_path) or pytest.fail("no file")
    assert (progress.total, progress.done, progress.reused) == (5, 1, 1)
    assert sorted(trial.name for trial in progress.running) == ["unet seed 1", "unet seed 2"]
    assert written > 1
    first.remove()
    assert [trial.name for trial in (read_progress(tmp_path) or pytest.fail("gone"))[0].running] == ["unet seed 2"]
    ProgressFile(tmp_path).start([], 0)
    assert not killed._path.exists()
