"""Records in, report out: tables, statistics, plots and one page.

The same records give the same bytes, and nothing here needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unetzoo._util.language import ENGLISH, language
from unetzoo.errors import UnetzooError, shown

if TYPE_CHECKING:
    from unetzoo.records.manifest import Manifest
    from unetzoo.report.architecture import Describe
    from unetzoo.report.options import Clock, Options

__all__ = ["write_report"]


def write_report(
    folder: Path,
    *,
    brief: bool = False,
    margin: float | Mapping[str, float] | None = None,
    paper: bool = False,
    lang: str = ENGLISH,
    formats: Sequence[str] | None = None,
    describe: Describe | None = None,
    clock: Clock | None = None,
    if_changed: bool = False,
) -> Path:
    """Turn ``folder/records/*.json`` into a report inside ``folder``.

    Writes ``summary.md``, ``results.csv``, ``verdicts.csv``, ``plots/`` and ``index.html`` with its pages, and removes
    plots of an earlier report that no longer apply. The folder of a collection gets the same for all its data
    sets together, and the folder of each data set gets its own. A record that cannot be read becomes a row of the
    report.

    Args:
        folder: Output folder of a run, or of a collection.
        brief: Keep the folder small, for instance to commit it with the code. A single data set then gets
            ``summary.md`` and the three plots of Dice against cost as PNG; a collection gets its page, its plots as
            PNG, and tables alone for each data set.
        margin: Largest difference in Dice that does not matter, for all data sets or by the label of each; None takes
            the ``[score] margin`` that the records state, else 0.01.
        paper: Also write ``paper/`` in the folder of each data set; see `unetzoo.report.paper`.
        lang: Language of the pages and summaries, from `unetzoo._util.language.LANGUAGES`; tables, plots and ``paper/``
            are the same in each.
        formats: Formats of the files in ``plots/``, from "png", "svg" and "pdf"; None takes PNG and SVG, or PNG alone
            if the report is brief.
        describe: Describes the networks on the variants' pages, such as `unetzoo.gallery.architecture.describe`, which
            needs torch; None leaves the architecture out.
        clock: Takes the time of each stage.
        if_changed: Write nothing if the report was last written with this option, and nothing has changed since:
            neither records, nor options, nor unetzoo, nor the report's own files.

    Returns:
        The path of the page; with ``brief``, of ``summary.md`` (for a collection still the page).

    Raises:
        UnetzooError: If the margin is below 0, the language or a format is unknown, the folder or its records are
            missing, the folder cannot be written, or pyarrow is missing, which ``paper`` needs.
    """
    for value in margin.values() if isinstance(margin, Mapping) else [margin]:
        check_margin(value)
    from unetzoo.records.manifest import read_manifest
    from unetzoo.report.fresh import Stamp
    from unetzoo.report.options import Clock, Options, check_formats

    if paper:
        from unetzoo.report.paper import check_installed

        check_installed()
    options = Options(paper=paper, formats=check_formats(formats), describe=describe, clock=clock or Clock())
    folder = Path(folder)
    manifest = read_manifest(folder)
    stamp = Stamp(folder, repr((brief, margin, paper, lang, options.formats, describe is not None)))
    if if_changed and stamp.valid():
        return folder / ("summary.md" if brief and manifest is None else "index.html")
    with language(lang):
        page = _write(folder, manifest, brief, margin, options)
    if if_changed:
        stamp.put()
    return page


def _write(
    folder: Path,
    manifest: Manifest | None,
    brief: bool,
    margin: float | Mapping[str, float] | None,
    options: Options,
) -> Path:
    if manifest is None:
        from unetzoo.report.page import COSTS, build  # pandas and matplotlib load here, not on import

        one = None if isinstance(margin, Mapping) else margin
        return build(folder, keep=COSTS if brief else None, margin=one, options=options)
    from unetzoo.report.collection import build_collection

    each = margin if isinstance(margin, Mapping) else dict.fromkeys(manifest.data, margin)
    return build_collection(folder, manifest, brief=brief, margins=each, options=options)


def check_margin(margin: float | None) -> None:
    """Raise `UnetzooError` if a margin is not a difference in Dice of 0 or more, or None."""
    if margin is None:
        return
    if isinstance(margin, bool) or not isinstance(margin, (int, float)) or not 0 <= margin < math.inf:
        raise UnetzooError(f"margin = {shown(margin)} must be a difference in Dice of 0 or more")
