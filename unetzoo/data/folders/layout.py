"""The layout of a folder that nobody has described, and the splits of its pairs."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetzoo.data.base import SPLITS
from unetzoo.data.folders.annotation_layouts import guess_annotations
from unetzoo.data.folders.annotations import annotated_pairs
from unetzoo.data.folders.files import READ, SUFFIXES, UNREAD, count_pages, describe_pages, read_stored
from unetzoo.data.folders.pairs import (
    IMAGE_FOLDERS,
    LAYOUTS,
    MASK_FOLDERS,
    SPLIT_NAMES,
    Finding,
    Pairing,
    find_pairs,
    split_named,
)
from unetzoo.data.folders.reading import Files, groups_of
from unetzoo.data.splits import SHARE, split, take_val
from unetzoo.errors import UnetzooError

MASK_WORDS = (
    "mask",
    "masks",
    "label",
    "labels",
    "gt",
    "seg",
    "segmentation",
    "1stho",
    "2ndho",
    "manual1",
    "annotation",
    "l",
)
LIST_FOLDERS = ("", "splits", "ImageSets/Segmentation")
LIST_PREFIXES = ("", "suggested_", "split_")
LOOKED_AT = 5  # files of each kind that are opened to tell masks from images in one folder


@dataclass
class Layout:
    """The files and the splits of a folder.

    Attributes:
        root: Folder of the data.
        files: Where images and masks lie.
        pairing: The pairs, and findings about single files.
        splits: Keys of each split.
        groups: Group of each key that has one.
        fixed: What gives the splits, in words; empty if all are drawn by hash.
        drawn: Splits that are drawn by hash.
        ordered: True if the keys are pages of one stack.
    """

    root: Path
    files: Files
    pairing: Pairing
    splits: dict[str, tuple[str, ...]]
    groups: dict[str, str]
    fixed: str
    drawn: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def split_of(self) -> dict[str, str]:
        """The split of each key."""
        return {key: name for name, keys in self.splits.items() for key in keys}


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
    groups = pairing.groups if files.group is None else groups_of(pairing.pairs, files.group)
    if pairing.stacks == 1 and not any("-" in key for key in pairing.pairs):
        groups = {}  # a single stack is one group, but its pages must be split
    given, fixed = _given(root, files, pairing)
    ordered = not given and pairing.stacks == 1 and not groups and len(pairing.pairs) >= 3
    splits, drawn = _splits(root, files, pairing, groups, given, fixed, ordered)
    _report_unmatched(root, pairing, fixed)
    return Layout(root, files, pairing, splits, groups, "pages in order" if ordered else fixed, drawn, ordered)


def _report_unmatched(root: Path, pairing: Pairing, fixed: str) -> None:
    """Report images without masks and the reverse: an error, unless lists say which images are used.

    A missing mask may just have a name that was not understood.
    """
    for missing in ("mask", "image"):
        if paths := [path for what, path in pairing.unmatched if what == missing]:
            more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
            text = f"{paths[0]}: has no {missing} with stem {paths[0].stem!r}{_other_format(root, paths[0])}{more}"
            if fixed:
                pairing.findings.append(
                    Finding("warning", f"unmatched {missing}", f"{text}; not used, as no list names it")
                )
            else:
                pairing.error(f"unmatched {missing}", text)
    if not pairing.pairs and not any(f.severity == "error" for f in pairing.findings):
        pairing.error("no pairs", "no image has a mask")


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
    _check_lists({s: root / name for s, name in files.splits.items()}, given, pairing)
    return given, ", ".join(Path(files.splits[s]).name for s in SPLITS if s in files.splits)


def _splits(
    root: Path,
    files: Files,
    pairing: Pairing,
    groups: Mapping[str, str],
    given: dict[str, tuple[str, ...]],
    fixed: str,
    ordered: bool,
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return the splits, and those of them drawn by hash. After a mistake, which is a finding, splits may be empty."""
    keys, drawn = tuple(pairing.pairs), ()
    try:
        if ordered:  # neighbouring pages are nearly equal
            held = max(1, round(SHARE * len(keys)))
            return dict(zip(SPLITS, (keys[: -2 * held], keys[-2 * held : -held], keys[-held:]), strict=True)), ()
        if not given:
            return split(keys, groups=groups, seed=files.seed), SPLITS
        for name in ("train", "test"):
            if name not in given:
                raise UnetzooError(f"there is no {name} split beside {fixed}; give both train and test")
        if "val" not in given:
            given["train"], given["val"] = take_val(given["train"], groups=groups, seed=files.seed)
            drawn = ("val",)
    except UnetzooError as error:
        pairing.error("split", f"{root}: {error}")
        return {name: given.get(name, () if name != "train" or given else keys) for name in SPLITS}, ()
    if unused := len(keys) - sum(map(len, given.values())):
        pairing.findings.append(Finding("warning", "unused", f"{unused} pairs are in no split of {fixed}: not used"))
    return {name: given[name] for name in SPLITS}, drawn


def read_keys(path: Path, pairing: Pairing) -> tuple[str, ...]:
    """Read the keys in a list file, whose lines are stems, file names or, as SegNet's, "image mask".

    Args:
        path: File of the list.
        pairing: The pairs; unknown lines are added to its findings.

    Returns:
        The keys in the order of the file.

    Raises:
        UnetzooError: If the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UnetzooError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnetzooError(f"{path}: cannot be read: {error}") from None
    known = pairing.pairs
    without_mask = {image.stem for missing, image in pairing.unmatched if missing == "mask"}
    keys, strange = [], []
    for line in (line.strip() for line in lines):
        if not line:
            continue
        key = next((name for name in _meant(line) if name in known), None)
        if key is None:
            strange.append(line)
        else:
            keys.append(key)
    if strange:
        more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
        what = "an image but no mask" if strange[0] in without_mask else "no image"
        pairing.error("list", f"{path}: {strange[0]!r} has {what}{more}")
    return tuple(keys)


def _meant(line: str) -> Iterable[str]:
    """Yield the possible meanings of a line, most literal first."""
    for word in (line, line.split()[0]):
        path = Path(word)
        bare = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
        yield from (word, bare.as_posix(), bare.name)


def _check_lists(paths: Mapping[str, Path], given: dict[str, tuple[str, ...]], pairing: Pairing) -> None:
    where: dict[str, str] = {}
    for name, keys in given.items():
        if not keys and not any(f.text.startswith(f"{paths[name]}:") for f in pairing.findings):
            pairing.error("list", f"{paths[name]}: is empty")
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            pairing.error("list", f"{paths[name]}: {twice[0]!r} is listed twice")
            given[name] = tuple(dict.fromkeys(keys))
        if both := [key for key in given[name] if key in where]:
            more = f" (and {len(both) - 1} more)" if len(both) > 1 else ""
            pairing.error("list", f"{paths[name]}: {both[0]!r} is also in {paths[where[both[0]]].name}{more}")
            given[name] = tuple(key for key in given[name] if key not in where)
        where |= dict.fromkeys(given[name], name)


def guess_files(root: Path) -> tuple[Files, list[Finding]]:
    """Guess where images and masks lie in a folder that nobody has described.

    Args:
        root: Folder of the data.

    Returns:
        The files, and findings about them.

    Raises:
        UnetzooError: If there is no such folder, or its layout is not known.
    """
    if not root.is_dir():
        raise UnetzooError(f"{root}: no such folder")
    if (root / "pairs.csv").is_file():
        return Files(pairs="pairs.csv"), []
    where = _folders(root) or _split_folders(root) or _stacks(root) or _side_by_side(root)
    annotated, remarks = _annotated(root, where)
    if annotated is not None:
        lists = annotated.splits if annotated.by_folder else _lists(root)
        files, more = _use_val_as_test(annotated.model_copy(update={"splits": lists}), "file")
        return files, [*remarks, *more]
    if where is None:
        there = [
            p.name for p in sorted(root.iterdir()) if p.is_dir() and p.name.lower() in IMAGE_FOLDERS + MASK_FOLDERS
        ]
        what = f"there is only {there[0]}/, without its counterpart" if there else "no images with masks were found"
        raise UnetzooError(f"{root}: {what}{_arrays(root)}; {LAYOUTS}")
    if "{split}" in where.images:
        files, more = _use_val_as_test(where, "folder")
    else:
        files, more = _use_val_as_test(where.model_copy(update={"splits": _lists(root)}), "list")
    return files, [*remarks, *more]


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


def _folders(root: Path) -> Files | None:
    """Recognise images/ and masks/, under any of their usual names; each may hold train/, val/ and test/."""
    names = {p.name.lower(): p.name for p in sorted(root.iterdir()) if p.is_dir()}
    images = next((names[name] for name in IMAGE_FOLDERS if name in names), None)
    masks = next((names[name] for name in MASK_FOLDERS if name in names), None)
    if images is None or masks is None:
        return None
    if not _files(root / images) and (splits := _split_names(root / images)):
        inner = next(iter(splits.values()))
        stem = _mask_stem(root / images / inner, root / masks / inner)
        return Files(images=f"{images}/{{split}}", masks=f"{masks}/{{split}}", mask_stem=stem, splits=splits)
    return Files(images=images, masks=masks, mask_stem=_mask_stem(root / images, root / masks))


def _split_folders(root: Path) -> Files | None:
    """Recognise train/, val/ and test/, each with images and masks in it, or with a trainannot/ beside it."""
    splits = _split_names(root)
    if not splits:
        return None
    first = next(iter(splits.values()))
    if (inner := _folders(root / first)) is not None:
        where = {"images": f"{{split}}/{inner.images}", "masks": f"{{split}}/{inner.masks}"}
        return Files(**where, mask_stem=inner.mask_stem, splits=splits)
    for between in ("", "_", "-"):
        for word in MASK_FOLDERS:
            if (root / f"{first}{between}{word}").is_dir():
                masks = f"{{split}}{between}{word}"
                stem = _mask_stem(root / first, root / masks.replace("{split}", first))
                return Files(images="{split}", masks=masks, mask_stem=stem, splits=splits)
    inner = _side_by_side(root / first)
    if inner is None:
        return None
    where = {"images": f"{{split}}/{inner.images}", "masks": f"{{split}}/{inner.masks}"}
    return Files(**where, mask_stem=inner.mask_stem, splits=splits)


def _split_names(folder: Path) -> dict[str, str]:
    """Return the name of the folder of each split, or nothing without one for train."""
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (name := split_named(path.name)) and any(path.iterdir()):
            found.setdefault(name, path.name)
    return {name: found[name] for name in SPLITS if name in found} if "train" in found else {}


def _stacks(root: Path) -> Files | None:
    """Recognise two multi-page files with equal numbers of pages, one of them named like masks."""
    files = [path for path in _files(root) if _pages(path) > 1]
    masks = [path for path in files if _mask_word(path.stem) or path.stem.lower() in MASK_FOLDERS]
    if len(masks) != 1:
        return None
    head = masks[0].stem.lower()[:5]  # so that train-labels goes with train-volume, not with test-volume
    images = [path for path in files if path != masks[0] and _pages(path) == _pages(masks[0])] or [
        path for path in files if path != masks[0]
    ]
    if not images:
        return None
    image = max(images, key=lambda path: path.stem.lower().startswith(head))
    return Files(images=image.name, masks=masks[0].name)


def _arrays(root: Path) -> str:
    """Return words about arrays that might be meant as stacks, but are read as one image of many channels."""
    found = []
    for path in _files(root):
        if path.suffix.lower() in (".npy", ".npz"):
            with suppress(UnetzooError):
                found.append(f"{path.name}{describe_pages(path)}")
    if not found:
        return ""
    text = "read as one image each; a stack of grey pages (N, H, W) is clear as (N, 1, H, W): save array[:, None]"
    return f": {', '.join(found[:4])} {text}"


def _pages(path: Path) -> int:
    try:
        return count_pages(path)
    except UnetzooError:
        return 1


def _side_by_side(root: Path) -> Files | None:
    """Recognise a.jpg beside a_mask.png, or a.bmp beside a.png."""
    files = _files(root)
    endings = Counter(ending for path in files if (ending := _mask_word(path.stem)))
    for ending, _ in endings.most_common():
        masks = [path for path in files if path.stem.endswith(ending)]
        others = {path.stem for path in files} - {path.stem for path in masks}
        if any(path.stem.removesuffix(ending) in others for path in masks):
            kinds = Counter(p.suffix for p in files if p.stem in {m.stem.removesuffix(ending) for m in masks})
            return Files(images=f"*{kinds.most_common(1)[0][0]}", masks=f"*{ending}{masks[0].suffix}")
    suffixes = Counter(path.suffix for path in files)
    if len(suffixes) < 2:
        return None
    (one, _), (other, _) = suffixes.most_common(2)
    both = sorted({p.stem for p in files if p.suffix == one} & {p.stem for p in files if p.suffix == other})
    if not both:
        return None
    fewest = {suffix: _values([root / f"{stem}{suffix}" for stem in both[:LOOKED_AT]]) for suffix in (one, other)}
    masks, images = sorted((one, other), key=lambda suffix: (fewest[suffix], suffix))
    return Files(images=f"*{images}", masks=f"*{masks}")


def _values(paths: Iterable[Path]) -> float:
    """Return the mean number of different values in the files; masks hold few."""
    counts = []
    for path in paths:
        try:
            counts.append(len(np.unique(read_stored(path).pixels)))
        except UnetzooError:
            continue
    return float(np.mean(counts)) if counts else np.inf


def _mask_stem(images: Path, masks: Path) -> str:
    """Return the pattern of a mask's stem: usually that of its image, else with a prefix or a suffix."""
    if not masks.is_dir():
        return "{stem}"
    stems, mask_stems = ({path.stem for path in _files(folder)} for folder in (images, masks))
    if stems & mask_stems or not stems:
        return "{stem}"
    ways = Counter(m.replace(s, "{stem}", 1) for s in sorted(stems)[: 4 * LOOKED_AT] for m in mask_stems if s in m)
    return min(ways, key=lambda way: (-ways[way], len(way), way)) if ways else "{stem}"


def _mask_word(stem: str) -> str | None:
    """Return the suffix that marks a mask: '_mask' of 'a_mask', '-labels' of 'train-labels'."""
    for i, letter in enumerate(reversed(stem)):
        if letter in "_-. ":
            return stem[len(stem) - i - 1 :] if stem[len(stem) - i :].lower() in MASK_WORDS else None
    return None


def _files(folder: Path) -> list[Path]:
    return [
        path
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]


def not_read(layout: Layout) -> list[str]:
    """Return the text files beside the data that are not read; a list with an unusual name would be among them."""
    known = {*layout.files.splits.values(), layout.files.pairs, "dataset.toml", "contact_sheet.png", "SHA256SUMS"}
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
