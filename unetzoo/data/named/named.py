"""Named data sets: found below ``UNETZOO_DATA`` or a given root, split by their rules, and fetched on demand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from unetzoo._util.paths import user_path
from unetzoo.data.base import SPLITS, SegmentationDataset
from unetzoo.data.folders.file_dataset import FileDataset
from unetzoo.data.folders.files import read_stored
from unetzoo.data.folders.reading import Pair, Reading, groups_of
from unetzoo.data.named.catalogue import CATALOGUE
from unetzoo.data.named.download import Progress, fetch
from unetzoo.data.named.entry import NamedSet, contiguous
from unetzoo.data.named.official_layout import OfficialFiles, OfficialLayout, Splits, candidates
from unetzoo.data.named.unpack import unpack
from unetzoo.data.registry import register_dataset
from unetzoo.data.splits import take_val
from unetzoo.errors import UnetzooError, nearest

UNPACKED = ".unpacked"  # suffix of an empty file that marks an archive as unpacked


@dataclass(frozen=True)
class Place:
    """A data set's files as found on disk, with their splits.

    Attributes:
        root: Folder that holds the layout.
        layout: OfficialLayout that was found.
        pairs: Files of each key.
        views: Field-of-view mask of each key that has one.
        splits: Keys of each split.
        groups: Group of each key that has one.
        drawn: Splits that neither a list nor a rule fixes.
    """

    root: Path
    layout: OfficialLayout
    pairs: Mapping[str, Pair]
    views: Mapping[str, Path]
    splits: Splits
    groups: Mapping[str, str]
    drawn: tuple[str, ...]


class NamedDataset(FileDataset):
    """A `FileDataset` whose pixels outside the field of view, where there is one, are void.

    Args:
        entry: Description of the data set.
        place: Its files and splits.
        downscale: Side of the blocks that images are averaged over; default: that of ``entry``.
    """

    def __init__(self, entry: NamedSet, place: Place, *, downscale: int | None = None) -> None:
        self._views, self._entry = place.views, entry
        self.drawn, self.test_is_fixed = place.drawn, entry.test_is_fixed
        reading = entry.reading.model_copy(
            update={"description": f"{entry.reading.description}. Masks: {entry.masks}."}
        )
        if downscale is not None:
            reading = Reading.model_validate(reading.model_dump() | {"downscale": downscale})
        super().__init__(reading, place.pairs, place.splits, place.groups)

    @property
    def sampled_with(self) -> Mapping[str, str]:
        return self._entry.sampled_with(self._pairs)

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Return image and mask, whose pixels outside the field of view are ignored.

        Raises:
            UnetzooError: If a file cannot be read, or the field of view differs from its image in size.
        """
        image, mask = super().read(key)
        if key in self._views:
            factor = self.reading.downscale
            view = read_stored(self._views[key]).pixels[0][factor // 2 :: factor, factor // 2 :: factor]
            if view.shape != mask.shape:
                raise UnetzooError(
                    f"{self._views[key]}: the field of view is {view.shape}, but its image is {mask.shape}"
                )
            mask[view == 0] = self.info.ignore_index
        return image, mask


def entry(name: str) -> NamedSet:
    """Return the catalogue's description of a named data set.

    Raises:
        UnetzooError: If there is no such data set.
    """
    if name not in CATALOGUE:
        raise UnetzooError(f"{name!r} is not a named data set with files; {nearest(name, CATALOGUE)}")
    return CATALOGUE[name]


def default_root(entry: NamedSet) -> Path | None:
    """Return ``$UNETZOO_DATA/<folder>``, or None if the variable is not set."""
    base = os.environ.get("UNETZOO_DATA")
    return user_path(base, "UNETZOO_DATA") / entry.folder if base else None


def locate(entry: NamedSet, root: Path | None = None) -> Place:
    """Find the files of a data set and split them, without opening an image.

    Args:
        entry: Description of the data set.
        root: Folder to look in; default: `default_root`.

    Returns:
        The files and their splits.

    Raises:
        UnetzooError: If the files are not there; the message tells where to put them.
    """
    root = root or default_root(entry)
    if root is None:
        raise UnetzooError(
            f"data set {entry.name!r} cannot be found: set UNETZOO_DATA to a folder that holds {entry.folder}/, or "
            f"give root; `unetzoo data info {entry.name}` shows what it must hold, `unetzoo data get {entry.name}` "
            "downloads it or says how to obtain it"
        )
    if not root.is_dir():
        raise UnetzooError(f"{root}: no such folder (data set {entry.name!r}; try `unetzoo data get {entry.name}`)")
    try:
        for folder, layout in _held(entry, root):
            if found := layout.find(folder, entry.unusable):
                return _split(entry, folder, layout, found)
    except OSError as error:
        raise UnetzooError(f"{error.filename or root}: cannot be read: {error.strerror or error}") from None
    if entry.prepare and entry.prepare.find(root):
        raise UnetzooError(
            f"{root}: holds the official files; convert them by `unetzoo data get {entry.name} --out {root}`"
        )
    words = "; or ".join(layout.words for layout in entry.layouts)
    raise UnetzooError(f"{root}: does not hold data set {entry.name!r}; expected {words}")


def _held(entry: NamedSet, root: Path) -> Iterator[tuple[Path, OfficialLayout]]:
    """Yield the folders and layouts to try. Subfolders are skipped while official files are still to be converted."""
    raw = _is_raw(entry, root)
    for folder in [root] if raw else candidates(root):
        yield from ((folder, layout) for layout in entry.layouts)


def _split(entry: NamedSet, root: Path, layout: OfficialLayout, found: OfficialFiles) -> Place:
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
    on_message: Callable[[str], None] = lambda line: None,
) -> Place:
    """Download a data set from its official address and unpack it. Files that are already there are kept.

    Args:
        name: Name in the catalogue.
        out: Target folder; default: `default_root`.
        progress: Called with a file's name, returns the callback for its download.
        on_message: Called with each line for the user.

    Returns:
        The files and their splits.

    Raises:
        UnetzooError: If no target is known, or the data set's terms or kind of archive do not allow a download; the
            message then says what to do by hand.
    """
    found = entry(name)
    target = out or default_root(found)
    if target is None:
        raise UnetzooError(f"unetzoo data get {name}: no target folder; give --out DIR or set UNETZOO_DATA")
    try:
        if not _is_there(found, target):
            if not _is_raw(found, target):
                _bring(found, target, progress, on_message)
            if found.prepare and _is_raw(found, target):
                on_message(f"making images/ and masks/ from {found.prepare.words}")
                found.prepare.run(target)
    except OSError as error:  # the disk, or a damaged image
        raise UnetzooError(f"{error.filename or target}: {error.strerror or error}") from None
    return locate(found, target)


def _bring(
    found: NamedSet, target: Path, progress: Callable[[str], Progress], on_message: Callable[[str], None]
) -> None:
    if found.by_hand:
        raise UnetzooError(f"{found.name} cannot be downloaded: " + found.by_hand.format(target=target))
    target.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target / ".get.lock")
    try:
        with lock.acquire(timeout=0):
            marks = [target / (remote.file + UNPACKED) for remote in found.remotes]
            for remote, mark in zip(found.remotes, marks, strict=True):
                if mark.exists():
                    continue
                if remote.checksum is None:
                    on_message(
                        f"{remote.file}: not verified, as no published checksum is known; its sha256 is kept beside it"
                    )
                archive = fetch(remote, target, progress=progress(remote.file))
                on_message(f"unpacking {remote.file}")
                unpack(archive, target / found.into)
                mark.touch()
                archive.unlink()
            for mark in marks:
                mark.unlink()
    except Timeout:
        raise UnetzooError(f"{target}: another `unetzoo data get` is running here; wait for it") from None


def _is_there(found: NamedSet, target: Path) -> bool:
    """Return True if a complete layout is there. An incomplete one raises `UnetzooError`."""
    begun = (target / (remote.file + end) for remote in found.remotes for end in ("", ".part", UNPACKED))
    if not target.is_dir() or any(path.exists() for path in begun):
        return False
    return any(layout.find(folder, found.unusable) for folder, layout in _held(found, target))


def _is_raw(found: NamedSet, target: Path) -> bool:
    return found.prepare is not None and target.is_dir() and bool(found.prepare.find(target))


def _register(entry: NamedSet) -> None:
    @register_dataset(entry.name)
    def named(root: Path | None = None, *, downscale: int = entry.reading.downscale) -> SegmentationDataset:
        return NamedDataset(entry, locate(entry, root), downscale=downscale)


for _entry in CATALOGUE.values():
    if _entry.rule is not contiguous:  # the stack has its own class, `Isbi2012`
        _register(_entry)
