"""Facts about the training images of a model, saved with its weights, by which other images are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from unetzoo.data.base import DatasetInfo, SegmentationDataset
from unetzoo.errors import Strict, UnetzooError

if TYPE_CHECKING:
    from unetzoo.data.folders.files import Stored

DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners have
BINS = 64  # of a histogram on [0, 1]
MOST_IMAGES = 512  # training images whose histograms are taken, evenly spread


@dataclass(frozen=True)
class Storage:
    """Facts about one image as it is stored.

    Attributes:
        dtype: Type of the numbers, such as "uint16".
        bits: Bits of one number, as the file states them; 8 for a palette's colours.
        channels: Number of channels without alpha; 3 for a palette image.
        grey: True if all channels are equal.
        alpha: True if there is an alpha channel, which is not read.
        low: Lowest value.
        high: Highest value.
    """

    dtype: str
    bits: int
    channels: int
    grey: bool
    alpha: bool
    low: float
    high: float

    @classmethod
    def of(cls, stored: Stored) -> Storage:
        """Return the facts about a decoded image."""
        pixels, palette = stored.colours(), stored.palette is not None
        return cls(
            dtype=pixels.dtype.name,
            bits=8 if palette else stored.bits,
            channels=len(pixels),
            grey=bool((pixels == pixels[:1]).all()),
            alpha=stored.alpha is not None,
            low=float(pixels.min()),
            high=float(pixels.max()),
        )


class Expected(Strict):
    """Storage and reading of the training images of a model. Names and values of classes are in `DatasetInfo`.

    A field is None, or empty, if it is not known. Older weights have ``channels`` and ``range`` at most.
    """

    version: Literal[1] = 1
    dtypes: tuple[str, ...] = Field((), description="types of the stored numbers; empty if there were no files")
    bits: int | None = Field(None, description="bits of a stored number; the largest if they differ")
    channels: int | None = Field(None, description="channels that were read")
    meaning: str | None = Field(None, description="grey, grey stored as RGB, RGB, or a number of channels")
    alpha: bool = Field(False, description="True if some images had an alpha channel, which was not read")
    range: tuple[float, float] | None = Field(
        None, description="stored values that became 0 and 1; None: images were in [0, 1], or the type's full range"
    )
    low: float | None = Field(None, description="lowest stored value")
    high: float | None = Field(None, description="highest stored value")
    dimmest: float | None = Field(None, description="lowest of the images' highest stored values")
    downscale: int | None = Field(None, ge=1, description="side of the blocks that images were averaged over")
    pixel_size: tuple[float, float] | None = Field(None, description="height and width of a stored pixel in units")
    unit: str | None = Field(None, description="unit of the pixel size")
    histogram: tuple[tuple[float, ...], ...] | None = Field(
        None, description="share of the pixels in each of 64 bins on [0, 1], for each channel; mean over the images"
    )
    spread: float | None = Field(None, ge=0, description="largest distance of a training image from the other ones")

    @classmethod
    def of(
        cls, dataset: SegmentationDataset, *, pixel_size: tuple[float, float] | None = None, unit: str | None = None
    ) -> Expected:
        """Return the facts about the training images of a data set; only these are read.

        Args:
            dataset: The data set.
            pixel_size: Height and width of a pixel, if known.
            unit: Unit of the pixel size.
        """
        keys = dataset.splits["train"]
        stored = [fact for key in keys if (fact := dataset.storage(key)) is not None]
        counts = [histogram(dataset.read(key)[0]) for key in _spread(keys)]
        return cls(
            **(_merged(stored, dataset.info) if len(stored) == len(keys) else {}),
            channels=dataset.info.channels,
            range=dataset.info.range,
            downscale=dataset.downscale,
            pixel_size=pixel_size,
            unit=unit,
            histogram=tuple(tuple(round(v, 6) for v in row) for row in np.mean(counts, axis=0).tolist()),
            spread=round(_largest_distance(counts), 6),
        )

    @classmethod
    def from_header(cls, header: dict[str, Any], where: str) -> Expected:
        """Return the facts in the header of saved weights.

        Args:
            header: The header; one without these facts gives the channels and the range, if it has the data's.
            where: File to name in an error.

        Raises:
            UnetzooError: If the facts are damaged or those of a later version.
        """
        saved, data = header.get("expected"), header.get("data")
        if isinstance(saved, dict):
            if saved.get("version") != 1:
                raise UnetzooError(
                    f"{where}: expected.version = {saved.get('version')!r} is not known (known: 1); a later version of "
                    "unetzoo wrote it"
                )
            return cls.from_mapping(saved, f"{where}: expected")
        old = data if isinstance(data, dict) else {}
        return cls.from_mapping({key: old.get(key) for key in ("channels", "range")}, f"{where}: data")

    @property
    def known(self) -> bool:
        """False for weights that were saved without these facts."""
        return self.downscale is not None

    @property
    def depth(self) -> int | None:
        """Bits that the range spans if it is the full one, [0, 2**bits - 1]; None otherwise."""
        if self.range is None or self.range[0] != 0 or any(kind.startswith("float") for kind in self.dtypes):
            return None
        depths = [bits for bits in (1, 2, 4, *DEPTHS) if self.range[1] == 2**bits - 1]
        if depths == [1] and self.dtypes != ("bool",):
            return None  # floats in [0, 1]
        return depths[0] if depths else None


def needed_depth(high: float) -> int:
    """Return the least of the usual depths in bits that holds a value; 32 if none does."""
    return next((bits for bits in DEPTHS if high < 2**bits), 32)


def histogram(image: np.ndarray) -> np.ndarray:
    """Return the share of the pixels of an image (C, H, W) in each bin on [0, 1], (C, 64)."""
    bins = np.clip(np.nan_to_num(image) * BINS, 0, BINS - 1).astype(np.int64)  # users' data sets may leave [0, 1]
    return np.stack([np.bincount(channel.ravel(), minlength=BINS) / channel.size for channel in bins])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Wasserstein distance of histograms (C, 64), the mean over the channels; 1 is from black to white."""
    return float(np.abs(np.cumsum(one - other, axis=1)).sum(axis=1).mean() / BINS)


def _spread(keys: Sequence[str]) -> list[str]:
    step = max(1, -(-len(keys) // MOST_IMAGES))
    return list(keys[::step])


def _largest_distance(counts: Sequence[np.ndarray]) -> float:
    """Return the largest distance of one histogram from the mean of the others; 0 if there is one."""
    total, others = np.sum(counts, axis=0), max(1, len(counts) - 1)
    return max((distance(each, (total - each) / others) for each in counts), default=0.0) if len(counts) > 1 else 0.0


def _merged(stored: Iterable[Storage], info: DatasetInfo) -> dict[str, Any]:
    """Return the fields that follow from the files, of which there is at least one."""
    stored = list(stored)
    grey, several = all(one.grey for one in stored), any(one.channels > 1 for one in stored)
    colours = {1: "grey stored as RGB" if several else "grey", 3: "grey stored as RGB" if grey else "RGB"}
    return {
        "dtypes": tuple(sorted({one.dtype for one in stored})),
        "bits": max(one.bits for one in stored),
        "meaning": colours.get(info.channels, f"{info.channels} channels"),
        "alpha": any(one.alpha for one in stored),
        "low": min(one.low for one in stored),
        "high": max(one.high for one in stored),
        "dimmest": min(one.high for one in stored),
    }
