"""Index of a folder of reports: question, answer, conditions, date, hours and command of each, from its own files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unetzoo._util.atomic import write_atomic
from unetzoo.errors import UnetzooError
from unetzoo.records.fields import dig, label_of, seed_of
from unetzoo.records.reading import read_all
from unetzoo.records.record import Record
from unetzoo.report.words import DASH, escape_markdown, listed, number, words

LONGEST = 320  # characters of an answer
HEAD = """# Reports

Written by `unetzoo report {folder} --index` from the reports themselves: question and answer stand at the top of each,
conditions and hours in its records. Hours: all trials one after the other, as their records have them.

"""


@dataclass(frozen=True)
class Row:
    """One report.

    Attributes:
        folder: Name of its folder.
        page: File to link, relative to the index.
        question: What it asks.
        answer: Its first sentence of results.
        conditions: Sample and budget.
        hours: Duration of all trials; None without records.
        command: Command that makes it; empty if it names none.
    """

    folder: str
    page: str
    question: str
    answer: str
    conditions: str
    hours: float | None
    command: str


def write_index(folder: Path, when: Callable[[Path], str] = lambda report: "") -> Path:
    """Write ``README.md`` with a row for each report of a folder.

    Args:
        folder: Folder of reports.
        when: Function that returns the date of a report's folder, or an empty text.

    Returns:
        The path of the index.

    Raises:
        UnetzooError: If the folder has no reports or cannot be written.
    """
    rows = [row for each in sorted(folder.iterdir()) if each.is_dir() for row in [_row(each)] if row is not None]
    if not rows:
        raise UnetzooError(f"{folder}: has no reports, that is folders with a summary.md or a README.md")
    lines = ["| report | question | answer | conditions | when | hours | command |", f"|{':--|' * 7}"]
    for row in rows:
        cells = [row.question, row.answer, row.conditions, when(folder / row.folder) or DASH,
                 DASH if row.hours is None else number(row.hours, 1)]  # fmt: skip
        command = f"`{row.command}`" if row.command else DASH
        name = escape_markdown(row.folder)
        lines.append(f"| [{name}]({row.page}) | {' | '.join(map(str, map(escape_markdown, cells)))} | {command} |")
    path = folder / "README.md"
    try:
        write_atomic(path, HEAD.format(folder=folder.name) + "\n".join(lines) + "\n")
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path


def _row(folder: Path) -> Row | None:
    pages = [folder / name for name in ("summary.md", "README.md") if (folder / name).is_file()]
    if not pages:
        return None
    title, *paragraphs = _paragraphs(pages[0].read_text(encoding="utf-8"))
    records = _records(folder)
    first, second = (*paragraphs, "", "")[:2]
    if pages[0].name == "summary.md":
        question, answer = (first, second) if second else (title, first)
    elif asked := re.match(r"[^.?]*\?(?= |$)", first):  # a page by hand may have both in one paragraph
        question, answer = asked.group(), first[asked.end() :].strip() or second
    else:
        question, answer = title, first
    return Row(
        folder=folder.name,
        page=f"{folder.name}/{pages[0].name}",
        question=question,
        answer=_first_sentence(answer),
        conditions=_conditions(records),
        hours=sum(r.cost.wall_seconds or 0.0 for r in records if r.cost) / 3600 if records else None,
        command=_command(folder),
    )


def _paragraphs(text: str) -> list[str]:
    """Return title and plain paragraphs of a page in Markdown, without tables, pictures and headings."""
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text)]
    plain = [b for b in blocks[1:] if b and not b.startswith(("|", "![", "#", "<", "```", ">", "- "))]
    return [blocks[0].lstrip("# "), *(_unescaped(b) for b in plain)]


def _unescaped(text: str) -> str:
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).replace("`", "").replace("**", "")
    text = re.sub(r"\\(.)", r"\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _first_sentence(text: str) -> str:
    """Return the first sentence, and after the highest means the next one, which says what they prove."""
    end = r"[.!](?= [A-Z0-9]|$)"
    found = re.match(rf"Highest mean .*?{end}.*?{end}|.*?{end}", text)
    sentence = found.group() if found else text
    return sentence if len(sentence) <= LONGEST else f"{sentence[:LONGEST].rsplit(' ', 1)[0]} ..."


def _records(folder: Path) -> list[Record]:
    members = [path.parent for path in sorted(folder.glob("**/records")) if path.is_dir()]
    return [record for member in members for record in read_all(member)[0]]


def _conditions(records: list[Record]) -> str:
    models = [r for r in records if not r.baseline]
    if not models:
        return DASH
    data = sorted({str(dig(r.trial, "data", "name")) for r in models})
    seeds = sorted({len(of_one) for of_one in _seeds(models).values()})
    budgets = sorted({b for r in models if (b := _budget(r))})
    variants = len({label_of(r) for r in models})
    counted = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
    parts = [f"{variants} variant{'s' * (variants > 1)}", f"{counted} seed{'s' * (counted != '1')}", listed(data)]
    return ", ".join([*parts, *([" or ".join(budgets)] if len(budgets) <= 2 else ["several budgets"])])


def _seeds(records: list[Record]) -> dict[tuple[str, str], set[int]]:
    """Return the seeds of each variant on each data set."""
    found: dict[tuple[str, str], set[int]] = {}
    for record in records:
        found.setdefault((label_of(record), str(dig(record.trial, "data"))), set()).add(seed_of(record))
    return found


def _budget(record: Record) -> str:
    train = record.trial.get("train")
    if dig(train, "until") is not None:
        ended = record.result.ended if record.result else None  # of a trial that failed: unknown
        cap = f"cap of {words(dig(train, 'most_steps'))} steps"
        return cap if ended == "most_steps" else "converged" if ended == "converged" else ""
    for key, unit in (("steps", "steps"), ("minutes", "minutes")):
        if (value := dig(train, key)) is not None:
            return f"{words(value)} {unit}"
    return ""


def _command(folder: Path) -> str:
    """Return the command of a report: that of its suite if there is one of its name, else the first on its page."""
    repository, name = folder.parent.parent, folder.name
    trained = any(folder.glob("**/records"))
    for suite in (f"benchmarks/{name}.toml", f"benchmarks/claims/suites/{name}.toml"):
        if trained and (repository / suite).is_file():
            return f"unetzoo bench {suite} --out reports/{name}"
    if any((repository / "benchmarks" / name).glob("*.toml")) and any(folder.glob("*/records")):
        return f"unetzoo bench benchmarks/{name}/NAME.toml --out reports/{name}/NAME"
    page = folder / "README.md"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    commands = r"(?:unetzoo claims|UNETZOO_DATA=|[^`|\n]*benchmarks/[\w./-]+\.(?:py|sh))"
    found = re.search(rf"`({commands}[^`|\n]*)`|^    ({commands}[^`|\n]*)$", text, re.MULTILINE)
    return next(filter(None, found.groups())) if found else ""
