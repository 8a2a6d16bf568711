"""Any folder made by a random layout, encoding and split is read exactly, or refused with its culprit named."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unetzoo
from support.data_folders import disc, picture, save
from unetzoo import UnetzooError

SHAPE = (36, 40)
LAYOUTS = (  # {s} split folder, {n} name, {p} patient
    ("images/{n}.png", "masks/{n}.png"),
    ("imgs/{n}.bmp", "labels/{n}_mask.png"),
    ("input/{n}.tif", "gt/{n}.gif"),
    ("JPEGImages/{n}.png", "SegmentationClass/{n}.png"),
    ("{n}.png", "{n}_mask.png"),
    ("{n}_img.tif", "{n}_masks.tif"),
    ("{n}.bmp", "{n}.png"),
    ("images/p{p}/{n}.png", "masks/p{p}/{n}.png"),
    ("p{p}/images/{n}.png", "p{p}/masks/{n}.png"),
    ("p{p}/{n}.tif", "p{p}/{n}_mask.tif"),
    ("{n}/images/{n}.png", "{n}/masks/0.png"),
    ("imagesTr/{n}_0000.png", "labelsTr/{n}.png"),
    ("{s}/images/{n}.png", "{s}/masks/{n}.png"),
    ("images/{s}/{n}.png", "masks/{s}/{n}.png"),
    ("{s}/{n}.bmp", "{s}/{n}_mask.png"),
    ("{s}/images/p{p}/{n}.png", "{s}/masks/p{p}/{n}.png"),
    ("{s}/{n}.png", "{s}_masks/{n}_mask.gif"),
    ("{s}/images/{n}_{s}.png", "{s}/1st_manual/{n}_manual1.gif"),
)


def grey_0_1(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(mask)


def grey_0_255(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(mask * 255)


def palette(mask: np.ndarray) -> Image.Image:
    image = Image.fromarray(mask).convert("P")
    image.putpalette([0, 0, 0, 200, 30, 60])
    return image


ENCODINGS = (grey_0_1, grey_0_255, palette)


@dataclass
class Made:
    """A folder: what its items are, which of them each split holds, and the files by number."""

    root: Path
    images: list[Path] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    splits: dict[str, set[int]] = field(default_factory=dict)


def make(root: Path, rng: random.Random) -> Made:
    image, mask = rng.choice(LAYOUTS)
    encode, count, made = rng.choice(ENCODINGS), rng.randint(9, 12), Made(root)
    name = rng.choice(("a{}", "x_{}y", "IMG {}", "{}", "Zelle-{}ä"))
    for i in range(count):
        split = "train" if i < count - 4 else "val" if i < count - 2 else "test"
        words = {"n": name.format(i), "s": split, "p": f"{split[:2]}{i % 3}" if "{s}" in image else i % 4}
        made.names.append(words["n"])
        made.images.append(root / image.format(**words))
        made.masks.append(root / mask.format(**words))
        save(made.images[-1], picture(i, SHAPE))
        made.masks[-1].parent.mkdir(parents=True, exist_ok=True)
        encode(disc(i, shape=SHAPE)).save(made.masks[-1])
        if "{s}" in image:
            made.splits.setdefault(split, set()).add(i)
    if not made.splits and "{p}" not in image and rng.random() < 0.3:
        made.splits = {"train": set(range(count - 3)), "test": set(range(count - 3, count))}
        for split, numbers in made.splits.items():
            (root / f"{split}.txt").write_text("\n".join(name.format(i) for i in sorted(numbers)))
    return made


def nothing(made: Made, i: int) -> str:
    return ""


def no_mask(made: Made, i: int) -> str:
    made.masks[i].unlink()
    return made.names[i]


def no_image(made: Made, i: int) -> str:
    made.images[i].unlink()
    return made.names[i]


def other_suffix(made: Made, i: int) -> str:
    made.images[i].rename(made.images[i].with_suffix(".jp2"))
    return made.names[i]


def dangling(made: Made, i: int) -> str:
    made.masks[i].unlink()
    made.masks[i].symlink_to(made.root / "elsewhere.png")
    return made.names[i]


def other_size(made: Made, i: int) -> str:
    save(made.masks[i], disc(i, 255)[:30, :20])
    return made.masks[i].name


def cut(made: Made, i: int) -> str:
    made.images[i].write_bytes(made.images[i].read_bytes()[:60])
    return made.images[i].name


SPOILERS: tuple[Callable[[Made, int], str], ...] = (
    *(nothing,) * 6,
    *(no_mask, no_image, other_suffix, dangling, other_size, cut),
)


def opened(root: Path) -> tuple[unetzoo.SegmentationDataset | None, str]:
    """Return the data set of a folder, or None and why it was refused."""
    try:
        return unetzoo.create_dataset("folder", root), ""
    except UnetzooError as error:
        return None, str(error)


def try_one(seed: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="any-") as name:
        made = make(Path(name) / "data", rng)
        count = len(made.images)
        culprit = rng.choice(SPOILERS)(made, rng.randrange(count))
        data, refusal = opened(made.root)
        if data is None:
            assert culprit, f"{seed}: a sound folder was refused: {refusal}"
            assert culprit in refusal, f"{seed}: {refusal} does not name {culprit}"
            assert "\n" not in refusal
            return
        found: dict[str, set[int]] = {}
        pictures = {picture(i, SHAPE).tobytes(): i for i in range(count)}
        for split, keys in data.splits.items():
            for key in keys:
                image, mask = data.read(key)
                number = pictures.get(np.rint(image[0] * 255).astype(np.uint8).tobytes())
                assert number is not None, f"{seed}: the image of {key} is none that was written"
                assert np.array_equal(mask, disc(number, shape=SHAPE)), f"{seed}: the mask of {key} is another"
                found.setdefault(split, set()).add(number)
        read = set().union(*found.values())
        if culprit:
            warned = "\n".join(data.messages)  # type: ignore[attr-defined]
            assert culprit in warned, f"{seed}: {culprit} is neither read nor named"
        else:
            assert read == set(range(count)), f"{seed}: not read: {set(range(count)) - read}"
            for split in ("val", "test"):
                if split in made.splits:
                    assert found[split] == made.splits[split], f"{seed}: another {split} split"


@pytest.mark.parametrize("block", range(10))
def test_any_folder(block: int) -> None:
    for seed in range(20 * block, 20 * (block + 1)):
        try_one(seed)


@pytest.mark.nightly
@pytest.mark.parametrize("block", range(40))
def test_any_folder_many_times(block: int) -> None:
    for seed in range(1000 + 50 * block, 1000 + 50 * (block + 1)):
        try_one(seed)
