"""Search for near-duplicates: images that were resampled, turned, brightened or moved a little.

Two thumbnails that correlate with at least ``SIMILAR`` are at most ``sqrt(2 - 2 SIMILAR)`` apart, and so are their
projections. Each thumbnail therefore gets marks that no turn or flip changes: its projection on what is equal under
all of them, and the norms of the rest in each ring around the centre. Pairs with distant marks are passed over without
loss; the others are compared in all views.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

Similar = tuple[str, str, str, str, float]  # split, key, split, key, similarity

SIMILAR = 0.965  # least correlation of near-duplicates
THUMBNAIL, WINDOW = 24, 7  # cells per side; the local mean over 7x7 cells is subtracted
FLAT = 0.001  # standard deviation, in the grey range, below which a thumbnail shows nothing to compare
FAR = 2 * (1 - SIMILAR) + 1e-4  # squared distance of marks above which two thumbnails cannot be similar, and rounding
COARSE = 20  # principal directions of the marks in which all pairs are compared first
IMAGES, ROWS = 64, 512  # images that are compared at a time, and earlier images that they are compared with at a time
IN_MEMORY = 2**22  # bytes of thumbnails from which they are kept in a file


class Compared(NamedTuple):
    """Near-duplicates between splits.

    Attributes:
        splits: Keys of each split.
        similar: The near-duplicates.
    """

    splits: Mapping[str, Sequence[str]]
    similar: list[Similar]

    @classmethod
    def of(cls, splits: Mapping[str, Sequence[str]], thumbnails: Thumbnails) -> Compared | None:
        """Return the near-duplicates among thumbnails, or None if a key was added once but is in two splits."""
        count = sum(len(keys) for keys in splits.values())
        return cls(splits, thumbnails.similar()) if count == len(thumbnails) else None

    def within(self, splits: Mapping[str, Sequence[str]]) -> list[Similar] | None:
        """Return the near-duplicates between other splits, or None if one of these has a key that was not in it."""
        kept = {split: set(keys) for split, keys in splits.items()}
        if any(not keys <= set(self.splits.get(split, ())) for split, keys in kept.items()):
            return None
        return [pair for pair in self.similar if pair[1] in kept[pair[0]] and pair[3] in kept[pair[2]]]


class Thumbnails:
    """Thumbnails of images, each compared with those of other splits that were added before."""

    def __init__(self) -> None:
        self._names: list[tuple[str, str]] = []
        self._past = _Past()
        self._waiting: list[tuple[int, np.ndarray]] = []  # number of an image, and its views (views, cells)
        self._found: list[Similar] = []

    def __len__(self) -> int:
        return len(self._names)

    def add(self, split: str, key: str, views: np.ndarray) -> None:
        """Add an image and compare it. All images of one split must be added in a row.

        Args:
            split: Split of the image.
            key: Key of the image.
            views: The image's `views` (views, cells); of the first split, the first view is enough.
        """
        if self._names and self._names[-1][0] != split:
            self._compare()
            self._past.close_split()
        self._past.add(views[0])
        if self._past.any:
            self._waiting.append((len(self._names), views))
        self._names.append((split, key))
        if len(self._waiting) == IMAGES:
            self._compare()

    def similar(self) -> list[Similar]:
        """Return the near-duplicates in different splits, most similar first."""
        self._compare()
        return sorted(self._found, key=lambda pair: (-pair[4], pair[:4]))

    def _compare(self) -> None:
        """Compare the images that wait with those of earlier splits."""
        if not self._waiting:
            return
        views = np.concatenate([moved for _, moved in self._waiting])
        owner = np.repeat(np.arange(len(self._waiting)), [len(moved) for _, moved in self._waiting])
        shows = views.any(axis=1)
        rows, columns = self._past.near(views[shows])
        pairs = np.unique(rows * len(self._waiting) + owner[shows][columns])
        rows, owners = np.divmod(pairs, len(self._waiting))
        for one in np.unique(owners).tolist():
            number, moved = self._waiting[one]
            all_views = moved[:, _symmetries()].reshape(-1, THUMBNAIL**2)
            split, key = self._names[number]
            near = rows[owners == one]
            for start in range(0, len(near), ROWS):
                some = near[start : start + ROWS]
                similarity = (self._past.thumbnails(some) @ all_views.T).max(axis=1)
                for i, value in zip(some.tolist(), similarity.tolist(), strict=True):
                    if value >= SIMILAR:
                        other, other_key = self._names[i]
                        self._found.append((other, other_key, split, key, round(float(value), 4)))
        self._waiting = []


class _Past:
    """Thumbnails (cells,) in the order in which they were added; those of earlier splits can be searched.

    Memory holds the marks. The thumbnails themselves are in a temporary file once they are many.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  # closed with this object
        weakref.finalize(self, self._file.close)
        self._fresh: list[np.ndarray] = []  # not yet in the file
        self._marks: list[np.ndarray] = []  # (up to ROWS, marks) each, like the next two
        self._shows: list[np.ndarray] = []
        self._coarse: list[np.ndarray] = []  # of earlier splits
        self._directions = np.zeros((0, 0), np.float32)

    @property
    def any(self) -> bool:
        """True if there are thumbnails of earlier splits."""
        return bool(self._coarse)

    def add(self, thumbnail: np.ndarray) -> None:
        """Add a thumbnail of the present split."""
        self._fresh.append(thumbnail)
        if len(self._fresh) == ROWS:
            self._store()

    def _store(self) -> None:
        if self._fresh:
            thumbnails = np.stack(self._fresh)
            self._file.seek(0, os.SEEK_END)
            self._file.write(thumbnails.tobytes())
            self._marks.append(_marks(thumbnails))
            self._shows.append(np.asarray(thumbnails.any(axis=1)))
            self._fresh = []

    def close_split(self) -> None:
        """Let the thumbnails of the present split be searched."""
        self._store()
        _, directions = np.linalg.eigh(sum(marks.T @ marks for marks in self._marks))
        self._directions = np.ascontiguousarray(directions[:, -COARSE:])
        self._coarse = []
        for marks, shows in zip(self._marks, self._shows, strict=True):
            coarse = marks @ self._directions
            squares = (coarse**2).sum(axis=1, keepdims=True)
            squares[~shows] = 4 * FAR + 4  # those that show nothing are far from all
            self._coarse.append(np.concatenate([coarse, squares, np.ones_like(squares)], axis=1))

    def near(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of thumbnails and of views (V, cells) whose marks are not too far apart."""
        wanted_marks = _marks(views)
        coarse = wanted_marks @ self._directions
        squares = (coarse**2).sum(axis=1, keepdims=True)
        wanted = np.concatenate([2 * coarse, -np.ones_like(squares), -squares], axis=1).T
        found: list[tuple[np.ndarray, np.ndarray]] = []
        begin = 0
        for block, marks in zip(self._coarse, self._marks, strict=False):  # those of the present split come last
            close_by = np.flatnonzero(block @ wanted >= -FAR)  # less the squared distance
            rows, columns = np.divmod(close_by, len(views))
            for part in range(0, len(rows), 4 * ROWS):
                r, c = rows[part : part + 4 * ROWS], columns[part : part + 4 * ROWS]
                close = ((marks[r] - wanted_marks[c]) ** 2).sum(axis=1) <= FAR
                found.append((r[close] + begin, c[close]))
            begin += len(block)
        empty = np.zeros(0, np.int64)
        return np.concatenate([empty, *(r for r, _ in found)]), np.concatenate([empty, *(c for _, c in found)])

    def thumbnails(self, numbers: np.ndarray) -> np.ndarray:
        """Return the thumbnails of earlier splits (N, cells) with these numbers."""
        length = 4 * THUMBNAIL**2
        read = bytearray()
        for number in numbers.tolist():
            self._file.seek(number * length)
            read += self._file.read(length)
        return np.frombuffer(read, np.float32).reshape(-1, THUMBNAIL**2)


def _marks(thumbnails: np.ndarray) -> np.ndarray:
    """Return the marks (N, M) of thumbnails (N, cells), which are no farther apart than the thumbnails in any view."""
    orbits, rings = _invariants()
    marks = np.empty((len(thumbnails), orbits.shape[1] + rings.shape[1]), np.float32)
    for start in range(0, len(thumbnails), ROWS):  # to bound the memory of what is between
        some = thumbnails[start : start + ROWS]
        equal = some @ orbits
        rest = some - equal @ orbits.T
        marks[start : start + ROWS] = np.concatenate([equal, np.sqrt((rest**2) @ rings)], axis=1)
    return marks


@lru_cache(maxsize=1)
def _symmetries() -> np.ndarray:
    """Return the cells (8, cells) of a thumbnail in each of its turns and flips."""
    cells = np.arange(THUMBNAIL**2).reshape(THUMBNAIL, THUMBNAIL)
    turned = (np.rot90(cells, turns) for turns in range(4))
    return np.stack([view.ravel() for turn in turned for view in (turn, turn.T)])


@lru_cache(maxsize=1)
def _invariants() -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis (cells, orbits) of what no turn or flip changes, and the ring of each cell."""
    _, orbit, sizes = np.unique(_symmetries().min(axis=0), return_inverse=True, return_counts=True)
    orbits = (np.arange(len(sizes)) == orbit[:, None]) / np.sqrt(sizes)
    row, column = np.divmod(np.arange(THUMBNAIL**2), THUMBNAIL)
    ring = np.minimum(np.minimum(row, column), THUMBNAIL - 1 - np.maximum(row, column))
    rings = np.arange(THUMBNAIL // 2) == ring[:, None]
    return orbits.astype(np.float32), rings.astype(np.float32)


def views(image: np.ndarray, most: int) -> np.ndarray:
    """Return unit thumbnails (views, cells) of an image: as it is, then moved by up to ``most`` pixels.

    Args:
        image: Image (C, H, W) in [0, 1].
        most: 0 for the image as it is alone, which is enough in the first split; 1 for all.
    """
    grey = image.mean(axis=0, dtype=np.float64)  # with operands of two types, the matrix product would not use BLAS
    margin = 1 if min(grey.shape) > THUMBNAIL else 0
    steps = (0, *(by for by in (-1, 1) if margin and most))
    rows, columns = (_areas(n, margin, steps) for n in grey.shape)
    cells = (rows @ grey @ columns.T).reshape(len(steps), THUMBNAIL, len(steps), THUMBNAIL)
    cells = cells.transpose(0, 2, 1, 3).reshape(-1, THUMBNAIL, THUMBNAIL)
    means = _local_mean()
    cells = cells - means @ cells @ means.T
    cells -= cells.mean(axis=(1, 2), keepdims=True)
    norms = np.sqrt((cells**2).sum(axis=(1, 2), keepdims=True))
    shows = norms > FLAT * THUMBNAIL
    return np.where(shows, cells / np.where(shows, norms, 1), 0).reshape(len(cells), -1).astype(np.float32)


@lru_cache(maxsize=1)
def _local_mean() -> np.ndarray:
    """Return the matrix (24, 24) of a mean over 7 neighbours, the outermost repeated beyond the border."""
    mean = np.zeros((THUMBNAIL, THUMBNAIL))
    for i in range(THUMBNAIL):
        for j in range(i - WINDOW // 2, i + WINDOW // 2 + 1):
            mean[i, min(max(j, 0), THUMBNAIL - 1)] += 1 / WINDOW
    return mean


@lru_cache(maxsize=64)
def _areas(size: int, margin: int, steps: tuple[int, ...]) -> np.ndarray:
    """Return weights (24 a step, size) that average the pixels within the margin in equal, fractional parts."""
    weights = []
    for by in steps:
        edges = np.linspace(margin + by, size - margin + by, THUMBNAIL + 1)[:, None]
        pixels = np.arange(size)
        covered = np.clip(np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels), 0, None)
        weights.append(covered / covered.sum(axis=1, keepdims=True))
    return np.concatenate(weights)
