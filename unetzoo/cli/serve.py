"""``unetzoo report DIR --serve``: the call."""

from __future__ import annotations

from pathlib import Path

from unetzoo.cli.console import out


def serve_report(folder: Path, port: int, margin: float | None, lang: str) -> None:
    """Serve the report of a folder on 127.0.0.1 until Ctrl-C.

    Args:
        folder: Folder of a run, or of a collection.
        port: Port; 0 takes a free one.
        margin: Largest difference in Dice that does not matter; None takes the records'.
        lang: Language of the page.

    Raises:
        UnetzooError: If the folder is missing, or the port is in use.
    """
    from unetzoo.report import write_report
    from unetzoo.report.serve import serve

    def ready(address: str) -> None:
        out.print(f"report of {folder}: {address} (Ctrl-C stops)", soft_wrap=True, highlight=False, markup=False)

    serve(folder, port, ready, lambda each: write_report(each, margin=margin, lang=lang), lang)
    out.print("stopped", highlight=False)
