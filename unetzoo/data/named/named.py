"""Named data sets: found below ``UNETZOO_DATA`` or a root of one's own, split by their rules, and fetched on demand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from unetzoo.data.base import SPLITS, SegmentationDataset
from unetzoo.data.folders.file_dataset import FileDataset
from unetzoo.data.folders.files import read_stored
from unetzoo.data.folders.reading import Pair, Reading, groups_of
from unetzoo.data.named.catalogue import CATALOGUE
from unetzoo.data.named.download import Progress, fetch
from unetzoo.data.named.entry import NamedSet, contiguous
from unetzoo.data.named.layout import Found, Layout, Splits, candidates
from unetzoo.data.named.unpack import unpack
from unetzoo.data.registry import register_dataset
from unetzoo.data.splits import take_val
from unetzoo.errors import UnetzooError, nearest

UNPACKED = ".unpacked"  # the ending of an empty file that stands for an archive that is done with


@dataclass(frozen=True)
class Place:
    """Where a data set lies, in which layout, and how it is split."""

    root: Path
    layout: Layout
    pairs: Mapping[str, Pair]
    views: Mapping[str, Path]
    splits: Splits
    groups: Mapping[str, str]
    drawn: tuple[str, ...]  # the splits that no list and no rule fixes


class NamedDataset(FileDataset):
    """A `FileDataset` in which all that lies outside an image's field of view is void, where it has one."""

    def __init__(self, entry: NamedSet, place: Place, *, downscale: int | None = None) -> None:
        self._views = place.views
        self.drawn, self.test_is_fixed = place.drawn, entry.test_is_fixed
        reading = entry.reading.model_copy(
            update={"description": f"{entry.reading.description}. Masks: {entry.masks}."}
        )
        if downscale is not None:
            reading = Reading.model_validate(reading.model_dump() | {"downscale": downscale})
        super().__init__(reading, place.pairs, place.splits, place.groups)

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        image, mask = super().read(key)
        if key in self._views:
            factor = self.reading.downscale
            view = read_stored(self._views[key]).pixels[0][factor // 2 :: factor, factor // 2 :: factor]
            if view.shape != mask.shape:
                raise UnetzooError(f"{self._views[key]}: the field of view is {view.shape}, its image {mask.shape}")
            mask[view == 0] = self.info.ignore_index
        return image, mask


def entry(name: str) -> NamedSet:
    if name not in CATALOGUE:
        raise UnetzooError(f"{name!r} is no named data set with files; {nearest(name, CATALOGUE)}")
    return CATALOGUE[name]


def default_root(entry: NamedSet) -> Path | None:
    """``$UNETZOO_DATA/<folder>``; None where the variable is not set."""
    base = os.environ.get("UNETZOO_DATA")
    return Path(base).expanduser() / entry.folder if base else None


def locate(entry: NamedSet, root: Path | None = None) -> Place:
    """Find the files and split them, without opening an image. Raises `UnetzooError` that tells where to put them."""
    root = root or default_root(entry)
    if root is None:
        raise UnetzooError(
            f"data set {entry.name!r} is not at hand: set UNETZOO_DATA to a folder that holds {entry.folder}/, or give "
            f"root; `unetzoo data info {entry.name}` tells what it must hold, `unetzoo data get {entry.name}` how to "
            f"get it"
        )
    if not root.is_dir():
        raise UnetzooError(f"{root}: no such folder (data set {entry.name!r}; try `unetzoo data get {entry.name}`)")
    try:
        for folder, layout in _held(entry, root):
            if found := layout.find(folder, entry.unusable):
                return _split(entry, folder, layout, found)
    except OSError as error:
        raise UnetzooError(f"{error.filename or root}: cannot be read: {error.strerror or error}") from None
    if entry.prepare and entry.prepare.found(root):
        raise UnetzooError(
            f"{root}: holds the official files; they are read after `unetzoo data get {entry.name} --out {root}`"
        )
    words = "; or ".join(layout.words for layout in entry.layouts)
    raise UnetzooError(f"{root}: does not hold data set {entry.name!r}, which is {words}")


def _held(entry: NamedSet, root: Path) -> Iterator[tuple[Path, Layout]]:
    """Where which layout may lie. Below official files that are still to be prepared nothing is looked for."""
    raw = _is_raw(entry, root)
    for folder in [root] if raw else candidates(root):
        yield from ((folder, layout) for layout in entry.layouts)


def _split(entry: NamedSet, root: Path, layout: Layout, found: Found) -> Place:
    splits = dict(found.splits)
    if not splits and entry.rule:
        splits = {split: tuple(keys) for split, keys in entry.rule(found.pairs).items()}
    groups = groups_of(found.pairs, entry.reading.group)
    drawn: tuple[str, ...] = ()
    if splits and "val" not in splits:
        try:
            splits["train"], splits["val"] = take_val(splits["train"], groups=groups)
        except UnetzooError as error:
            raise UnetzooError(f"{root}: {error}") from None
        drawn = ("val",)
    return Place(root, layout, found.pairs, found.views, {s: splits[s] for s in SPLITS if s in splits}, groups, drawn)


def get(
    name: str,
    out: Path | None = None,
    *,
    progress: Callable[[str], Progress] = lambda file: lambda done, size: None,
    say: Callable[[str], None] = lambda line: None,
) -> Place:
    """Fetch a data set from its official place into ``out`` (default: where it is looked for), and unpack it.

    What is there already is not fetched again. ``progress(file)`` gives what is called while it comes. Raises
    `UnetzooError` where its terms or its archive's kind do not allow it, telling what to do by hand instead.
    """
    found = entry(name)
    target = out or default_root(found)
    if target is None:
        raise UnetzooError(f"data get {name}: where to? Give --out DIR, or set UNETZOO_DATA")
    try:
        if not _is_there(found, target):
            if not _is_raw(found, target):
                _bring(found, target, progress, say)
            if found.prepare and _is_raw(found, target):
                say(f"making images/ and masks/ of {found.prepare.words}")
                found.prepare.run(target)
    except OSError as error:  # the disk, or a damaged image
        raise UnetzooError(f"{error.filename or target}: {error.strerror or error}") from None
    return locate(found, target)


def _bring(found: NamedSet, target: Path, progress: Callable[[str], Progress], say: Callable[[str], None]) -> None:
    if found.by_hand:
        raise UnetzooError(f"{found.name} is not fetched: " + found.by_hand.format(target=target))
    target.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target / ".get.lock")
    try:
        with lock.acquire(timeout=0):
            marks = [target / (remote.file + UNPACKED) for remote in found.remotes]
            for remote, mark in zip(found.remotes, marks, strict=True):
                if mark.exists():
                    continue
                if remote.checksum is None:
                    say(f"{remote.file}: no published checksum is known: not verified, its sha256 is kept beside it")
                archive = fetch(remote, target, progress=progress(remote.file))
                say(f"unpacking {remote.file}")
                unpack(archive, target / found.into)
                mark.touch()
                archive.unlink()
            for mark in marks:
                mark.unlink()
    except Timeout:
        raise UnetzooError(f"{target}: another `unetzoo data get` is at work here") from None


def _is_there(found: NamedSet, target: Path) -> bool:
    """Whether a complete layout is there; what is incomplete is an error."""
    begun = (target / (remote.file + end) for remote in found.remotes for end in ("", ".part", UNPACKED))
    if not target.is_dir() or any(path.exists() for path in begun):
        return False
    return any(layout.find(folder, found.unusable) for folder, layout in _held(found, target))


def _is_raw(found: NamedSet, target: Path) -> bool:
    return found.prepare is not None and target.is_dir() and bool(found.prepare.found(target))


def _register(entry: NamedSet) -> None:
    @register_dataset(entry.name)
    def named(root: Path | None = None, *, downscale: int = entry.reading.downscale) -> SegmentationDataset:
        return NamedDataset(entry, locate(entry, root), downscale=downscale)


for _entry in CATALOGUE.values():
    if _entry.rule is not contiguous:  # a stack has a class of its own
        _register(_entry)
