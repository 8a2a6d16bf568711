"""The layouts of named data sets: where images and masks lie below a folder, and which belong together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unetzoo.data.folders.files import SUFFIXES, count_pages, read_list
from unetzoo.data.folders.reading import Pair
from unetzoo.errors import UnetzooError

Splits = dict[str, tuple[str, ...]]


@dataclass
class OfficialFiles:
    """Files found in a layout: pairs by key, the splits that the layout itself gives, and fields of view by key."""

    pairs: dict[str, Pair] = field(default_factory=dict)
    splits: Splits = field(default_factory=dict)
    views: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """Images and the masks that belong to them.

    Attributes:
        images: Glob of the images, below the root.
        masks: Glob of the masks.
        mask: Stem of a mask; ``{}`` stands for what ``stem`` finds.
        stem: Regular expression that an image's stem must match; its first group, or else the whole match, is used.
        key: Key of a pair; ``{}`` stands for what ``stem`` finds.
        split: Split of all these images, if the layout gives it.
        views: Glob of the fields of view: masks that are 0 where nothing was labelled.
        view: Stem of a field of view; ``{}`` stands for what ``stem`` finds.
        pages: Number of pages of each file, if they are stacks; the number of a page is then its key.
    """

    images: str
    masks: str
    mask: str = "{}"
    stem: str = ".+"
    key: str = "{}"
    split: str | None = None
    views: str | None = None
    view: str = "{}"
    pages: int = 0

    def present(self, root: Path) -> bool:
        """Return True if there are both images and masks below ``root``."""
        return any(_files(root, self.images)) and any(_files(root, self.masks))

    def add_to(self, found: OfficialFiles, root: Path, unusable: Sequence[str]) -> None:
        """Find the pairs below ``root`` and add them to ``found``.

        Args:
            found: What was found so far.
            root: Folder of the layout.
            unusable: Keys to leave out.

        Raises:
            UnetzooError: If there are no images, two images have one key, or an image has no mask.
        """
        masks = _by_stem(_files(root, self.masks))
        views = _by_stem(_files(root, self.views)) if self.views else {}
        keys = []
        for path in _files(root, self.images):
            if (match := re.fullmatch(self.stem, path.stem)) is None:
                continue
            name = match[1] if match.re.groups else match[0]
            key = self.key.format(name)
            if key in unusable:
                continue
            if key in found.pairs:
                raise UnetzooError(f"{path}: its key {key!r} is taken by {found.pairs[key].image}")
            mask = _partner(masks, self.mask.format(name), path, self.masks)
            if self.pages:
                found.pairs |= _pages(path, mask, self.pages)
                continue
            found.pairs[key] = Pair(path, mask)
            if self.views:
                found.views[key] = _partner(views, self.view.format(name), path, self.views)
            keys.append(key)
        if not found.pairs:
            raise UnetzooError(f"{root}: there are no images {self.images}")
        if self.split:
            found.splits[self.split] = tuple(sorted(keys))


@dataclass(frozen=True)
class OfficialLayout:
    """One way in which the files of a data set may lie.

    Attributes:
        words: The layout, in words.
        files: Images and masks.
        lists: File with one key per line, for each split that has one.
        read: Finds the files in place of ``files``, where another library knows the layout; None if they are not there.
    """

    words: str
    files: tuple[Files, ...] = ()
    lists: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[Path], OfficialFiles | None] | None = None

    def find(self, root: Path, unusable: Sequence[str]) -> OfficialFiles | None:
        """Find the files of this layout.

        Args:
            root: Folder to look in.
            unusable: Keys to leave out.

        Returns:
            The files, or None if the folder does not have this layout.

        Raises:
            UnetzooError: If the folder has this layout, but incomplete.
        """
        if self.read is not None:
            return self.read(root)
        if not self.files[0].present(root) or not all((root / path).is_file() for path in self.lists.values()):
            return None
        found = OfficialFiles()
        for files in self.files:
            files.add_to(found, root, unusable)
        found.pairs = dict(sorted(found.pairs.items()))
        for split, path in self.lists.items():
            found.splits[split] = _read_list(root / path, found.pairs)
        return found


def candidates(root: Path) -> Iterator[Path]:
    """Yield the folder, then those one and two levels below: archives often contain a top folder of their own."""
    yield root
    below = _folders(root)
    yield from below
    for folder in below:
        yield from _folders(folder)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(root: Path, pattern: str) -> Iterator[Path]:
    return (path for path in sorted(root.glob(pattern)) if path.suffix.lower() in SUFFIXES and path.name[0] != ".")


def _by_stem(paths: Iterator[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise UnetzooError(f"{path}: stem {path.stem!r} is taken by {found[path.stem]}")
        found[path.stem] = path
    return found


def _partner(by_stem: Mapping[str, Path], stem: str, image: Path, pattern: str) -> Path:
    if stem not in by_stem:
        raise UnetzooError(f"{image}: has no partner with stem {stem!r} among {pattern}")
    return by_stem[stem]


def _pages(image: Path, mask: Path, count: int) -> dict[str, Pair]:
    for path in (image, mask):
        if (pages := count_pages(path)) != count:
            raise UnetzooError(f"{path}: has {pages} pages; expected {count}")
    return {f"{page:0{len(str(count))}d}": Pair(image, mask, page) for page in range(count)}


def _read_list(path: Path, known: Mapping[str, Pair]) -> tuple[str, ...]:
    return tuple(sorted(read_list(path, tuple(known))))
