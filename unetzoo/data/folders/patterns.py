"""Patterns of files that reach into folders, or join several files to one image or mask.

A star stands for part of the key, ``**`` for any number of folders, which are part of it too. ``{*}`` is any text that
is not part of the key, and ``{a,b}`` is one of several texts: the files that differ in it alone belong to one item.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path

from unetzoo.data.folders.files import SUFFIXES
from unetzoo.errors import UnetzooError

CONTACT_SHEET = "contact_sheet.png"  # written by `unetzoo data check`, perhaps beside the images
BRACES = re.compile(r"\{([^{}/]*)\}")
TOKENS = re.compile(r"\*\*|\*|\{[^{}/]*\}")


def is_deep(pattern: str) -> bool:
    """Return True if a pattern has braces, or a star in one of its folders."""
    *folders, last = pattern.split("/")
    return bool(BRACES.search(pattern)) or last == "**" or any("*" in folder for folder in folders)


def alternatives(pattern: str) -> tuple[str, ...]:
    """Return the texts in the braces of a pattern, in order; () without braces or for ``{*}``."""
    match = next((m for m in BRACES.finditer(pattern) if m[1] != "*"), None)
    return tuple(match[1].split(",")) if match else ()


def deep_files(root: Path, pattern: str, without: Collection[Path] = ()) -> dict[str, list[Path]]:
    """Return the image files that match a pattern, by key.

    Args:
        root: Folder that the pattern is relative to.
        pattern: The pattern; if its last part names no star, it is a folder.
        without: Files to leave out.

    Returns:
        The files of each key, in the order of the texts in braces, then by name.

    Raises:
        UnetzooError: If no file matches.
    """
    base, parts = _base(root, pattern)
    expression, whole = _expression(parts)
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in image_files(base):
        match = expression.fullmatch(path.relative_to(base).as_posix())
        if match is None or path in without:
            continue
        key, rank = _key(match, whole)
        found.setdefault(key or path.stem, []).append((rank, path))
    if not found:
        raise UnetzooError(f"{root / pattern}: matches no images ({', '.join(SUFFIXES)})")
    return {key: [path for _, path in sorted(files)] for key, files in sorted(found.items())}


def image_files(folder: Path) -> Iterator[Path]:
    """Yield the image files in a folder and in the folders inside, sorted; hidden ones are skipped."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(here, name)
            if (
                not name.startswith(".")
                and name != CONTACT_SHEET
                and path.suffix.lower() in SUFFIXES
                and path.is_file()
            ):
                yield path


def files_base(root: Path, pattern: str) -> Path:
    """Return the folder below which a pattern looks for files.

    Raises:
        UnetzooError: If there is no such folder.
    """
    return _base(root, pattern)[0]


def _base(root: Path, pattern: str) -> tuple[Path, list[str]]:
    """Return the folder before the first special part, and the parts from there on."""
    parts = pattern.split("/")
    first = next((i for i, part in enumerate(parts) if "*" in part or BRACES.search(part)), len(parts))
    first = min(first, len(parts))
    if first == len(parts):
        parts = [*parts, "*"]
    folder = root / "/".join(parts[:first]) if pattern[:1] != "/" else Path("/", *parts[:first])
    if not folder.is_dir():
        raise UnetzooError(f"{folder}: no such folder")
    rest = parts[first:]
    last = rest[-1]
    if last == "**" or not ("*" in last or BRACES.search(last) or Path(last).suffix.lower() in SUFFIXES):
        rest = [*rest, "*"]
    return folder, rest


def _expression(parts: list[str]) -> tuple[re.Pattern[str], bool]:
    """Return a regular expression with a group ``k...`` for each part of the key, and ``a...`` for texts in braces.

    The second value is True if the last star runs to the end of the name, whose suffix is then no part of the key.
    """
    text, count = "", 0
    for number, part in enumerate(parts):
        if part == "**":
            text += f"(?:(?P<k{number}_{count}>.*)/)?"
            count += 1
            continue
        position = 0
        for token in TOKENS.finditer(part):
            text += re.escape(part[position : token.start()])
            position = token.end()
            if token[0] in ("*", "**"):
                text += f"(?P<k{number}_{count}>[^/]*)"
            elif token[0] == "{*}":
                text += "[^/]*"
            else:
                words = token[0][1:-1].split(",")
                choices = ("".join("[^/]*" if c == "*" else re.escape(c) for c in word) for word in words)
                text += "(?:" + "|".join(f"(?P<a{i}_{count}>{c})" for i, c in enumerate(choices)) + ")"
            count += 1
        text += re.escape(part[position:]) + ("/" if number < len(parts) - 1 else "")
    return re.compile(text, re.IGNORECASE), parts[-1].endswith("*")


def _key(match: re.Match[str], whole: bool) -> tuple[str, int]:
    """Return the key of a file, and the number of its text in braces."""
    by_part: dict[int, str] = {}
    rank = 0
    for name, text in match.groupdict().items():
        number = int(name[1 : name.index("_")])
        if text is None:
            continue
        if name[0] == "a":
            rank = number
        else:
            by_part[number] = by_part.get(number, "") + text
    words = [by_part[number] for number in sorted(by_part)]
    if whole and words:
        words[-1] = str(Path(words[-1]).with_suffix("")) if words[-1] else ""
    return unicodedata.normalize("NFC", "/".join(word for word in words if word)), rank
