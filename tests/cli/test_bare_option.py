"""Options that may stand without their value get the usual one, and no other word is touched."""

from __future__ import annotations

from typing import Any

import pytest
from typer.core import TyperCommand

from unetzoo.cli.bare_option import BenchCommand, ReportCommand


@pytest.mark.parametrize(
    ("command", "args", "full"),
    [
        (BenchCommand, [], []),
        (BenchCommand, ["a.toml"], ["a.toml"]),
        (BenchCommand, ["--ray"], ["--ray", "local"]),
        (BenchCommand, ["--ray", "a.toml"], ["--ray", "local", "a.toml"]),
        (BenchCommand, ["--ray", "--wait"], ["--ray", "local", "--wait"]),
        (BenchCommand, ["a.toml", "--ray", "h:6379"], ["a.toml", "--ray", "h:6379"]),
        (ReportCommand, ["runs/a", "--serve"], ["runs/a", "--serve", "8765"]),
        (ReportCommand, ["--serve", "0", "runs/a"], ["--serve", "0", "runs/a"]),
        (ReportCommand, ["--serve", "runs/a"], ["--serve", "8765", "runs/a"]),
    ],
)
def test_an_option_without_its_value_gets_the_usual_one(
    command: type[TyperCommand], args: list[str], full: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse_args(self: Any, ctx: Any, words: list[str]) -> list[str]:
        return words

    monkeypatch.setattr(TyperCommand, "parse_args", parse_args)
    assert command("name").parse_args(None, args) == full  # type: ignore[arg-type]
