"""PNG, JPEG, BMP, WebP and NumPy files of every kind are read to the numbers that were written."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from support.png_writer import CHANNELS, DEPTHS, GREY, GREY_ALPHA, PALETTE, RGB, RGBA, write_bmp, write_png
from unetzoo.data.folders.files import count_pages, read_stored
from unetzoo.errors import UnetzooError

SHAPE = (13, 21)
PNGS, BMPS, JPEGS, WEBPS, ARRAYS = 52, 18, 80, 60, 400


def drawn(bits: int, channels: int, seed: int = 0) -> np.ndarray:
    kind = np.uint8 if bits <= 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**bits, (*SHAPE, channels)).astype(kind)


def smooth(channels: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, channels), dtype=np.uint8)
    layers = [Image.fromarray(coarse[..., i]).resize(SHAPE[::-1], Image.Resampling.BICUBIC) for i in range(channels)]
    return np.dstack([np.asarray(layer) for layer in layers])


def channels_first(array: np.ndarray) -> np.ndarray:
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


# --- PNG -----------------------------------------------------------------------------------------------------------


def pngs() -> Iterator[tuple[int, int, bool, bool]]:
    """Yield colour type, depth, interlaced and with a transparent colour."""
    for colour, interlaced, clear in itertools.product(DEPTHS, (False, True), (False, True)):
        if not (clear and colour in (GREY_ALPHA, RGBA)):
            yield from ((colour, depth, interlaced, clear) for depth in DEPTHS[colour])


def test_there_are_as_many_pngs_as_documented() -> None:
    assert len([*pngs()]) == PNGS


@pytest.mark.parametrize(("colour", "depth", "interlaced", "clear"), [*pngs()])
def test_png(tmp_path: Path, colour: int, depth: int, interlaced: bool, clear: bool) -> None:
    path, pixels = tmp_path / "x.png", drawn(depth, CHANNELS[colour])
    palette = drawn(8, 3).reshape(-1, 3)[: 2**depth] if colour == PALETTE else None
    transparent = b"\0\7" * (3 if colour == RGB else 1) if colour != PALETTE else b"\0\7"
    transparent = transparent[: 2**depth] if colour == PALETTE else transparent
    write_png(path, pixels, depth, colour, interlaced=interlaced, palette=palette, transparent=transparent * clear)
    stored = read_stored(path)
    expected = pixels.transpose(2, 0, 1)
    if colour in (GREY_ALPHA, RGBA):
        assert stored.alpha is not None
        assert np.array_equal(stored.alpha, expected[-1])
        expected = expected[:-1]
    else:
        assert stored.alpha is None
    if colour == GREY and depth == 1:
        expected = expected.astype(bool)
    assert (stored.pixels.dtype, stored.bits, stored.lossy) == (expected.dtype, depth, False)
    assert np.array_equal(stored.pixels, expected)
    if depth <= 8:
        with Image.open(path) as file:
            seen = channels_first(np.asarray(file.convert("RGBA")))[:3]
        ours = stored.colours() if colour in (RGB, RGBA, PALETTE) else expected.astype(int) * (255 // (2**depth - 1))
        assert np.array_equal(np.broadcast_to(ours, seen.shape), seen)
    elif colour == GREY:
        with Image.open(path) as file:
            assert np.array_equal(np.asarray(file), expected[0])


# --- BMP -----------------------------------------------------------------------------------------------------------


def bmps() -> Iterator[tuple[int, str, bool]]:
    yield from itertools.product((1, 4, 8), ("grey", "colours"), (False, True))
    yield from itertools.product((24, 32), ("none",), (False, True))
    yield from ((8, "few", False), (8, "few", True))


def test_there_are_as_many_bmps_as_documented() -> None:
    assert len([*bmps()]) == BMPS


@pytest.mark.parametrize(("bits", "table", "top_down"), [*bmps()])
def test_bmp(tmp_path: Path, bits: int, table: str, top_down: bool) -> None:
    path = tmp_path / "x.bmp"
    pixels = drawn(8, 3) if bits > 8 else drawn(min(bits, 2) if table == "few" else bits, 1)
    palette = None
    if bits <= 8:
        ramp = np.linspace(0, 255, 2**bits).astype(np.uint8)[:, None]
        palette = np.broadcast_to(ramp, (len(ramp), 3)) if table == "grey" else drawn(8, 3, 1).reshape(-1, 3)[: 2**bits]
    write_bmp(path, pixels, bits, palette, top_down=top_down)
    stored = read_stored(path)
    colours = pixels.transpose(2, 0, 1) if palette is None else palette[pixels[..., 0]].transpose(2, 0, 1)
    got = stored.colours().astype(np.uint8) * (255 if stored.pixels.dtype == bool else 1)
    assert np.array_equal(np.broadcast_to(got, colours.shape), colours)
    with Image.open(path) as file:
        assert np.array_equal(channels_first(np.asarray(file.convert("RGB"))), colours)


# --- JPEG ----------------------------------------------------------------------------------------------------------

JPEG_OPTIONS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
}


def jpegs() -> Iterator[tuple[str, str, int, int]]:
    for mode, option, orientation in itertools.product(("L", "RGB", "CMYK"), JPEG_OPTIONS, range(1, 9)):
        for subsampling in (0, 2) if mode == "RGB" else (0,):
            yield mode, option, orientation, subsampling
    yield from (("RGB", "baseline", orientation, 1) for orientation in range(1, 9))
    yield from (("L", "progressive", orientation, 2) for orientation in range(1, 9))


def test_there_are_as_many_jpegs_as_documented() -> None:
    assert len([*jpegs()]) == JPEGS


@pytest.mark.parametrize(("mode", "option", "orientation", "subsampling"), [*jpegs()])
def test_jpeg_is_upright_and_as_pillow_decodes_it(
    tmp_path: Path, mode: str, option: str, orientation: int, subsampling: int
) -> None:
    path, pixels = tmp_path / "x.jpg", smooth(len(mode))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = JPEG_OPTIONS[option] | ({"subsampling": subsampling} if mode == "RGB" else {})
    Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode).save(path, exif=exif, quality=95, **options)
    stored = read_stored(path)
    with Image.open(path) as file:
        seen = np.asarray(ImageOps.exif_transpose(file).convert("L" if mode == "L" else "RGB"))
    assert np.array_equal(stored.pixels, channels_first(seen))
    assert (stored.lossy, stored.orientation) == (True, orientation)


# --- WebP ----------------------------------------------------------------------------------------------------------


def webps() -> Iterator[tuple[str, bool, int]]:
    yield from itertools.product(("L", "RGB", "RGBA"), (True, False), (1, 3, 6))
    yield from itertools.product(("L", "RGB", "RGBA"), (True, False), (2, 4, 5, 7, 8))
    yield from itertools.product(("P", "1"), (True, False), (1, 3, 6))


def test_there_are_as_many_webps_as_documented() -> None:
    assert len([*webps()]) == WEBPS


@pytest.mark.parametrize(("mode", "lossless", "orientation"), [*webps()])
def test_webp(tmp_path: Path, mode: str, lossless: bool, orientation: int) -> None:
    path, exif = tmp_path / "x.webp", Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(smooth(4), "RGBA").convert(mode)
    image.save(path, lossless=lossless, exact=True, exif=exif)
    stored = read_stored(path)
    with Image.open(path) as file:
        seen = channels_first(np.asarray(ImageOps.exif_transpose(file)))
    assert np.array_equal(stored.pixels, seen[:3])
    assert (stored.alpha is not None) == (len(seen) == 4)
    assert stored.alpha is None or np.array_equal(stored.alpha, seen[3])
    assert (stored.format, stored.lossy, stored.orientation) == ("WebP", not lossless, orientation)
    if lossless:
        written = channels_first(np.asarray(ImageOps.exif_transpose(_turned(image, orientation).convert("RGB"))))
        assert np.array_equal(stored.pixels, written)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    exif = image.getexif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="PNG", exif=exif)
    return Image.open(buffer)


def test_animations_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(smooth(3, seed)) for seed in range(3)]
    for suffix, kind in (("webp", "WebP"), ("gif", "GIF"), ("png", "PNG")):
        path = tmp_path / f"x.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        with pytest.raises(UnetzooError, match=f"an animation of 3 frames; a {kind} must hold one image"):
            read_stored(path)


# --- PPM -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pgm_of_8_and_16_bits(tmp_path: Path, kind: type) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, SHAPE).astype(kind)
    head = f"P5\n{SHAPE[1]} {SHAPE[0]}\n{np.iinfo(kind).max}\n".encode()
    (tmp_path / "x.pgm").write_bytes(head + pixels.astype(pixels.dtype.newbyteorder(">")).tobytes())
    stored = read_stored(tmp_path / "x.pgm")
    assert stored.pixels.dtype == kind
    assert np.array_equal(stored.pixels[0], pixels)


# --- NumPy ---------------------------------------------------------------------------------------------------------

DTYPES = ("b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
LAYOUTS = {(9, 8): 1, (3, 9, 8): 1, (9, 8, 3): 1, (6, 9, 8): 6}
WAYS = ("npy", "npz", "compressed")


def arrays() -> Iterator[tuple[str, tuple[int, ...], str, str, str]]:
    for dtype, shape, way, fortran in itertools.product(DTYPES, LAYOUTS, WAYS, "CF"):
        yield from ((dtype, shape, way, fortran, end) for end in ("<>" if dtype == "u2" or dtype == "f4" else "<"))
    yield from ((d, s, "npy", "C", ">") for d, s in itertools.product(("u4", "u8", "i2", "i4", "i8"), LAYOUTS))
    yield from ((d, s, "npz", "C", ">") for d, s in itertools.product(("u4", "u8", "i2", "i4", "i8"), LAYOUTS))
    yield from ((d, s, w, "C", ">") for d, s, w in itertools.product(("f2", "f8"), LAYOUTS, WAYS[:2]))
    yield from (("f8", s, "compressed", "F", ">") for s in LAYOUTS)
    yield from (("i4", s, "compressed", "F", ">") for s in LAYOUTS)


def test_there_are_as_many_arrays_as_documented() -> None:
    assert len([*arrays()]) == ARRAYS


@pytest.mark.parametrize(("dtype", "shape", "way", "fortran", "end"), [*arrays()])
def test_numpy(tmp_path: Path, dtype: str, shape: tuple[int, ...], way: str, fortran: str, end: str) -> None:
    numbers = np.random.default_rng(0).integers(0, 2 if dtype == "b1" else 120, shape)
    array = np.asarray(numbers.astype(np.dtype(dtype).newbyteorder(end)), order=fortran)
    path = tmp_path / f"x.{'npy' if way == 'npy' else 'npz'}"
    {"npy": np.save, "npz": np.savez, "compressed": np.savez_compressed}[way](path, array)
    pages = LAYOUTS[shape]
    assert count_pages(path) == pages
    for page in range(pages):
        stored = read_stored(path, page)
        expected = numbers[page][None] if pages > 1 else numbers[None] if len(shape) == 2 else numbers
        expected = expected.transpose(2, 0, 1) if shape[-1] == 3 else expected
        assert stored.pixels.dtype == np.dtype(dtype)
        assert stored.pixels.dtype.isnative
        assert np.array_equal(stored.pixels, expected.astype(dtype))


@pytest.mark.parametrize("array", [np.full((4, 4), "a"), np.zeros((4, 4), complex), np.zeros((4, 4), "M8[s]")])
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    for path in (tmp_path / "x.npy", tmp_path / "x.npz"):
        (np.save if path.suffix == ".npy" else np.savez)(path, array)
        with pytest.raises(UnetzooError, match=r"pixels of type .* are not supported"):
            read_stored(path)
