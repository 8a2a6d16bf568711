"""Written by one library, read by ours: any pixels, formats and options that hypothesis draws."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from support.png_writer import CHANNELS, DEPTHS, write_png
from support.tiff_writer import odd_tiffs, write_odd
from unetzoo.data.folders.files import count_pages, read_stored
from unetzoo.data.folders.mapped import map_tiff
from unetzoo.errors import UnetzooError
from unetzoo.inference.images import Item, open_image

imagecodecs = pytest.importorskip("imagecodecs", reason="writes the odd files (pip install imagecodecs)")

ODD = [odd for odd in odd_tiffs() if odd.photometric in ("black", "rgb") and not odd.extra]
Written = tuple[str, np.ndarray]  # name of the file, pixels (pages, C, H, W)


def pixels(draw: st.DrawFn, dtype: Any, channels: int, top: int | None = None, least: int = 1) -> np.ndarray:
    """Draw (H, W, C), with few values or many, of sides from ``least``."""
    shape = (draw(st.integers(least, 40)), draw(st.integers(least, 40)), channels)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        elements: Any = st.floats(-1e4, 1e4, width=8 * kind.itemsize)
    elif kind.kind == "b":
        elements = st.booleans()
    else:
        elements = st.integers(max(np.iinfo(kind).min, -(2**31)), top or int(np.iinfo(kind).max))
    return draw(arrays.arrays(kind, shape, elements=elements))


def first(array: np.ndarray) -> np.ndarray:
    return array.transpose(2, 0, 1)[None]


@st.composite
def by_tifffile(draw: st.DrawFn, folder: Path) -> Written:
    """Draw a single image, planar or not, or a stack of pages."""
    dtype = draw(st.sampled_from(["?", "u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"]))
    channels = 1 if dtype == "?" else draw(st.sampled_from([1, 1, 3, 5]))
    pages = draw(st.integers(2, 4)) if channels == 1 else 1
    image = pixels(draw, dtype, channels, least=8)  # tifffile may take a shorter side for the channels
    planar = channels > 1 and draw(st.booleans())
    stack = first(image) if pages == 1 else np.stack([np.roll(first(image)[0], n, axis=-1) for n in range(pages)])
    data = image[..., 0] if channels == 1 else image.transpose(2, 0, 1) if planar else image
    tifffile.imwrite(
        folder / "x.tif",
        stack[:, 0] if pages > 1 else data,
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig=("separate" if planar else "contig") if channels > 1 else None,
        compression=draw(st.sampled_from([None, "lzw", "zlib", "zstd", "packbits"])) if dtype != "?" else None,
        tile=draw(st.sampled_from([None, (16, 16), (32, 48)])),
        byteorder=draw(st.sampled_from("<>")),
        bigtiff=draw(st.booleans()),
        extrasamples=[0] * (channels - 3) if channels > 3 else None,
    )
    return "x.tif", stack


@st.composite
def by_pillow(draw: st.DrawFn, folder: Path) -> Written:
    kind, modes = draw(
        st.sampled_from(
            [("png", "1 L RGB I;16"), ("bmp", "1 L RGB"), ("webp", "RGB"), ("tif", "1 L RGB I;16 F"), ("ppm", "RGB L")]
        )
    )
    mode = draw(st.sampled_from(modes.split()))
    image = pixels(draw, {"1": "?", "I;16": "u2", "F": "f4"}.get(mode, "u1"), len(mode) if mode == "RGB" else 1)
    options: dict[str, Any] = {"webp": {"lossless": True, "exact": True}}.get(kind, {})
    if kind == "tif":
        options["compression"] = draw(st.sampled_from(["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"]))
    Image.fromarray(image if mode == "RGB" else image[..., 0]).save(folder / f"x.{kind}", **options)
    return f"x.{kind}", first(image)


@st.composite
def by_imagecodecs(draw: st.DrawFn, folder: Path) -> Written:
    kind = draw(st.sampled_from(["png", "webp", "bmp"]))
    image = pixels(draw, draw(st.sampled_from(["u1", "u2"])) if kind == "png" else "u1", draw(st.sampled_from([1, 3])))
    if kind == "webp":
        image = np.broadcast_to(image, (*image.shape[:2], 3)).copy()
        data = imagecodecs.webp_encode(image, lossless=True)
    else:
        data = {"png": imagecodecs.png_encode, "bmp": imagecodecs.bmp_encode}[kind](
            np.squeeze(image, 2) if image.shape[2] == 1 else image
        )
    (folder / f"x.{kind}").write_bytes(data)
    return f"x.{kind}", first(image)


@st.composite
def by_numpy(draw: st.DrawFn, folder: Path) -> Written:
    image = pixels(draw, draw(st.sampled_from(["?", "u1", "u2", "i2", "i8", "f2", "f4", "f8"])), 1)[..., 0]
    array = np.asarray(
        image.astype(image.dtype.newbyteorder(draw(st.sampled_from("<>")))), order=draw(st.sampled_from("CF"))
    )
    save: Callable[..., None] = draw(st.sampled_from([np.save, np.savez, np.savez_compressed]))
    name = "x.npy" if save is np.save else "x.npz"
    save(folder / name, array)
    return name, image[None, None]


@st.composite
def by_hand(draw: st.DrawFn, folder: Path) -> Written:
    """Draw a TIFF or a PNG of any depth, by our own writers after the specifications."""
    if draw(st.booleans()):
        odd = draw(st.sampled_from(ODD))
        image = pixels(
            draw, odd.dtype, odd.samples, None if odd.kind == "f" else 2 ** (odd.bits - (odd.kind == "i")) - 1
        )
        write_odd(folder / "x.tif", image, odd)
        return "x.tif", first(image)
    colour = draw(st.sampled_from([0, 2]))
    depth = draw(st.sampled_from(DEPTHS[colour]))
    image = pixels(draw, "u1" if depth <= 8 else "u2", CHANNELS[colour], 2**depth - 1)
    write_png(folder / "x.png", image, depth, colour, interlaced=draw(st.booleans()))
    return "x.png", first(image)


WRITERS = (by_tifffile, by_pillow, by_imagecodecs, by_numpy, by_hand)


def check(data: st.DataObject, folder: Path) -> None:
    """Write a drawn image, and compare what training and prediction read of each page."""
    name, expected = data.draw(data.draw(st.sampled_from(WRITERS))(folder))
    path = folder / name
    assert count_pages(path) == len(expected)
    for page, image in enumerate(expected):
        at = page if len(expected) > 1 else None
        stored = read_stored(path, at).pixels
        assert np.array_equal(stored.astype(image.dtype), image), name
        assert stored.dtype.isnative
        mapped = map_tiff(path) if path.suffix == ".tif" else None
        assert mapped is None or np.array_equal(mapped[page], stored)
        assert np.array_equal(open_image(Item(path, at)).pixels[:, :, :], stored)
    path.unlink()


SETTINGS: dict[str, Any] = {"deadline": None, "suppress_health_check": [*HealthCheck]}


@settings(max_examples=200, **SETTINGS)
@given(data=st.data())
def test_what_another_library_wrote(tmp_path: Path, data: st.DataObject) -> None:
    check(data, tmp_path)


@pytest.mark.nightly
@settings(max_examples=int(os.environ.get("UNETZOO_DRAWS", "5000")), **SETTINGS)
@given(data=st.data())
def test_what_another_library_wrote_at_length(tmp_path: Path, data: st.DataObject) -> None:
    check(data, tmp_path)


@settings(max_examples=200, **SETTINGS)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path, data: st.DataObject) -> None:
    name, _ = data.draw(data.draw(st.sampled_from(WRITERS))(tmp_path))
    path, buffer = tmp_path / name, io.BytesIO((tmp_path / name).read_bytes())
    whole = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(whole[: data.draw(st.integers(1, len(whole)))]))
    for ask in (read_stored, count_pages):
        try:
            ask(path)
        except UnetzooError as error:
            assert str(error).startswith(str(path))  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
    path.unlink()
