"""Guesses for files without folders of their own: stacks, and images and masks side by side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from unetzoo.data.folders.culprits import files_in
from unetzoo.data.folders.files import SUFFIXES, count_pages, describe_pages, read_stored
from unetzoo.data.folders.pairs import MASK_FOLDERS
from unetzoo.data.folders.patterns import CONTACT_SHEET
from unetzoo.data.folders.reading import Files
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


IMAGE_ENDINGS = ("_img", "_image", "_im", "_raw", "-img", "-image")


LOOKED_AT = 5  # files of each kind that are opened to tell masks from images in one folder


def stacks(root: Path) -> Files | None:
    """Recognise two multi-page files with equal numbers of pages, one of them named like masks."""
    files = [path for path in data_files(root) if _pages(path) > 1]
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


def describe_arrays(root: Path) -> str:
    """Return words about arrays that might be meant as stacks, but are read as one image of many channels."""
    found = []
    for path in data_files(root):
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


def side_by_side(root: Path) -> Files | None:
    """Recognise a.jpg beside a_mask.png, or a.bmp beside a.png."""
    files = data_files(root)
    endings = Counter(ending for path in files if (ending := _mask_word(path.stem)))
    for ending, _ in endings.most_common():
        masks = [path for path in files if path.stem.endswith(ending)]
        others = {path.stem for path in files} - {path.stem for path in masks}
        before = {path.stem.removesuffix(ending) for path in masks}
        numbered = "{,_*}" if any(re.search(re.escape(ending) + r"_\d+$", stem) for stem in others) else ""
        suffix = Counter(path.suffix for path in masks).most_common(1)[0][0]
        for image in ("", *IMAGE_ENDINGS):  # a.png or a_img.png beside a_mask.png
            if any(stem + image in others for stem in before):
                kinds = Counter(p.suffix for p in files if p.stem in {stem + image for stem in before})
                images = f"*{image}{kinds.most_common(1)[0][0]}"
                return Files(images=images, masks=f"*{ending}{numbered}{suffix}")
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


def mask_stem(images: Path, masks: Path) -> str:
    """Return the pattern of a mask's stem: usually that of its image, else with a prefix or a suffix."""
    if not masks.is_dir():
        return "{stem}"
    stems, mask_stems = ({path.stem for path in data_files(folder)} for folder in (images, masks))
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


def data_files(folder: Path) -> list[Path]:
    return [
        path
        for path in files_in(folder)
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.name != CONTACT_SHEET
    ]
