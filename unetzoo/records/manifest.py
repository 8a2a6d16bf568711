"""What the folder of a collection says of itself: its data sets and trials, whether they have run or not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from unetzoo.errors import Strict, UnetzooError

MANIFEST = "collection.json"
TAKEN = ("records", "trials", "plots")


def folder_name(label: str) -> str:
    """The label, if a folder can have its name on every system; else raises `ValueError`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", label) or label.lower() in TAKEN:
        raise ValueError(
            f"{label!r} names a folder too: up to 60 letters (a to z), digits, '-' and '_', "
            f"and not {', '.join(TAKEN[:-1])} or {TAKEN[-1]}; give a label that is one"
        )
    return label


class Expected(Strict):
    """A trial that the suite asks for."""

    id: str
    model: str
    seed: int
    baseline: bool = False


class Manifest(Strict):
    """Lies as ``collection.json`` beside the folders ``<label>/``, in the order of the suite's file.

    A data set that has never been opened has no trials here.
    """

    version: Literal[1] = 1
    name: str
    question: str = ""
    data: dict[Annotated[str, AfterValidator(folder_name)], list[Expected]]


def read_manifest(folder: Path) -> Manifest | None:
    """None where the folder is not a collection's. Raises `UnetzooError` naming the file where it is not sound."""
    path = folder / MANIFEST
    try:
        return Manifest.from_json(path.read_bytes(), f"{path}: not a unetzoo collection")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnetzooError(f"{path}: cannot be read: {error.strerror}") from None
