"""`unetzoo data check`: what a folder, a CSV of pairs or a ``dataset.toml`` holds, and the reading of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from unetzoo.data.folders.layout import Layout, guess_files, lay_out, not_read, pair_group
from unetzoo.data.folders.pairs import Finding
from unetzoo.data.folders.propose import propose
from unetzoo.data.folders.reading import Files, Reading, Value
from unetzoo.data.folders.reading_file import NAME, read_reading
from unetzoo.data.folders.survey import Survey, survey
from unetzoo.data.folders.verify import Shares, verify
from unetzoo.errors import UnetzooError

ORDER = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Source:
    """Where the data lie, and the reading if a file gives one; else ``files`` are guessed, or those of a CSV."""

    root: Path
    files: Files
    findings: tuple[Finding, ...] = ()
    file: Path | None = None  # of the reading

    @property
    def reading(self) -> Reading | None:
        return self.files if isinstance(self.files, Reading) else None


@dataclass
class Check:
    """``kind`` tells what the masks are, in words; ``reading`` and ``shares`` are None where an error is in the way."""

    source: Source
    survey: Survey
    reading: Reading | None
    kind: str
    shares: Shares | None
    findings: list[Finding]

    @property
    def layout(self) -> Layout:
        return self.survey.layout

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]


def find_source(path: Path, *, propose_anew: bool = False) -> Source:
    """Raises `UnetzooError` where ``path`` is neither a folder with images and masks, nor a CSV, nor a reading."""
    if path.suffix.lower() == ".toml":
        return Source(path.parent, read_reading(path), file=path)
    if path.suffix.lower() == ".csv":
        return Source(path.parent, Files(pairs=path.name))
    if not path.is_dir():
        what = "is neither a folder, a CSV of pairs nor a dataset.toml" if path.exists() else "no such file or folder"
        raise UnetzooError(f"{path}: {what}")
    if (path / NAME).is_file() and not propose_anew:
        return Source(path, read_reading(path / NAME), file=path / NAME)
    files, findings = guess_files(path)
    return Source(path, files, tuple(findings))


def check(
    source: Source,
    *,
    void: Value | None = None,
    compare: bool = True,
    start: Callable[[int], None] = lambda count: None,
    seen: Callable[[str], None] = lambda key: None,
) -> Check:
    """Look at every file once, and propose a reading where none is given.

    ``void`` is a stored value known to be void; ``compare`` searches near-duplicates; ``start`` is called with the
    number of pairs, ``seen`` after each. What is wrong is among the findings, sorted by severity.
    """
    layout, findings = _lay_out(source)
    start(len(layout.found.pairs))
    found = survey(layout, seen=seen, compare=compare)
    findings += [*layout.found.findings, *found.findings]
    if source.reading is not None:
        reading, kind = source.reading, ""
    else:
        reading, kind, noticed = propose(found, void)
        findings += noticed
    shares = None
    if reading is not None and found.items:
        shares, noticed = verify(found, reading)
        findings += noticed
    if names := not_read(layout):
        findings.append(Finding("note", "not read", f"beside the data, not read: {', '.join(names)}"))
    findings.sort(key=lambda finding: ORDER[finding.severity])
    return Check(source, found, reading, kind, shares, findings)


def _lay_out(source: Source) -> tuple[Layout, list[Finding]]:
    layout, findings = lay_out(source.root, source.files), list(source.findings)
    group = None if source.reading or layout.groups else pair_group(layout.found.pairs)
    if group is not None:
        layout = lay_out(source.root, source.files.model_copy(update={"group": group}))
        text = f"keys come in left and right: group = {group!r} keeps the two of one patient in one split"
        findings.append(Finding("note", "group", text))
    return layout, findings


def open_reading(path: Path, void: Value | None = None) -> tuple[Reading, Layout, list[str]]:
    """What is needed to read the data, and what to say about it; a reading that is not given is proposed.

    Raises `UnetzooError` with the first error.
    """
    source = find_source(path)
    if source.reading is not None:
        layout, _ = _lay_out(source)
        _raise_first(layout.found.findings)
        return source.reading, layout, [f"as {source.file} says"]
    checked = check(source, void=void, compare=False)
    _raise_first(checked.findings)
    assert checked.reading is not None
    command = f"unetzoo data check {shlex.quote(str(path))}"
    proposed = f"found by looking: {checked.kind}; `{command}` says more and writes {NAME} to edit"
    return checked.reading, checked.layout, [proposed]


def _raise_first(findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.severity == "error":
            raise UnetzooError(finding.text)
