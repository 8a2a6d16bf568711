"""Stored files, and the images and masks that a reading makes of them."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from unetzoo import UnetzooError
from unetzoo.data.folders.convert import read_instances, read_pair
from unetzoo.data.folders.file_dataset import FileDataset
from unetzoo.data.folders.files import count_pages, read_stored
from unetzoo.data.folders.reading import ClassReading, Pair, Reading, Value, interval
from unetzoo.data.folders.reading_file import read_reading, to_toml

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
RGB = np.dstack([GREY, 2 * GREY, 3 * GREY])


def reading(**changes: object) -> Reading:
    classes = [ClassReading(name="back", values=[0], foreground=False), ClassReading(name="front", values=["1-"])]
    return Reading(**{"name": "t", "channels": 1, "range": (0.0, 255.0), "classes": classes, **changes})  # type: ignore[arg-type]


def write_png(path: Path, rows: np.ndarray, depth: int, colour: int) -> None:
    """Write a PNG that Pillow cannot write; ``rows`` are the packed bytes of each row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width = 8
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0))
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


# --- formats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif", "ppm"])
@pytest.mark.parametrize("name", ["x", "x.jpg"])
def test_the_first_bytes_tell_the_format(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / name
    kind = {"tif": "TIFF", "ppm": "PPM"}.get(suffix, suffix.upper())
    Image.fromarray(GREY if suffix != "ppm" else RGB).save(path, format=kind)
    stored = read_stored(path)
    assert stored.format == kind
    assert np.array_equal(stored.colours()[0], GREY)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_tiff_of_any_channels_and_types_planar_or_not(tmp_path: Path, kind: type, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 99, (channels, 20, 30)).astype(kind)
    for planar in ("contig", "separate") if channels > 1 else ("contig",):
        data = pixels if planar == "separate" else pixels.transpose(1, 2, 0)
        extra = [0] * (channels - 3 if channels > 3 else channels - 1)
        photometric = "rgb" if channels >= 3 else "minisblack"
        tifffile.imwrite(
            tmp_path / "x.tif",
            data if channels > 1 else pixels[0],
            photometric=photometric,
            planarconfig=planar if channels > 1 else None,
            extrasamples=extra or None,
            compression="zlib" if kind is np.uint16 else None,
        )
        stored = read_stored(tmp_path / "x.tif")
        assert stored.pixels.dtype == kind
        assert np.array_equal(stored.pixels, pixels), planar
        assert count_pages(tmp_path / "x.tif") == 1


def test_tiff_alpha_palette_bits_and_inverted_grey(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.dstack([RGB, GREY]), photometric="rgb", extrasamples=["unassalpha"])
    stored = read_stored(path)
    assert stored.pixels.shape == (3, 6, 8)
    assert np.array_equal(stored.alpha, GREY)
    Image.fromarray(GREY > 5).save(path)
    assert read_stored(path).pixels.dtype == bool
    assert np.array_equal(read_stored(path).pixels[0], GREY > 5)
    tifffile.imwrite(path, GREY, photometric="miniswhite")
    assert np.array_equal(read_stored(path).pixels[0], 255 - GREY)
    palette = Image.fromarray(GREY % 3).convert("P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.save(path)
    stored = read_stored(path)
    assert np.array_equal(stored.pixels[0], GREY % 3)
    assert np.array_equal(stored.rgb(path)[0], 255 * (GREY % 3 == 1))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff_and_its_pages(tmp_path: Path, compression: str) -> None:
    pages = [Image.fromarray(GREY + i) for i in range(3)]
    pages[0].save(tmp_path / "x.tif", compression=compression, save_all=True, append_images=pages[1:])
    assert count_pages(tmp_path / "x.tif") == 3
    assert np.array_equal(read_stored(tmp_path / "x.tif", 2).pixels[0], GREY + 2)


def test_tiff_compression_that_nobody_reads_names_the_package(tmp_path: Path) -> None:
    image = Image.fromarray(RGB)
    image.save(tmp_path / "x.tif", compression="tiff_lzw")
    assert np.array_equal(read_stored(tmp_path / "x.tif").pixels, RGB.transpose(2, 0, 1))
    data = bytearray((tmp_path / "x.tif").read_bytes())
    at = data.index(struct.pack("<HHI", 259, 3, 1))  # the compression tag
    data[at + 8 : at + 10] = struct.pack("<H", 34926)  # obsolete code of Zstandard
    (tmp_path / "x.tif").write_bytes(bytes(data))
    with pytest.raises(UnetzooError, match=r"x\.tif: .*(imagecodecs|cannot be read)"):
        read_stored(tmp_path / "x.tif")


def test_numpy_layouts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {
        (20, 30): (1, 1, 20, 30),
        (20, 30, 5): (1, 5, 20, 30),
        (3, 20, 30): (1, 3, 20, 30),
        (9, 20, 30): (9, 1, 20, 30),
        (9, 20, 30, 2): (9, 2, 20, 30),
        (9, 6, 20, 30): (9, 6, 20, 30),
    }
    for shape, (pages, *one) in shapes.items():
        array = rng.random(shape).astype(np.float32)
        np.save(tmp_path / "x.npy", array)
        np.savez_compressed(tmp_path / "x.npz", array)
        for name in ("x.npy", "x.npz"):
            assert count_pages(tmp_path / name) == pages
            stored = read_stored(tmp_path / name, pages - 1)
            assert list(stored.pixels.shape) == one
    np.save(tmp_path / "x.npy", rng.random(7))
    with pytest.raises(UnetzooError, match=r"an array of shape \(7,\); expected an image"):
        read_stored(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.full((4, 4), "a"))
    with pytest.raises(UnetzooError, match="pixels of type"):
        read_stored(tmp_path / "x.npy")


def test_png_of_16_bits_in_colour_and_of_2_and_4_bits(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (5, 8, 3)).astype(np.uint16)
    write_png(tmp_path / "deep.png", deep.astype(">u2").reshape(5, -1), 16, 2)
    stored = read_stored(tmp_path / "deep.png")
    assert np.array_equal(stored.pixels, deep.transpose(2, 0, 1))
    assert stored.bits == 16
    for depth in (2, 4):
        numbers = np.random.default_rng(depth).integers(0, 2**depth, (5, 8)).astype(np.uint8)
        per_byte = 8 // depth
        packed = sum(numbers[:, i::per_byte] << (8 - depth * (i + 1)) for i in range(per_byte)).astype(np.uint8)
        write_png(tmp_path / "few.png", packed, depth, 0)
        assert np.array_equal(read_stored(tmp_path / "few.png").pixels[0], numbers)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_as_pillow_applies_it(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as file:
        upright = np.asarray(ImageOps.exif_transpose(file))
    assert np.array_equal(read_stored(tmp_path / "x.png").pixels, upright.transpose(2, 0, 1))


def test_a_stack_needs_a_page(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.stack([GREY] * 4), photometric="minisblack")
    with pytest.raises(UnetzooError, match=r"x\.tif: a stack of 4 pages where one image is expected"):
        read_stored(tmp_path / "x.tif")
    with pytest.raises(UnetzooError, match=r"there is no page 4; it has 4 pages"):
        read_stored(tmp_path / "x.tif", 4)


def test_the_decoder_complains_in_one_line_whatever_is_cut(tmp_path: Path) -> None:
    """A file cut or flipped anywhere is either read or refused in one line."""
    path, rng = tmp_path / "x", np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "BMP", "TIFF", "GIF", "PPM", "NPY"):
        if kind == "NPY":
            np.save(tmp_path / "y.npy", GREY)
            whole = (tmp_path / "y.npy").read_bytes()
        else:
            Image.fromarray(RGB).save(path, format=kind)
            whole = path.read_bytes()
        for _ in range(40):
            data = bytearray(whole[: rng.integers(1, len(whole))] if rng.random() < 0.5 else whole)
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            path.write_bytes(bytes(data))
            for ask in (read_stored, count_pages):
                try:
                    ask(path)
                except UnetzooError as error:
                    assert str(error).startswith(str(path))  # noqa: PT017
                    assert "\n" not in str(error)  # noqa: PT017


# --- readings ------------------------------------------------------------------------------------------------------


def test_ranges_and_channels(tmp_path: Path) -> None:
    image, mask = tmp_path / "i.npy", tmp_path / "m.png"
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(mask)
    np.save(image, GREY.astype(np.int16) * 100 - 1000)
    got, _ = read_pair(Pair(image, mask), reading(range=(-1000.0, 3000.0)))
    assert np.allclose(got[0], np.clip(GREY.astype(float) * 100 / 4000, 0, 1))
    assert got.dtype == np.float32
    got, _ = read_pair(Pair(image, mask), reading(range=(0.0, 1000.0)))
    assert (got.min(), got.max()) == (0, 1)  # clipped, like a window of CT values
    np.save(image, np.dstack([GREY] * 3))
    assert read_pair(Pair(image, mask), reading())[0].shape == (1, 6, 8)
    assert read_pair(Pair(image, mask), reading(channels=3))[0].shape == (3, 6, 8)
    np.save(image, RGB)
    with pytest.raises(UnetzooError, match=r"i\.npy: 3 channels that differ, but the reading has 1"):
        read_pair(Pair(image, mask), reading())


def test_downscale_averages_images_and_takes_the_centre_of_masks(tmp_path: Path) -> None:
    image, mask = tmp_path / "i.png", tmp_path / "m.png"
    Image.fromarray(GREY).save(image)
    Image.fromarray(GREY % 2).save(mask)
    got, classes = read_pair(Pair(image, mask), reading(downscale=3))
    assert got.shape == (1, 2, 2)
    assert got[0, 0, 1] == pytest.approx(GREY[:3, 3:6].mean() / 255)
    assert np.array_equal(classes, (GREY % 2)[1::3, 1:6:3])
    with pytest.raises(UnetzooError, match=r"6x8 is too small for downscale = 7"):
        read_pair(Pair(image, mask), reading(downscale=7))


def test_ids_become_instances(tmp_path: Path) -> None:
    image, mask = tmp_path / "i.png", tmp_path / "m.png"
    Image.fromarray(GREY).save(image)
    Image.fromarray(GREY.astype(np.uint16) * 1000).save(mask)
    read = reading(instances=True)
    assert np.array_equal(read_instances(Pair(image, mask), read), GREY.astype(np.int32) * 1000)
    keys = {"a": Pair(image, mask)}
    dataset = FileDataset(read, keys, {"train": ("a",), "val": (), "test": ()})
    assert np.array_equal(dataset.instances("a"), GREY.astype(np.int32) * 1000)
    assert dataset.info.values is None


def test_void_has_a_number_above_the_classes() -> None:
    few = reading(ignore=[-1])
    many = reading(classes=[ClassReading(name=f"c{i}", values=[i]) for i in range(300)], ignore=[999])
    assert (few.ignore_index, many.ignore_index, reading().ignore_index) == (255, 300, None)


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [(7, 7, 7), ("3-9", 3, 9), ("1-", 1, 2**62), ("-5--2", -5, -2), ("#0a0B0c", 0x0A0B0C, 0x0A0B0C)],
)
def test_values(value: Value, first: int, last: int) -> None:
    assert interval(value) == (first, last)


def test_a_group_that_is_not_in_a_key(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "i.png")
    Image.fromarray(GREY).save(tmp_path / "m.png")
    pair = {"p1_a": Pair(tmp_path / "i.png", tmp_path / "m.png")}
    split = {"train": ("p1_a",), "val": (), "test": ()}
    assert FileDataset(reading(group=r"p(\d)"), pair, split).groups == {"p1_a": "1"}
    with pytest.raises(UnetzooError, match=r"group = 'q' is not found in 'p1_a'"):
        FileDataset(reading(group="q"), pair, split)


# --- any reading, written to files and read back -------------------------------------------------------------------

KINDS = {np.uint8: 255, np.uint16: 65535, np.int32: 2**31 - 1}

TEXT = st.characters(exclude_characters="\0", codec="utf-8")  # NUL is refused in TOML


@st.composite
def readings(draw: st.DrawFn) -> tuple[Reading, list[list[int]]]:
    """Draw a reading, and for each class (void last) stored values that belong to it."""
    colours = draw(st.booleans())
    top = 0xFFFFFF if colours else KINDS[draw(st.sampled_from(sorted(KINDS, key=lambda kind: kind.__name__)))]
    count = draw(st.integers(3, 7))
    edges = sorted(draw(st.sets(st.integers(0, top), min_size=2 * count, max_size=2 * count)))
    owners: list[tuple[list[Value], list[int]]] = []
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        if colours:
            owners.append(([f"#{low:06x}", f"#{high:06x}"], [low, high]))
        elif draw(st.booleans()):
            owners.append(([f"{low}-{high}"], [low, (low + high) // 2, high]))
        else:
            owners.append(([low, high], [low, high]))
    owners = draw(st.permutations(owners))
    *classes, void = owners
    names = draw(
        st.lists(st.text(TEXT, min_size=1, max_size=8), min_size=len(classes), max_size=len(classes), unique=True)
    )
    read = Reading(
        name="any",
        channels=1,
        range=(0.0, 255.0),
        classes=[ClassReading(name=name, values=values) for name, (values, _) in zip(names, classes, strict=True)],
        ignore=void[0],
        description=draw(st.text(TEXT, max_size=20)),
        group=draw(st.sampled_from([None, r"(\d+)\D"])),
    )
    return read, [stored for _, stored in owners]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=readings(), seed=st.integers(0, 99))
def test_a_reading_gives_back_the_masks_it_was_written_for(
    tmp_path: Path, case: tuple[Reading, list[list[int]]], seed: int
) -> None:
    read, stored = case
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, len(stored), (7, 9))
    numbers = np.vectorize(lambda c: rng.choice(stored[c]))(classes).astype(np.int64)
    if read.colours:
        mask = tmp_path / "m.png"
        Image.fromarray(np.dstack([numbers >> 16, numbers >> 8 & 255, numbers & 255]).astype(np.uint8)).save(mask)
    else:
        mask = tmp_path / "m.tif"
        tifffile.imwrite(mask, numbers.astype(np.int32), photometric="minisblack")
    np.save(tmp_path / "i.npy", rng.random((7, 9)).astype(np.float32))
    (tmp_path / "dataset.toml").write_text(to_toml(read, []), encoding="utf-8")
    assert read_reading(tmp_path / "dataset.toml") == read
    expected = np.where(classes == len(stored) - 1, read.ignore_index, classes)
    assert np.array_equal(read_pair(Pair(tmp_path / "i.npy", mask), read)[1], expected)
    strange = next(v for v in range(2**20) if all(not low <= v <= high for low, high in _intervals(read)))
    numbers[3, 4] = strange
    if read.colours:
        Image.fromarray(np.dstack([numbers >> 16, numbers >> 8 & 255, numbers & 255]).astype(np.uint8)).save(mask)
    else:
        tifffile.imwrite(mask, numbers.astype(np.int32), photometric="minisblack")
    shown = re.escape(f"#{strange:06x}" if read.colours else str(strange))
    with pytest.raises(UnetzooError, match=rf"mask value {shown} is in no class \(1 pixel, first at row 3, column 4\)"):
        read_pair(Pair(tmp_path / "i.npy", mask), read)


def _intervals(read: Reading) -> list[tuple[int, int]]:
    return [interval(value) for values in (read.ignore, *(c.values for c in read.classes)) for value in values]
