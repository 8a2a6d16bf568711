"""Images that are read, and the colours of masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unetzoo import UnetzooError
from unetzoo.data.expected import Expected
from unetzoo.data.folders.files import read_stored
from unetzoo.inference.images import Item, Mapped, find_images, open_image
from unetzoo.inference.masks import COLOURS, Encoding, _colours
from unetzoo.inference.prepare import Model, prepare
from unetzoo.inference.read_as import ReadAs


def noise(*shape: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def test_colours_are_told_apart() -> None:
    for count in (3, 8, 40):
        rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in _colours(count)])
        distance = np.abs(rgb[:, None] - rgb).sum(-1) + 999 * np.eye(count, dtype=int)
        assert len(rgb) == count
        assert distance.min() > 20
    encoding = Encoding.of(None, 300)
    assert encoding.image(np.full((2, 2), 299, np.uint16)).mode == "I;16"
    two = Encoding.of(None, 2)
    assert two.palette == ("#000000", "#ffffff")
    assert two.outlines == COLOURS[:2]


LAYOUTS = {
    "grey": ((60, 50), {}),
    "big endian": ((60, 50), {"byteorder": ">"}),
    "rows in many strips": ((60, 50), {"rowsperstrip": 7}),
    "RGB samples": ((60, 50, 3), {"photometric": "rgb"}),
    "RGB planes": ((3, 60, 50), {"photometric": "rgb", "planarconfig": "separate"}),
    "five planes": ((5, 60, 50), {"photometric": "minisblack", "planarconfig": "separate"}),
    "five samples": ((60, 50, 5), {"photometric": "minisblack", "planarconfig": "contig"}),
    "channels by name": ((2, 60, 50), {"photometric": "minisblack", "metadata": {"axes": "CYX"}}),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_mapped_tiff_is_read_as_a_decoded_one(tmp_path: Path, layout: str, dtype: type) -> None:
    shape, options = LAYOUTS[layout]
    tifffile.imwrite(tmp_path / "a.tif", noise(*shape, dtype=dtype), **options)
    decoded = read_stored(tmp_path / "a.tif").pixels
    opened = open_image(Item(tmp_path / "a.tif", None))
    assert isinstance(opened.pixels, Mapped)
    ready = prepare(opened, Model(len(decoded), Expected()), ReadAs())
    image = ready.image
    assert not ready.notes
    assert image.shape == decoded.shape
    assert np.array_equal(image[..., 5:31, 20:], (decoded / np.iinfo(dtype).max).astype(np.float32)[..., 5:31, 20:])


def test_which_images_are_meant(tmp_path: Path) -> None:
    for name in ("b.png", "a.tif", "c.txt", ".d.png", "deep/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    def names(*arguments: object) -> list[str]:
        return [item.path.relative_to(tmp_path).as_posix() for item in find_images([str(a) for a in arguments])]

    assert names(tmp_path) == ["a.tif", "b.png"]
    assert names(tmp_path / "**" / "*.png") == ["b.png", "deep/e.png"]
    assert names(tmp_path / "c.txt", tmp_path / "b.png", tmp_path) == ["c.txt", "b.png", "a.tif"]
    for wrong in ("none.png", "*.jpg", "none/"):
        with pytest.raises(UnetzooError, match="no such file or folder, and no pattern"):
            find_images([tmp_path / wrong])
