"""Folders with COCO or labelme files, as annotation tools and public data sets lay them out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from unetzoo.data.base import SPLITS
from unetzoo.data.folders.culprits import folders_in
from unetzoo.data.folders.files import SUFFIXES
from unetzoo.data.folders.json_file import json_kind
from unetzoo.data.folders.pairs import IMAGE_FOLDERS, MASK_FOLDERS, Finding, split_named
from unetzoo.data.folders.reading import Files
from unetzoo.errors import UnetzooError

COCO_FOLDERS = ("annotations", "annotation", "labels")
LABELME_FOLDERS = ("json", "jsons", "labelme", *MASK_FOLDERS)
FIRST = ("instances", "_annotations.coco")  # beginnings of file names that are preferred, as captions lie beside them
LOOKED_AT = 50  # JSON files of a folder in which COCO annotations are looked for
SAMPLE = 5  # JSON files of a folder that are opened to see whether they are labelme's


def guess_annotations(root: Path) -> tuple[Files | None, list[Finding]]:
    """Find COCO or labelme files in a folder that nobody has described.

    Args:
        root: Folder of the data.

    Returns:
        The places of images and annotations, or None if there are none; and remarks.

    Raises:
        UnetzooError: If there are several COCO files and their names do not tell which to read.
    """
    files = sorted(_coco_files(root))
    if preferred := [path for path in files if path.name.lower().startswith(FIRST)]:
        files = preferred
    if not files:
        return _labelme(root), []
    return _coco(root, files)


def annotation_source(path: Path) -> tuple[Path, Files]:
    """Return the folder of the data and the places of images and annotations for one COCO file.

    Args:
        path: The file.
    """
    root = path.parent.parent if path.parent.name.lower() in COCO_FOLDERS else path.parent
    name = path.relative_to(root).as_posix()
    return root, Files(annotations=name, images=_images(root, name, _split_word(path.relative_to(root))))


def _coco_files(root: Path) -> Iterator[Path]:
    """Yield the COCO files in the folder, in annotations/, and in the folders of splits."""
    folders = [root]
    for path in sorted(root.iterdir()):
        if path.is_dir() and (path.name.lower() in COCO_FOLDERS or split_named(path.name)):
            folders += [path, *(p for p in sorted(path.iterdir()) if p.is_dir() and p.name.lower() in COCO_FOLDERS)]
    for folder in folders:
        names = sorted(folder.glob("*.json"), key=lambda path: (not path.name.lower().startswith(FIRST), path.name))
        yield from (path for path in names[:LOOKED_AT] if json_kind(path) == "coco")


def _coco(root: Path, paths: list[Path]) -> tuple[Files, list[Finding]]:
    """Return the places of images and annotations for the COCO files of a folder, one for each split or one for all.

    Raises:
        UnetzooError: If the names of the files do not tell their splits.
    """
    of_split: dict[str, tuple[str, str]] = {}
    rest = []
    for path in paths:
        name = path.relative_to(root)
        word = _split_word(name)
        split = split_named(word.rstrip("0123456789")) if word else None
        if split is None or word is None:
            rest.append(name.as_posix())
        elif split in of_split:
            raise _ambiguous(root, [of_split[split][0], name.as_posix()])
        else:
            of_split[split] = name.as_posix(), word
    if len(of_split) == 1 and not rest:
        name, word = next(iter(of_split.values()))
        return Files(annotations=name, images=_images(root, name, word)), []
    if not of_split or len(rest) + len(of_split) == 1:
        if len(rest) > 1:
            raise _ambiguous(root, rest)
        return Files(annotations=rest[0], images=_images(root, rest[0], None)), []
    patterns = {split: name.replace(word, "{split}") for split, (name, word) in of_split.items()}
    if len(set(patterns.values())) > 1:
        one, other = (of_split[split][0] for split in list(of_split)[:2])
        raise UnetzooError(
            f"{root}: {one} and {other}: the names of the COCO files of splits may differ only in the split; rename one"
        )
    name, word = next(iter(of_split.values()))
    splits = {split: of_split[split][1] for split in SPLITS if split in of_split}
    images = _images(root, name, word).replace(word, "{split}")
    files = Files(annotations=next(iter(patterns.values())), images=images, splits=splits)  # type: ignore[arg-type]
    text = f"COCO files whose names give no split are not read: {', '.join(rest)}"
    return files, [Finding("warning", "not read", text)] if rest else []


def _ambiguous(root: Path, names: list[str]) -> UnetzooError:
    return UnetzooError(
        f"{root}: {names[0]} and {names[1]} both hold COCO annotations; give the path of the one to read, or move the "
        "other away"
    )


def _split_word(name: Path) -> str | None:
    """Return the part of a path that names a split: 'train2017' of annotations/instances_train2017.json."""
    words = [word for part in reversed(name.with_suffix("").parts) for word in re.split(r"[_\-. ]", part)]
    return next((word for word in words if split_named(word.rstrip("0123456789"))), None)


def _images(root: Path, annotations: str, word: str | None) -> str:
    """Return the folder of the images that belong to an annotation file: the first usual place that holds images."""
    beside = Path(annotations).parent
    names = [path.name for path in folders_in(root) if path.name.lower() in IMAGE_FOLDERS]
    places = [f"{name}/{inner}" for name in names for inner in (word, "default", "Default") if inner]
    if word:
        places = [word, *places, f"{word}/images"]
    places += [*names, (beside / "images").as_posix(), beside.as_posix(), Path(annotations).stem]
    return next((place for place in places if _holds_images(root / place)), names[0] if names else ".")


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())


def _labelme(root: Path) -> Files | None:
    """Recognise labelme files beside their images or in a folder of their own, perhaps below train/, val/, test/."""
    inner = {path.name.lower(): path.name for path in folders_in(root)}
    places = [".", *(inner[name] for name in LABELME_FOLDERS if name in inner)]
    places += [inner[name] for name in IMAGE_FOLDERS if name in inner]
    images = next((inner[name] for name in IMAGE_FOLDERS if name in inner), ".")
    for place in places:
        if _is_labelme(root / place):
            beside = _holds_images(root / place) or place == "."
            return Files(annotations=place, images=place if beside else images)
        splits = _splits(root / place)
        if not splits:
            continue
        first = next(iter(splits.values()))
        for below in ("", *LABELME_FOLDERS, *IMAGE_FOLDERS):
            folder = root / place / first / below
            if not _is_labelme(folder):
                continue
            stem = (Path(place) / "{split}").as_posix()
            where = (Path(stem) / below).as_posix()
            others = [f"{stem}/{name}" for name in IMAGE_FOLDERS] + [f"{images}/{{split}}", stem]
            usual = next((w for w in (where, *others) if _holds_images(root / w.replace("{split}", first))), where)
            return Files(annotations=where, images=usual, splits=splits)  # type: ignore[arg-type]
    return None


def _is_labelme(folder: Path) -> bool:
    """Return True if one of the first JSON files of a folder is labelme's."""
    if not folder.is_dir():
        return False
    return any(json_kind(path) == "labelme" for path in sorted(folder.glob("*.json"))[:SAMPLE])


def _splits(folder: Path) -> dict[str, str]:
    """Return the name of the folder of each split, or nothing without one for train."""
    found: dict[str, str] = {}
    for path in folders_in(folder):
        if split := split_named(path.name):
            found.setdefault(split, path.name)
    return {split: found[split] for split in SPLITS if split in found} if "train" in found else {}
