"""The file ``dataset.toml``: a reading that the user can edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unetzoo._util.toml import parse_toml
from unetzoo.data.folders.reading import Reading, Value
from unetzoo.errors import UnetzooError

NAME = "dataset.toml"

HEADER = """\
# This file states how unetzoo reads the data set. `unetzoo data check` wrote it; edit it as needed, then check again.
# Paths are relative to this file's folder.
"""
COMMENTS = {
    "images": "a folder, a glob such as '*.jpg', or a multi-page stack; {split} stands for the folders below [splits]",
    "masks": "the same for the masks",
    "mask_stem": "stem of a mask, given that of its image, such as '{stem}_mask'",
    "pairs": "a CSV with columns image, mask and optionally split, group",
    "joined": "several mask files of an image are 'parts' of one mask, or 'objects', numbered 1, 2, ...",
    "annotations": "a COCO file, or a folder of labelme files, from which the masks are drawn",
    "categories": "the first is drawn as value 1, the second as 2, ...; 0 is background",
    "overlap": "which of two objects is on top: the 'smaller' one, or the 'later' one of the file",
    "channels": "1 takes one channel of grey images that are stored as RGB(A)",
    "range": "stored image values that become 0 and 1",
    "ignore": "stored mask values that are void: neither trained on nor scored",
    "instances": "the values of the masks are instance ids",
    "downscale": "side of the blocks that images are averaged over; masks take each block's centre",
    "group": "a regular expression whose first group in a key, or a column of the CSV, names what must stay in one "
    "split: a patient, a scene",
    "seed": "seed of the split, where no list fixes it",
}
VALUES = """\
# Stored values of each class: numbers, ranges such as '128-255' or '1-', or colours '#rrggbb'. The order of the
# classes gives their indices; foreground = true counts towards the headline score."""
LISTS = "# Lists with one stem per line (or the folders that {split} stands for). Without val, it is taken from train."


def read_reading(path: Path) -> Reading:
    """Read a ``dataset.toml``.

    Args:
        path: The file.

    Returns:
        The reading.

    Raises:
        UnetzooError: If the file cannot be read or is wrong; it names the file, the key, its value and what would be
            right.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnetzooError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnetzooError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return Reading.from_mapping({"name": path.resolve().parent.name, **parse_toml(text, str(path))}, str(path))


def to_toml(reading: Reading, remarks: list[str]) -> str:
    """Return a reading as the text of a ``dataset.toml``, from which `read_reading` restores it.

    Args:
        reading: The reading.
        remarks: Comments for the head of the file.
    """
    printable = ("".join(c if c.isprintable() else " " for c in remark) for remark in remarks)
    lines = [HEADER, *(f"# {remark}" for remark in printable), ""]
    paths = ("pairs",) if reading.pairs else ("images", "masks", "mask_stem")
    if reading.joined != "parts":
        paths += ("joined",)
    if reading.annotations is not None:
        paths = ("images", "annotations", "categories", "overlap")
    if not reading.confirmed:
        lines.append("confirmed = false  # the questions above are open; true once the lines below answer them")
    for key in ("name", *paths, "channels", "range", "ignore", "instances", "downscale", "group", "seed"):
        value = getattr(reading, key)
        comment = f"  # {COMMENTS[key]}" if key in COMMENTS else ""
        lines.append(f"# {key} = ''{comment}" if value is None else f"{key} = {_toml(value)}{comment}")
    lines += [
        f"{key} = {_toml(text)}" for key in ("description", "citation", "terms") if (text := getattr(reading, key))
    ]
    if reading.splits:
        lines += ["", LISTS, "[splits]", *(f"{split} = {_toml(name)}" for split, name in reading.splits.items())]
    lines += ["", VALUES]
    for part in reading.classes:
        lines += ["[[classes]]", f"name = {_toml(part.name)}", f"values = {_toml(part.values)}"]
        lines += [f"foreground = {_toml(part.foreground)}", ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # strings, numbers and booleans of JSON are valid TOML, except for one control character
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def shown_values(values: list[Value]) -> str:
    """Return the first few values, separated by slashes."""
    return "/".join(map(str, values[:6])) + ("/..." if len(values) > 6 else "")
