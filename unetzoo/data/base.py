"""A data set is a plug-in: facts about it, splits, and items. Nothing here imports torch until an item is taken."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import model_validator

from unetzoo.errors import Strict, UnetzooError

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("train", "val", "test")


class DatasetInfo(Strict):
    """``foreground`` are the class indices whose mean is the headline score; ``ignore_index`` marks void pixels.

    ``values`` and ``palette`` tell how the masks in the files store each class (a whole number, a colour #rrggbb),
    so that predictions can be written the same way; None where a data set has no files or classes no one value.
    ``range`` are the stored image values that became 0 and 1, None for those of 8- and 16-bit unsigned integers.
    """

    name: str
    channels: int
    class_names: tuple[str, ...]
    foreground: tuple[int, ...]
    ignore_index: int | None = None
    values: tuple[int, ...] | None = None
    palette: tuple[str, ...] | None = None
    range: tuple[float, float] | None = None
    description: str = ""
    citation: str = ""

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @model_validator(mode="after")
    def _sound(self) -> DatasetInfo:
        if self.classes < 2:
            raise ValueError(f"a data set needs at least two classes (background counts); got {self.class_names}")
        if len(set(self.class_names)) < self.classes:
            raise ValueError(f"class_names {self.class_names}: one stands twice")
        if not self.foreground or any(not 0 <= c < self.classes for c in self.foreground):
            raise ValueError(f"foreground {self.foreground} must name classes 0 to {self.classes - 1}")
        for field in ("values", "palette"):
            given = getattr(self, field)
            if given is not None and len(given) != self.classes:
                raise ValueError(f"{field} has {len(given)} entries for {self.classes} classes")
        if self.ignore_index is not None and 0 <= self.ignore_index < self.classes:
            raise ValueError(f"ignore_index {self.ignore_index} is one of the classes 0 to {self.classes - 1}")
        return self


class SegmentationDataset(ABC):
    """Subclasses set ``info`` and ``splits`` (split -> keys) and give `read` and `content_digest`.

    ``drawn`` are the splits that were drawn by hash, so that another seed may draw them anew; ``test_is_fixed``: k-fold
    leaves the test set alone; ``ordered``: neighbouring keys are nearly equal, so that a fold is a run of them.
    """

    info: DatasetInfo
    splits: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, str] = MappingProxyType({})  # key -> what must stay in one split: a patient, an eye pair
    drawn: tuple[str, ...] = ()
    test_is_fixed: bool = True
    ordered: bool = False

    @abstractmethod
    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Image float32 (C, H, W) in [0, 1] and mask int64 (H, W) of class indices or ``ignore_index``."""

    @abstractmethod
    def content_digest(self, key: str) -> str:
        """A hash of what `read` gives for this key."""

    def instances(self, key: str) -> np.ndarray | None:
        """Instance labels int32 (H, W), 0 = background, where the data set knows them."""
        return None

    def __getitem__(self, key: str) -> tuple[Tensor, Tensor]:
        """Image float32 (C, H, W) and mask int64 (H, W) as tensors."""
        import torch

        image, mask = self.read(key)
        return torch.from_numpy(image), torch.from_numpy(mask)

    def split_digest(self, split: str) -> str:
        """A hash of the split's keys and contents, in order."""
        parts = (f"{key}:{self.content_digest(key)}" for key in self.splits[split])
        return _digest("\n".join(parts))

    def digest(self) -> str:
        """A hash of the whole data set: its facts, its splits and every item's content."""
        parts = [self.info.model_dump_json(exclude={"name", "description", "citation", "values", "palette", "range"})]
        return _digest("\n".join(parts + [f"{split}:{self.split_digest(split)}" for split in SPLITS]))

    def check(self) -> None:
        """Raise `UnetzooError` on an empty split, and on a key, a group or an identical item in two splits."""
        where: dict[str, tuple[str, str]] = {}
        for split in SPLITS:
            if not self.splits.get(split):
                raise UnetzooError(f"data set {self.info.name!r}: the {split} split is empty")
            for key in self.splits[split]:
                marks = [(f"key {key}", "the same key"), (self.content_digest(key), "the same content")]
                if key in self.groups:
                    marks.append((f"group {self.groups[key]}", f"of one group, {self.groups[key]!r}"))
                for mark, what in marks:
                    other, other_key = where.setdefault(mark, (split, key))
                    if other != split:
                        raise UnetzooError(
                            f"data set {self.info.name!r}: {key!r} in {split} and {other_key!r} in {other} are "
                            f"{what}; a test image must not be trained on"
                        )

    def check_values(self) -> None:
        """Raise `UnetzooError` naming the first item whose mask holds a value that is no class. Reads everything."""
        allowed = {*range(self.info.classes), self.info.ignore_index}
        for key in (key for split in SPLITS for key in self.splits[split]):
            if strange := sorted(set(np.unique(self.read(key)[1]).tolist()) - allowed):
                raise UnetzooError(f"data set {self.info.name!r}: {key!r}: mask values {strange[:5]} are no classes")

    def facts(self) -> dict[str, Any]:
        """What a record keeps: the info and the size and hash of each split."""
        splits = {s: {"n": len(self.splits[s]), "digest": self.split_digest(s)} for s in SPLITS}
        return {**self.info.model_dump(mode="json"), "classes": self.info.classes, "splits": splits}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
