"""Images whose channels, and masks whose parts or objects, lie in several files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unetzoo.data.folders.files import Stored, read_stored
from unetzoo.errors import UnetzooError


def stack_channels(paths: Sequence[Path], first: Stored) -> Stored:
    """Return an image whose channels lie in several files.

    Args:
        paths: The files, in the order of the channels.
        first: What the first file holds.

    Raises:
        UnetzooError: If a file cannot be read, or the files differ in size or type.
    """
    parts = _alike(paths, first)
    return replace(first, pixels=np.concatenate([part.colours() for part in parts]), palette=None, alpha=None)


def join_masks(paths: Sequence[Path], first: Stored, objects: bool) -> Stored:
    """Return a mask from several files, which are parts of one mask, or an object each.

    Objects are numbered 1, 2, ... in the order of their files' names; where two overlap, the first keeps the pixel.

    Args:
        paths: The files.
        first: What the first file holds.
        objects: True if each file shows one object.

    Raises:
        UnetzooError: If a file cannot be read, the files differ in size or type, or two parts contradict each other.
    """
    parts = _alike(paths, first)
    if objects:
        ids = np.zeros((1, *first.pixels.shape[1:]), np.int32)
        for number, part in enumerate(parts, start=1):
            ids[(ids == 0) & (part.colours() != 0).any(axis=0)[None]] = number
        return Stored(ids, first.format, 32)
    joined = first.pixels.copy()
    for path, part in zip(paths[1:], parts[1:], strict=True):
        clash = (joined != 0) & (part.pixels != 0) & (joined != part.pixels)
        if clash.any():
            count = int(clash.sum())
            raise UnetzooError(f"{path}: {count} pixels have another value in {paths[0].name}; parts must agree")
        joined = np.maximum(joined, part.pixels)
    return replace(first, pixels=joined)


def _alike(paths: Sequence[Path], first: Stored) -> list[Stored]:
    parts = [first, *(read_stored(path) for path in paths[1:])]
    for path, part in zip(paths, parts, strict=True):
        if part.pixels.shape[1:] != first.pixels.shape[1:] or part.pixels.dtype != first.pixels.dtype:
            height, width = part.pixels.shape[1:]
            h, w = first.pixels.shape[1:]
            raise UnetzooError(
                f"{path}: is {height}x{width} of {part.pixels.dtype}, but {paths[0].name} is {h}x{w} of "
                f"{first.pixels.dtype}; files that belong together must be alike"
            )
    return parts
