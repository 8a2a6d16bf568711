"""A few test images, kept as PNG beside the records so that a report can show them without torch or the data."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from unetzoo._util.atomic import write_atomic
from unetzoo._util.text import visible
from unetzoo.data.base import DatasetInfo
from unetzoo.records.parts import Sample

LARGEST = 256  # px per side; of a larger image the centre is shown
FOLDER = "images"
VOID = 255


class KeptImages:
    """The test images to keep, collected while the test split is read, which happens only once.

    Args:
        keys: Keys of the images to keep.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = set(keys)
        self._images: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._predictions: dict[str, np.ndarray] = {}

    def add(self, key: str, image: Tensor, mask: Tensor) -> None:
        """Take an image (C, H, W) in [0, 1] and its mask (H, W) as they were read."""
        if key in self._keys:
            self._images[key] = image.numpy(), mask.numpy()

    def add_prediction(self, key: str, prediction: Tensor) -> None:
        """Take the predicted class map (H, W) of an image."""
        if key in self._keys:
            self._predictions[key] = prediction.cpu().numpy()

    def write(self, info: DatasetInfo, records: Path) -> list[Sample]:
        """Write all images to the folder ``records`` and return them as `Sample`, sorted by key."""
        return [
            _write_sample(info, key, *self._images[key], self._predictions[key], records)
            for key in sorted(self._images)
        ]


def _write_sample(
    info: DatasetInfo, key: str, image: np.ndarray, mask: np.ndarray, prediction: np.ndarray, records: Path
) -> Sample:
    """Write one test image, its mask and its prediction; equal pictures share one file."""
    window = tuple(slice((n - min(n, LARGEST)) // 2, (n + min(n, LARGEST)) // 2) for n in mask.shape)
    truth = mask.copy()
    if info.ignore_index is not None:
        truth[mask == info.ignore_index] = VOID
    return Sample(
        key=visible(key),
        image=_write_png(_viewable(image[(slice(None), *window)]), records),
        truth=_write_png(truth[window].astype(np.uint8), records),
        prediction=_write_png(prediction[window].astype(np.uint8), records),
    )


def _viewable(image: np.ndarray) -> np.ndarray:
    """Convert (C, H, W) in [0, 1] to 8-bit RGB of the first three channels, or to grey of the first."""
    channels = image[:3].transpose(1, 2, 0) if image.shape[0] >= 3 else image[0]
    return (255 * channels).round().astype(np.uint8)


def _write_png(pixels: np.ndarray, records: Path) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    name = f"{FOLDER}/{hashlib.sha256(pixels.tobytes() + str(pixels.shape).encode()).hexdigest()[:16]}.png"
    if not (records / name).exists():
        write_atomic(records / name, buffer.getvalue())
    return name
