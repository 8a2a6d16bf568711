"""Several runs side by side: machines, suites, folds. Equal data are judged together, costs stay apart by machine."""

# pandas ships no types: what it returns is guessed from its source, and guessed too wide.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unetzoo._util.language import _, _n
from unetzoo.errors import UnetzooError
from unetzoo.records.fields import dig, label_of, margin_of
from unetzoo.records.frame import Tables, tables
from unetzoo.records.manifest import read_manifest
from unetzoo.records.reading import read_all, read_members
from unetzoo.records.record import Record
from unetzoo.report.judgement import COUNTED, METRIC_TITLES, Judgement, judge_all
from unetzoo.report.naming import distinct
from unetzoo.report.statistics import summarise
from unetzoo.report.words import listed, words

# Options that say where and how fast a trial runs; runs that differ in nothing else train the same variant.
MACHINE_OPTIONS = ("device", "devices", "threads", "precision", "workers", "channels_last")


@dataclass(frozen=True)
class Found:
    """A record and where it is from.

    Attributes:
        run: Name of the run.
        label: Label of its data set in the run's collection; empty for a single data set.
        record: The record.
    """

    run: str
    label: str
    record: Record


@dataclass(frozen=True)
class Part:
    """All records on one data set.

    Attributes:
        label: Name of the data set.
        tables: The records of all runs as tables.
        machines: Machine -> the records measured on it as tables.
        runs: Label of a variant -> names of the runs it is from.
        judgement: The verdicts; those on measured costs only if all were measured on one machine.
    """

    label: str
    tables: Tables
    machines: dict[str, Tables]
    runs: dict[str, list[str]]
    judgement: Judgement


def machine_of(record: Record) -> str:
    """Name the machine of a record: its processor or GPU, and the number of threads on a CPU."""
    env = record.environment
    name = words(env.get("device_name") or env.get("cpu") or env.get("device") or _("machine not named"))
    threads = env.get("threads") if env.get("device", "cpu") == "cpu" else None
    if not threads:
        return name
    some = 1 if threads == 1 else 2  # a record may say anything
    return _n("{name}, {threads} thread", "{name}, {threads} threads", some, name=name, threads=words(threads))


def gather(folders: Sequence[Path], margin: float | None = None) -> tuple[list[Part], list[str]]:
    """Read several runs; return the data sets they have, and remarks on what was left out.

    Args:
        folders: Output folders of runs or collections.
        margin: Largest difference in Dice that does not matter; None takes the records'.

    Raises:
        UnetzooError: If a folder is given twice or has no records, or records follow different protocols.
    """
    seen: dict[Path, Path] = {}
    for folder in folders:
        if (first := seen.setdefault(folder.resolve(), folder)) is not folder:
            raise UnetzooError(f"{folder} is {first}, which was given already; name each run once")
    names = run_names(folders)
    found: list[Found] = []
    unreadable: list[str] = []
    for folder, name in zip(folders, names, strict=True):
        manifest = read_manifest(folder)
        members = {"": read_all(folder)} if manifest is None else read_members(folder, manifest)
        for label, (records, bad) in members.items():
            found += [Found(name, label, record) for record in records]
            unreadable += [_("{run}: {file} cannot be read: {why}", run=name, file=file, why=why) for file, why in bad]
    _check_protocols(found)
    kept = _once(found)
    remarks = list(unreadable)
    if len(kept) < len(found):
        remarks.append(_("{n} records are in several runs and count once.", n=len(found) - len(kept)))
    by_data: dict[str, list[Found]] = {}
    for each in kept:
        by_data.setdefault(_identity(each.record), []).append(each)
    labels = _labels(by_data)
    return [_part(labels[data], some, margin) for data, some in by_data.items()], remarks


def run_names(folders: Sequence[Path]) -> list[str]:
    """Return the names of the folders, or their whole paths if two have the same name."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _check_protocols(found: Iterable[Found]) -> None:
    runs: dict[str, list[str]] = {}
    for each in found:
        protocol = words(each.record.trial.get("protocol") or "not stated")
        if each.run not in runs.setdefault(protocol, []):
            runs[protocol].append(each.run)
    if len(runs) > 1:
        which = "; ".join(f"{protocol} in {listed(some)}" for protocol, some in sorted(runs.items()))
        raise UnetzooError(f"the runs follow different versions of the protocol ({which}); report them one by one")


def _once(found: Iterable[Found]) -> list[Found]:
    """Leave out records that are copies of another one, and trivial predictors that several runs have."""
    kept: dict[str, Found] = {}
    for each in found:
        r = each.record
        same = r.id if r.baseline else repr((r.id, r.status, r.cost, r.environment, r.result and r.result.predictions))
        kept.setdefault(same, each)
    return list(kept.values())


def _identity(record: Record) -> str:
    """Return what makes data the same: the digest of all of it, and that of the test split."""
    data = record.trial.get("data")
    digest = dig(data, "digest") or words([dig(data, "name"), dig(data, "options")])
    return f"{digest} {dig(record.data, 'splits', 'test', 'digest')}"


def _labels(by_data: dict[str, list[Found]]) -> dict[str, str]:
    """Name each data set; two of one name get the beginning of their digests."""
    plain = {data: _name(some[0]) for data, some in by_data.items()}
    return {
        data: name if list(plain.values()).count(name) == 1 else _("{name} (data {digest})", name=name, digest=data[:8])
        for data, name in plain.items()
    }


def _name(each: Found) -> str:
    data = each.record.trial.get("data")
    fold, folds = dig(data, "fold"), dig(data, "folds")
    name = each.label or words(dig(data, "name") or _("data set not named"))
    if fold is None or each.label:
        return name
    return _("{name}, fold {n} of {all}", name=name, n=words(fold), all=words(folds))


def _part(label: str, found: Sequence[Found], margin: float | None) -> Part:
    records = [_portable(each.record) for each in found]
    together = tables(records, [])
    relabelled = {record.id: label_of(record) for record in together.records}
    runs: dict[str, list[str]] = {}
    for each in found:
        some = runs.setdefault(relabelled[each.record.id], [])
        if each.run not in some:
            some.append(each.run)
    machines = sorted({machine_of(r) for r in together.models if r.cost})
    by_machine = {m: tables([r for r in together.records if machine_of(r) == m], []) for m in machines}
    margin = margin_of(records) if margin is None else margin
    return Part(label, together, by_machine, runs, _judged(together, margin, len(machines)))


def _portable(record: Record) -> Record:
    """Return a record without the options that only say where it ran, so that its label stands for one variant."""
    recipe = record.trial.get("train")
    if not isinstance(recipe, dict):
        return record
    rest = {key: value for key, value in recipe.items() if key not in MACHINE_OPTIONS}
    return record.model_copy(update={"trial": {**record.trial, "train": rest}})


def _judged(t: Tables, margin: float, machines: int) -> Judgement:
    j = judge_all(t, margin)
    if machines < 2:
        return j
    return replace(j, others={name: some for name, some in j.others.items() if name in (*METRIC_TITLES, *COUNTED)})


def different_digests(parts: Sequence[Part]) -> list[str]:
    """Say that data sets of one name differ, so that nothing compares them."""
    names: dict[str, set[str]] = {}
    for part in parts:
        for name in distinct(part.tables.models, lambda r: dig(r.trial, "data", "name")):
            names.setdefault(name, set()).add(part.label)
    return [
        _(
            "{name} is here with {n} different digests (other images, splits, options or folds), which are judged"
            " apart: {labels}.",
            name=name,
            n=len(labels),
            labels=listed(sorted(labels)),
        )
        for name, labels in names.items()
        if len(labels) > 1
    ]


def rows_of(part: Part) -> list[dict[str, Any]]:
    """Return the summary rows of a part, whose measured costs are of all machines and not to be shown."""
    return summarise(part.tables).to_dict("records")
