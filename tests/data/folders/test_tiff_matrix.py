"""Every combination of TIFF's options is read to the numbers that were written, or refused in one line."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from support.tiff_writer import Odd, odd_tiffs, write_odd
from unetzoo.data.folders.files import read_stored
from unetzoo.data.folders.mapped import map_tiff
from unetzoo.errors import UnetzooError

pytest.importorskip("imagecodecs", reason="writes the odd compressions of TIFF (pip install imagecodecs)")

SHAPE = (20, 26)
WRITTEN, REFUSED = 1134, 128  # combinations; those refused are WhiteIsZero of signed numbers and floats, and deep CMYK
REFUSED_BARE = 348  # without imagecodecs
PILLOW_GREY, PILLOW_EXACT = ("1", "L", "I;16", "I;16B", "I", "F"), ("RGB", "RGBX", "CMYK")

BARE = """
import sys
sys.modules["imagecodecs"] = None
from pathlib import Path
import numpy as np
from unetzoo.data.folders.files import read_stored
from unetzoo.errors import UnetzooError

equal = refused = 0
for path in sorted(Path(sys.argv[1]).glob("*.tif")):
    try:
        pixels = read_stored(path).pixels
    except UnetzooError as error:
        said = str(error)
        assert said.startswith(str(path)) and "\\n" not in said, said
        assert "pip install imagecodecs" in said or "save it as" in said, said
        refused += 1
        continue
    expected = np.load(path.with_suffix(".npy"))
    assert pixels.dtype == expected.dtype and np.array_equal(pixels, expected), path
    equal += 1
print(equal, refused)
"""


def numbers(odd: Odd) -> np.ndarray:
    """Draw numbers (H, W, S) over the whole range of a type, with a flat part."""
    rng = np.random.default_rng(7)
    size = (*SHAPE, odd.samples)
    if odd.kind == "f":
        drawn = rng.normal(0, 3, size).astype(odd.dtype)
    else:
        low = 0 if odd.kind == "u" else -(2 ** (odd.bits - 1))
        drawn = rng.integers(low, low + 2**odd.bits, size).astype(odd.dtype)
    drawn[5:12, 4:20] = drawn[5, 4]
    return drawn


def meant(stored: np.ndarray, odd: Odd) -> np.ndarray:
    """Return the pixels (C, H, W) that stored numbers (H, W, S) mean: without alpha, 0 for black, CMYK as RGB."""
    if odd.photometric == "cmyk":
        return np.asarray(Image.fromarray(stored.astype(np.uint8), "CMYK").convert("RGB")).transpose(2, 0, 1)
    pixels = stored.transpose(2, 0, 1)
    alpha = [i for i, meaning in enumerate(odd.extra) if meaning in (1, 2)]
    if alpha:
        pixels = np.delete(pixels, odd.samples - len(odd.extra) + alpha[0], axis=0)
    if odd.photometric == "white":
        pixels = (2**odd.bits - 1 - pixels.astype(np.int64)).astype(odd.dtype)
    return pixels.astype(bool) if odd.bits == 1 and odd.photometric != "palette" else pixels


def pillow_agrees(path: Path, expected: np.ndarray, odd: Odd) -> bool:
    """Return True if Pillow reads the same numbers."""
    try:
        with Image.open(path) as file:
            got, mode = np.asarray(file.convert("RGB") if file.mode == "CMYK" else file), file.mode
    except Exception:
        return False
    got = got[None] if got.ndim == 2 else got.transpose(2, 0, 1)
    if mode == "L" and odd.bits in (2, 4):
        expected = expected * (255 // (2**odd.bits - 1))
    return got.shape == expected.shape and np.array_equal(got, expected)


def tifffile_agrees(path: Path, expected: np.ndarray, odd: Odd) -> bool:
    """Return True if tifffile, which leaves the meaning to its caller, reads numbers that mean the same."""
    got = tifffile.imread(path)
    got = got[..., None] if got.ndim == 2 else got.transpose(1, 2, 0) if odd.planar else got
    return np.array_equal(meant(got.astype(odd.dtype), odd), expected)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Odd, np.ndarray]]:
    """Write the files, and beside each the pixels that it means."""
    folder, found = tmp_path_factory.mktemp("tiffs"), []
    colours = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    for odd in odd_tiffs():
        path, stored = folder / f"{odd}.tif", numbers(odd)
        write_odd(path, stored, odd, colours[: 2**odd.bits] if odd.photometric == "palette" else None)
        expected = meant(stored, odd)
        np.save(path.with_suffix(".npy"), expected)
        found.append((path, odd, expected))
    return found


def test_every_tiff_is_read_as_written_or_refused_in_one_line(written: list[tuple[Path, Odd, np.ndarray]]) -> None:
    counts: Counter[str] = Counter(written=len(written))
    for path, odd, expected in written:
        try:
            stored = read_stored(path)
        except UnetzooError as error:
            said = str(error)
            assert said.startswith(str(path)), said
            assert "save it as" in said, said
            assert "\n" not in said
            assert odd.photometric in ("white", "cmyk"), path
            counts["refused"] += 1
            continue
        assert stored.pixels.dtype == expected.dtype, path
        assert np.array_equal(stored.pixels, expected), path
        assert stored.bits == odd.bits, path
        assert (stored.alpha is not None) == bool({1, 2} & {*odd.extra}), path
        assert not stored.lossy, path
        counts["equal"] += 1
        pillow, raw = pillow_agrees(path, expected, odd), tifffile_agrees(path, expected, odd)
        counts["as Pillow"] += pillow
        counts["as tifffile"] += raw
        assert pillow or raw, f"{path}: neither Pillow nor tifffile reads these numbers"
    print(dict(counts))
    assert (counts["written"], counts["refused"]) == (WRITTEN, REFUSED)
    assert counts["equal"] == WRITTEN - REFUSED


def test_prediction_maps_the_numbers_that_training_reads(written: list[tuple[Path, Odd, np.ndarray]]) -> None:
    mapped = 0
    for path, _, expected in written:
        if (pixels := map_tiff(path)) is not None:
            assert np.array_equal(pixels[0], expected), path
            mapped += 1
    assert mapped > 0


def test_without_imagecodecs_numbers_are_equal_or_the_package_is_named(
    written: list[tuple[Path, Odd, np.ndarray]],
) -> None:
    command = [sys.executable, "-W", "ignore", "-c", BARE, str(written[0][0].parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    equal, refused = map(int, done.stdout.split())
    print(f"without imagecodecs: {equal} equal, {refused} refused")
    assert equal + refused == WRITTEN
    assert refused <= REFUSED_BARE  # fewer with a newer Pillow or Python


@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "ycbcr"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_jpeg_in_tiff_is_as_pillow_decodes_it(tmp_path: Path, photometric: str, tile: tuple[int, int] | None) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((40, 32), Image.Resampling.BICUBIC))
    data = pixels[..., 0] if photometric == "minisblack" else pixels
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, data, photometric=photometric, compression="jpeg", tile=tile)
    stored = read_stored(path)
    with Image.open(path) as file:
        expected = np.asarray(file.convert("L" if photometric == "minisblack" else "RGB"))
    assert np.array_equal(stored.pixels, expected[None] if expected.ndim == 2 else expected.transpose(2, 0, 1))
    decoded = tifffile.imread(path)
    decoded = decoded[None] if decoded.ndim == 2 else decoded.transpose(2, 0, 1)
    assert np.abs(stored.pixels.astype(int) - decoded).max() <= 2  # imagecodecs, whose libjpeg may round otherwise
    assert stored.lossy


@pytest.mark.parametrize("name", ["ycbcr", "cielab", "logl"])
def test_colour_spaces_are_converted_or_refused(tmp_path: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / "x.tif"
    if name == "ycbcr":
        Image.fromarray(pixels).convert("YCbCr").save(path)
        with Image.open(path) as file:
            expected = np.asarray(file.convert("RGB"))
        assert np.array_equal(read_stored(path).pixels, expected.transpose(2, 0, 1))
        return
    tifffile.imwrite(path, pixels[..., 0] if name == "logl" else pixels, photometric=name)
    with pytest.raises(UnetzooError, match=f"colour space {name.upper()} are not read; save it as RGB or grey"):
        read_stored(path)
