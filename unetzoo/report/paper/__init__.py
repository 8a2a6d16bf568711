"""Everything a paper or a pull request needs of a run: tables, references, a paragraph on the methods, raw scores."""

from __future__ import annotations

from pathlib import Path

from unetzoo._util.atomic import atomic_path, write_atomic
from unetzoo.errors import UnetzooError
from unetzoo.records.frame import Tables
from unetzoo.report.judgement import Judgement
from unetzoo.report.paper.bibtex import entries, file_text
from unetzoo.report.paper.methods import as_latex, as_markdown, sentences
from unetzoo.report.paper.table import results_table
from unetzoo.report.statistics import summarise

FOLDER = "paper"
NO_PYARROW = "per-image scores are written as Parquet by pyarrow, which is not installed: pip install 'unetzoo[paper]'"


def check_installed() -> None:
    """Raise `UnetzooError` if pyarrow is missing, so that nothing is computed in vain."""
    try:
        import pyarrow  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UnetzooError(NO_PYARROW) from None


def write_paper(folder: Path, t: Tables, j: Judgement) -> Path:
    """Write the material for a paper to ``folder/paper`` and return that path.

    Writes ``table.tex`` and ``table.md``, ``methods.tex`` and ``methods.md``, ``references.bib`` and
    ``per_image.parquet``; ``results.csv`` and ``verdicts.csv`` are beside the page.

    Args:
        folder: Folder of the report.
        t: Tables of the report.
        j: The verdicts.

    Raises:
        UnetzooError: If pyarrow is missing, or a file cannot be written.
    """
    check_installed()
    table = results_table(t, summarise(t).to_dict("records"), j)
    cited = entries(t)
    text = sentences(t, j, cited)
    files = {
        "table.tex": table.as_latex(),
        "table.md": table.as_markdown(),
        "methods.tex": as_latex(text),
        "methods.md": as_markdown(text),
        "references.bib": file_text(cited),
    }
    to = folder / FOLDER
    try:
        for name, content in files.items():
            write_atomic(to / name, content)
        with atomic_path(to / "per_image.parquet") as temporary:
            t.images.drop(columns="id").to_parquet(temporary, engine="pyarrow", index=False)
    except OSError as error:
        raise UnetzooError(f"{to}: cannot write the material for a paper: {error.strerror or error}") from None
    return to
