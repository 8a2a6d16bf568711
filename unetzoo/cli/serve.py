"""``unetzoo report DIR --serve``: the option that may stand without its port, and the call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from unetzoo.cli.console import out

PORT = 8765


class ReportCommand(TyperCommand):
    """A command whose ``--serve`` takes a port or none."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write the usual port after a ``--serve`` that has none."""
        full: list[str] = []
        for word, following in zip(args, [*args[1:], ""], strict=True):
            full.append(word)
            if word == "--serve" and not following.isdecimal():
                full.append(str(PORT))
        return super().parse_args(ctx, full)


def serve_report(folder: Path, port: int, margin: float | None) -> None:
    """Serve the report of a folder on 127.0.0.1 until Ctrl-C.

    Args:
        folder: Folder of a run, or of a collection.
        port: Port; 0 takes a free one.
        margin: Largest difference in Dice that does not matter; None takes the records'.

    Raises:
        UnetzooError: If the folder is missing, or the port is in use.
    """
    from unetzoo.gallery.architecture import describe
    from unetzoo.report import write_report
    from unetzoo.report.serve import serve

    def ready(address: str) -> None:
        out.print(f"report of {folder}: {address} (Ctrl-C stops)", soft_wrap=True, highlight=False, markup=False)

    serve(folder, port, ready, lambda each: write_report(each, margin=margin, describe=describe))
    out.print("stopped", highlight=False)
