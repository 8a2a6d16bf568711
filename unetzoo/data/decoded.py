"""A cache of decoded items: in memory up to a limit, beyond it in memory-mapped files."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unetzoo.data.base import SegmentationDataset
from unetzoo.data.expected import Storage
from unetzoo.data.weight_map import border_weight_map, connected_components

Stored = tuple[Tensor, Tensor]
"""An image (C, H, W), uint8 if that is exact and float32 in [0, 1] otherwise, and its mask (H, W) of integers."""


class Decoded(SegmentationDataset):
    """A data set whose training and validation items are decoded once. Test items are passed on and not kept.

    Args:
        dataset: Data set to read from.
        limit: Bytes to hold in memory (None: no limit). Later items go to files, of which crops read only their part.
        folder: Folder of these files, which are deleted with this object; default: the system's temporary folder.
    """

    def __init__(self, dataset: SegmentationDataset, limit: int | None = None, folder: Path | None = None) -> None:
        self.info, self.splits, self.groups = dataset.info, dataset.splits, dataset.groups
        self.downscale = dataset.downscale
        self._dataset, self._limit, self._folder = dataset, limit, folder
        self._kept = {*dataset.splits["train"], *dataset.splits["val"]}
        self._items: dict[str, Stored] = {}
        self._weights: dict[str, Tensor] = {}
        self._files: Path | None = None
        self.in_memory = self.in_files = 0  # bytes

    def stored(self, key: str) -> Stored:
        """Return the item as it is kept; `to_float` turns its image into that of `read`."""
        if key not in self._items:
            image, mask = self._dataset.read(key)
            stored = self._keep(_compact(image)), self._keep(_smallest(mask))
            if key not in self._kept:
                return stored
            self._items[key] = stored
        return self._items[key]

    def border_weights(self, key: str, w0: float, sigma: float) -> Tensor:
        """Return the border weights (H, W) of the instances, or of the foreground's components if there are none.

        Args:
            key: Key of the item.
            w0: Weight of the border term; see `border_weight_map`.
            sigma: Width of the border term in px.
        """
        if key not in self._weights:
            mask, labels = self.stored(key)[1].numpy(), self._dataset.instances(key)
            if labels is None:
                labels = connected_components(np.isin(mask, self.info.foreground))
            marked = np.where(mask == self.info.ignore_index, -1, labels)
            self._weights[key] = self._keep(border_weight_map(marked, w0=w0, sigma=sigma, ignore_index=-1))
        return self._weights[key]

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        if key not in self._kept:
            return self._dataset.read(key)
        image, mask = self.stored(key)
        return to_float(image).numpy(), mask.long().numpy()

    def content_digest(self, key: str) -> str:
        return self._dataset.content_digest(key)

    def instances(self, key: str) -> np.ndarray | None:
        return self._dataset.instances(key)

    def storage(self, key: str) -> Storage | None:
        return self._dataset.storage(key)

    def _keep(self, array: np.ndarray) -> Tensor:
        if self._limit is None or self.in_memory + array.nbytes <= self._limit:
            self.in_memory += array.nbytes
            return torch.from_numpy(array)
        if self._files is None:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            self._files = Path(tempfile.mkdtemp(prefix="decoded-", dir=self._folder))
            weakref.finalize(self, shutil.rmtree, self._files, ignore_errors=True)
        path = self._files / f"{self.in_files}.npy"
        self.in_files += array.nbytes
        np.save(path, array)
        # A shared mapping: its pages do not count as memory of the trial.
        return torch.from_numpy(np.load(path, mmap_mode="r+", allow_pickle=False))


def to_float(image: Tensor) -> Tensor:
    """Return a stored image, or part of one, as float32 in [0, 1], with exactly the values that were read."""
    return image.to(torch.float32).div_(255) if image.dtype == torch.uint8 else image


def _compact(image: np.ndarray) -> np.ndarray:
    """Return the image as uint8, a quarter of the memory, if dividing by 255 gives back every value exactly."""
    levels = np.rint(image * 255).astype(np.uint8)
    exact = np.array_equal(levels.astype(np.float32) / 255, image)
    return levels if exact else np.ascontiguousarray(image, np.float32)


def _smallest(mask: np.ndarray) -> np.ndarray:
    """Return the mask in the smallest type that holds its values."""
    kind = next(t for t in (np.uint8, np.int16, np.int32, np.int64) if _holds(t, mask))
    return np.ascontiguousarray(mask, kind)


def _holds(kind: type[np.integer], mask: np.ndarray) -> bool:
    limits = np.iinfo(kind)
    return bool(limits.min <= mask.min() and mask.max() <= limits.max)
