"""Which image belongs to which mask, as a `Files` says."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from unetzoo.data.folders.files import SUFFIXES, count_pages
from unetzoo.data.folders.reading import Files, Pair
from unetzoo.errors import UnetzooError, nearest

Severity = Literal["error", "warning", "note"]
LISTED = 5  # files of one kind of mistake that are named; the rest is counted
SHOWN = 3  # keys or files that a finding names; it counts the others
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Finding:
    """Something a person should know. An error makes the data unusable as it is; ``kind`` is one word for machines."""

    severity: Severity
    kind: str
    text: str


def listed(severity: Severity, kind: str, texts: Sequence[str]) -> list[Finding]:
    """A finding each for the first few texts, and one that counts the others."""
    found = [Finding(severity, kind, text) for text in texts[:LISTED]]
    if len(texts) > LISTED:
        found.append(Finding(severity, kind, f"and {len(texts) - LISTED} more files like this"))
    return found


@dataclass
class Found:
    """Pairs by key; of a CSV or of split folders also what split and group each is of."""

    pairs: dict[str, Pair] = field(default_factory=dict)
    split_of: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    unmatched: list[tuple[str, Path]] = field(default_factory=list)  # "mask" or "image" that is missing, and for what
    findings: list[Finding] = field(default_factory=list)
    stacks: int = 0  # how many files hold several pages

    def error(self, kind: str, text: str) -> None:
        self.findings.append(Finding("error", kind, text))


def find_pairs(root: Path, files: Files) -> Found:
    """Every image with its mask, sorted by key; what is wrong with single files is among the findings.

    Raises `UnetzooError` where a folder or the CSV is not there, or holds no image at all.
    """
    found = Found()
    if files.pairs is not None:
        _read_csv(root, files.pairs, found)
    elif files.by_folder:
        for split, folder in files.splits.items():
            images, masks = (part.replace("{split}", folder) for part in (files.images, files.masks))
            _match(root, images, masks, files.mask_stem, found, prefix=f"{folder}/", split=split)
    else:
        _match(root, files.images, files.masks, files.mask_stem, found)
    found.pairs = dict(sorted(found.pairs.items()))
    return found


def _match(
    root: Path, images: str, masks: str, mask_stem: str, found: Found, prefix: str = "", split: str | None = None
) -> None:
    by_mask = files_by_stem(root, masks, found)
    by_image = files_by_stem(root, images, found, without=set(by_mask.values()))
    if len(by_image) == len(by_mask) == 1 and (root / images).is_file() and (root / masks).is_file():
        by_mask = {mask_stem.replace("{stem}", next(iter(by_image))): next(iter(by_mask.values()))}
    for stem, image in sorted(by_image.items()):
        mask = by_mask.pop(mask_stem.replace("{stem}", stem), None)
        if mask is None:
            found.unmatched.append(("mask", image))
            continue
        alone = (root / images).is_file()
        for key, pair in _pages("" if alone else prefix + stem, image, mask, found):
            found.pairs[key] = pair
            if split is not None:
                found.split_of[key] = split
    found.unmatched += [("image", path) for _, path in sorted(by_mask.items())]


def files_by_stem(root: Path, pattern: str, found: Found, without: set[Path] = frozenset()) -> dict[str, Path]:  # type: ignore[assignment]
    """stem -> file of a folder, of a glob (what its star stands for), or of one file. Hidden files are passed over."""
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
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or file.suffix.lower() not in SUFFIXES or file in without or not file.is_file():
            continue
        if wild and not fnmatch(file.name.lower(), path.name.lower()):
            continue
        match = star.fullmatch(file.name) if star else None
        stem = _normal(Path(match[1]).stem if match and path.name.endswith("*") else match[1] if match else file.stem)
        if stem in by_stem:
            found.error("duplicate stem", f"{file}: stem {stem!r} is taken by {by_stem[stem].name}; remove one of them")
            continue
        by_stem[stem] = file
    if not by_stem:
        raise UnetzooError(f"{path}: no images ({', '.join(SUFFIXES)})")
    return by_stem


def _normal(stem: str) -> str:
    """One spelling of accented letters: file systems and archives disagree about it."""
    return unicodedata.normalize("NFC", stem)


def _pages(stem: str, image: Path, mask: Path, found: Found) -> list[tuple[str, Pair]]:
    """Each page of a stack is an item of its own, ``stem-007``; the pages of one stack are one group."""
    counts = []
    for path in (image, mask):
        try:
            counts.append(count_pages(path))
        except UnetzooError:
            counts.append(1)  # the survey says what is wrong with it
    pages, of_mask = counts
    if pages != of_mask:
        found.error(
            "page count", f"{mask}: {of_mask} page{'s' * (of_mask > 1)}, but its image {image.name} has {pages}"
        )
        return []
    if pages == 1:
        return [(stem or image.stem, Pair(image, mask))]
    found.stacks += 1
    keys = [f"{stem}-{page:03d}" if stem else f"{page:03d}" for page in range(pages)]
    found.groups |= dict.fromkeys(keys, stem)
    return [(key, Pair(image, mask, page)) for page, key in enumerate(keys)]


def _read_csv(root: Path, name: str, found: Found) -> None:
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
    columns = [column.strip().lower() for column in rows.fieldnames or []]
    for column in ("image", "mask"):
        if column not in columns:
            raise UnetzooError(
                f"{path}: no column {column!r}, it has {', '.join(columns) or 'none'}; wanted: image, mask and "
                "optionally split, group"
            )
    by_image: dict[str, tuple[dict[str, str], int]] = {}
    for number, cells in enumerate(rows, start=2):
        row = {k.strip().lower(): (v or "").strip() for k, v in cells.items() if isinstance(k, str)}
        if row["image"] in by_image:
            found.error(
                "csv", f"{path}: line {number}: image {row['image']!r} stands in line {by_image[row['image']][1]}"
            )
        else:
            by_image[row["image"]] = row, number
    if not by_image:
        raise UnetzooError(f"{path}: no rows below its header")
    stems = [Path(image).stem for image in by_image]
    for image, (row, number) in by_image.items():
        at = f"{path}: line {number}"
        files = [_inside(path.parent, row[column], f"{at}: {column}", found) for column in ("image", "mask")]
        if files[0] is None or files[1] is None:
            continue
        stem = Path(image).stem if stems.count(Path(image).stem) == 1 else Path(image).with_suffix("").as_posix()
        split = split_named(row["split"]) if row.get("split") else None
        if row.get("split") and split is None:
            found.error("csv", f"{at}: split {row['split']!r} is none; {nearest(row['split'], SPLIT_NAMES)}")
        for key, pair in _pages(_normal(stem), files[0], files[1], found):
            found.pairs[key] = pair
            if split:
                found.split_of[key] = split
            if row.get("group"):
                found.groups[key] = row["group"]
    if found.split_of and (rest := [key for key in found.pairs if key not in found.split_of]):
        found.error("csv", f"{path}: {rest[0]!r} has no split, others have; give all or none")


def _inside(folder: Path, name: str, at: str, found: Found) -> Path | None:
    """A relative path may not leave the CSV's folder; an absolute one is taken to be meant."""
    path = Path(name).expanduser()
    if not name:
        found.error("csv", f"{at} is empty")
    elif (
        not path.is_absolute() and ".." in path.parts and not (folder / path).resolve().is_relative_to(folder.resolve())
    ):
        found.error("csv", f"{at} {name!r} leaves the folder of the CSV; write an absolute path if that is meant")
    elif not (folder / path).is_file():
        found.error("csv", f"{at} {name!r}: no such file in {folder}")
    else:
        return folder / path
    return None


def split_named(word: str) -> str | None:
    """The split that a folder, a list or a cell means by its name."""
    return next((split for split, names in SPLIT_NAMES.items() if word.lower() in names), None)


def some(words: list[str]) -> str:
    """The first few of them, and how many more there are."""
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


IMAGE_FOLDERS = ("images", "image", "imgs", "img", "img_dir", "jpegimages", "input", "inputs", "photos")
MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "annot", "ann_dir", "gt", "groundtruth"),
    *("ground_truth", "segmentationclass", "targets", "target", "1st_manual", "manual", "segmentations"),
)
LAYOUTS = (
    "layouts that are read: images/ and masks/ (or labels/, annotations/, gt/) with equal stems or a suffix such as "
    "_mask, side by side or in two folders, the same below train/, val/ and test/, trainannot/ beside train/, two "
    "multi-page stacks, a CSV with columns image and mask"
)
