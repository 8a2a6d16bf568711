"""The manifest in a collection's folder: its data sets and the trials it expects, whether they have run or not."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from unetzoo._util.text import REASON, shortened
from unetzoo.errors import Strict, UnetzooError
from unetzoo.records.record import read_record

MANIFEST = "collection.json"
TAKEN = ("records", "trials", "plots", "prepared", "slurm", "trackers")


def folder_name(label: str) -> str:
    """Return the label if it is a valid folder name on every system.

    Raises:
        ValueError: If it is not, or is a name that the output itself uses.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", label) or label.lower() in TAKEN:
        raise ValueError(
            f"{label!r} names a folder too, so it must be up to 60 letters (a to z), digits, '-' and '_', "
            f"and not {', '.join(TAKEN[:-1])} or {TAKEN[-1]}; give a label that fits"
        )
    return label


class Expected(Strict):
    """A trial that the suite asks for."""

    id: str
    model: str
    seed: int
    baseline: bool = False


class Manifest(Strict):
    """The content of ``collection.json``, which lies beside the data sets' folders ``<label>/``.

    Attributes:
        version: Version of the format.
        name: Name of the collection.
        question: The question it answers.
        data: The expected trials of each data set by its label, in the order of the suite file; none for a data set
            that has never been opened.
    """

    version: Literal[1] = 1
    name: str
    question: str = ""
    data: dict[Annotated[str, AfterValidator(folder_name)], list[Expected]]


class DamagedManifestError(UnetzooError):
    """A ``collection.json`` that is not valid; `unetzoo.bench.run` makes it again."""


def read_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None if the folder is not a collection's.

    Raises:
        DamagedManifestError: If the file is not valid; the message names it.
        UnetzooError: If the file cannot be read.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return Manifest.from_json(content, f"{path}: not a unetzoo collection")
    except UnetzooError as error:
        remedy = "'unetzoo bench' with the collection's suite makes it again"
        raise DamagedManifestError(f"{shortened(str(error), REASON)}; {remedy}") from None


def expected_by_records(folder: Path) -> list[Expected]:
    """Return the trials of a data set's folder that have a readable record, in the order of a suite."""
    found = []
    for path in sorted((folder / "records").glob("*.json")):
        with suppress(UnetzooError, KeyError, TypeError):
            record = read_record(path)
            model, seed = record.trial["model"]["label"], record.trial["seed"]
            found.append(Expected(id=record.id, model=model, seed=seed, baseline=record.baseline))
    return sorted(found, key=lambda trial: (not trial.baseline, trial.seed))
