"""Search for near-duplicates: images that were resampled, turned, brightened or moved a little.

Two thumbnails that correlate with at least ``SIMILAR`` are at most ``sqrt(2 - 2 SIMILAR)`` apart, and so are their
projections. Each thumbnail therefore gets marks that no turn or flip changes: its projection on what is equal under
all of them, and the norms of the rest in each ring around the centre. Pairs with distant marks are passed over without
loss; the others are compared in all views.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Similar = tuple[str, str, str, str, float]  # split, key, split, key, similarity

SIMILAR = 0.965  # least correlation of near-duplicates
THUMBNAIL, WINDOW = 24, 7  # cells per side; the local mean over 7x7 cells is subtracted
FLAT = 0.001  # standard deviation, in the grey range, below which a thumbnail shows nothing to compare
FAR = 2 * (1 - SIMILAR) + 1e-4  # squared distance of marks above which two thumbnails cannot be similar, and rounding
COARSE = 20  # principal directions of the marks in which all pairs are compared first
IMAGES, ROWS = 64, 8192  # images that are compared at a time, and earlier images that they are compared with at a time


class Thumbnails:
    """Thumbnails of images, each compared with those of other splits that were added before."""

    def __init__(self) -> None:
        self._names: list[tuple[str, str]] = []
        self._past = _Marked(np.zeros((0, THUMBNAIL**2), np.float32))  # of the splits before the present one
        self._here: list[np.ndarray] = []  # (cells,) of the present split
        self._waiting: list[tuple[int, np.ndarray]] = []  # number of an image, and its thumbnails moved (views, cells)
        self._found: list[Similar] = []

    def add(self, split: str, key: str, image: np.ndarray) -> None:
        """Add an image and compare it. All images of one split must be added in a row.

        Args:
            split: Split of the image.
            key: Key of the image.
            image: Image (C, H, W) in [0, 1].
        """
        if self._names and self._names[-1][0] != split:
            self._compare()
            self._past = _Marked(np.concatenate([self._past.thumbnails, np.stack(self._here)]))
            self._here = []
        moved = _moved(image, 1 if len(self._past.thumbnails) else 0)
        self._here.append(moved[0])
        if len(self._past.thumbnails):
            self._waiting.append((len(self._names), moved))
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
            near = rows[owners == one]
            similarity = (self._past.thumbnails[near] @ all_views.T).max(axis=1)
            split, key = self._names[number]
            for i, value in zip(near.tolist(), similarity.tolist(), strict=True):
                if value >= SIMILAR:
                    other, other_key = self._names[i]
                    self._found.append((other, other_key, split, key, round(float(value), 4)))
        self._waiting = []


class _Marked:
    """Thumbnails (N, cells) and their marks."""

    def __init__(self, thumbnails: np.ndarray) -> None:
        self.thumbnails = thumbnails
        self._marks = _marks(thumbnails)
        _, directions = np.linalg.eigh(self._marks.T @ self._marks)
        self._directions = np.ascontiguousarray(directions[:, -COARSE:])
        coarse = self._marks @ self._directions
        squares = (coarse**2).sum(axis=1, keepdims=True)
        squares[~thumbnails.any(axis=1)] = 4 * FAR + 4  # those that show nothing are far from all
        self._coarse = np.concatenate([coarse, squares, np.ones_like(squares)], axis=1)

    def near(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of thumbnails and of views (V, cells) whose marks are not too far apart."""
        marks = _marks(views)
        coarse = marks @ self._directions
        squares = (coarse**2).sum(axis=1, keepdims=True)
        wanted = np.concatenate([2 * coarse, -np.ones_like(squares), -squares], axis=1).T
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for start in range(0, len(self._coarse), ROWS):
            rows, columns = np.nonzero(self._coarse[start : start + ROWS] @ wanted >= -FAR)  # less the squared distance
            for part in range(0, len(rows), 4 * ROWS):
                r, c = rows[part : part + 4 * ROWS] + start, columns[part : part + 4 * ROWS]
                close = ((self._marks[r] - marks[c]) ** 2).sum(axis=1) <= FAR
                found.append((r[close], c[close]))
        empty = np.zeros(0, np.int64)
        return np.concatenate([empty, *(r for r, _ in found)]), np.concatenate([empty, *(c for _, c in found)])


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


def _moved(image: np.ndarray, most: int) -> np.ndarray:
    """Return unit thumbnails (views, cells) of an image (C, H, W): as it is, then moved by up to ``most`` pixels."""
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
