"""The layout of a folder: its pairs, and their splits and groups."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from unetzoo.data.base import SPLITS
from unetzoo.data.folders.annotations import annotated_pairs
from unetzoo.data.folders.culprits import (
    and_more,
    common_ending,
    report_passed_over,
)
from unetzoo.data.folders.files import READ, UNREAD
from unetzoo.data.folders.pairs import (
    Finding,
    Pairing,
    find_pairs,
)
from unetzoo.data.folders.patterns import files_base, is_deep
from unetzoo.data.folders.reading import Files, groups_of
from unetzoo.data.folders.split_lists import check_lists, read_keys, split_keys
from unetzoo.errors import UnetzooError

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass
class Layout:
    """The files and the splits of a folder.

    Attributes:
        root: Folder of the data.
        files: Where images and masks lie.
        pairing: The pairs, and findings about single files.
        splits: Keys of each split.
        groups: Group of each key that has one.
        sampled_with: What each key was sampled with: its group, or the only stack, whose pages are in all splits.
        fixed: What gives the splits, in words; empty if all are drawn by hash.
        drawn: Splits that are drawn by hash.
        ordered: True if the keys are pages of one stack.
    """

    root: Path
    files: Files
    pairing: Pairing
    splits: dict[str, tuple[str, ...]]
    groups: dict[str, str]
    sampled_with: dict[str, str]
    fixed: str
    drawn: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def split_of(self) -> dict[str, str]:
        """The split of each key, in the order of the splits; the later one of a key that is in two."""
        found: dict[str, str] = {}
        for name, keys in self.splits.items():
            for key in keys:
                found.pop(key, None)
                found[key] = name
        return found


def lay_out(root: Path, files: Files) -> Layout:
    """Find the pairs and split them.

    Args:
        root: Folder of the data.
        files: Where images and masks lie.

    Returns:
        The layout; mistakes in single files are among the findings of ``pairing``.

    Raises:
        UnetzooError: If no images or masks can be found at all.
    """
    pairing, files = (find_pairs(root, files), files) if files.annotations is None else annotated_pairs(root, files)
    groups = _groups(files, pairing)
    sampled_with = groups
    if pairing.stacks == 1 and not any("-" in key for key in pairing.pairs):
        groups = {}  # a single stack is one group, but its pages must be split
        sampled_with = {key: pair.image.stem for key, pair in pairing.pairs.items()}
    given, fixed = _given(root, files, pairing)
    ordered = not given and pairing.stacks == 1 and not groups and len(pairing.pairs) >= 3
    if files.pairs is None and files.annotations is None:
        deep = any(is_deep(p.replace("{split}", "")) for p in (files.images, files.masks))
        report_passed_over(_searched(root, files), pairing, inside=not deep)
    _report_unmatched(root, files, pairing, fixed)
    splits, drawn = split_keys(root, files, pairing, groups, given, fixed, ordered)
    fixed = "pages in order" if ordered else fixed
    return Layout(root, files, pairing, splits, groups, sampled_with, fixed, drawn, ordered)


def _groups(files: Files, pairing: Pairing) -> dict[str, str]:
    """Return the group of each key, by a column of the CSV or by a regular expression on the key.

    Raises:
        UnetzooError: If ``group`` is neither.
    """
    if files.group is None or files.group.lower() in pairing.columns:
        return pairing.groups
    try:
        return groups_of(pairing.pairs, files.group)
    except UnetzooError as error:
        if files.pairs is None:
            raise
        columns = ", ".join(pairing.columns)
        raise UnetzooError(f"{error} and is no column of {files.pairs}, which has {columns}") from None


def _searched(root: Path, files: Files) -> Iterable[Path]:
    """Yield the folders in which files are looked for."""
    for folder in files.splits.values() if files.by_folder else ("",):
        for pattern in (files.images, files.masks):
            path = root / pattern.replace("{split}", folder)
            if is_deep(pattern.replace("{split}", folder)):
                base = files_base(root, pattern.replace("{split}", folder))
                yield from (base, *(p for p in sorted(base.rglob("*/")) if p.is_dir()))
            elif path.is_dir():
                yield path
            elif path.parent != root:  # the folder of the data itself may hold anything
                yield path.parent


def _report_unmatched(root: Path, files: Files, pairing: Pairing, fixed: str) -> None:
    """Report images without masks and the reverse: an error, unless lists say which images are used.

    A missing mask may just have a name that was not understood.
    """
    for missing in ("mask", "image"):
        if paths := [path for what, path in pairing.unmatched if what == missing]:
            stem = files.mask_stem.replace("{stem}", paths[0].stem) if missing == "mask" else paths[0].stem
            text = f"{paths[0]}: has no {missing} with stem {stem!r}{_other_format(root, paths[0])}{and_more(paths)}"
            if fixed and not files.by_folder:
                pairing.findings.append(
                    Finding("warning", f"unmatched {missing}", f"{text}; not used, as no list names it")
                )
            else:
                pairing.error(f"unmatched {missing}", text + _way_out(root, files, pairing) * (missing == "mask"))
    if not pairing.pairs and not any(f.severity == "error" for f in pairing.findings):
        pairing.error("no pairs", "no image has a mask")


def _way_out(root: Path, files: Files, pairing: Pairing) -> str:
    """Return what would pair the files if no image has a mask, or ''."""
    images, masks = ([path for what, path in pairing.unmatched if what == missing] for missing in ("mask", "image"))
    if pairing.pairs or "*" in files.images:
        return ""
    if (ending := common_ending(images, masks)) is None:
        return "; stems must be equal, or masks have a suffix such as _mask; a CSV of image, mask pairs any names"
    pattern = f"{files.images}/*{ending}{images[0].suffix}"
    command = f"unetzoo data check {shlex.quote(str(root))} --images {shlex.quote(pattern)}"
    return f"; all images end in {ending!r}: `{command}` pairs them without it"


def _other_format(root: Path, path: Path) -> str:
    """Return words about a file of the same stem whose format is not read, if the folder of the data has one."""
    same = (other for other in sorted(root.rglob(f"{glob.escape(path.stem)}.*")) if other.is_file())
    other = next((other for other in same if other.suffix.lower() in UNREAD), None)
    return f"; {other.relative_to(root)} has a format that is not read; {READ}" if other else ""


def _given(root: Path, files: Files, pairing: Pairing) -> tuple[dict[str, tuple[str, ...]], str]:
    """Return the splits that folders, a CSV or lists give, and which of these it was."""
    if pairing.split_of:
        given = {s: tuple(k for k in pairing.pairs if pairing.split_of.get(k) == s) for s in SPLITS}
        return {s: keys for s, keys in given.items() if keys}, files.pairs or files.annotations or "folders"
    if not files.splits or files.by_folder:
        return {}, ""
    given = {s: read_keys(root / name, pairing) for s, name in files.splits.items()}
    check_lists({s: root / name for s, name in files.splits.items()}, given, pairing)
    return given, ", ".join(Path(files.splits[s]).name for s in SPLITS if s in files.splits)


def not_read(layout: Layout) -> list[str]:
    """Return the text files beside the data that are not read; a list with an unusual name would be among them."""
    known = {*layout.files.splits.values(), layout.files.pairs, "dataset.toml", "contact_sheet.png", "SHA256SUMS"}
    known |= {"classes.txt", "labelmap.txt", "_classes.csv"}
    names = [path.name for path in sorted(layout.root.iterdir()) if path.suffix.lower() in (".txt", ".csv")]
    return [name for name in names if name not in known and name.lower() not in ("readme.txt", "license.txt")]


def pair_group(keys: Iterable[str]) -> str | None:
    """Return a regular expression for the patient if keys come in pairs of left and right, else None."""
    keys = set(keys)
    for left, right in (("L", "R"), ("_left", "_right"), ("_OS", "_OD")):
        stems = {key.removesuffix(left) for key in keys if key.endswith(left)}
        if len(stems) > 1 and keys == {stem + side for stem in stems for side in (left, right)}:
            return f"(.+?)({left}|{right})$"
    return None
