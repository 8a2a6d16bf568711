"""The page of all entries: paper, cost, topology, and the code each is known to match.

The same registry and measurements give the same bytes, and nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from unetzoo._util.atomic import write_atomic
from unetzoo.errors import UnetzooError
from unetzoo.gallery.drawing import draw_topology
from unetzoo.gallery.exports import export_table, exported, read_checks
from unetzoo.gallery.measured import EntryMeasurements, Ratio
from unetzoo.gallery.timeline import cited, timeline
from unetzoo.models.entry import FAMILIES, PROOFS, Entry
from unetzoo.report.page import render
from unetzoo.report.words import DASH, MIB, fields, number, words

MEASUREMENTS = "entries.jsonl"  # one line per entry
COMPARED = ("golden", "live", "transcribed")  # proofs that compared outputs with the reference's
TIMES = "\u00d7"
SCANS = "state-space/README.md"  # beside the page's folder: time and memory of the selective scan by its length
NOISY = 0.20  # a time ratio is marked if its (p90 - p10) / median is above this


def read_measurements(folder: Path) -> dict[str, EntryMeasurements]:
    """Read the measured measurements by entry; empty if there is no file yet.

    Args:
        folder: Folder of the page.

    Raises:
        UnetzooError: If a line of the file is broken.
    """
    path = folder / MEASUREMENTS
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    found = [EntryMeasurements.from_json(line, f"{path}: line {i}") for i, line in enumerate(lines, 1) if line]
    return {measurements.name: measurements for measurements in found}


def write_measurements(folder: Path, measurements: Mapping[str, EntryMeasurements]) -> None:
    """Write the measurements to ``folder``, sorted by name; the file is replaced whole or not at all."""
    lines = (measurements[name].model_dump_json(exclude_defaults=True) for name in sorted(measurements))
    write_atomic(folder / MEASUREMENTS, "".join(f"{line}\n" for line in lines))


def write_zoo(
    folder: Path, entries: Mapping[str, Entry], measurements: Mapping[str, EntryMeasurements], parity: bool
) -> Path:
    """Write ``index.html``, ``README.md`` and ``drawings/`` for the entries that have measurements.

    Args:
        folder: Folder of the page.
        entries: All registered entries, in the order of the page's families.
        measurements: Measured measurements by entry.
        parity: Link to a ``parity.md`` in the same folder.

    Returns:
        The path of the page.

    Raises:
        UnetzooError: If the folder cannot be written, or a line of its checks of exports is broken.
    """
    drawings = {name: draw_topology(found.topology) for name, found in measurements.items() if found.topology}
    checks = read_checks(folder)
    rows = [
        _row(entry, measurements[name], drawings.get(name)) | {"export": exported(checks, name)}
        for name, entry in entries.items()
        if name in measurements
    ]
    families = [
        {"name": family, "what": what, "rows": sorted(own, key=lambda row: (row["year"] or 9999, row["name"]))}
        for family, what in FAMILIES.items()
        if (own := [row for row in rows if row["family"] == family])
    ]
    context = {
        "title": "The zoo",
        "question": "Which U-Nets are there, what does each cost, and is each the network that its name claims?",
        "answer": _answer(rows, len(families)),
        "families": families,
        "measured": sorted(
            {
                fields(found.environment) or ""
                for name, found in measurements.items()
                if found.environment and name in entries
            }
        ),
        "proofs": PROOFS,
        "proven": _proven(rows),
        "scans": (folder.parent / SCANS).is_file(),
        "failures": [row for row in rows if row["failed"]],
        "parity": parity,
        "absent": _many(len(entries) - len(rows), "registered network") if len(entries) > len(rows) else None,
        "mib": MIB,
        "timeline": timeline(entries[row["name"]] for row in rows),
        "exports": export_table(checks, [row["name"] for family in families for row in family["rows"]]),
    }
    try:
        kept = {folder / "drawings" / _file(name): drawings[name] for name in drawings if name in entries}
        for path, drawing in kept.items():
            write_atomic(path, drawing)
        for path in set((folder / "drawings").glob("*.svg")) - set(kept):
            path.unlink()
        for name, template in (("README.md", "zoo.md.j2"), ("index.html", "zoo.html.j2")):
            write_atomic(folder / name, render(template, context, "zoo_conventions.txt.j2", package="unetzoo.gallery"))
    except OSError as error:
        raise UnetzooError(f"{folder}: cannot write the page: {error.strerror or error}") from None
    return folder / "index.html"


def _row(entry: Entry, measurements: EntryMeasurements, drawing: str | None) -> dict[str, Any]:
    memory, reference = measurements.memory, entry.reference
    return {
        "name": entry.name,
        "family": entry.family,
        "note": entry.note,
        "diff": [f"{option} {words(base)} → {words(here)}" for option, (base, here) in entry.diff.items()],
        "deviations": entry.deviations,
        "year": entry.paper.year if entry.paper else None,
        "cited": cited(entry.paper) if entry.paper else DASH,
        "paper": entry.paper,
        "encoder": f"{cited(entry.encoder_paper)} {entry.encoder_paper.year}" if entry.encoder_paper else None,
        "encoder_link": entry.encoder_paper.link if entry.encoder_paper else None,
        "params": measurements.parameters,
        "macs": measurements.macs,
        "train": memory.train.total if memory else None,
        "train_images": measurements.train_images,
        "infer": memory.infer.total if memory else None,
        "side": measurements.side,
        "ratio": measurements.ratio,
        "time": _time(measurements.ratio),
        "drawing": Markup(drawing) if drawing else None,  # noqa: S704 (made by `draw_topology`, which escapes names)
        "file": Markup(_file(entry.name)),  # noqa: S704 (letters, digits and ._- only)
        "code": reference.code if reference else None,
        "proof": reference.proof if reference else None,
        "compared": bool(reference and reference.proof in COMPARED),
        "failed": measurements.failed,
    }


def _time(ratio: Ratio | None) -> tuple[str, str]:
    """Format median and percentiles, with a '~' if the rounds disagree."""
    if ratio is None:
        return DASH, ""
    noisy = "~" if (ratio.p90 - ratio.p10) / ratio.median > NOISY else ""
    return f"{noisy}{_three(ratio.median)} {TIMES}", f"{_three(ratio.p10)} to {_three(ratio.p90)}"


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _answer(rows: list[dict[str, Any]], families: int) -> list[str]:
    years = sorted({row["year"] for row in rows if row["year"]})
    compared, known = (sum(bool(row[key]) for row in rows) for key in ("compared", "proof"))
    transcribed = sum(row["proof"] == "transcribed" for row in rows)
    when = " to ".join(str(year) for year in years[:: len(years) - 1 or 1])
    sentences = [
        f"{_many(len(rows), 'network')} in {_many(families, 'family')}, {when}.",
        f"{compared} give the outputs of their reference code with the same parameters, {transcribed} of them those of "
        "our transcription of it"
        + (f"; for {known - compared} more only the parameter count was compared." if known > compared else "."),
    ]
    sentences += _span(rows, "params", lambda row: f"{number(row['params'], 2, 1e6)} M", "parameters")
    sentences += _span(rows, "ratio", lambda row: row["time"][0], "the time of unet's forward pass")
    return sentences


def _proven(rows: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    """Return each kind of proof, the number of networks that have it, and what it says."""
    none = "not compared: an ablation, a combination of ours, or no public code is known; its row says what differs"
    kinds = {**PROOFS, "none": none}
    return [(kind, sum((row["proof"] or "none") == kind for row in rows), what) for kind, what in kinds.items()]


def _many(count: int, word: str) -> str:
    return (
        f"{count} {word}" if count == 1 else f"{count} {word.removesuffix('y')}{'ies' if word.endswith('y') else 's'}"
    )


def _span(rows: list[dict[str, Any]], key: str, format_value: Any, what: str) -> list[str]:
    """Return a sentence on the least and the most, or nothing for fewer than two values."""
    known = [row for row in rows if row[key]]
    if len(known) < 2:
        return []
    ends = [end(known, key=lambda row: _value(row[key])) for end in (min, max)]
    return [
        "From {} ({}) to {} ({}) {}.".format(*(part for row in ends for part in (format_value(row), row["name"])), what)
    ]


def _value(value: float | Ratio) -> float:
    return value.median if isinstance(value, Ratio) else value


def _file(name: str) -> str:
    """Return the file name of an entry's drawing; a name unfit for a file gets a hash, so that no two collide."""
    if re.fullmatch(r"[\w-][\w.-]*", name, re.ASCII):
        return f"{name}.svg"
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.svg"
