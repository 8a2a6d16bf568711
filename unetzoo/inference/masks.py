"""Predicted classes as image files, stored as the masks of the training data store them."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image, ImageColor

from unetzoo.data.base import DatasetInfo
from unetzoo.inference.images import Scaled
from unetzoo.inference.predict import most_probable

FORMATS = {"png": "PNG", "tif": "TIFF"}
OVERLAY = 2000  # px of an overlay's longer side, at most
# Black, then the colours of Okabe and Ito (https://jfly.uni-koeln.de/color), which the colour-blind tell apart too.
COLOURS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")

SHADES = ((1.0, 1.0), (0.4, 1.0), (1.0, 0.5), (0.5, 0.6))  # saturation, value


@dataclass(frozen=True)
class Encoding:
    """For each class its name, its stored value, its colour in a mask (None: masks carry none) and in an overlay."""

    names: tuple[str, ...]
    values: tuple[int, ...]
    palette: tuple[str, ...] | None
    outlines: tuple[str, ...]

    @classmethod
    def of(cls, info: DatasetInfo | None, classes: int) -> Encoding:
        """As ``info`` tells; class indices with a palette where it does not (or the values do not fit 16 bits)."""
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
        """Of class indices (H, W): 8 bits, or 16 where a value needs them."""
        table = np.array(self.values, np.uint8 if max(self.values) < 256 else np.uint16)
        image = Image.fromarray(classes if self.values == tuple(range(len(table))) else table[classes])
        if self.palette:
            entries = np.zeros((256, 3), np.uint8)
            entries[list(self.values)] = [ImageColor.getrgb(colour) for colour in self.palette]
            image.putpalette(entries.tobytes())
        return image


def _colours(classes: int) -> tuple[str, ...]:
    """Those of `COLOURS`; more go round the colour circle by the golden angle, in four shades."""
    more = (colorsys.hsv_to_rgb(k * 0.618034 % 1, *SHADES[k % len(SHADES)]) for k in range(classes - len(COLOURS)))
    return (*COLOURS, *(f"#{round(255 * r):02x}{round(255 * g):02x}{round(255 * b):02x}" for r, g, b in more))[:classes]


class Predicted:
    """What `predict` writes its rows of probabilities to: the classes of an image, and a TIFF of the probabilities.

    ``classes`` is (H, W) uint8, uint16 above 256 classes, ``pixels`` how many are of each class. The TIFF is
    float32 (K, H, W), uncompressed, so that it can be memory-mapped; rows are written as they come, and memory does
    not hold them.
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
        found = most_probable(torch.from_numpy(rows)).numpy()
        self.classes[index] = found
        self.pixels += np.bincount(found.ravel(), minlength=len(self.pixels))
        if self.path:
            np.memmap(self.path, np.float32, "r+", self.offset, self.shape)[index] = rows


def save_image(image: Image.Image, path: Path, kind: str) -> None:
    """``kind`` is 'png' or 'tif', compressed without loss."""
    image.save(path, FORMATS[kind], **({"compression": "tiff_adobe_deflate"} if kind == "tif" else {}))


def overlay(image: Scaled, classes: np.ndarray, colours: tuple[str, ...]) -> Image.Image:
    """The outlines of all classes but the first over the image, for looking: RGB, at most 2000 px long."""
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
