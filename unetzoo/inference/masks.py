"""Predicted classes as image files, stored as the masks of the training data store them."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageColor

from unetzoo.data.base import DatasetInfo
from unetzoo.inference.prepare import Scaled

FORMATS = {"png": "PNG", "tif": "TIFF"}
OVERLAY = 2000  # upper limit in px of an overlay's longer side
# Black, then the colours of Okabe and Ito (https://jfly.uni-koeln.de/color), which the colour-blind can distinguish.
COLOURS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")

SHADES = ((1.0, 1.0), (0.4, 1.0), (1.0, 0.5), (0.5, 0.6))  # saturation, value


@dataclass(frozen=True)
class Encoding:
    """The encoding of classes in masks and overlays.

    Attributes:
        names: Name of each class.
        values: Stored value of each class.
        palette: Colour of each class in a mask; None if masks have no palette.
        outlines: Colour of each class in an overlay.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    palette: tuple[str, ...] | None
    outlines: tuple[str, ...]

    @classmethod
    def of(cls, info: DatasetInfo | None, classes: int) -> Encoding:
        """Return the training data's encoding, or class indices with a palette if it is unknown or beyond 16 bits."""
        names = info.class_names if info else tuple(f"class{k}" for k in range(classes))
        values, palette = (info.values, info.palette) if info else (None, None)
        if values and not 0 <= min(values) <= max(values) < 2**16:
            values = None
        outlines = palette or _colours(classes)
        if values is None:
            values = tuple(range(classes))
            palette = palette or (outlines if classes > 2 else ("#000000", "#ffffff"))
        return cls(names, values, palette if max(values) < 256 else None, outlines)

    def image(self, classes: np.ndarray) -> Image.Image:
        """Return the mask of class indices (H, W), with 8 bits, or 16 if a value needs them."""
        table = np.array(self.values, np.uint8 if max(self.values) < 256 else np.uint16)
        image = Image.fromarray(classes if self.values == tuple(range(len(table))) else table[classes])
        if self.palette:
            entries = np.zeros((256, 3), np.uint8)
            entries[list(self.values)] = [ImageColor.getrgb(colour) for colour in self.palette]
            image.putpalette(entries.tobytes())
        return image


def _colours(classes: int) -> tuple[str, ...]:
    """Return the colours of `COLOURS`, and beyond them steps of the golden angle on the colour wheel in four shades."""
    more = (colorsys.hsv_to_rgb(k * 0.618034 % 1, *SHADES[k % len(SHADES)]) for k in range(classes - len(COLOURS)))
    return (*COLOURS, *(f"#{round(255 * r):02x}{round(255 * g):02x}{round(255 * b):02x}" for r, g, b in more))[:classes]


class Predicted:
    """The output that `predict` writes rows of probabilities to: the class map, and a TIFF of the probabilities.

    The TIFF is float32 (K, H, W), uncompressed so that it can be memory-mapped. Rows are written as they come and are
    not held in memory.

    Args:
        channels: Channels K of the probabilities.
        sides: Height and width of the image.
        probabilities: Path of the TIFF; None for none.

    Attributes:
        classes: Class map (H, W), uint8, or uint16 above 256 classes.
        pixels: Number of pixels of each class.
    """

    def __init__(self, channels: int, sides: tuple[int, ...], probabilities: Path | None) -> None:
        self.shape = (channels, *sides)
        self.classes = np.empty(sides, np.uint8 if channels <= 256 else np.uint16)
        self.pixels = np.zeros(max(2, channels), np.int64)
        self.path, self.offset = probabilities, 0
        if probabilities:
            created = tifffile.memmap(
                probabilities, shape=self.shape, dtype=np.float32, photometric="minisblack", metadata={"axes": "CYX"}
            )
            self.offset = created.offset

    def __setitem__(self, index: Any, rows: np.ndarray) -> None:
        found = rows.argmax(0) if len(rows) > 1 else rows[0] > 0.5  # by NumPy: this runs in a thread beside torch's
        self.classes[index] = found
        self.pixels += np.bincount(found.ravel(), minlength=len(self.pixels))
        if self.path:
            np.memmap(self.path, np.float32, "r+", self.offset, self.shape)[index] = rows


def save_image(image: Image.Image, path: Path, kind: str) -> None:
    """Save an image as ``kind``, 'png' or 'tif', with lossless compression."""
    image.save(path, FORMATS[kind], **({"compression": "tiff_adobe_deflate"} if kind == "tif" else {}))


def overlay(image: Scaled, classes: np.ndarray, colours: tuple[str, ...]) -> Image.Image:
    """Draw the outlines of all classes but the first over the image, for inspection.

    Args:
        image: The image (C, H, W).
        classes: Class map (H, W).
        colours: Colour of each class.

    Returns:
        RGB image whose longer side is at most 2000 px.
    """
    from skimage.segmentation import find_boundaries

    step = -(-max(classes.shape) // OVERLAY)
    pixels, classes = image[:, ::step, ::step], classes[::step, ::step]
    low, high = np.percentile(pixels, (0.5, 99.5))
    grey = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1)
    rgb = np.uint8(255) * (grey if len(grey) == 3 else np.repeat(grey[:1], 3, axis=0))
    painted = np.ascontiguousarray(rgb.astype(np.uint8).transpose(1, 2, 0))
    outline = find_boundaries(classes, mode="inner", background=0)
    painted[outline] = np.array([ImageColor.getrgb(c) for c in colours], np.uint8)[classes[outline]]
    return Image.fromarray(painted)
