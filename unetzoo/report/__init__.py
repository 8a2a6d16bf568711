"""Records in, report out: tables, statistics, plots, one page. Pure: same records, same bytes; no torch."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_report"]


def write_report(folder: Path, *, brief: bool = False) -> Path:
    """Turn ``folder/records/*.json`` into a report inside ``folder``; return the path of its page.

    Writes ``summary.md``, ``results.csv``, ``plots/*.png``, ``plots/*.svg`` and ``index.html``, and removes
    plots of an earlier report that no longer apply. The folder of a collection gets the same over all its data
    sets, and each data set's folder in it its own.

    ``brief`` is for a folder that is to stay small, as one kept with the code: the three plots of Dice against cost as
    PNG and ``summary.md``, which is returned; of a collection the page over all, its plots as PNG, and each data set's
    tables alone.

    Raises `UnetzooError` where the folder or its records are missing or the folder cannot be written; a record that
    cannot be read becomes a row of the report.
    """
    from unetzoo.records.manifest import read_manifest

    folder = Path(folder)
    if (manifest := read_manifest(folder)) is None:
        from unetzoo.report.page import COSTS, build  # pandas and matplotlib load here, not on import

        return build(folder, keep=COSTS if brief else None)
    from unetzoo.report.collection import build_collection

    return build_collection(folder, manifest, brief=brief)
