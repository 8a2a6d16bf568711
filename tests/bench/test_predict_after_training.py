"""Train on 8 bits, predict copies of the same pictures: equal masks or a refusal, never another mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import unetzoo
from support import quick_timings
from unetzoo.bench.run import run
from unetzoo.bench.suite_file import read_suite
from unetzoo.inference.files import Watcher, predict_files
from unetzoo.inference.session import Options

SUITE = f"""
imports = ['{quick_timings.__file__}']
seeds = 1
models = [{{ name = "unet", set = {{ width = 2, depth = 2 }} }}]
baselines = false
[data]
name = "folder"
root = "data"
[score]
spacing = 0.5
unit = "um"
[train]
steps = 4
batch_size = 2
crop = 48
validate_every = 2
threads = 1
[measure]
size = 48
repeats = 5
attempts = 1
"""


def picture(seed: int) -> np.ndarray:
    smooth = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(smooth).resize((60, 60), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a trial on 8-bit images."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("images", "masks"):
        (folder / "data" / name).mkdir(parents=True)
    for seed in range(10):
        Image.fromarray(picture(seed)).save(folder / f"data/images/a{seed}.png")
        Image.fromarray((255 * (picture(seed) > 128)).astype(np.uint8)).save(folder / f"data/masks/a{seed}.png")
    (folder / "suite.toml").write_text(SUITE)
    trials = run(read_suite(folder / "suite.toml"), folder / "out")
    assert list(trials["status"]) == ["ok"]
    return next((folder / "out/trials").iterdir())


def test_the_harness_saves_what_the_model_expects(trained: Path) -> None:
    expected = unetzoo.load_model(trained).unetzoo_expected
    assert (expected.dtypes, expected.bits, expected.meaning) == (("uint8",), 8, "grey")
    assert (expected.range, expected.downscale) == ((0.0, 255.0), 1)
    assert (expected.pixel_size, expected.unit) == ((0.5, 0.5), "um")
    assert np.array(expected.histogram).shape == (1, 64)


def test_copies_give_equal_masks_or_are_refused(trained: Path, tmp_path: Path) -> None:
    grey = picture(3)
    copies = {
        "eight": (grey, "minisblack"),
        "sixteen": (grey.astype(np.uint16) * 257, "minisblack"),
        "float": ((grey / 255).astype(np.float32), "minisblack"),
        "float255": (grey.astype(np.float32), "minisblack"),
        "twelve": (np.rint(grey / 255 * 4095).astype(np.uint16), "minisblack"),
        "white": (255 - grey, "miniswhite"),
        "shifted": (grey.astype(np.uint16) << 8, "minisblack"),
    }
    for name, (pixels, photometric) in copies.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric=photometric)
    options = Options(device="cpu", probabilities=True)
    result = predict_files(trained, [tmp_path / f"{name}.tif" for name in copies], tmp_path / "out", options, Watcher())
    assert {item.path.stem for item in result.failed} == {"twelve", "shifted"}
    assert {item.path.stem for items in result.converted.values() for item in items} == {"sixteen", "float", "float255"}
    assert not result.far
    assert not result.unknown
    first = tifffile.imread(tmp_path / "out/eight.probabilities.tif")
    for name in copies.keys() - {item.path.stem for item in result.failed}:
        assert np.array_equal(tifffile.imread(tmp_path / f"out/{name}.probabilities.tif"), first)
