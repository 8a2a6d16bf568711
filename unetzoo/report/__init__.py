"""Records in, report out: tables, statistics, plots, one page. Pure: same records, same bytes; no torch."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_report"]


def write_report(folder: Path) -> Path:
    """Turn ``folder/records/*.json`` into a report inside ``folder``; return the path of ``index.html``.

    Writes ``summary.md``, ``results.csv``, ``plots/*.png``, ``plots/*.svg`` and ``index.html``, and removes
    plots of an earlier report that no longer apply. Raises `UnetzooError` where the folder or its records
    are missing or the folder cannot be written; a record that cannot be read becomes a row of the report.
    """
    from unetzoo.report.page import build  # pandas and matplotlib load here, not on import

    return build(Path(folder))
