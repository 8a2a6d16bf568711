"""Miniatures of named data sets in their official layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

RANDOM = np.random.default_rng(0)


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)


def noise(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def pick(values: list[int], *shape: int) -> np.ndarray:
    return RANDOM.choice(np.array(values, np.uint8), shape)


def amazon(root: Path) -> None:
    for folder, numbers in (("training", range(8)), ("validation", range(8, 11))):
        for n in numbers:
            (root / folder / "images").mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / folder / f"images/Amazon_{n}.tiff_{n + 3}.tiff", noise(16, 16, 3))
            save(root / folder / f"masks/Amazon_{n}.tiff_{n + 3}.png", pick([1, 2], 16, 16))
    tifffile.imwrite(root / "training/images/Amazon_181.tiff_34.tiff", noise(16, 16, 3))
    save(root / "training/masks/Amazon_181.tiff_34.png", pick([1, 2], 16, 17))


def camvid(root: Path) -> None:
    for folder, count in (("train", 4), ("val", 2), ("test", 3)):
        for n in range(count):
            save(root / f"CamVid/{folder}/{folder}_{n}.png", noise(12, 16, 3))
            save(root / f"CamVid/{folder}annot/{folder}_{n}.png", pick([*range(12)], 12, 16))


def chase(root: Path) -> None:
    for child in (*range(1, 5), 11, 12):
        for eye in "LR":
            save(root / f"Image_{child:02d}{eye}.jpg", noise(16, 16, 3))
            for observer in ("1stHO", "2ndHO"):
                save(root / f"Image_{child:02d}{eye}_{observer}.png", pick([0, 255], 16, 16), "1")


def dibco(root: Path) -> None:
    for n in range(1, 4):
        save(root / f"2009/DIBC02009_Test_images-handwritten/H0{n}.bmp", noise(16, 20, 3))
        save(root / f"2009/DIBCO2009-GT-Test-images_handwritten/H0{n}.tiff", pick([0, 255], 16, 20), "1")
        save(root / f"2010/test/H0{n}.tif", noise(16, 20, 3))
        save(root / f"2010/gt/H0{n}_estGT.tiff", pick([0, 255], 16, 20), "1")
        save(root / f"2011/HW{n}.png", noise(16, 20, 3))
        save(root / f"2011/HW{n}_GT.tiff", pick([0, 255], 16, 20), "1")


def drive(root: Path) -> None:
    for folder, numbers in (("training", range(21, 27)), ("test", range(1, 5))):
        for n in numbers:
            (root / folder / "images").mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / folder / f"images/{n:02d}_{folder}.tif", noise(20, 18, 3))
            save(root / folder / f"1st_manual/{n:02d}_manual1.gif", pick([0, 255], 20, 18))
            view = np.zeros((20, 18), np.uint8)
            view[4:16, 4:14] = 255
            save(root / folder / f"mask/{n:02d}_{folder}_mask.gif", view)


def isbi(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(root / "train-volume.tif", noise(30, 16, 16))
    tifffile.imwrite(root / "train-labels.tif", pick([0, 255], 30, 16, 16))


def magnetic(root: Path) -> None:
    for kind in ("MT_Crack", "MT_Free"):
        for n in range(10):
            save(root / kind / f"Imgs/exp1_num_{kind}{n}.jpg", noise(16, 20 + n))
            save(root / kind / f"Imgs/exp1_num_{kind}{n}.png", pick([0, 1, 127, 128, 254, 255], 16, 20 + n))


def wbc(root: Path) -> None:
    for n in range(1, 11):
        save(root / f"Dataset 1/{n:03d}.bmp", noise(16, 16, 3))
        save(root / f"Dataset 1/{n:03d}.png", pick([0, 128, 255], 16, 16))


def pet(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    for split, count in (("trainval", 8), ("test", 4)):
        lines = []
        for n in range(count):
            save(base / f"images/Beagle_{split}{n}.jpg", noise(16, 20, 3))
            save(base / f"annotations/trimaps/Beagle_{split}{n}.png", pick([1, 2, 3], 16, 20))
            lines.append(f"Beagle_{split}{n} 1 2 1\n")
        (base / f"annotations/{split}.txt").write_text("".join(lines))


def voc(root: Path) -> None:
    base = root / "VOCdevkit/VOC2012"
    for split, count in (("train", 6), ("val", 4)):
        for n in range(count):
            save(base / f"JPEGImages/{split}_{n}.jpg", noise(16, 20, 3))
            mask = Image.fromarray(pick([0, 1, 20, 255], 16, 20))
            mask.putpalette([channel for i in range(256) for channel in (i, 255 - i, i // 2)])
            (base / "SegmentationClass").mkdir(exist_ok=True)
            mask.save(base / f"SegmentationClass/{split}_{n}.png")
        lists = base / "ImageSets/Segmentation"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text("".join(f"{split}_{n}\n" for n in range(count)))


OFFICIAL: dict[str, tuple[Callable[[Path], None], tuple[int, int, int]]] = {
    "amazon_forest": (amazon, (7, 1, 3)),
    "camvid": (camvid, (4, 2, 3)),
    "chase_db1": (chase, (6, 2, 4)),
    "dibco": (dibco, (5, 1, 3)),
    "drive": (drive, (5, 1, 4)),
    "isbi2012": (isbi, (20, 4, 6)),
    "magnetic_tile": (magnetic, (14, 2, 4)),
    "wbc": (wbc, (7, 1, 2)),
    "oxford_pet": (pet, (7, 1, 4)),
    "voc2012": (voc, (5, 1, 4)),
}
