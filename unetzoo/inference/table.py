"""The account of a folder of predictions: the model, the options, and the share of each class in each image."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from unetzoo._util.atomic import write_atomic
from unetzoo._util.spreadsheet import safe_cell, stored_cell
from unetzoo.errors import UnetzooError
from unetzoo.inference.images import Item

RUN, ROWS = "predictions.json", "predictions.csv"


class Table:
    """The files ``predictions.json`` and ``predictions.csv``, with one row per image: pixels and share of each class.

    Args:
        folder: Folder of the predictions, which is created if it is missing.
        description: Model, options and classes, the content of ``predictions.json``.
        classes: Names of the classes.
        anew: Forget predictions made with another description, instead of raising.

    Attributes:
        description: The content of ``predictions.json``, to which facts may be added; `write` stores them.

    Raises:
        UnetzooError: If the folder cannot be used, or holds predictions with another description and ``anew`` is not
            set.
    """

    def __init__(self, folder: Path, description: dict[str, Any], classes: Sequence[str], *, anew: bool) -> None:
        self.path = folder / ROWS
        self.columns = ["mask", "image", "page", "height", "width", "seconds"]
        self.columns += [f"{name} {what}" for what in ("pixels", "share") for name in classes]
        self.rows: dict[str, dict[str, str]] = {}
        try:
            if (folder / RUN).exists():
                other = _difference(folder / RUN, description)
                if other and not anew:
                    raise UnetzooError(
                        f"{folder}: holds predictions of {other}; choose another --out, or replace them by --overwrite"
                    )
                if not other:
                    self.rows = self._read()
                    description = {**json.loads((folder / RUN).read_text()), **description}
            folder.mkdir(parents=True, exist_ok=True)
            self.description = description
            self.write()
        except OSError as error:
            raise UnetzooError(f"{folder}: cannot be used: {error.strerror}") from None

    def write(self) -> None:
        """Write both files, with one row per mask; `add` alone leaves outdated rows of masks predicted again.

        Raises:
            UnetzooError: If a file cannot be written.
        """
        rows = ([row[column] for column in self.columns] for row in self.rows.values())
        try:
            write_atomic(self.path.with_name(RUN), json.dumps(self.description, indent=1) + "\n")
            write_atomic(self.path, _csv([self.columns, *rows]))
        except OSError as error:
            raise UnetzooError(f"{self.path}: cannot be written: {error.strerror}") from None

    def has(self, mask: str, item: Item) -> bool:
        """Return True if ``mask`` is in the table as the mask of ``item``."""
        row = self.rows.get(mask)
        return row is not None and (row["image"], row["page"]) == _key(item)

    def add(self, mask: str, item: Item, shape: tuple[int, ...], seconds: float, pixels: Sequence[int]) -> None:
        """Append a row; only that line is written, so that thousands of images do not write thousands of tables."""
        shares = [f"{count / sum(pixels):.6f}" for count in pixels]
        row = [mask, *_key(item), *map(str, shape), f"{seconds:.3f}", *map(str, pixels), *shares]
        self.rows[mask] = dict(zip(self.columns, row, strict=True))
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(_csv([row]))

    def _read(self) -> dict[str, dict[str, str]]:
        """Read the last row of each mask, without lines that were cut off."""
        if not self.path.exists():
            return {}
        with self.path.open(newline="", encoding="utf-8") as file:
            lines = [[stored_cell(cell) for cell in line] for line in csv.reader(file)]
        if not lines or lines[0] != self.columns:
            return {}
        rows = [dict(zip(self.columns, line, strict=True)) for line in lines[1:] if len(line) == len(self.columns)]
        return {row["mask"]: row for row in rows}


def _key(item: Item) -> tuple[str, str]:
    return str(item.path.resolve()), "" if item.page is None else str(item.page)


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([map(safe_cell, row) for row in rows])
    return text.getvalue()


def _difference(path: Path, description: dict[str, Any]) -> str:
    """Describe how the existing predictions differ from ``description``; '' if they do not."""
    try:
        there = json.loads(path.read_text())
        model, options = there["model"], there["options"]
    except (ValueError, KeyError, TypeError):
        return f"an unknown model ({path.name} cannot be read)"
    if model["digest"] != description["model"]["digest"]:
        return f"another model ({model['name']}, {model['digest']})"
    changed = [f"{key} = {value}" for key, value in options.items() if description["options"].get(key, value) != value]
    return f"other options ({', '.join(changed)})" if changed else ""
