"""ISBI 2012 EM segmentation challenge: 30 training slices of 512x512, the 2015 paper's own data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tifffile

from unetzoo.data.base import DatasetInfo, SegmentationDataset, register_dataset
from unetzoo.data.files import array_digest, paired_files, read_array, read_list
from unetzoo.data.weight_map import connected_components
from unetzoo.errors import UnetzooError

SLICES = 30
TEST_SLICES = 6  # the last ones: neighbouring slices are nearly equal, so a split must be contiguous


@register_dataset("isbi2012")
class Isbi2012(SegmentationDataset):
    """Class 0 interior (255 in the files), class 1 membrane (0, 22 % of the pixels): the headline is membrane.

    ``root`` (default ``$UNETZOO_DATA/isbi2012_em``) holds the challenge's ``train-volume.tif`` and
    ``train-labels.tif``, or ``images/`` and ``masks/`` with one file a slice. The hidden test labels are not
    to be had: slices 24-29 are the test set, the ``n_val`` slices before them the validation set.
    """

    def __init__(self, root: Path | None = None, *, n_val: int = 4) -> None:
        self._images, self._labels, keys = _read_slices(_find(root))
        lists = {split: _find(root) / f"suggested_{split}.txt" for split in ("train", "test")}
        if all(path.is_file() for path in lists.values()):
            train, test = (read_list(lists[split], keys) for split in ("train", "test"))
        else:
            train, test = keys[:-TEST_SLICES], keys[-TEST_SLICES:]
        if not 1 <= n_val < len(train):
            raise UnetzooError(f"data set 'isbi2012': n_val = {n_val!r} must be 1 to {len(train) - 1}")
        self.splits = {"train": tuple(train[:-n_val]), "val": tuple(train[-n_val:]), "test": tuple(test)}
        self.info = DatasetInfo(
            name="isbi2012",
            channels=1,
            class_names=("interior", "membrane"),
            foreground=(1,),
            description="ISBI 2012 EM stack: class 1 = membrane (value 0 in the files, 22 % of the pixels), "
            "class 0 = interior (255). Contiguous split: the last 6 slices are the test set, the "
            f"{n_val} before them validation. Not the challenge's hidden test set.",
            citation="Arganda-Carreras et al. 2015, doi 10.3389/fnana.2015.00142; "
            "Cardona et al. 2010, doi 10.1371/journal.pbio.1000502",
        )

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        image = self._images[key].astype(np.float32) / 255
        return image[None], (self._labels[key] == 0).astype(np.int64)

    def instances(self, key: str) -> np.ndarray:
        """Cells: the connected pieces of the interior, which membranes separate."""
        return connected_components(self._labels[key] != 0)

    def content_digest(self, key: str) -> str:
        return array_digest(self._images[key], self._labels[key])


def _find(root: Path | None) -> Path:
    if root is None:
        base = os.environ.get("UNETZOO_DATA")
        if not base:
            raise UnetzooError(
                "data set 'isbi2012' is not at hand: set UNETZOO_DATA to a folder that holds isbi2012_em, or give "
                "root = the folder with the challenge's train-volume.tif and train-labels.tif"
            )
        root = Path(base).expanduser() / "isbi2012_em"
    if not root.is_dir():
        raise UnetzooError(f"{root}: no such folder (data set 'isbi2012')")
    return root


def _read_slices(root: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], tuple[str, ...]]:
    volume, labels = root / "train-volume.tif", root / "train-labels.tif"
    if volume.is_file() and labels.is_file():
        pages = [_read_pages(volume), _read_pages(labels)]
        keys = tuple(f"{i:02d}" for i in range(SLICES))
        images, masks = (dict(zip(keys, stack, strict=True)) for stack in pages)
    elif (root / "images").is_dir():
        pairs = paired_files(root)
        keys = tuple(pairs)
        images, masks = ({key: read_array(pairs[key][i]) for key in keys} for i in (0, 1))
    else:
        raise UnetzooError(f"{root}: holds neither train-volume.tif and train-labels.tif nor images/ and masks/")
    for key in keys:
        image, mask = images[key], masks[key]
        if image.ndim != 2 or image.dtype != np.uint8 or image.shape != mask.shape:
            raise UnetzooError(
                f"{root}: slice {key}: 8-bit grey of equal size expected, got {image.shape} {mask.shape}"
            )
        if strange := sorted(set(np.unique(mask).tolist()) - {0, 255}):
            raise UnetzooError(f"{root}: slice {key}: mask values must be 0 and 255, found {strange[:5]}")
    return images, masks, keys


def _read_pages(path: Path) -> np.ndarray:
    try:
        stack = tifffile.imread(path)
    except Exception as error:
        raise UnetzooError(f"{path}: cannot be read as TIFF: {error}") from None
    if stack.ndim != 3 or len(stack) != SLICES:
        raise UnetzooError(f"{path}: expected {SLICES} pages of grey slices, got shape {stack.shape}")
    return stack
