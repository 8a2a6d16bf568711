"""The page of claims: a section for each sentence, made from measurements, records and definitions alone."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unetzoo._util.atomic import write_atomic
from unetzoo._util.spreadsheet import safe_cell
from unetzoo.claims.definition import Claim
from unetzoo.claims.drawing import draw_differences, draw_measured
from unetzoo.claims.evidence import Quoted
from unetzoo.claims.measured import Measured, Table
from unetzoo.claims.verdict import PartVerdict, overall
from unetzoo.errors import UnetzooError
from unetzoo.report.words import DASH, escape_markdown, listed, span

MOST_ROWS = 40  # of a table on the page; the file of the measurement has all
TITLE = "# What is said of U-Net, measured\n"
HEAD = """The project began with a list of sentences about U-Net. Each was made precise before it was measured, unless
its limits say otherwise: a bound or a margin, and what would confirm or refute it. Every verdict below is computed from
the measurements in this folder and the records of the suites by these rules; none is written by hand. Definitions:
`benchmarks/claims/`.

- A **quantity** confirms if its whole 95 % interval is on the stated side of the bound, and refutes if it is on the
  other. A time from a machine that was not quiet settles a part only if half and twice of it would, too.
- A **comparison** follows the verdicts of the reports (seeds and images, Holm's correction over the variants that the
  claim compares, at least three seeds and five independent test images), with the stated margin. A network that did not
  learn takes part only where it is compared with the trivial predictors (written after a first look at the results).
- **holds**: every part does. **does not hold**: none does. **holds only if**: all parts are settled and some hold.
  Otherwise **undecided**, with what would settle it, or **not run yet**.
"""


@dataclass(frozen=True)
class Section:
    """All that a section shows.

    Attributes:
        claim: The claim.
        verdicts: The verdicts on its parts.
        measured: Its measurement; None without one.
        quoted: Evidence from committed reports.
    """

    claim: Claim
    verdicts: list[PartVerdict]
    measured: Measured | None
    quoted: list[Quoted]


def write_page(out: Path, sections: Sequence[Section], data: str | None = None, results: Path | None = None) -> Path:
    """Write ``README.md``, the pictures and ``verdicts.csv``.

    Args:
        out: Folder of the page.
        sections: Sections in their order.
        data: Name of the user's data set that the claims were asked of; None for the claims' own.
        results: Folder of the suites' results, for the command on the page; None if it is ``out``.

    Returns:
        The path of the page.

    Raises:
        UnetzooError: If the folder cannot be written.
    """
    try:
        texts = [TITLE, _summary(sections, _command(out, results)), HEAD]
        if data is not None:
            texts.append(f"Asked of the data set **{escape_markdown(data)}**.\n")
        texts.append(_overview(sections))
        for section in sections:
            texts.append(_section(section, _pictures(out, section)))
        write_atomic(out / "verdicts.csv", _verdicts(sections))
        write_atomic(out / "README.md", "\n".join(texts))
    except OSError as error:
        raise UnetzooError(f"{out}: cannot write the page: {error.strerror or error}") from None
    return out / "README.md"


def _pictures(out: Path, section: Section) -> list[tuple[str, str]]:
    """Write the pictures of a section; return (path relative to the page, caption)."""
    name, found = section.claim.name, section.measured
    drawn = [
        (
            f"plots/{name}.png",
            draw_measured(found) if found else None,
            found.plot.caption if found and found.plot else "",
        )
    ]
    differences = "Differences with simultaneous 95 % intervals; green band: the margin."
    drawn.append((f"plots/{name}-differences.png", draw_differences(section.verdicts), differences))
    shown = []
    for path, png, caption in drawn:
        if png is None:
            (out / path).unlink(missing_ok=True)
        else:
            write_atomic(out / path, png)
            shown.append((path, caption))
    return shown


def _command(out: Path, results: Path | None) -> str:
    """Return the command that makes the page, with its folders unless their names would need quotes."""
    folders = {"--out": out} | ({"--results": results} if results else {})
    if not all(re.fullmatch(r"[\w./-]+", str(folder)) for folder in folders.values()):
        return "unetzoo claims"
    return " ".join(["unetzoo claims", *(f"{option} {folder}" for option, folder in folders.items())])


def _summary(sections: Sequence[Section], command: str) -> str:
    """Return question and answer of the whole page, and the command that makes it."""
    words = [overall(section.verdicts)[0] for section in sections]
    shown = {
        "holds": ("holds", "hold"),
        "holds only if": ("holds only if a condition is met", "hold only if a condition is met"),
        "does not hold": ("does not hold", "do not hold"),
        "undecided": ("is undecided", "are undecided"),
        "not run yet": ("is not run yet", "are not run yet"),
    }
    counts = [f"{n} {forms[n > 1]}" for word, forms in shown.items() if (n := words.count(word))]
    return (
        f"Which sentences that are said of U-Net hold? Of {len(sections)} sentences, {listed(counts)}. Made by "
        f"`{command}`; with `--train` it runs the trainings too.\n"
    )


def _overview(sections: Sequence[Section]) -> str:
    rows = []
    for section in sections:
        word, why = overall(section.verdicts)
        rows.append([f"[{_md(section.claim.title)}](#{_anchor(section.claim.title)})", _md(section.claim.en),
                     f"**{word}**", _md(why)])  # fmt: skip
    return _table(["claim", "sentence", "verdict", "basis"], rows)


def _section(section: Section, pictures: Sequence[tuple[str, str]]) -> str:
    claim, found = section.claim, section.measured
    word, why = overall(section.verdicts)
    lines = [f"## {_md(claim.title)}", "", f"> {_md(claim.zh)}", ">", f"> {_md(claim.en)}", ""]
    lines += [f"**Verdict: {word}.** {_md(why[:1].upper() + why[1:])}", ""]
    rows = [
        [
            _md(v.part.name),
            _md(v.part.data or DASH),
            _md(v.part.question),
            _md(v.part.rule),
            _md(v.found),
            f"**{v.wording}**",
            _md(v.needed),
        ]
        for v in section.verdicts
    ]
    lines.append(_table(["part", "data", "question", "stated beforehand", "found", "verdict", "would settle it"], rows))
    lines += [f"![{_md(caption)}]({path})\n\n{_md(caption)}\n" for path, caption in pictures]
    if found is not None:
        lines.append(f"*How:* {_md(found.method)}\n")
        lines += [_shown(table) for table in found.tables if len(table.rows)]
        environment = found.environment
        where = [str(environment[key]) for key in ("cpu", "torch") if environment.get(key)]
        lines.append(f"Measured {found.when} in {span(found.seconds)} ({_md(', torch '.join(where))}).\n")
    if section.quoted:
        lines.append(
            "*Committed reports that bear on it*, whose question was not stated beforehand, so no part rests on them:\n"
        )
        lines.append(
            _table(["report", "comparison", "found", "verdict there", "remark"], [_evidence(q) for q in section.quoted])
        )
    lines += [f"*Limit:* {_md(limit)}\n" for limit in claim.limits]
    lines.append(f"Again: `unetzoo claims --only {claim.name}{' --train' if claim.suite else ''}`.\n")
    return "\n".join(lines)


def _evidence(quoted: Quoted) -> list[str]:
    e = quoted.evidence
    where = f"{e.report}/{e.data}" if e.data else e.report
    link = f"[{_md(where.removeprefix('reports/'))}](../{where.removeprefix('reports/')}/summary.md)"
    return [
        link,
        _md(f"{e.score} of {e.model} against {e.against}"),
        _md(quoted.found),
        _md(quoted.verdict),
        _md(e.remark),
    ]


def _shown(table: Table) -> str:
    rows = [[_md(_cell(value)) for value in row] for row in table.rows[:MOST_ROWS]]
    more = len(table.rows) - len(rows)
    note = f"\n{more} more rows are in the file of the measurement.\n" if more > 0 else ""
    body = _table([_md(c.strip()) for c in table.columns], rows) + note
    return f"<details><summary>{_md(table.title)}</summary>\n\n{body}\n</details>\n"


def _cell(value: str | float | int | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return DASH
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else value


def _verdicts(sections: Sequence[Section]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["claim", "part", "data", "verdict", "found", "would settle it", "verdict on the claim"])
    for section in sections:
        word, _ = overall(section.verdicts)
        for v in section.verdicts:
            cells = [section.claim.name, v.part.name, v.part.data or "", v.wording, v.found, v.needed, word]
            writer.writerow([safe_cell(cell) for cell in cells])
    return text.getvalue()


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join([':--'] * len(heads))}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def _anchor(title: str) -> str:
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def _md(text: str) -> str:
    return str(escape_markdown(text))
