"""Reading images and masks from files, and saying what is wrong with them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from unetzoo.errors import UnetzooError, plain

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def read_array(path: Path, *, palette_as_rgb: bool = False) -> np.ndarray:
    """Pixels as stored, (H, W) or (H, W, C): of a palette image its indices unless told otherwise; 1-bit as bool."""
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            array = tifffile.imread(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(path) as file:
                    array = np.asarray(file.convert("RGB") if palette_as_rgb and file.mode == "P" else file)
    except FileNotFoundError:
        raise UnetzooError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise UnetzooError(f"{path}: not an image that can be read") from None
    except Exception as error:  # decoders raise whatever they like on a damaged file
        raise UnetzooError(f"{path}: cannot be read as an image: {plain(error)}") from None
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise UnetzooError(f"{path}: expected (H, W) or (H, W, C) pixels, got shape {array.shape}")
    return array


def read_image(path: Path) -> np.ndarray:
    """float32 (C, H, W) in [0, 1]: 8- and 16-bit integers are divided by their largest value.

    The alpha channel of a PNG is dropped (a TIFF's channels are all kept), a palette image becomes RGB; float
    images must already lie in [0, 1].
    """
    mode = _pil_mode(path)
    array = read_array(path, palette_as_rgb=True)
    if array.ndim == 2:
        array = array[..., None]
    if mode in ("LA", "RGBA"):
        array = array[..., :-1]
    if array.dtype == bool:
        scaled = array.astype(np.float32)
    elif array.dtype in (np.uint8, np.uint16):
        scaled = array.astype(np.float32) / np.iinfo(array.dtype).max
    elif np.issubdtype(array.dtype, np.floating):
        scaled = array.astype(np.float32)
        if not np.isfinite(scaled).all() or scaled.min() < 0 or scaled.max() > 1:
            raise UnetzooError(
                f"{path}: float values must lie in [0, 1], got {np.nanmin(scaled):g} to {np.nanmax(scaled):g}"
            )
    else:
        raise UnetzooError(f"{path}: pixels of type {array.dtype}; 8- or 16-bit unsigned or float is read")
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def read_mask(path: Path) -> np.ndarray:
    """Integer mask (H, W) as stored. Raises `UnetzooError` on colour and on float masks."""
    array = read_array(path)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2:
        raise UnetzooError(
            f"{path}: a mask must have one channel of class values, got {array.shape[-1]} (colours are not read)"
        )
    if array.dtype != bool and not np.issubdtype(array.dtype, np.integer):
        raise UnetzooError(f"{path}: a mask must hold whole numbers, got {array.dtype}")
    return array.astype(np.int64)


def _pil_mode(path: Path) -> str | None:
    """Pillow's mode of a file that is not a TIFF; None where it cannot be opened (`read_array` says why)."""
    if path.suffix.lower() in (".tif", ".tiff"):
        return None
    try:
        with Image.open(path) as file:
            return file.mode
    except Exception:
        return None


def paired_files(root: Path) -> dict[str, tuple[Path, Path]]:
    """stem -> (image, mask) of ``root/images`` and ``root/masks``. Raises `UnetzooError` on any mismatch."""
    images, masks = (_by_stem(root / name) for name in ("images", "masks"))
    for ours, theirs, what in ((images, masks, "mask"), (masks, images, "image")):
        alone = sorted(set(ours) - set(theirs))
        if alone:
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise UnetzooError(f"{ours[alone[0]]}: has no {what} with stem {alone[0]!r}{more}")
    return {stem: (images[stem], masks[stem]) for stem in sorted(images)}


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UnetzooError(f"{folder}: no such folder; a data folder holds images/ and masks/ with equal stems")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise UnetzooError(f"{path}: stem {path.stem!r} is taken by {found[path.stem].name}")
        found[path.stem] = path
    if not found:
        raise UnetzooError(f"{folder}: no images ({', '.join(SUFFIXES)})")
    return found


def read_list(path: Path, known: Sequence[str]) -> tuple[str, ...]:
    """Stems, one a line. Raises `UnetzooError` on one that is not known or stands twice."""
    try:
        stems = tuple(line.strip() for line in path.read_text().splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UnetzooError(f"{path}: cannot be read: {error}") from None
    for stem in stems:
        if stem not in known:
            raise UnetzooError(f"{path}: {stem!r} has no image")
    if len(set(stems)) < len(stems):
        raise UnetzooError(f"{path}: {next(s for s in stems if stems.count(s) > 1)!r} stands twice")
    return stems


def check_same_size(image: np.ndarray, mask: np.ndarray, image_path: Path, mask_path: Path) -> None:
    if image.shape[1:] != mask.shape:
        (h, w), (mh, mw) = image.shape[1:], mask.shape
        raise UnetzooError(f"{mask_path}: mask is {mh}x{mw} but its image {image_path.name} is {h}x{w}")


def array_digest(*arrays: np.ndarray) -> str:
    """A hash of shapes, types and values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
