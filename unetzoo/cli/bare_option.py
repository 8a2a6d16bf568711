"""Commands with an option that may stand without its value: ``report --serve [PORT]`` and ``bench --ray [ADDRESS]``."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

PORT = "8765"


class _BareOption(TyperCommand):
    option = ""
    usual = ""  # its value where it has none

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write the usual value after the option where it has none."""
        full: list[str] = []
        for place, word in enumerate(args):
            full.append(word)
            following = "".join(args[place + 1 : place + 2])
            if word == self.option and not self.is_value(following):
                full.append(self.usual)
        return super().parse_args(ctx, full)

    @staticmethod
    def is_value(word: str) -> bool:
        """Return True if the word after the option is its value."""
        raise NotImplementedError


class ReportCommand(_BareOption):
    """A command whose ``--serve`` takes a port or none."""

    option, usual = "--serve", PORT

    @staticmethod
    def is_value(word: str) -> bool:
        """Return True for a number."""
        return word.isdecimal()


class BenchCommand(_BareOption):
    """A command whose ``--ray`` takes an address or none; a suite file may follow it."""

    option, usual = "--ray", "local"

    @staticmethod
    def is_value(word: str) -> bool:
        """Return True for all but nothing, another option and a suite file."""
        return bool(word) and not word.startswith("-") and not word.endswith(".toml")
