"""A few test images kept as PNG beside the records, so that a report can show them without torch or data."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from unetzoo.atomic import write_atomic
from unetzoo.bench.record import Sample
from unetzoo.data.base import SegmentationDataset

LARGEST = 256  # px a side; the centre of a larger image is shown
FOLDER = "images"
VOID = 255


def draw(dataset: SegmentationDataset, key: str, prediction: Tensor, records: Path) -> Sample:
    """Write one test image, its truth and a prediction (H, W); equal pictures share one file."""
    image, mask = dataset.read(key)
    window = tuple(slice((n - min(n, LARGEST)) // 2, (n + min(n, LARGEST)) // 2) for n in mask.shape)
    truth = mask.copy()
    if dataset.info.ignore_index is not None:
        truth[mask == dataset.info.ignore_index] = VOID
    return Sample(
        key=key,
        image=_write(_viewable(image[(slice(None), *window)]), records),
        truth=_write(truth[window].astype(np.uint8), records),
        prediction=_write(prediction.numpy()[window].astype(np.uint8), records),
    )


def _viewable(image: np.ndarray) -> np.ndarray:
    """(C, H, W) in [0, 1] as 8-bit RGB of the first three channels, or grey of the first."""
    channels = image[:3].transpose(1, 2, 0) if image.shape[0] >= 3 else image[0]
    return (255 * channels).round().astype(np.uint8)


def _write(pixels: np.ndarray, records: Path) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    name = f"{FOLDER}/{hashlib.sha256(pixels.tobytes() + str(pixels.shape).encode()).hexdigest()[:16]}.png"
    if not (records / name).exists():
        write_atomic(records / name, buffer.getvalue())
    return name
