"""Inspection of a folder, a CSV of pairs or a ``dataset.toml``: the work behind `unetzoo data check`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unetzoo.data.folders.annotation_layouts import annotation_source
from unetzoo.data.folders.class_names import NAME_FILES
from unetzoo.data.folders.drawn_reading import drawn_findings
from unetzoo.data.folders.guess_layout import guess_files
from unetzoo.data.folders.known_layouts import class_names, void_of, with_names
from unetzoo.data.folders.layout import NOTHING, Layout, lay_out, not_read, pair_group
from unetzoo.data.folders.mask_reading import Question
from unetzoo.data.folders.pairs import LEAK, Finding
from unetzoo.data.folders.propose import propose
from unetzoo.data.folders.reading import Files, Reading, Value
from unetzoo.data.folders.reading_file import NAME, read_reading
from unetzoo.data.folders.survey import Survey, survey
from unetzoo.data.folders.verify import Shares, verify
from unetzoo.errors import UnetzooError

ORDER = {"error": 0, "warning": 1, "note": 2}
SHOWN = 8  # warnings that are shown before a run; the rest are counted
MANY, SAMPLE = 1000, 200  # pairs from which a reading is guessed from a sample, and pairs in it


@dataclass(frozen=True)
class Source:
    """The place of a user's data.

    Attributes:
        root: Folder of the data.
        files: The reading if a file gives one; otherwise the guessed files, or those of a CSV.
        findings: Remarks made while guessing.
        file: File that gives the reading, if any.
    """

    root: Path
    files: Files
    findings: tuple[Finding, ...] = ()
    file: Path | None = None

    @property
    def reading(self) -> Reading | None:
        """The reading that a file gives, or None."""
        return self.files if isinstance(self.files, Reading) else None


@dataclass
class Check:
    """The result of `check`.

    Attributes:
        source: Place of the data.
        survey: Properties of every file.
        reading: The given or proposed reading; None if an error prevents one.
        kind: The masks, in words.
        shares: Pixels of each class; None if an error prevents counting them.
        findings: Errors, warnings and notes, in this order.
        questions: Doubts that only the user can settle.
    """

    source: Source
    survey: Survey
    reading: Reading | None
    kind: str
    shares: Shares | None
    findings: list[Finding]
    questions: list[Question] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        """The layout of the files."""
        return self.survey.layout

    @property
    def errors(self) -> list[Finding]:
        """The findings that make the data unusable as they are."""
        return [finding for finding in self.findings if finding.severity == "error"]


def find_source(path: Path, *, propose_anew: bool = False, chosen: Mapping[str, str] = NOTHING) -> Source:
    """Find the data and, if there is one, the reading that ``path`` stands for.

    Args:
        path: A folder, a CSV of pairs, a COCO file, or a ``dataset.toml``.
        propose_anew: Ignore a ``dataset.toml`` in the folder.
        chosen: Folder or pattern of "images" and of "masks", where the user names them.

    Returns:
        The place of the data.

    Raises:
        UnetzooError: If ``path`` is neither a folder with images and masks, nor a CSV, nor a COCO file, nor a reading.
    """
    if chosen and (not path.is_dir() or ((path / NAME).is_file() and not propose_anew)):
        what = " and ".join(chosen)
        raise UnetzooError(f"{path}: {what} cannot be chosen beside a CSV or a {NAME}; edit that file instead")
    if path.suffix.lower() == ".toml":
        return Source(path.parent, read_reading(path), file=path)
    if path.suffix.lower() == ".csv":
        return Source(path.parent, Files(pairs=path.name))
    if path.suffix.lower() == ".json" and path.is_file():
        root, files = annotation_source(path)
        return Source(root, files)
    if not path.is_dir():
        kinds = "is neither a folder, a CSV of pairs, a COCO file (.json) nor a dataset.toml"
        what = kinds if path.exists() else "no such file or folder"
        raise UnetzooError(f"{path}: {what}")
    if (path / NAME).is_file() and not propose_anew:
        return Source(path, read_reading(path / NAME), file=path / NAME)
    files, findings = guess_files(path, chosen)
    return Source(path, files, tuple(findings))


def check(
    source: Source,
    *,
    void: Value | None = None,
    compare: bool = True,
    finish: Callable[[Reading], Reading] | None = None,
    start: Callable[[int], None] = lambda count: None,
    on_pair: Callable[[str], None] = lambda key: None,
) -> Check:
    """Open every file once, and propose a reading if none is given.

    Args:
        source: Place of the data.
        void: Stored mask value that is known to be void.
        compare: Search for near-duplicates; with ``finish``, only under a reading that can be guessed before.
        finish: Makes the caller's changes to a proposal, so that contents can be hashed in the same pass.
        start: Called with the number of pairs.
        on_pair: Called with each key after its pair was opened.

    Returns:
        The result; mistakes in the data are among its findings.
    """
    layout, findings = _lay_out(source)
    start(len(layout.pairing.pairs))
    names = class_names(source.root, source.files) if source.reading is None else {}
    void = void_of(names) if void is None else void
    guess = _guess(layout, void, finish) if finish is not None and source.reading is None else None
    compare = compare and (finish is None or guess is not None)
    found = survey(layout, on_pair=on_pair, compare=compare, guess=guess)
    drawings = [drawing for item in found.items if (drawing := item.pair.drawing) is not None]
    findings += [*layout.pairing.findings, *found.findings, *drawn_findings(drawings)]
    if source.reading is not None:
        reading, kind, questions = source.reading, "", _unconfirmed(source)
    else:
        proposal = propose(found, void)
        reading, kind, questions = proposal.reading, proposal.kind, proposal.questions
        reading = reading and with_names(reading, names)
        findings += proposal.findings
    shares = None
    if reading is not None and found.items:
        shares, noticed = verify(found, reading)
        findings += noticed
    if names := [name for name in not_read(layout) if name not in NAME_FILES]:
        findings.append(Finding("note", "not read", f"files beside the data that are not read: {', '.join(names)}"))
    findings.sort(key=lambda finding: ORDER[finding.severity])
    return Check(source, found, reading, kind, shares, findings, questions)


def _guess(layout: Layout, void: Value | None, finish: Callable[[Reading], Reading]) -> Reading | None:
    """Return the reading that a sample suggests, if there are so many pairs that opening them twice would take long."""
    count = len(layout.pairing.pairs)
    if count < MANY:
        return None
    try:
        proposal = propose(survey(layout, compare=False, every=count // SAMPLE), void)
        return finish(proposal.reading) if proposal.reading is not None else None
    except UnetzooError:  # the survey of all will meet it again
        return None


def _unconfirmed(source: Source) -> list[Question]:
    """Return the question that a reading with ``confirmed = false`` leaves open."""
    if source.reading is None or source.reading.confirmed:
        return []
    text = f"Does {source.file} say what the masks mean? It leaves open the questions in its head."
    return [Question("confirmed", text, ("other lines; then confirmed = true",))]


def _lay_out(source: Source) -> tuple[Layout, list[Finding]]:
    layout, findings = lay_out(source.root, source.files), list(source.findings)
    group = None if source.reading or layout.groups else pair_group(layout.pairing.pairs)
    if group is not None:
        layout = lay_out(source.root, source.files.model_copy(update={"group": group}))
        text = f"keys come in pairs of left and right: group = {group!r} keeps the two of a patient in one split"
        findings.append(Finding("note", "group", text))
    return layout, findings


@dataclass(frozen=True)
class Opened:
    """A user's data, as they are read.

    Attributes:
        reading: The reading.
        layout: The layout of the files.
        messages: Lines for the user.
        accepted: Questions that were open and whose proposed answers were accepted.
        survey: What was found in the files, if they were surveyed.
    """

    reading: Reading
    layout: Layout
    messages: list[str]
    accepted: list[str]
    survey: Survey | None = None


def open_reading(
    path: Path,
    void: Value | None = None,
    *,
    chosen: Mapping[str, str] = NOTHING,
    leaks: bool = False,
    compare: bool = False,
    accept: bool = False,
    settled: Iterable[str] = (),
    finish: Callable[[Reading], Reading] = lambda reading: reading,
) -> Opened:
    """Open a user's data, proposing a reading if none is given.

    Args:
        path: A folder, a CSV of pairs, a COCO file, or a ``dataset.toml``.
        void: Stored mask value that is known to be void.
        chosen: Folder or pattern of "images" and of "masks", where the user names them.
        leaks: Accept a key or equal images in two splits, which the caller will drop.
        compare: Search for near-duplicates; see `check`.
        accept: Accept the proposed answers to open questions.
        settled: Kinds of questions that the caller answers.
        finish: Makes the caller's changes to a proposal; see `check`.

    Returns:
        The reading, the layout, and lines for the user: where the reading comes from, and warnings.

    Raises:
        UnetzooError: If there is an error among the findings; it has the text of the first. If a question is open and
            the proposed answer is not accepted; it has the text of the first.
    """
    source, found = find_source(path, chosen=chosen), None
    if source.reading is not None:
        layout, _ = _lay_out(source)
        _raise_first(layout.pairing.findings, leaks)
        reading, questions, messages = source.reading, _unconfirmed(source), [f"read as {source.file} says"]
        messages += _warnings(layout.pairing.findings)
    else:
        checked = check(source, void=void, compare=compare, finish=finish)
        _raise_first(checked.findings, leaks)
        assert checked.reading is not None
        reading, layout, questions, found = checked.reading, checked.layout, checked.questions, checked.survey
        command = f"unetzoo data check {shlex.quote(str(path))}"
        how = f"`{command}` shows more and writes a {NAME} to edit"
        messages = [f"reading proposed from the files: {checked.kind}; {how}"]
        warnings = _warnings(checked.findings)
        messages += warnings[:SHOWN]
        messages += [f"and {len(warnings) - SHOWN} more warnings"] if len(warnings) > SHOWN else []
    questions = [question for question in questions if question.kind not in settled]
    if questions and not accept:
        more = f" ({len(questions) - 1} more)" if len(questions) > 1 else ""
        ask = (
            f"answer in {NAME}" if source.reading else f"`unetzoo data check {shlex.quote(str(path))}` writes a {NAME}"
        )
        raise UnetzooError(
            f"{path}: {questions[0].text}{more} Confirm it: {ask} (confirmed = true), or accept what is proposed with "
            "--accept-reading (accept_reading = True)"
        )
    accepted = [question.text for question in questions]
    return Opened(reading, layout, [*messages, *(f"accepted: {text}" for text in accepted)], accepted, found)


def _warnings(findings: Iterable[Finding]) -> list[str]:
    return [f"warning: {finding.text}" for finding in findings if finding.severity == "warning"]


def _raise_first(findings: Iterable[Finding], leaks: bool) -> None:
    for finding in findings:
        if finding.severity == "error" and not (leaks and finding.kind == LEAK):
            raise UnetzooError(finding.text)
