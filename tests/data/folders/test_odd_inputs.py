"""Small inputs as people have them: each is read right, or refused in one line that names the file and the remedy."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import unetzoo
from support.data_folders import COUNT, disc, image_of, look, make_folder, mask_of, picture, save, texts
from support.png_writer import write_png
from unetzoo import UnetzooError
from unetzoo.data.folders.files import count_pages, read_stored
from unetzoo.inference.images import Item, find_images, open_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data")


def errors_of(folder: Path) -> list[str]:
    found = texts(look(folder), "error")
    assert all("\n" not in text for text in found)
    with pytest.raises(UnetzooError) as caught:
        unetzoo.create_dataset("folder", folder)
    assert "\n" not in str(caught.value)
    return found


# --- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt", "tiff_lzw", "packbits", None])
def test_white_is_zero_is_inverted_once(folder: Path, compression: str | None) -> None:
    for i in range(COUNT):
        path = mask_of(folder, i).with_suffix(".tif")
        Image.fromarray(disc(i).astype(bool)).save(path, compression=compression, tiffinfo={262: 0})
        with Image.open(path) as file:
            seen = np.asarray(file)
        assert np.array_equal(read_stored(path).pixels[0], seen), "as Pillow"
        mask_of(folder, i).unlink()
    found = look(folder)
    assert found.reading is not None
    assert found.errors == []


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1.0000001, [0, 1]), (-1e-7, 1, [0, 1]), (0, 1, [0, 1]), (0, 254, [0, 255]), (0, 1.6, [0, 1.6])],
)
def test_range_of_floats(folder: Path, low: float, high: float, expected: list[float]) -> None:
    for i in range(COUNT):
        image = picture(i).astype(np.float32) / 255 * (1 if high < 2 else 255)
        image.flat[:2] = low, high
        tifffile.imwrite(image_of(folder, i).with_suffix(".tif"), image)
        image_of(folder, i).unlink()
    found = look(folder)
    assert found.reading is not None
    assert list(found.reading.range) == pytest.approx(expected)
    assert not any("nearly black" in text for text in texts(found))
    if high == 1.0000001:
        assert any("to 1.00000012 lie beyond range = [0, 1] and are clipped" in text for text in texts(found))


# --- shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "axes"), [((2, 40, 50), "CYX"), ((40, 50, 2), "YXC")])
def test_pages_that_may_be_channels(folder: Path, shape: tuple[int, ...], axes: str) -> None:
    two = np.stack([picture(i) for i in range(2)])
    pixels = two if shape[0] == 2 else two.transpose(1, 2, 0)
    for i in range(COUNT):
        tifffile.imwrite(image_of(folder, i).with_suffix(".tif"), pixels, photometric="minisblack")
        image_of(folder, i).unlink()
    said = errors_of(folder)[0]
    assert f"1 page, but its image a0.tif has {shape[0]} (its shape is {shape}; if they are channels" in said
    assert f"metadata={{'axes': '{axes}'}}" in said
    for i in range(COUNT):  # the remedy
        changed = np.roll(pixels, i, axis=axes.index("X"))
        path = image_of(folder, i).with_suffix(".tif")
        tifffile.imwrite(path, changed, photometric="minisblack", metadata={"axes": axes})
        assert np.array_equal(read_stored(path).pixels, np.roll(two, i, axis=2))
    assert not [text for text in texts(look(folder), "error") if "page" in text]


def test_a_numpy_stack_that_reads_as_one_image_has_its_shape_named(tmp_path: Path) -> None:
    images = np.stack([picture(i, (40, 30)) for i in range(60)])
    masks = np.stack([disc(i, shape=(40, 30)) for i in range(60)])
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "masks.npy", masks)
    with pytest.raises(UnetzooError, match=r"images\.npy \(its array is \(60, 40, 30\)\).*as \(N, 1, H, W\): save arr"):
        look(tmp_path)
    np.save(tmp_path / "images.npy", images[:, None])
    np.save(tmp_path / "masks.npy", masks[:, None])
    assert len(look(tmp_path).layout.pairing.pairs) == 60


# --- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_is_read_in_training_and_prediction(folder: Path, lossless: bool) -> None:
    path = image_of(folder, 2).with_suffix(".webp")
    with Image.open(image_of(folder, 2)) as file:
        pixels = np.asarray(file)
        file.save(path, lossless=lossless)
    image_of(folder, 2).unlink()
    found = look(folder)
    assert found.errors == []
    assert len(found.layout.pairing.pairs) == COUNT
    [item] = [item for item in find_images([folder / "images"]) if item.path == path]
    assert np.array_equal(open_image(item).pixels[:, :, :], read_stored(path).pixels)
    assert not lossless or np.array_equal(read_stored(path).pixels, pixels.transpose(2, 0, 1))


def test_a_lossy_webp_mask_is_called_lossy(tmp_path: Path) -> None:
    Image.fromarray(disc(0, 255)).save(tmp_path / "m.webp", quality=60)
    assert read_stored(tmp_path / "m.webp").lossy


@pytest.mark.parametrize("suffix", [".heic", ".jp2", ".avif"])
def test_a_format_that_is_not_read_is_named(folder: Path, suffix: str) -> None:
    path = image_of(folder, 2).with_suffix(suffix)
    image_of(folder, 2).rename(path)
    assert any(f"images/a2{suffix} has a format that is not read; supported" in text for text in errors_of(folder))
    told: list[str] = []
    items = find_images([folder / "images"], told.append)
    assert path not in [item.path for item in items]
    assert any(f"a2{suffix}" in line for line in told)
    path.write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(UnetzooError, match=rf"a2\{suffix}: not an image that can be read"):
        open_image(Item(path, None))


def test_a_folder_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    for name in ("set [2024]/a.png", "set [2024]/b.png", "set 2/c.png", "set 2/sub/d.png"):
        save(tmp_path / name, picture(0))

    def found(pattern: str) -> list[str]:
        return [item.path.relative_to(tmp_path).as_posix() for item in find_images([tmp_path / pattern])]

    assert found("set [2024]/*.png") == ["set [2024]/a.png", "set [2024]/b.png"]
    assert found("set [2024]/[a].png") == ["set [2024]/a.png"]
    assert found("set [2]/*.png") == ["set 2/c.png"]
    assert found("set 2/**/*.png") == ["set 2/c.png", "set 2/sub/d.png"]
    assert found("set [2024]") == ["set [2024]/a.png", "set [2024]/b.png"]
    with pytest.raises(UnetzooError, match="no such file or folder, and no pattern that matches any file"):
        found("set [2024]/*.tif")


def csv_of(folder: Path, cell: str = "images\\a{i}.png,masks\\a{i}.png", more: str = "") -> None:
    lines = [cell.replace("{i}", str(i)) for i in range(COUNT)]
    (folder / "pairs.csv").write_text("image,mask\n" + "\n".join(lines) + more + "\n")


def test_backslashes_of_windows_in_a_csv(folder: Path) -> None:
    csv_of(folder)
    found = look(folder)
    assert found.errors == []
    assert [*found.layout.pairing.pairs] == [f"a{i}" for i in range(COUNT)]
    csv_of(folder, "C:\\data\\a{i}.png,masks\\a{i}.png")
    assert any("no such file in" in text and "the backslashes of Windows" in text for text in errors_of(folder))


def test_a_cell_of_a_csv_that_is_too_long(folder: Path) -> None:
    csv_of(folder, more="\n" + "a" * 200_000 + ",masks/a0.png")
    with pytest.raises(UnetzooError, match=r"pairs\.csv: line 10: cannot be read as CSV: field larger"):
        look(folder)
    (folder / "pairs.csv").write_text("image,mask" + "k" * 200_000 + "\n")
    with pytest.raises(UnetzooError, match=r"pairs\.csv: line 1: cannot be read as CSV: field larger"):
        look(folder)


# --- sizes ---------------------------------------------------------------------------------------------------------


def zeros_npz(path: Path, shape: tuple[int, ...], rows: int) -> None:
    """Write a ``.npz`` whose header claims uint8 of a shape, with so many MiB of zeros."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("arr_0.npy", "w", force_zip64=True) as part,
    ):
        part.write(head.getvalue())
        for _ in range(rows):
            part.write(bytes(2**20))


def peak(ask: object, *arguments: object) -> int:
    """Return the peak of Python's memory in MiB during a call that may be refused."""
    tracemalloc.start()
    try:
        ask(*arguments)  # type: ignore[operator]
    except UnetzooError as error:
        assert "\n" not in str(error)  # noqa: PT017
    finally:
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return size >> 20


def test_a_stack_in_a_npz_is_not_unpacked_at_once(tmp_path: Path) -> None:
    zeros_npz(tmp_path / "x.npz", (128, 1024, 1024), 128)
    assert (tmp_path / "x.npz").stat().st_size < 2**18
    assert count_pages(tmp_path / "x.npz") == 128
    assert peak(count_pages, tmp_path / "x.npz") < 8
    assert peak(read_stored, tmp_path / "x.npz", 100) < 48  # a page, and what is skipped before it
    assert read_stored(tmp_path / "x.npz", 127).pixels.shape == (1, 1024, 1024)


@pytest.mark.parametrize("shape", [(41_000, 41_000), (9_000, 9_000, 20), (2**31, 2**31)])
def test_a_small_npz_that_claims_much_is_refused_before_it_is_unpacked(tmp_path: Path, shape: tuple[int, ...]) -> None:
    zeros_npz(tmp_path / "x.npz", shape, 1)
    assert peak(read_stored, tmp_path / "x.npz") < 8
    with pytest.raises(UnetzooError, match=r"x\.npz: .*(more than 89,478,485 pixels|bytes when unpacked)"):
        read_stored(tmp_path / "x.npz")


def test_a_npz_with_fewer_numbers_than_its_header_says(tmp_path: Path) -> None:
    zeros_npz(tmp_path / "x.npz", (2000, 2000), 1)
    with pytest.raises(UnetzooError, match=r"x\.npz: holds fewer numbers than its header says, \(2000, 2000\) uint8"):
        read_stored(tmp_path / "x.npz")


def test_a_png_whose_header_claims_absurd_sizes(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    for side, message in ((9_000, "its header claims 81,000,000 pixels"), (60_000, "more than 89,478,485 pixels")):
        write_png(path, np.zeros((4, 4, 1), np.uint8), 8, 0)
        data = bytearray(path.read_bytes())
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        path.write_bytes(bytes(data))
        assert peak(read_stored, path) < 8
        with pytest.raises(UnetzooError, match=rf"x\.png: {message}"):
            read_stored(path)
        with pytest.raises(UnetzooError, match=rf"its header claims {side**2:,} pixels, but the file has only"):
            open_image(Item(path, None))  # where images of any size are read


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("side", [9_000, 60_000])
def test_a_tiff_whose_header_claims_absurd_sizes(tmp_path: Path, compression: str | None, side: int) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((16, 16, 3), np.uint8), photometric="rgb", compression=compression, metadata=None)
    data = path.read_bytes()
    for tag in (256, 257):
        at = data.index(struct.pack("<HHI", tag, data[data.index(struct.pack("<H", tag)) + 2], 1))
        data = data[: at + 8] + struct.pack("<I", side) + data[at + 12 :]
    path.write_bytes(data)
    assert peak(read_stored, path) < 8
    with pytest.raises(UnetzooError, match=r"x\.tif: "):
        read_stored(path)
    with pytest.raises(UnetzooError, match=r"x\.tif: "):
        open_image(Item(path, None))


def test_a_tiff_with_strips_without_data(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.full((64, 64), 7, np.uint8), compression="zlib", rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(path) as file:
        counts = file.pages[0].tags["StripByteCounts"]
        place, size = counts.valueoffset, counts.dtype
    data = bytearray(path.read_bytes())
    width = {3: 2, 4: 4}[int(size)]
    data[place + 2 * width : place + 3 * width] = bytes(width)
    path.write_bytes(bytes(data))
    with pytest.raises(UnetzooError, match=r"strip or tile 2 of 4 has no data; the file is cut, or sparse"):
        read_stored(path)


# --- EXIF ----------------------------------------------------------------------------------------------------------


def test_an_image_that_exif_turns_and_its_mask(folder: Path) -> None:
    """Images and masks are turned by their own tags; sizes that then differ are refused, and others are warned of."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = image_of(folder, 2).with_suffix(".jpg")
    save(path, picture(2, (*disc(2).shape, 3)), exif=exif)
    image_of(folder, 2).unlink()
    assert any("a2.jpg is turned by its EXIF orientation 6, as viewers do: remove it" in t for t in errors_of(folder))
    save(mask_of(folder, 2), disc(2, 255), exif=exif)
    found = look(folder)
    assert found.errors == []
    for name, what in (("a2.jpg", "image"), ("a2.png", "mask")):
        said = f"{name}: turned by its EXIF orientation 6, as viewers do (1 {what} in all)"
        assert any(said in text for text in texts(found, "warning"))
    save(mask_of(folder, 2), np.rot90(disc(2, 255), -1).copy())
    assert look(folder).errors == []


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
@pytest.mark.parametrize("below", ["white", "black", "lines"])
def test_a_ccitt_strip_that_is_cut_is_refused(tmp_path: Path, compression: str, below: str) -> None:
    pytest.importorskip("imagecodecs")
    pixels = np.kron(disc(1), np.ones((2, 2), np.uint8)).astype(bool)
    pixels[-10:] = {"white": True, "black": False, "lines": np.arange(pixels.shape[1]) % 3 > 0}[below]
    path = tmp_path / "a.tif"
    Image.fromarray(pixels).save(path, compression=compression)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        (length,) = page.databytecounts
        tag = page.tags["StripByteCounts"]
        place, layout = tag.valueoffset, "<H" if tag.dtype == 3 else "<I"
    whole, refused, missed = path.read_bytes(), [], 0
    for left in range(1, length):
        data = bytearray(whole)
        struct.pack_into(layout, data, place, left)
        path.write_bytes(data)
        try:
            found = read_stored(path).pixels[0]
        except UnetzooError as error:
            refused.append(str(error))
        else:
            missed += not np.array_equal(found, pixels)  # elsewhere, what was cut off holds no pixels
    assert len(refused) > length / 2
    assert all("ends within its pixels; the file is cut" in text or "cannot be read" in text for text in refused)
    assert missed <= length / 100
