"""The interface and the registry of data sets. Torch is imported only when an item is taken as tensors."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import model_validator

from unetzoo._util.text import Printable
from unetzoo.errors import Strict, UnetzooError

if TYPE_CHECKING:
    from torch import Tensor

    from unetzoo.data.expected import Storage
    from unetzoo.data.folders.thumbnails import Compared

T = TypeVar("T")
SPLITS = ("train", "val", "test")


class DatasetInfo(Strict):
    """Description of a data set: its channels, its classes, and how its files store them.

    Attributes:
        name: Registered name.
        channels: Number of image channels.
        class_names: Name of each class, in the order of the class indices.
        foreground: Class indices whose mean is the headline score.
        ignore_index: Mask value of void pixels, which are neither trained on nor scored.
        values: Whole number that stands for each class in the mask files, so that predictions can be written the same
            way; None if there are no files or a class has several values.
        palette: Colour ``#rrggbb`` of each class in the mask files; None likewise.
        range: Stored image values that become 0 and 1; None means the full range of 8- or 16-bit unsigned integers.
        description: What the data set shows, in one line.
        citation: The publication to cite.
    """

    name: str
    channels: int
    class_names: tuple[Printable, ...]
    foreground: tuple[int, ...]
    ignore_index: int | None = None
    values: tuple[int, ...] | None = None
    palette: tuple[str, ...] | None = None
    range: tuple[float, float] | None = None
    description: str = ""
    citation: str = ""

    @property
    def classes(self) -> int:
        """The number of classes, background included."""
        return len(self.class_names)

    @model_validator(mode="after")
    def _sound(self) -> DatasetInfo:
        if self.classes < 2:
            raise ValueError(
                f"class_names = {self.class_names}: a data set needs at least two classes, background included"
            )
        if len(set(self.class_names)) < self.classes:
            raise ValueError(f"class_names = {self.class_names}: a name occurs twice; class names must differ")
        if not self.foreground or any(not 0 <= c < self.classes for c in self.foreground):
            raise ValueError(f"foreground = {self.foreground} must hold class indices from 0 to {self.classes - 1}")
        for field in ("values", "palette"):
            given = getattr(self, field)
            if given is not None and len(given) != self.classes:
                raise ValueError(
                    f"{field} has {len(given)} entries for {self.classes} classes; one for each class is needed"
                )
        if self.ignore_index is not None and 0 <= self.ignore_index < self.classes:
            raise ValueError(
                f"ignore_index = {self.ignore_index} is one of the classes 0 to {self.classes - 1}; choose another"
            )
        return self


class SegmentationDataset(ABC):
    """A data set of images and masks, split into train, val and test.

    Subclasses set ``info`` and ``splits`` and implement `read` and `content_digest`.

    Attributes:
        info: Description of the data set.
        splits: Keys of each split.
        groups: Group of a key, which must stay in one split: a patient, a pair of eyes. A key may have none.
        drawn: Splits that are drawn by hash, so that another seed may draw them again.
        test_is_fixed: True if k-fold leaves the test set alone.
        dropped: Keys that were dropped from a split as they, or an image like them, are in another.
        ordered: True if neighbouring keys are nearly equal, as in a stack, so that a fold must be a run of them.
        downscale: Side of the blocks of stored pixels that `read` averages.
        compared: Near-duplicates, if they were searched while the files were read.
    """

    info: DatasetInfo
    splits: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, str] = MappingProxyType({})  # key -> what must stay in one split: a patient, an eye pair
    drawn: tuple[str, ...] = ()
    dropped: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    test_is_fixed: bool = True
    ordered: bool = False
    downscale: int = 1
    compared: Compared | None = None

    @property
    def sampled_with(self) -> Mapping[str, str]:
        """Key -> the patient, film or volume that it was sampled with; by default its group.

        Test images that were sampled together are not independent, and comparisons draw them together. Unlike a group,
        such a sample may be in several splits: official splits cut films and volumes. A key may have none.
        """
        return self.groups

    @abstractmethod
    def read(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Read an item.

        Args:
            key: Key of the item.

        Returns:
            The image, float32 (C, H, W) in [0, 1], and the mask, int64 (H, W) of class indices or ``ignore_index``.
        """

    def read_image(self, key: str) -> np.ndarray:
        """Read the image of an item alone; see `read`."""
        return self.read(key)[0]

    def each_image(self, work: Callable[[np.ndarray], T], keys: Sequence[str]) -> Iterator[T]:
        """Yield ``work`` of the image of each key, in order; see `read_image`.

        Args:
            work: A function of a module, or a `functools.partial` of one, as other processes may do the work.
            keys: Keys of items.
        """
        return (work(self.read_image(key)) for key in keys)

    @abstractmethod
    def content_digest(self, key: str) -> str:
        """Return a hash of what `read` returns for this key."""

    def instances(self, key: str) -> np.ndarray | None:
        """Return the instance labels, int32 (H, W) with 0 = background, or None if the data set has none."""
        return None

    def storage(self, key: str) -> Storage | None:
        """Return facts about the image as its file stores it, or None if there is no file."""
        return None

    def __getitem__(self, key: str) -> tuple[Tensor, Tensor]:
        """Return the image, float32 (C, H, W), and the mask, int64 (H, W), as tensors."""
        import torch

        image, mask = self.read(key)
        return torch.from_numpy(image), torch.from_numpy(mask)

    def split_digest(self, split: str) -> str:
        """Return a hash of the split's keys and contents, in order."""
        parts = (f"{key}:{self.content_digest(key)}" for key in self.splits[split])
        return _digest("\n".join(parts))

    def digest(self) -> str:
        """Return a hash of the whole data set: its description, its splits and the content of every item."""
        parts = [self.info.model_dump_json(exclude={"name", "description", "citation", "values", "palette", "range"})]
        return _digest("\n".join(parts + [f"{split}:{self.split_digest(split)}" for split in SPLITS]))

    def check(self) -> None:
        """Check that no split is empty and that no data leak from one split into another.

        Raises:
            UnetzooError: If a split is empty, or a key, a group or an identical item is in two splits.
        """
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
                            f"{what}; test images must not be trained on: split anew, or set on_leak = "
                            "'drop_from_training'"
                        )

    def check_values(self) -> None:
        """Check the values of every mask, reading the whole data set.

        Raises:
            UnetzooError: If a mask holds a value that is not a class; it names the first such item.
        """
        allowed = {*range(self.info.classes), self.info.ignore_index}
        for key in (key for split in SPLITS for key in self.splits[split]):
            if strange := sorted(set(np.unique(self.read(key)[1]).tolist()) - allowed):
                raise UnetzooError(f"data set {self.info.name!r}: {key!r}: mask values {strange[:5]} are not classes")

    def describe(self) -> dict[str, Any]:
        """Return the description that a record keeps: the info, and the size and hash of each split."""
        splits = {s: {"n": len(self.splits[s]), "digest": self.split_digest(s)} for s in SPLITS}
        described = {**self.info.model_dump(mode="json"), "classes": self.info.classes, "splits": splits}
        if self.dropped:
            described["dropped"] = {split: list(keys) for split, keys in self.dropped.items()}
        return described


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
