"""Progress of a command: bars on a terminal, lines in a pipe."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from unetzoo.cli import bench_progress, console
from unetzoo.cli.bench_progress import LiveWatcher


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_next_is_a_line_in_a_pipe_and_passes_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    text = StringIO()
    monkeypatch.setattr(console, "err", Console(file=text, force_terminal=terminal, width=80))
    with console.telling() as tell:
        tell("first [red]")
        tell("second")
    assert (text.getvalue() == "first [red]\nsecond\n") != terminal
    assert ("\x1b[2K" in text.getvalue()) == terminal  # the line is erased


@pytest.mark.parametrize(("after", "lines"), [(0.0, "checking models: 3\nmatching widths: 2\n"), (60.0, "")])
def test_long_checks_before_the_trials_are_told_once(monkeypatch: pytest.MonkeyPatch, after: float, lines: str) -> None:
    monkeypatch.setattr(bench_progress, "SOON", after)
    text = StringIO()
    watcher = LiveWatcher(Console(file=text))
    for what, total in (("checking models", 3), ("matching widths", 2)):
        for done in range(total + 1):
            watcher.files(what, done, total)
    assert text.getvalue() == lines
    assert (watcher.tasks, watcher.since) == ({}, {})
