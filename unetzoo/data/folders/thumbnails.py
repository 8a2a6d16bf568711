"""Search for near-duplicates: images that were resampled, turned, brightened or moved a little."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

Similar = tuple[str, str, str, str, float]  # split, key, split, key, similarity

SIMILAR = 0.965  # least correlation of near-duplicates
THUMBNAIL, WINDOW = 24, 7  # cells per side; the local mean over 7x7 cells is subtracted
FLAT = 0.001  # standard deviation, in the grey range, below which a thumbnail shows nothing to compare


class Thumbnails:
    """Thumbnails of images, each compared with those of other splits that were added before."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, str]] = []
        self._stacked = np.zeros((0, THUMBNAIL**2), np.float32)
        self._waiting: list[np.ndarray] = []
        self._found: list[Similar] = []

    def add(self, split: str, key: str, image: np.ndarray) -> None:
        """Add an image and compare it. All images of one split must be added in a row.

        Args:
            split: Split of the image.
            key: Key of the image.
            image: Image (C, H, W) in [0, 1].
        """
        if self._seen and self._seen[-1][0] != split:
            self._stacked = np.concatenate([self._stacked, *self._waiting])
            self._waiting = []
        found = _views(image)
        wanted = found if len(self._stacked) else [next(found)]  # nothing to compare the first split with
        views = np.stack(list(wanted)).astype(np.float32)  # (views, cells), the first as it stands
        if len(self._stacked):
            similarity = (self._stacked @ views.T).max(axis=1)
            self._found += [
                (*self._seen[i], split, key, round(float(similarity[i]), 4))
                for i in np.flatnonzero(similarity >= SIMILAR)
            ]
        self._seen.append((split, key))
        self._waiting.append(views[:1])

    def similar(self) -> list[Similar]:
        """Return the near-duplicates in different splits, most similar first."""
        return sorted(self._found, key=lambda pair: (-pair[4], pair[:4]))


def _views(image: np.ndarray) -> Iterator[np.ndarray]:
    """Yield unit thumbnails (cells,) of an image (C, H, W): unchanged, then moved by a pixel, turned and flipped."""
    grey = image.mean(axis=0, dtype=np.float64)  # with operands of two types, the matrix product would not use BLAS
    move = 1 if min(grey.shape) > THUMBNAIL else 0
    for down, right in ((0, 0), *((y, x) for y in (-move, 0, move) for x in (-move, 0, move) if move and (y or x))):
        thumbnail = _thumbnail(grey, move, down, right)
        for turns in range(4):
            turned = np.rot90(thumbnail, turns)
            yield turned.ravel()
            yield turned.T.ravel()


def _thumbnail(grey: np.ndarray, margin: int, down: int, right: int) -> np.ndarray:
    """Return the area means (24, 24) of an image without its margin, less their local mean, of norm 1; 0 if flat."""
    from scipy.ndimage import uniform_filter

    rows, columns = (_area(n, margin + by, n - margin + by) for n, by in zip(grey.shape, (down, right), strict=True))
    cells = rows @ grey @ columns.T
    cells = cells - uniform_filter(cells, WINDOW, mode="nearest")
    cells -= cells.mean()
    return cells / np.linalg.norm(cells) if cells.std() > FLAT else np.zeros_like(cells)


@lru_cache(maxsize=64)
def _area(size: int, start: int, stop: int) -> np.ndarray:
    """Return weights (24, size) that average the pixels from ``start`` to ``stop`` in equal, fractional parts."""
    edges, pixels = np.linspace(start, stop, THUMBNAIL + 1)[:, None], np.arange(size)
    covered = np.clip(np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels), 0, None)
    return covered / covered.sum(axis=1, keepdims=True)
