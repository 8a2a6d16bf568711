"""Files that a layout passes over, named with what to do about them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unetzoo.data.folders.files import SUFFIXES

if TYPE_CHECKING:
    from unetzoo.data.folders.pairs import Pairing

NAMED = 3  # files of a kind that are named; the rest are counted
BESIDE = (
    ".txt",
    ".csv",
    ".json",
    ".xml",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".db",
    ".ini",
    ".html",
    ".pdf",
    ".py",
    ".log",
)
CONVERT = "convert them, for example to PNG"


def unread_suffixes(folder: Path) -> dict[str, list[Path]]:
    """Return the files in a folder whose suffix is not read, by suffix; text files and hidden ones do not count."""
    found: dict[str, list[Path]] = {}
    for path in files_in(folder):
        suffix = path.suffix.lower()
        if path.name.startswith(".") or suffix in SUFFIXES or suffix in BESIDE:
            continue
        found.setdefault(suffix, []).append(path)
    return found


def unread_words(folder: Path) -> str:
    """Describe the files in a folder that are not read, as '; 3 files are .webp, which is not read', or ''."""
    kinds = unread_suffixes(folder)
    counts = (
        f"{len(p)} file{'s are' if len(p) > 1 else ' is'} {suffix or 'without suffix'}" for suffix, p in kinds.items()
    )
    return f"; {', '.join(counts)}, which is not read: {CONVERT}" if kinds else ""


def inner_folders(folder: Path) -> dict[Path, int]:
    """Return the folders in a folder that hold image files, and the number of these."""
    if not folder.is_dir():
        return {}
    found = {}
    for inner in (path for path in folders_in(folder) if not path.name.startswith(".")):
        if count := sum(p.suffix.lower() in SUFFIXES and not p.name.startswith(".") for p in inner.rglob("*")):
            found[inner] = count
    return found


def files_in(folder: Path) -> list[Path]:
    """Return the files in a folder, sorted by name, without a look at each; nothing if there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = {entry.name for entry in entries if entry.is_file()}
    return sorted((path for path in folder.iterdir() if path.name in names), key=lambda path: path.name)


def _links(folder: Path) -> list[Path]:
    """Return the links in a folder, sorted by name; nothing if there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [folder / name for name in sorted(entry.name for entry in entries if entry.is_symlink())]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without a look at each of many files."""
    with os.scandir(folder) as entries:
        return [folder / name for name in sorted(entry.name for entry in entries if entry.is_dir())]


def report_passed_over(folders: Iterable[Path], pairing: Pairing, *, inside: bool) -> None:
    """Add findings about dangling links, suffixes that are not read, and folders inside the folders of the data.

    Args:
        folders: The folders in which images and masks are looked for.
        pairing: The pairs; a file that one without a counterpart was waiting for is an error, others are warnings.
        inside: Report folders inside, too.
    """
    waiting = {path.stem for _, path in pairing.unmatched}
    for folder in dict.fromkeys(folders):
        for path in _links(folder):
            if not path.exists() and not path.name.startswith("."):
                text = f"{path}: a link to {path.readlink()}, which does not exist; mend or remove it"
                pairing.error("dangling link", text)
        for suffix, paths in unread_suffixes(folder).items():
            missed = [path for path in paths if path.stem in waiting] or paths
            text = f"{missed[0]}: {suffix or 'a file without suffix'} is not read{and_more(missed)}; {CONVERT}"
            if missed[0].stem in waiting:
                pairing.error("suffix", text)
            else:
                pairing.warn("suffix", text)
        if inside and (inner := inner_folders(folder)):
            first, count = next(iter(inner.items()))
            more = and_more(list(inner))
            text = (
                f"{first}: a folder inside with {count} image{'s' * (count > 1)}, which are not read{more}; if they "
                f"belong to the data, set images = '{folder.name}/**' (and masks likewise) in dataset.toml"
            )
            pairing.warn("folders inside", text)


def and_more(paths: Sequence[Path]) -> str:
    """Return ' (and 7 more: b.png, c.png, ...)' for the paths after the first, or ''."""
    if len(paths) < 2:
        return ""
    names = [path.name for path in paths[1:NAMED]]
    dots = ", ..." if len(paths) > NAMED else ""
    return f" (and {len(paths) - 1} more: {', '.join(names)}{dots})"


def common_ending(images: Sequence[Path], masks: Sequence[Path]) -> str | None:
    """Return the ending that all images have beyond the stems of their masks, such as '_0000' or '.ome', or None."""
    stems = {path.stem for path in masks}
    endings = set()
    for path in images:
        stem = next((path.stem[:n] for n in range(len(path.stem) - 1, 0, -1) if path.stem[:n] in stems), None)
        if stem is None:
            return None
        endings.add(path.stem.removeprefix(stem))
    return endings.pop() if len(endings) == 1 else None
