"""Where the images and masks of a named data set lie below a folder, in its official layout or another."""

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
class Found:
    """Pairs of files by key, in order; the splits that the layout itself tells; fields of view, where it has any."""

    pairs: dict[str, Pair] = field(default_factory=dict)
    splits: Splits = field(default_factory=dict)
    views: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """Images and the masks that belong to them: globs below the root, and how a mask is called.

    ``stem`` is a regular expression on an image's stem; ``mask`` and ``key`` are made of what its first group finds
    (or of the whole match). ``split``: all of these are of that split. ``views`` are fields of view: masks that are 0
    where nothing was labelled. ``pages``: each file is a stack of so many, and the number of a page is its key.
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
        return any(_files(root, self.images)) and any(_files(root, self.masks))

    def add_to(self, found: Found, root: Path, unusable: Sequence[str]) -> None:
        """Raises `UnetzooError` where there are no images, and on an image without a mask."""
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
                raise UnetzooError(f"{path}: {key!r} is taken by {found.pairs[key].image}")
            mask = _partner(masks, self.mask.format(name), path, self.masks)
            if self.pages:
                found.pairs |= _pages(path, mask, self.pages)
                continue
            found.pairs[key] = Pair(path, mask)
            if self.views:
                found.views[key] = _partner(views, self.view.format(name), path, self.views)
            keys.append(key)
        if not found.pairs:
            raise UnetzooError(f"{root}: no images {self.images}")
        if self.split:
            found.splits[self.split] = tuple(sorted(keys))


@dataclass(frozen=True)
class Layout:
    """One way in which a data set's files lie. ``lists`` are split -> file with one key a line.

    ``read`` is given instead of ``files`` where another library knows the layout: it gives None where the folder
    does not hold it.
    """

    words: str
    files: tuple[Files, ...] = ()
    lists: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[Path], Found | None] | None = None

    def find(self, root: Path, unusable: Sequence[str]) -> Found | None:
        """None where the folder does not hold this layout. Raises `UnetzooError` where it holds it incompletely."""
        if self.read is not None:
            return self.read(root)
        if not self.files[0].present(root) or not all((root / path).is_file() for path in self.lists.values()):
            return None
        found = Found()
        for files in self.files:
            files.add_to(found, root, unusable)
        found.pairs = dict(sorted(found.pairs.items()))
        for split, path in self.lists.items():
            found.splits[split] = _read_list(root / path, found.pairs)
        return found


def candidates(root: Path) -> Iterator[Path]:
    """The folder itself, then what lies one and two levels below: archives often bring a folder of their own."""
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
        raise UnetzooError(f"{image}: has no partner {stem!r} among {pattern}")
    return by_stem[stem]


def _pages(image: Path, mask: Path, count: int) -> dict[str, Pair]:
    for path in (image, mask):
        if (pages := count_pages(path)) != count:
            raise UnetzooError(f"{path}: expected {count} pages, got {pages}")
    return {f"{page:0{len(str(count))}d}": Pair(image, mask, page) for page in range(count)}


def _read_list(path: Path, known: Mapping[str, Pair]) -> tuple[str, ...]:
    return tuple(sorted(read_list(path, tuple(known))))
