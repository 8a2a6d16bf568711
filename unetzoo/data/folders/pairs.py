"""Matching images and masks, as described by a `Files`."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from unetzoo._util.paths import check_utf8, user_path
from unetzoo.data.folders.culprits import files_in, inner_folders, unread_words
from unetzoo.data.folders.files import SUFFIXES, count_pages, describe_pages
from unetzoo.data.folders.patterns import BRACES, CONTACT_SHEET, alternatives, deep_files, is_deep
from unetzoo.data.folders.reading import Files, Pair
from unetzoo.errors import UnetzooError, nearest

Severity = Literal["error", "warning", "note"]
LISTED = 5  # files with the same mistake that are named; the rest are counted
SHOWN = 3  # keys or files that a finding names; the rest are counted
LEAK = "duplicate across splits"  # kind of the findings that dropping from training settles
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Finding:
    """A remark about the data for a person.

    Attributes:
        severity: An "error" makes the data unusable as they are.
        kind: Kind of the finding, in one or a few fixed words for machines.
        text: The remark, in one line.
    """

    severity: Severity
    kind: str
    text: str


def listed(severity: Severity, kind: str, texts: Sequence[str]) -> list[Finding]:
    """Return one finding for each of the first ``LISTED`` texts, and one that counts the others.

    Args:
        severity: Severity of the findings.
        kind: Kind of the findings.
        texts: Their texts.
    """
    found = [Finding(severity, kind, text) for text in texts[:LISTED]]
    if len(texts) > LISTED:
        found.append(Finding(severity, kind, f"and {len(texts) - LISTED} more files like this"))
    return found


@dataclass
class Pairing:
    """The pairs that were found.

    Attributes:
        pairs: Files of each key.
        split_of: Split of each key, if a CSV or folders give it.
        groups: Group of each key, if a CSV or stacks give it.
        unmatched: What is missing, "mask" or "image", and the file that lacks it.
        findings: Mistakes in single files.
        stacks: Number of images that are stacks of several pages.
        columns: Columns of the CSV, if there is one, in lower case.
    """

    pairs: dict[str, Pair] = field(default_factory=dict)
    split_of: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    unmatched: list[tuple[str, Path]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    stacks: int = 0
    columns: list[str] = field(default_factory=list)

    def error(self, kind: str, text: str) -> None:
        """Add an error to the findings."""
        self.findings.append(Finding("error", kind, text))

    def warn(self, kind: str, text: str) -> None:
        """Add a warning to the findings."""
        self.findings.append(Finding("warning", kind, text))


def find_pairs(root: Path, files: Files) -> Pairing:
    """Match every image with its mask.

    Args:
        root: Folder of the data.
        files: Where images and masks lie.

    Returns:
        The pairs, sorted by key; mistakes in single files are among the findings.

    Raises:
        UnetzooError: If a folder or the CSV does not exist or holds no images, or a file name is not UTF-8.
    """
    pairing = Pairing()
    if files.pairs is not None:
        _read_csv(root, files.pairs, files.group, pairing)
    elif files.by_folder:
        for split, folder in files.splits.items():
            images, masks = (part.replace("{split}", folder) for part in (files.images, files.masks))
            _match(root, images, masks, files.mask_stem, files.joined, pairing, prefix=f"{folder}/", split=split)
    else:
        _match(root, files.images, files.masks, files.mask_stem, files.joined, pairing)
    pairing.pairs = dict(sorted(pairing.pairs.items()))
    for path in [file for pair in pairing.pairs.values() for file in (pair.image, pair.mask)]:
        check_utf8(path)
    for _, path in pairing.unmatched:
        check_utf8(path)
    return pairing


def _match(
    root: Path,
    images: str,
    masks: str,
    mask_stem: str,
    joined: str,
    pairing: Pairing,
    prefix: str = "",
    split: str | None = None,
) -> None:
    by_mask = files_by_key(root, masks, pairing)
    by_image = files_by_key(root, images, pairing, without={path for paths in by_mask.values() for path in paths})
    if len(by_image) == len(by_mask) == 1 and (root / images).is_file() and (root / masks).is_file():
        by_mask = {_mask_key(mask_stem, next(iter(by_image))): next(iter(by_mask.values()))}
    alone = (root / images).is_file()
    for stem, of_image in sorted(by_image.items()):
        of_mask = by_mask.pop(_mask_key(mask_stem, stem), None)
        if of_mask is None:
            pairing.unmatched.append(("mask", of_image[0]))
            continue
        name = "" if alone else prefix + stem
        if len(of_image) > 1 or len(of_mask) > 1 or alternatives(images) or joined == "objects":
            found = _several(name, of_image, of_mask, (images, masks), joined, pairing)
        else:
            found = _pages(name, of_image[0], of_mask[0], pairing)
        for key, pair in found:
            pairing.pairs[key] = pair
            if split is not None:
                pairing.split_of[key] = split
    pairing.unmatched += [("image", paths[0]) for _, paths in sorted(by_mask.items())]


def _mask_key(mask_stem: str, key: str) -> str:
    """Return the key of an image's mask; only the last part of a key is a stem."""
    folder, slash, stem = key.rpartition("/")
    return folder + slash + mask_stem.replace("{stem}", stem)


def files_by_key(
    root: Path,
    pattern: str,
    pairing: Pairing,
    without: set[Path] = frozenset(),  # type: ignore[assignment]
) -> dict[str, list[Path]]:
    """Return the files of each key, whichever kind of pattern it is; see `files_by_stem` and `deep_files`."""
    if is_deep(pattern):
        return deep_files(root, pattern, without)
    return {stem: [path] for stem, path in files_by_stem(root, pattern, pairing, without).items()}


def _several(
    key: str, images: list[Path], masks: list[Path], patterns: tuple[str, str], joined: str, pairing: Pairing
) -> list[tuple[str, Pair]]:
    """Return the pair of several files, or nothing after a mistake."""
    channels = len(alternatives(patterns[0])) or 1
    if len(images) != channels:
        names = ", ".join(path.name for path in images[:LISTED])
        what = f"{len(images)} files ({names}), but {channels} {'is' if channels == 1 else 'are'} needed"
        pairing.error("files", f"{images[0]}: the image {key!r} has {what} by images = {patterns[0]!r}")
        return []
    if len(masks) > 1 and not BRACES.search(patterns[1]):
        names = ", ".join(path.name for path in masks[:LISTED])
        pairing.error("duplicate stem", f"{masks[1]}: {key!r} has {len(masks)} masks ({names}); remove all but one")
        return []
    return [(key, Pair(images[0], masks[0], None, tuple(images[1:]), tuple(masks[1:]), joined == "objects"))]


def files_by_stem(root: Path, pattern: str, pairing: Pairing, without: set[Path] = frozenset()) -> dict[str, Path]:  # type: ignore[assignment]
    """Return the image files of a folder, of a glob, or a single file, by stem. Hidden files are skipped.

    Args:
        root: Folder of the data.
        pattern: A folder, a glob or a file, relative to ``root``; the stem in a glob is what its star stands for.
        pairing: Two files with one stem are added to its findings.
        without: Files to leave out.

    Returns:
        File of each stem.

    Raises:
        UnetzooError: If there is no such folder or file, or no image in it.
    """
    path = root / pattern
    if path.is_file():
        return {_normal(path.stem): path}
    wild = any(c in path.name for c in "*?[")
    folder = path.parent if wild else path
    if not folder.is_dir():
        raise UnetzooError(f"{path}: no such folder or file; {LAYOUTS}")
    star = None
    if wild and path.name.count("*") == 1:
        before, after = path.name.split("*")
        star = re.compile(re.escape(before) + "(.*)" + re.escape(after), re.IGNORECASE)
    by_stem: dict[str, Path] = {}
    for file in files_in(folder):
        if file.name.startswith(".") or file.suffix.lower() not in SUFFIXES or file in without:
            continue
        if file.name == CONTACT_SHEET:
            continue
        if wild and not fnmatch(file.name.lower(), path.name.lower()):
            continue
        match = star.fullmatch(file.name) if star else None
        stem = _normal(Path(match[1]).stem if match and path.name.endswith("*") else match[1] if match else file.stem)
        if stem in by_stem:
            pairing.error(
                "duplicate stem", f"{file}: stem {stem!r} is taken by {by_stem[stem].name}; remove one of them"
            )
            continue
        by_stem[stem] = file
    if not by_stem:
        inner = inner_folders(folder)
        hint = f"; but there are in {next(iter(inner)).name}/: '{pattern}/**' reads folders inside" if inner else ""
        raise UnetzooError(f"{path}: there are no images ({', '.join(SUFFIXES)}){unread_words(folder)}{hint}")
    return by_stem


def _normal(stem: str) -> str:
    """Return one spelling of accented letters; file systems and archives disagree about it."""
    return unicodedata.normalize("NFC", stem)


def _pages(stem: str, image: Path, mask: Path, pairing: Pairing) -> list[tuple[str, Pair]]:
    """Return the pairs of two files: each page of a stack is an item, ``stem-007``, and its pages are one group."""
    counts = []
    for path in (image, mask):
        try:
            counts.append(count_pages(path))
        except UnetzooError:
            counts.append(1)  # the survey will report what is wrong with it
    pages, of_mask = counts
    if pages != of_mask:
        shapes = [describe_pages(path) if count > 1 else "" for path, count in ((mask, of_mask), (image, pages))]
        text = f"{of_mask} page{'s' * (of_mask > 1)}{shapes[0]}, but its image {image.name} has {pages}{shapes[1]}"
        pairing.error("page count", f"{mask}: {text}")
        return []
    if pages == 1:
        return [(stem or image.stem, Pair(image, mask))]
    pairing.stacks += 1
    keys = [f"{stem}-{page:03d}" if stem else f"{page:03d}" for page in range(pages)]
    pairing.groups |= dict.fromkeys(keys, stem)
    return [(key, Pair(image, mask, page)) for page, key in enumerate(keys)]


def _read_csv(root: Path, name: str, group: str | None, pairing: Pairing) -> None:
    """Read the pairs of a CSV. ``group`` is the column of the groups if it names one."""
    path = root / name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UnetzooError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnetzooError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    lines = text.splitlines()
    header = lines[0] if lines else ""
    rows = csv.DictReader(lines, delimiter=next((c for c in ",;\t" if c in header), ","))
    try:
        columns = [column.strip().lower() for column in rows.fieldnames or []]
    except csv.Error as error:
        raise UnetzooError(f"{path}: line 1: cannot be read as CSV: {error}") from None
    for column in ("image", "mask"):
        if column not in columns:
            raise UnetzooError(
                f"{path}: no column {column!r} among {', '.join(columns) or 'none'}; the columns must be image, mask "
                "and optionally split, group"
            )
    pairing.columns = columns
    grouped_by = group.lower() if group is not None and group.lower() in columns else "group"
    by_image: dict[str, tuple[dict[str, str], int]] = {}
    for number, cells in _numbered(rows, path):
        row = {k.strip().lower(): (v or "").strip() for k, v in cells.items() if isinstance(k, str)}
        row |= {column: _with_slashes(path.parent, row[column]) for column in ("image", "mask")}
        if row["image"] in by_image:
            pairing.error(
                "csv", f"{path}: line {number}: image {row['image']!r} is already in line {by_image[row['image']][1]}"
            )
        else:
            by_image[row["image"]] = row, number
    if not by_image:
        raise UnetzooError(f"{path}: no rows below its header")
    stems = Counter(Path(image.replace("\\", "/")).stem for image in by_image)
    for image, (row, number) in by_image.items():
        at = f"{path}: line {number}"
        files = [_inside(path.parent, row[column], f"{at}: {column}", pairing) for column in ("image", "mask")]
        if files[0] is None or files[1] is None:
            continue
        image = image.replace("\\", "/") if not (path.parent / image).is_file() else image
        stem = Path(image).stem if stems[Path(image).stem] == 1 else Path(image).with_suffix("").as_posix()
        split = split_named(row["split"]) if row.get("split") else None
        if row.get("split") and split is None:
            pairing.error("csv", f"{at}: split {row['split']!r} is unknown; {nearest(row['split'], SPLIT_NAMES)}")
        for key, pair in _pages(_normal(stem), files[0], files[1], pairing):
            pairing.pairs[key] = pair
            if split:
                pairing.split_of[key] = split
            if row.get(grouped_by):
                pairing.groups[key] = row[grouped_by]
    wrong = [finding.text for finding in pairing.findings if finding.kind == "csv"]
    rest_of = [finding for finding in pairing.findings if finding.kind != "csv"]
    pairing.findings = [*rest_of, *listed("error", "csv", wrong)]
    if pairing.split_of and (rest := [key for key in pairing.pairs if key not in pairing.split_of]):
        pairing.error("csv", f"{path}: {rest[0]!r} has no split, but others have one; give it to all or to none")


def _numbered(rows: csv.DictReader[str], path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number and the cells of each line below the header.

    Raises:
        UnetzooError: If a line is not CSV, such as one with a cell of more than 131,072 characters.
    """
    try:
        yield from enumerate(rows, start=2)
    except csv.Error as error:
        raise UnetzooError(f"{path}: line {rows.line_num + 1}: cannot be read as CSV: {error}") from None


def _with_slashes(folder: Path, name: str) -> str:
    """Return a path with the backslashes of Windows replaced, if that names a file and the path as written does not."""
    replaced = name.replace("\\", "/")
    return replaced if replaced != name and not (folder / name).exists() and (folder / replaced).is_file() else name


def _inside(folder: Path, name: str, at: str, pairing: Pairing) -> Path | None:
    """Return the path of an existing file, or None after a mistake. Only an absolute path may leave the folder."""
    path = user_path(name)
    if not name:
        pairing.error("csv", f"{at} is empty")
    elif (
        not path.is_absolute() and ".." in path.parts and not (folder / path).resolve().is_relative_to(folder.resolve())
    ):
        pairing.error("csv", f"{at} {name!r} leaves the folder of the CSV; write an absolute path if that is intended")
    elif not (folder / path).is_file():
        hint = "; it has the backslashes of Windows: write it with /, from the CSV's folder" if "\\" in name else ""
        pairing.error("csv", f"{at} {name!r}: no such file in {folder}{hint}")
    else:
        return folder / path
    return None


def split_named(word: str) -> str | None:
    """Return the split that a folder, a list or a cell means by ``word``, or None."""
    return next((split for split, names in SPLIT_NAMES.items() if word.lower() in names), None)


def some(words: list[str]) -> str:
    """Return the first ``SHOWN`` words and the number of the others."""
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


IMAGE_FOLDERS = ("images", "image", "imgs", "img", "img_dir", "jpegimages", "input", "inputs", "photos")
MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "annot", "ann_dir", "gt", "groundtruth"),
    *("ground_truth", "segmentationclass", "targets", "target", "1st_manual", "manual", "segmentations"),
)
LAYOUTS = (
    "supported layouts: images/ and masks/ (or labels/, annotations/, gt/) with equal stems or a suffix such as "
    "_mask, side by side or in two folders, the same below train/, val/ and test/, trainannot/ beside train/, two "
    "multi-page stacks, a CSV with columns image and mask, COCO or labelme annotations"
)
