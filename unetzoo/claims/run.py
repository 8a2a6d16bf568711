"""Asking claims: measure what is missing, train if asked to, judge, and write the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unetzoo.bench.collection import Collection
from unetzoo.bench.suite import Suite
from unetzoo.bench.suite_file import adjust, read_suite
from unetzoo.claims.definition import Claim, Part, claims_folder, read_claims
from unetzoo.claims.evidence import judge_part, quote
from unetzoo.claims.measured import Measured, read_measured, write_measured
from unetzoo.claims.measurements import Context, measure
from unetzoo.claims.page import Section, write_page
from unetzoo.claims.requirements import check_data
from unetzoo.claims.verdict import PartVerdict, judge_quantity
from unetzoo.data.base import SegmentationDataset
from unetzoo.errors import UnetzooError

OWN = "own"  # label of the user's data in suites, in place of that of the claim's first data set


@dataclass(frozen=True)
class Asking:
    """A request to ask claims, and the folder for the answers.

    Attributes:
        out: Folder of page and measurements.
        folder: Folder of the definitions.
        only: Names of the claims to measure or train, 'a,b'; None for all.
        results: Folder of the suites' results, each in a folder of the suite's name; None for ``out``.
        data: Registered data set, folder, or file of pairs; None for the claims' own data.
        train: Also run the trainings.
        again: Measure again what was measured before.
        progress: Called with a line on what is done next.
        options: Measurement -> changes to its sizes, for tests.
    """

    out: Path
    folder: Path | None = None
    only: str | None = None
    results: Path | None = None
    data: str | None = None
    train: bool = False
    again: bool = False
    progress: Callable[[str], None] = lambda line: None
    options: dict[str, dict[str, Any]] = field(default_factory=dict)


def ask(asking: Asking) -> Path:
    """Ask claims and write the page; what was measured or trained before is kept.

    The page has every claim of the folder, or of the user's data those that can be asked of it.

    Args:
        asking: What is asked.

    Returns:
        The path of the page.

    Raises:
        UnetzooError: If a claim, the data, a file or the folder of results is not valid, or a claim cannot be asked of
            the data.
    """
    if asking.results is not None and not asking.train and not asking.results.is_dir():
        raise UnetzooError(f"--results {asking.results}: is not a folder; give the one with the suites' results")
    folder = asking.folder or claims_folder()
    chosen, every = read_claims(folder, asking.only), read_claims(folder)
    dataset = None
    if asking.data is not None:
        dataset = adjust(None, data=asking.data).data.open()
        chosen = every = _askable(chosen, dataset, strict=asking.only is not None, progress=asking.progress)
    for claim in chosen:
        if claim.measurement is not None:
            _measure(claim, asking, dataset)
        if asking.train and claim.suite is not None:
            parts = claim.parts if asking.data is None else parts_of_own(claim)
            _train(claim, suite_of(claim, folder, asking.data), parts, asking)
    sections = [_answered(claim, asking, dataset) for claim in every]
    return write_page(asking.out, sections, dataset.info.name if dataset else None, asking.results)


def _askable(
    claims: list[Claim], dataset: SegmentationDataset, *, strict: bool, progress: Callable[[str], None]
) -> list[Claim]:
    """Return the claims that can be asked of the data.

    Raises:
        UnetzooError: If none can, or with ``strict`` if one cannot.
    """
    found = []
    for claim in claims:
        try:
            check_data(claim, dataset)
            found.append(claim)
        except UnetzooError as error:
            if strict:
                raise
            progress(f"left out: {error}")
    if not found:
        raise UnetzooError(f"no claim can be asked of {dataset.info.name!r}; --only NAME says what one needs")
    return found


def _measure(claim: Claim, asking: Asking, dataset: SegmentationDataset | None) -> None:
    path = _path(claim, asking.out)
    if not asking.again and _known(path, dataset) is not None:
        return
    name = str(claim.measurement)
    context = Context(dataset, asking.progress, asking.options.get(name, {}))
    write_measured(path, measure(name, context))


def _path(claim: Claim, out: Path) -> Path:
    return out / "measured" / f"{claim.name}.json"


def _known(path: Path, dataset: SegmentationDataset | None) -> Measured | None:
    """Return the measurement of a file.

    Raises:
        UnetzooError: If it was made on other data.
    """
    found, name = read_measured(path), dataset.info.name if dataset else None
    if found is not None and found.data != name:
        raise UnetzooError(
            f"{path}: was measured on {found.data or 'no data set'}, not on {name or 'none'}; choose another --out"
        )
    return found


def suite_of(claim: Claim, folder: Path, data: str | None) -> Suite | Collection:
    """Return the suite of a claim, with the user's data in place of its own.

    Of a collection those members stay that differ from the first in the number of training images alone.

    Args:
        claim: A claim with a suite.
        folder: Folder of the claims.
        data: The user's data; None for the suite's own.

    Raises:
        UnetzooError: If the suite is not valid.
    """
    suite = read_suite(folder / str(claim.suite))
    if data is None:
        return suite
    if isinstance(suite, Suite):
        return adjust(suite, data=data)
    first = next(iter(suite.suites.values())).data
    members = {}
    for label, member in suite.suites.items():
        if member.data.name == first.name:
            own = adjust(member, data=data)
            request = own.data.model_copy(update={"n_train": member.data.n_train})
            members[_own(label)] = own.model_copy(update={"data": request})
    return Collection(name=suite.name, question=suite.question, suites=members)


def _own(label: str) -> str:
    """Return the label with its first word, the name of the claim's data, replaced."""
    return "-".join([OWN, *label.split("-")[1:]])


def _train(claim: Claim, suite: Suite | Collection, parts: Sequence[Part], asking: Asking) -> None:
    """Run the missing trials of the variants that a claim names, write the report, and score the predictions."""
    from unetzoo.bench.run import run
    from unetzoo.claims.trained import score_predictions
    from unetzoo.report import write_report

    out = (asking.results or asking.out) / claim.results_folder
    asking.progress(f"training: {suite.name}")
    if isinstance(suite, Suite):
        suite = named(suite, parts)
        members = [(out, suite)]
    else:
        suites = {label: named(member, parts, label) for label, member in suite.suites.items()}
        asked = {label for part in parts for label in (part.data, part.against_data)}
        suite = suite.model_copy(update={"suites": suites, "only": tuple(label for label in suites if label in asked)})
        members = [(out / label, member) for label, member in suite.chosen.items()]
    run(suite, out)
    write_report(out, brief=True)
    for folder, member in members:
        score_predictions(folder, member, asking.progress, again=asking.again)


def named(suite: Suite, parts: Sequence[Part], label: str | None = None) -> Suite:
    """Return a suite without the labelled models that no part names, but for the one that others are matched to.

    Args:
        suite: The suite behind a claim, or one of them.
        parts: The parts of the claim.
        label: Label of the suite's data in a collection: only parts on these data count. None for a suite by itself.
    """
    labels = set()
    for part in parts:
        if label in (None, part.data):
            labels.add(part.model)
        if label in (None, part.against_data or part.data):
            labels.add(part.against)
    reference = suite.reference or suite.models[0].label
    kept = [m for m in suite.models if m.label is None or m.label in labels or m.label == reference]
    return suite.model_copy(update={"models": kept})


def _answered(claim: Claim, asking: Asking, dataset: SegmentationDataset | None) -> Section:
    measured = _known(_path(claim, asking.out), dataset) if claim.measurement else None
    parts = claim.parts if asking.data is None else parts_of_own(claim)
    verdicts = [_judged(part, measured, (asking.results or asking.out) / claim.results_folder, parts) for part in parts]
    repository = asking.out.resolve().parents[1]
    quoted = []
    if asking.data is None and (repository / "reports").is_dir():
        quoted = [quote(e, repository) for e in claim.evidence if (repository / e.report).is_dir()]
    return Section(claim, verdicts, measured, quoted)


def _judged(part: Part, measured: Measured | None, results: Path, parts: Sequence[Part]) -> PartVerdict:
    if part.quantity is None:
        return judge_part(part, results, parts)
    if measured is None:
        return judge_quantity(part, None)
    if part.quantity not in measured.quantities:
        raise UnetzooError(
            f"part {part.name!r}: quantity = {part.quantity!r} is not measured; known: {', '.join(measured.quantities)}"
        )
    return judge_quantity(part, measured.quantities[part.quantity])


def parts_of_own(claim: Claim) -> list[Part]:
    """Return the parts to ask of the user's data: quantities, and the comparisons on the claim's first data set."""
    label = next((part.data for part in claim.parts if part.data), None)
    kept = [p for p in claim.parts if p.data is None or p.data.split("-")[0] == str(label).split("-")[0]]
    labels = [{k: _own(v) for k in ("data", "against_data") if (v := getattr(part, k)) is not None} for part in kept]
    return [part.model_copy(update=update) for part, update in zip(kept, labels, strict=True)]
