"""A user's own folder: ``images/`` and ``masks/`` with equal stems, and split lists if there are any."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from unetzoo.data.base import SPLITS, DatasetInfo, SegmentationDataset, register_dataset
from unetzoo.data.files import array_digest, check_same_size, paired_files, read_list, read_stored
from unetzoo.errors import UnetzooError

MOST_CLASSES = 64  # beyond it the values are more likely instance ids or grey levels


@register_dataset("folder")
class Folder(SegmentationDataset):
    """Masks hold 0/1, 0/255 (foreground), or class indices 0 to K - 1; everything else is refused.

    Splits come from ``train.txt``, ``val.txt`` and ``test.txt`` (one stem a line) where they exist; without
    ``val.txt`` 15 % of train become the validation set. Without any list the stems are split 70/15/15 % in
    the order of a hash of them: a fixed shuffle. Every file is read once at the start.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        class_names: list[str] | None = None,
        foreground: list[int] | None = None,
        ignore_index: int | None = None,
    ) -> None:
        if root is None:
            raise UnetzooError("data set 'folder' needs root = a folder with images/ and masks/")
        if not root.is_dir():
            raise UnetzooError(f"{root}: no such folder")
        self._pairs = paired_files(root)
        channels, values, self._digests = self._survey(ignore_index)
        self._scale = 255 if values in ({0, 255}, {255}) else 1
        classes = max(2, max(values) // self._scale + 1)
        if class_names is not None and len(class_names) < classes:
            raise UnetzooError(f"{root}: masks hold {classes} classes but class_names has {len(class_names)}")
        names = class_names or (["background", "foreground"] if classes == 2 else [f"class{i}" for i in range(classes)])
        self.info = DatasetInfo(
            name=root.resolve().name,
            channels=channels,
            class_names=tuple(names),
            foreground=tuple(foreground if foreground is not None else range(1, len(names))),
            ignore_index=ignore_index,
            description=f"{len(self._pairs)} image-mask pairs of a folder; mask values {sorted(values)}",
        )
        self.splits = _splits(root, tuple(self._pairs))

    def _survey(self, ignore_index: int | None) -> tuple[int, set[int], dict[str, str]]:
        channels, first, values, digests = 0, Path(), set[int](), {}
        for key, (image_path, mask_path) in self._pairs.items():
            check_same_size(read_stored(image_path), read_stored(mask_path), image_path, mask_path)
            image, mask = read_image(image_path), read_mask(mask_path)
            if channels and image.shape[0] != channels:
                raise UnetzooError(
                    f"{image_path}: {image.shape[0]} channels, but {first.name} has {channels}; make them alike"
                )
            channels, first = image.shape[0], first if channels else image_path
            here = set(np.unique(mask).tolist()) - {ignore_index}
            if bad := _unexpected(here):
                raise UnetzooError(
                    f"{mask_path}: unexpected mask values {bad[:6]}; a mask holds 0/1, 0/255 or class indices 0 to "
                    f"K - 1 (K <= {MOST_CLASSES}), and the ignore_index where one is given"
                )
            values |= here
            if bad := _unexpected(values):
                raise UnetzooError(
                    f"{mask_path}: values {sorted(here)} do not fit the other masks' {sorted(values - here)}"
                )
            digests[key] = array_digest(image, mask)
        if values <= {0}:
            raise UnetzooError(f"{next(iter(self._pairs.values()))[1].parent}: every mask is empty (value 0 only)")
        return channels, values, digests

    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        image_path, mask_path = self._pairs[key]
        image, mask = read_image(image_path), read_mask(mask_path)
        if self._scale != 1:
            ignored = mask == self.info.ignore_index
            mask = np.where(ignored, mask, mask // self._scale)
        return image, mask

    def content_digest(self, key: str) -> str:
        return self._digests[key]


def read_image(path: Path) -> np.ndarray:
    pixels = read_stored(path).colours()
    top = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    return pixels.astype(np.float32) / top


def read_mask(path: Path) -> np.ndarray:
    pixels = read_stored(path).pixels
    if len(pixels) != 1:
        raise UnetzooError(f"{path}: a mask must have one channel of class values, got {len(pixels)}")
    return pixels[0].astype(np.int64)


def _unexpected(values: set[int]) -> list[int]:
    if values <= {0, 255}:
        return []
    return sorted(v for v in values if not 0 <= v < MOST_CLASSES)


def _splits(root: Path, keys: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    lists = {split: root / f"{split}.txt" for split in SPLITS}
    given = {split: read_list(path, keys) for split, path in lists.items() if path.is_file()}
    by_hash = sorted(keys, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    if not given:
        if len(keys) < 3:
            raise UnetzooError(
                f"{root}: {len(keys)} pairs cannot be split into train, val and test; at least 3 are needed"
            )
        held = max(1, round(0.15 * len(keys)))
        parts = {"val": by_hash[:held], "test": by_hash[held : 2 * held], "train": by_hash[2 * held :]}
        return {split: tuple(sorted(parts[split])) for split in SPLITS}
    for split in ("train", "test"):
        if split not in given:
            raise UnetzooError(f"{lists[split]}: no such file, but there is {next(iter(given))}.txt; give both")
    if "val" not in given:
        train = [key for key in by_hash if key in given["train"]]
        if len(train) < 2:
            raise UnetzooError(f"{lists['train']}: needs at least 2 stems to take a validation set from")
        held = max(1, round(0.15 * len(train)))
        given |= {"val": tuple(sorted(train[:held])), "train": tuple(sorted(train[held:]))}
    return {split: given[split] for split in SPLITS}
