"""`unetzoo data check` on folders broken on purpose: each kind of damage has its message."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import unetzoo
from support.data_folders import (
    COUNT,
    SHAPE,
    disc,
    image_of,
    look,
    make_folder,
    mask_of,
    picture,
    save,
    texts,
)
from unetzoo import UnetzooError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "data")


# --- broken on purpose ---------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[Callable[[Path], object], str, str]] = {}
Breaker = Callable[[Path], object]


def broken(name: str, severity: str, message: str) -> Callable[[Breaker], Breaker]:
    def add(change: Breaker) -> Breaker:
        BROKEN[name] = change, severity, message
        return change

    return add


@broken("an image without a mask", "error", "a4.png: has no mask with stem 'a4'")
def _(f: Path) -> None:
    mask_of(f, 4).unlink()


@broken("a mask without an image", "error", "a4.png: has no image with stem 'a4'")
def _(f: Path) -> None:
    image_of(f, 4).unlink()


@broken("another size", "error", "masks/a4.png: mask is 9x9 but its image a4.png is 40x50")
def _(f: Path) -> None:
    save(mask_of(f, 4), np.zeros((9, 9), np.uint8))


@broken("rows and columns exchanged", "error", "mask is 50x40 but its image a4.png is 40x50; rows and columns are exch")
def _(f: Path) -> None:
    save(mask_of(f, 4), disc(4, 255).T)


@broken("a truncated PNG", "error", "images/a4.png: cannot be read as an image")
def _(f: Path) -> None:
    image_of(f, 4).write_bytes(image_of(f, 4).read_bytes()[:300])


@broken("text named .png", "error", "images/a4.png: not an image that can be read (it begins with b'hello wo')")
def _(f: Path) -> None:
    image_of(f, 4).write_text("hello world")


@broken("an empty file", "error", "masks/a4.png: the file is empty (0 bytes)")
def _(f: Path) -> None:
    mask_of(f, 4).write_bytes(b"")


@broken("a mask in the alpha channel", "error", "a0.png: the alpha channel differs from pixel to pixel")
def _(f: Path) -> None:
    for i in range(COUNT):
        save(mask_of(f, i), np.dstack([np.full((*SHAPE, 3), 255, np.uint8), disc(i, 255) // 2]))


@broken("JPEG masks", "warning", "a0.jpg: 8 masks are JPEG, which blurs their borders; they are cut at 128")
def _(f: Path) -> None:
    for i in range(COUNT):
        save(f / "masks" / f"a{i}.jpg", disc(i, 255), quality=80)
        mask_of(f, i).unlink()


@broken("JPEG masks of several classes", "error", "values: JPEG is lossy, save masks as PNG")
def _(f: Path) -> None:
    for i in range(COUNT):
        save(f / "masks" / f"a{i}.jpg", disc(i, 120) + disc(i + 50, 90), quality=70)
        mask_of(f, i).unlink()


@broken("grey levels for masks", "error", "too many to be classes (at most 64)")
def _(f: Path) -> None:
    for i in range(COUNT):
        save(mask_of(f, i), picture(100 + i))


@broken("a mask of 16-bit noise", "error", "different values: this is not a mask")
def _(f: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (120, 120)).astype(np.uint16)
    save(image_of(f, 4), picture(4, (120, 120, 3)))
    save(mask_of(f, 4), noise)


@broken("a float mask of 0.5", "error", "a4.tif: mask value 0.5 is not a whole number (1 pixel, first at row 2")
def _(f: Path) -> None:
    mask = disc(4).astype(np.float32)
    mask[2, 3] = 0.5
    tifffile.imwrite(f / "masks" / "a4.tif", mask)
    mask_of(f, 4).unlink()


def float_images(f: Path, change: Callable[[np.ndarray], None]) -> None:
    for i in range(COUNT):
        image = picture(i).astype(np.float32) / 255
        if i == 4:
            change(image)
        np.save(f / "images" / f"a{i}.npy", image)
        image_of(f, i).unlink()


@broken("NaN in an image", "error", "a4.npy: the image holds NaN (1 pixel, first at row 1, column 2)")
def _(f: Path) -> None:
    float_images(f, lambda image: image.__setitem__((1, 2), np.nan))


@broken("infinity in an image", "error", "a4.npy: the image holds infinity")
def _(f: Path) -> None:
    float_images(f, lambda image: image.__setitem__((1, 2), np.inf))


@broken("negative floats", "warning", "float32 images with values -3 to")
def _(f: Path) -> None:
    float_images(f, lambda image: image.__setitem__((1, 2), -3))


@broken("large 32-bit numbers", "warning", "int32 images with values 0 to 2e+09: these become 0 and 1")
def _(f: Path) -> None:
    for i in range(COUNT):
        image = picture(i).astype(np.int32)
        image[0, :2] = 0, 2_000_000_000
        tifffile.imwrite(f / "images" / f"a{i}.tif", image)
        image_of(f, i).unlink()


@broken("12-bit images", "note", "16-bit images with values up to 4064: taken as 12-bit, range = [0, 4095]")
def _(f: Path) -> None:
    for i in range(COUNT):
        image = picture(i).astype(np.uint16) * 16
        image[0, 0] = 4064
        save(image_of(f, i), image)


@broken("mixed channels", "error", "images/a4.png: 1 channels, but a0.png has 3; make them alike")
def _(f: Path) -> None:
    save(image_of(f, 4), picture(4))


@broken("mixed bit depths", "error", "a4.png: 16-bit (uint16), as in 1 image, but 7 are 8-bit")
def _(f: Path) -> None:
    for i in range(COUNT):
        save(image_of(f, i), picture(i))
    save(image_of(f, 4), picture(4).astype(np.uint16) * 257)


@broken("0/1 among 0/255", "error", "a4.png: 1 masks are 0/1, but 7 are 0/255; make them alike")
def _(f: Path) -> None:
    save(mask_of(f, 4), disc(4, 1))


@broken("an odd value in one mask", "error", "a4.png: value 7 is in this mask alone, all others are 0 and 255")
def _(f: Path) -> None:
    mask = disc(4, 255)
    mask[:5, :5] = 7
    save(mask_of(f, 4), mask)


@broken("every mask empty", "error", "masks: every mask is empty (value 0 only)")
def _(f: Path) -> None:
    for i in range(COUNT):
        save(mask_of(f, i), np.zeros(SHAPE, np.uint8))


@broken("every mask full", "error", "masks: every mask is full (value 255 only)")
def _(f: Path) -> None:
    for i in range(COUNT):
        save(mask_of(f, i), np.full(SHAPE, 255, np.uint8))


@broken("some masks empty", "note", "2 of 8 masks hold no foreground")
def _(f: Path) -> None:
    for i in (3, 4):
        save(mask_of(f, i), np.zeros(SHAPE, np.uint8))


@broken("a single pair", "error", "1 images cannot be split into train, val and test; at least 3 are needed")
def _(f: Path) -> None:
    for i in range(1, COUNT):
        image_of(f, i).unlink()
        mask_of(f, i).unlink()


@broken("one stem twice", "error", "a4.png: stem 'a4' is taken by a4.jpg; remove one of them")
def _(f: Path) -> None:
    save(f / "images" / "a4.jpg", picture(4, (*SHAPE, 3)))


@broken("too large to be decoded", "error", "a4.png: more than 89,478,485 pixels; cut it into tiles")
def _(f: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0))
    image_of(f, 4).write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))


@broken("pickled objects", "error", "a4.npy: holds pickled Python objects, which are not read for safety")
def _(f: Path) -> None:
    np.save(f / "images" / "a4.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    image_of(f, 4).unlink()


@broken("a bare pickle named .npy", "error", "a4.npy: not an image that can be read")
def _(f: Path) -> None:
    (f / "images" / "a4.npy").write_bytes(pickle.dumps(picture(4)))
    image_of(f, 4).unlink()


@broken("several arrays in one .npz", "error", "a4.npz: holds 2 arrays (a.npy, b.npy); a .npz must hold one array")
def _(f: Path) -> None:
    np.savez(f / "images" / "a4.npz", a=picture(4), b=picture(5))
    image_of(f, 4).unlink()


@broken("an image on its side", "error", "a4.jpg is turned by its EXIF orientation 6, as viewers do: remove it")
def _(f: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(f / "images" / "a4.jpg", picture(4, (*SHAPE, 3)), exif=exif)
    image_of(f, 4).unlink()


@broken("an image upside down", "warning", "a4.jpg: turned by its EXIF orientation 3, as viewers do")
def _(f: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    save(f / "images" / "a4.jpg", picture(4, (*SHAPE, 3)), exif=exif)
    image_of(f, 4).unlink()


@broken("a BMP named .png", "note", "1 file named .png: read as BMP, the format of the content")
def _(f: Path) -> None:
    save(image_of(f, 4), picture(4, (*SHAPE, 3)), format="BMP")


@broken("a black image", "warning", "a4.png: every pixel is 0 (1 image in all)")
def _(f: Path) -> None:
    save(image_of(f, 4), np.zeros((*SHAPE, 3), np.uint8))


def lists(f: Path, **stems: str) -> None:
    for name, words in stems.items():
        (f / f"{name}.txt").write_text("\n".join(words.split()) + "\n")


@broken("a list with an unknown stem", "error", "train.txt: 'zz' has no image")
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2 zz", test="a6 a7")


@broken("a list with a stem twice", "error", "train.txt: 'a1' is listed twice")
def _(f: Path) -> None:
    lists(f, train="a0 a1 a1", test="a6 a7")


@broken("a stem in two lists", "error", "test.txt: 'a1' is also in train.txt")
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2", test="a6 a1")


@broken("an empty list", "error", "test.txt: is empty")
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2", test="")


@broken("a list without another", "error", "there is no test split beside train.txt; give both")
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2")


@broken("images in no list", "warning", "3 pairs are in no split of train.txt, test.txt: not used")
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2", test="a6 a7")


@broken(
    "no mask for what no list names", "warning", "a4.png: has no mask with stem 'a4'; not used, as no list names it"
)
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2", test="a6 a7")
    mask_of(f, 4).unlink()


@broken("a test list of unmatched images", "error", "test.txt: 'a4' has an image but no mask")
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2", test="a4 a7")
    mask_of(f, 4).unlink()


@broken("the same image twice in train", "warning", "a1.png: is the same image as 'a0', both in train")
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2", val="a3", test="a6 a7")
    for of in (image_of, mask_of):
        of(f, 1).write_bytes(of(f, 0).read_bytes())


@broken("the same image in two splits", "error", "'a6' in test and 'a0' in train are the same image; remove one")
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2", val="a3", test="a6 a7")
    for of in (image_of, mask_of):
        of(f, 6).write_bytes(of(f, 0).read_bytes())


@broken(
    "nearly the same image in two splits", "warning", "is nearly equal: 'a0' in train and 'a6' in test correlate with"
)
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2", val="a3", test="a6 a7")
    buffer = io.BytesIO()
    Image.open(image_of(f, 0)).save(buffer, format="JPEG", quality=85)
    save(image_of(f, 6), np.asarray(Image.open(buffer))[::-1].copy())


@broken("a class that is tested but not trained", "warning", "'class2' is in test but in no training mask")
def _(f: Path) -> None:
    lists(f, train="a0 a1 a2", val="a3", test="a6 a7")
    for i in range(COUNT):
        save(mask_of(f, i), disc(i) + (disc(i) if i >= 6 else 0))


@broken("void everywhere", "warning", "a4.png: is void everywhere (1 mask in all)")
def _(f: Path) -> None:
    for i in range(COUNT):
        mask = disc(i)
        mask[:3] = 255
        save(mask_of(f, i), np.full(SHAPE, 255, np.uint8) if i == 4 else mask)


@broken("too many colours", "error", "colours, too many to be classes (at most 64); JPEG is lossy")
def _(f: Path) -> None:
    for i in range(COUNT):
        mask = np.dstack([disc(i, 255), disc(i + 40, 255), disc(i + 80, 255)])
        save(f / "masks" / f"a{i}.jpg", mask, quality=60)
        mask_of(f, i).unlink()


@broken("a mask of five channels", "error", "a4.npy: has 5 channels of uint8; a mask must have one channel")
def _(f: Path) -> None:
    np.save(f / "masks" / "a4.npy", np.dstack([disc(i) for i in range(5)]))
    mask_of(f, 4).unlink()


@broken("a stack and a mask of one page", "error", "a4.png: 1 page, but its image a4.tif has 6")
def _(f: Path) -> None:
    tifffile.imwrite(f / "images" / "a4.tif", np.stack([picture(i) for i in range(6)]))
    image_of(f, 4).unlink()


@broken("class names that do not fit", "warning", "classes.txt has 3 names, but the masks have 2 values (0, 255)")
def _(f: Path) -> None:
    (f / "classes.txt").write_text("one\ntwo\nthree\n")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(folder: Path) -> None:
    image_of(folder, 4).chmod(0)
    assert any("a4.png: cannot be read: Permission denied" in text for text in texts(look(folder), "error"))


@pytest.mark.parametrize("kind", BROKEN)
def test_each_kind_of_broken_folder_has_its_message(folder: Path, kind: str) -> None:
    change, severity, message = BROKEN[kind]
    change(folder)
    found = look(folder)
    messages = texts(found, severity)
    assert any(message in text for text in messages), texts(found)
    assert all("\n" not in text for text in messages)
    if severity == "error":
        with pytest.raises(UnetzooError) as caught:
            unetzoo.create_dataset("folder", folder)
        assert "\n" not in str(caught.value)
    else:
        assert found.errors == []
        assert unetzoo.create_dataset("folder", folder).info.classes >= 2


def test_there_are_enough_kinds() -> None:
    assert len(BROKEN) >= 40
