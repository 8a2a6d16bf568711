"""A guess where images and masks lie in a folder that nobody has described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from unetzoo.data.base import SPLITS
from unetzoo.data.folders.annotation_layouts import guess_annotations
from unetzoo.data.folders.culprits import folders_in, inner_folders, unread_words
from unetzoo.data.folders.guess_files import data_files, describe_arrays, mask_stem, side_by_side, stacks
from unetzoo.data.folders.known_layouts import DIAGNOSES, folder_an_item, folder_group, known_layout, left_out
from unetzoo.data.folders.layout import NOTHING
from unetzoo.data.folders.pairs import (
    IMAGE_FOLDERS,
    LAYOUTS,
    MASK_FOLDERS,
    SPLIT_NAMES,
    Finding,
    Pairing,
    files_by_key,
    find_pairs,
    split_named,
)
from unetzoo.data.folders.patterns import image_files
from unetzoo.data.folders.reading import Files
from unetzoo.data.folders.split_lists import LIST_FOLDERS, LIST_PREFIXES
from unetzoo.errors import UnetzooError


def guess_files(root: Path, chosen: Mapping[str, str] = NOTHING) -> tuple[Files, list[Finding]]:
    """Guess where images and masks lie in a folder that nobody has described.

    Args:
        root: Folder of the data.
        chosen: Folder or pattern of "images" and of "masks", where the user names them.

    Returns:
        The files, and findings about them.

    Raises:
        UnetzooError: If there is no such folder, its layout is not known, or two folders could hold the masks.
    """
    if not root.is_dir():
        raise UnetzooError(f"{root}: no such folder")
    if (root / "pairs.csv").is_file() and not chosen:
        return Files(pairs="pairs.csv"), []
    if any(c in pattern for pattern in chosen.values() for c in "*{/"):
        splits = _split_names(root) if "{split}" in chosen.get("images", "") else {}
        return Files(**chosen, splits=splits), []
    found: list[Finding] = []
    where, ambiguous = None, None
    try:
        where, found = _where(root, chosen)
    except UnetzooError as error:
        ambiguous = error
    annotated, remarks = _annotated(root, where)
    if annotated is not None and not chosen and ambiguous is None:
        lists = annotated.splits if annotated.by_folder else _lists(root)
        files, more = _use_val_as_test(annotated.model_copy(update={"splits": lists}), "file")
        return files, [*remarks, *more]
    if ambiguous is not None:
        raise ambiguous
    if where is None:
        there = [p.name for p in folders_in(root) if p.name.lower() in IMAGE_FOLDERS + MASK_FOLDERS]
        what = f"there is only {there[0]}/, without its counterpart" if there else "no images with masks were found"
        raise UnetzooError(
            f"{root}: {what}{_only_outlines(root)}{describe_arrays(root)}{unread_words(root)}; {LAYOUTS}"
        )
    if where.group is not None:
        text = (
            f"a folder each of images: group = {where.group!r} keeps a folder in one split, as those of a patient must"
        )
        found.append(Finding("note", "group", text))
    if "{split}" in where.images:
        where, without_masks = _with_masks(root, where)
        found += without_masks
    if "{split}" in where.images:
        where, more = _use_val_as_test(where, "folder")
    else:
        where, more = _use_val_as_test(where.model_copy(update={"splits": _lists(root)}), "list")
    return where, [*found, *remarks, *more]


def _where(root: Path, chosen: Mapping[str, str]) -> tuple[Files | None, list[Finding]]:
    """Return where images and masks lie in any layout of files, or None, and findings."""
    if not chosen and (known := known_layout(root)):
        return known
    where = _folders(root, chosen) or _split_folders(root, chosen) or stacks(root) or side_by_side(root)
    return where or _nested(root), []


def _only_outlines(root: Path) -> str:
    """Say what to do with cellpose's files, if there are any."""
    if any(root.glob("*_seg.npy")):
        return (
            " (cellpose's _seg.npy holds pickled objects, which are not read for safety: save the masks as _masks.tif)"
        )
    return ""


def _with_masks(root: Path, files: Files) -> tuple[Files, list[Finding]]:
    """Leave out folders of a split that have images but no masks; without a test set, all splits are drawn."""
    splits, findings = {}, []
    for name, folder in files.splits.items():
        images, masks = (root / pattern.replace("{split}", folder) for pattern in (files.images, files.masks))
        if name == "train" or _any_file(root, masks):
            splits[name] = folder
        else:
            findings.append(left_out(root / folder if (root / folder).is_dir() else images, _any_file(root, images)))
    if set(splits) != {"train"}:
        return files.model_copy(update={"splits": splits}), findings
    texts = {"images": files.images, "masks": files.masks, "group": files.group}
    found = {key: text.replace("{split}", splits["train"]) for key, text in texts.items() if text}
    if files.group:
        found["group"] = folder_group()
    return files.model_copy(update={**found, "splits": {}}), findings


def _any_file(root: Path, pattern: Path) -> int:
    """Return the number of files that match a pattern; 0 if there is no such folder."""
    try:
        return len(files_by_key(root, pattern.relative_to(root).as_posix(), Pairing()))
    except UnetzooError:
        return 0


def _annotated(root: Path, where: Files | None) -> tuple[Files | None, list[Finding]]:
    """Return the annotations from which masks are drawn, unless there are masks too, and findings about them."""
    problem = None
    try:
        files, findings = guess_annotations(root)
    except UnetzooError as error:
        files, findings, problem = None, [], error
    if files is None and problem is None:
        return None, []
    try:
        masks = where is not None and bool(find_pairs(root, where).pairs)
    except UnetzooError:
        masks = False
    if masks and files is not None:
        text = f"{root / str(files.annotations)}: is not read, as there are masks; give its path to read it instead"
        return None, [Finding("warning", "annotations", text)]
    if problem is not None and not masks:
        raise problem
    return files, findings


def _use_val_as_test(files: Files, what: str) -> tuple[Files, list[Finding]]:
    """Make val the test set where only train and val are given, as results are customarily reported on val."""
    splits = files.splits
    if set(splits) != {"train", "val"}:
        return files, []
    text = (
        f"there is no test {what}: {splits['val']} becomes the test set, and a validation set is taken from "
        f"{splits['train']}, so that results are reported on images that no choice was based on"
    )
    splits = {"train": splits["train"], "test": splits["val"]}
    return files.model_copy(update={"splits": splits}), [Finding("warning", "no test split", text)]


def _lists(root: Path) -> dict[str, str]:
    """Return the list file of each split, from the first folder and with the first prefix that has any."""
    for folder in LIST_FOLDERS:
        for prefix in LIST_PREFIXES:
            found = {}
            for name, words in SPLIT_NAMES.items():
                paths = (Path(folder) / f"{prefix}{word}.txt" for word in words)
                if path := next((p for p in paths if (root / p).is_file()), None):
                    found[name] = path.as_posix()
            if found:
                return found
    return {}


def _folders(root: Path, chosen: Mapping[str, str] = NOTHING) -> Files | None:
    """Recognise images/ and masks/, under any of their usual names; each may hold train/, val/ and test/."""
    images, masks = _candidate(root, "images", IMAGE_FOLDERS, chosen), _candidate(root, "masks", MASK_FOLDERS, chosen)
    if images is None or masks is None:
        return None
    if not data_files(root / images) and (splits := _split_names(root / images)):
        inner = next(iter(splits.values()))
        stem = mask_stem(root / images / inner, root / masks / inner)
        deep = _inside(root / images / inner, root / masks / inner)
        return Files(
            images=f"{images}/{{split}}{deep}", masks=f"{masks}/{{split}}{deep}", mask_stem=stem, splits=splits
        )
    stem = mask_stem(root / images, root / masks)
    deep = _inside(root / images, root / masks)
    files = Files(images=images + deep, masks=masks + deep, mask_stem=stem)
    many = len(inner_folders(root / images)) >= 3 and not data_files(root / images)
    return files.model_copy(update={"group": folder_group() if deep and many else None})


def _candidate(root: Path, what: str, known: Sequence[str], chosen: Mapping[str, str]) -> str | None:
    """Return the folder of the images or of the masks, the chosen one or the only one that holds files, or None.

    Raises:
        UnetzooError: If two could be meant.
    """
    folders = folders_in(root)
    if what in chosen:
        return next((p.name for p in folders if p.name == chosen[what]), None)
    there = sorted((p for p in folders if p.name.lower() in known), key=lambda p: known.index(p.name.lower()))
    full = [p for p in there if next(image_files(p), None) is not None]
    if len(full) > 1:
        names = " and ".join(f"{p.name}/" for p in full)
        raise UnetzooError(
            f"{root}: {names} could each hold the {what}; choose: `unetzoo data check DATA --{what} {full[0].name}` "
            f"writes it to dataset.toml; in a suite, options = {{ {what} = {full[0].name!r} }}"
        )
    return next((p.name for p in full or there), None)


def _inside(images: Path, masks: Path) -> str:
    """Return '/**' if a folder inside one of the two is inside the other as well, else ''."""
    ours, theirs = ({p.name for p in inner_folders(folder)} for folder in (images, masks))
    return "/**" if ours & theirs else ""


def _nested(root: Path) -> Files | None:
    """Recognise folders that each hold images and masks side by side, such as those of patients."""
    folders = [p for p in inner_folders(root) if not p.name.startswith(".")]
    guesses = Counter((f.images, f.masks) for p in folders if (f := side_by_side(p)) is not None)
    if not guesses:
        return None
    (images, masks), count = guesses.most_common(1)[0]
    if count <= len(folders) / 2:
        return None
    group = None if len(folders) < 3 or {p.name.lower() for p in folders} <= DIAGNOSES else folder_group()
    return Files(images=f"**/{images}", masks=f"**/{masks}", group=group)


def _split_folders(root: Path, chosen: Mapping[str, str] = NOTHING) -> Files | None:
    """Recognise train/, val/ and test/, each with images and masks in it, or with a trainannot/ beside it."""
    splits = _split_names(root)
    if not splits:
        return None
    first = next(iter(splits.values()))
    inner = _folders(root / first, chosen) or folder_an_item(root / first) or _nested(root / first)
    if inner is not None and "{split}" not in inner.images:
        where = {"images": f"{{split}}/{inner.images}", "masks": f"{{split}}/{inner.masks}"}
        group = folder_group("{split}") if inner.group else None
        return Files(**where, mask_stem=inner.mask_stem, joined=inner.joined, group=group, splits=splits)
    for between in ("", "_", "-"):
        for word in MASK_FOLDERS:
            if (root / f"{first}{between}{word}").is_dir():
                masks = f"{{split}}{between}{word}"
                stem = mask_stem(root / first, root / masks.replace("{split}", first))
                return Files(images="{split}", masks=masks, mask_stem=stem, splits=splits)
    inner = side_by_side(root / first)
    if inner is None:
        return None
    where = {"images": f"{{split}}/{inner.images}", "masks": f"{{split}}/{inner.masks}"}
    return Files(**where, mask_stem=inner.mask_stem, splits=splits)


def _split_names(folder: Path) -> dict[str, str]:
    """Return the name of the folder of each split, or nothing without one for train."""
    found: dict[str, str] = {}
    for path in folders_in(folder):
        if (name := split_named(path.name)) and any(path.iterdir()):
            found.setdefault(name, path.name)
    return {name: found[name] for name in SPLITS if name in found} if "train" in found else {}
