"""Pictures of test images for HTML: input, truth and predictions as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from unetzoo.records.parts import Sample
from unetzoo.records.record import Record
from unetzoo.report.predictions import Grid, paint, read_picture

SIDE = 256  # px of the longer side at most


@dataclass(frozen=True)
class Kept:
    """A test image that a record kept.

    Attributes:
        image: The input, grey or RGB; None if its file is missing.
        truth: Class indices (H, W); None if the file is missing.
        prediction: Predicted class indices (H, W); None if the file is missing or of another size.
    """

    image: Grid | None
    truth: Grid | None
    prediction: Grid | None


def read_kept(folder: Path, sample: Sample, side: int = SIDE) -> Kept:
    """Read the pictures of a sample.

    Args:
        folder: Output folder of the run.
        sample: The sample, whose files lie in ``folder/records``.
        side: Pixels of the input's longer side at most; it takes far more bytes than the maps.
    """
    truth = read_picture(folder, sample.truth, SIDE, mask=True)
    guess = read_picture(folder, sample.prediction, SIDE, mask=True)
    sound = truth is not None and guess is not None and truth.shape == guess.shape
    return Kept(read_picture(folder, sample.image, side, mask=False), truth, guess if sound else None)


def painted(kept: Kept, record: Record, *, truth: bool = False) -> str | None:
    """Return the prediction (or the truth) with its colours as a data URI; None if it cannot be shown."""
    if kept.truth is None or (kept.prediction is None and not truth):
        return None
    guess = kept.truth if truth or kept.prediction is None else kept.prediction
    return png_uri(paint(kept.truth, guess, record))


def png_uri(pixels: Grid) -> str:
    """Return pixels (H, W) or (H, W, 3) as a data URI of a PNG, with a palette if they have at most 256 colours."""
    image = Image.fromarray(pixels)
    if pixels.ndim == 3:
        packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
        colours, index = np.unique(packed, return_inverse=True)
        if len(colours) <= 256:
            image = Image.fromarray(index.reshape(packed.shape).astype(np.uint8), mode="L")
            image.putpalette([int(c) >> shift & 255 for c in colours for shift in (16, 8, 0)])
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
