"""Prediction reads an image as training did, or refuses it: storage types trained on, by storage types predicted on.

The network is a threshold at 0.5 of the mean of its channels, so that its masks reveal exactly the values that it saw.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import unetzoo
from unetzoo import UnetzooError
from unetzoo.data.expected import Expected
from unetzoo.data.folders.file_dataset import FileDataset
from unetzoo.inference.files import Result, Watcher, predict_files
from unetzoo.inference.session import Options
from unetzoo.models import registry

SHAPE = (24, 30)


class Threshold(nn.Module):
    """A network whose logit is the mean of the channels less 0.5."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        mean = self.scale * (x.mean(dim=1, keepdim=True) - 0.5)
        return torch.cat([-mean, mean], dim=1)


@pytest.fixture(autouse=True)
def clean_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the network for these tests alone."""
    monkeypatch.setattr(registry._REGISTRY, "entries", dict(registry.entries()))
    unetzoo.register_model("threshold")(Threshold)


def picture(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return 8-bit values that reach from 0 to 255, none of them close to the threshold."""
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    values[0, :2] = 0, 255
    return np.where(np.abs(values.astype(int) - 127) < 6, 90, values).astype(np.uint8)


def scaled(bits: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda grey: np.rint(grey / 255.0 * (2**bits - 1)).astype(np.uint16)


def tif(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path = path.with_suffix(".tif")
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", **options})
    return path


def png(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path := path.with_suffix(".png"))
    return path


KINDS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "8 bits": png,
    "8 bits in TIFF": tif,
    "10 bits": lambda path, grey: tif(path, scaled(10)(grey)),
    "12 bits": lambda path, grey: tif(path, scaled(12)(grey)),
    "14 bits": lambda path, grey: tif(path, scaled(14)(grey)),
    "16 bits": lambda path, grey: tif(path, scaled(16)(grey)),
    "12 bits shifted to 16": lambda path, grey: tif(path, scaled(12)(grey) << 4),
    "8 bits in 16": lambda path, grey: tif(path, grey.astype(np.uint16)),
    "int16": lambda path, grey: tif(path, grey.astype(np.int16) - 100),
    "float 0 to 1": lambda path, grey: tif(path, (grey / 255).astype(np.float32)),
    "double 0 to 1": lambda path, grey: tif(path, grey / 255),
    "float 0 to 1, not of 8 bits": lambda path, grey: tif(path, (grey / 255 * 0.999).astype(np.float32)),
    "float 0 to 255": lambda path, grey: tif(path, grey.astype(np.float32)),
    "float 0 to 65535": lambda path, grey: tif(path, scaled(16)(grey).astype(np.float32)),
    "0 is white": lambda path, grey: tif(path, 255 - grey, photometric="miniswhite"),
    "RGB of grey": lambda path, grey: png(path, np.dstack([grey] * 3)),
    "RGBA of grey": lambda path, grey: png(path, np.dstack([grey] * 4)),
}


def train(root: Path, write: Callable[[Path, np.ndarray], Path], **options: object) -> Path:
    """Write a folder of pictures and masks, and save a model as the harness would after training on it."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for seed in range(8):
        grey = picture(seed)
        write(root / "images" / f"a{seed}", grey)
        png(root / "masks" / f"a{seed}", (255 * (grey > 127)).astype(np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = unetzoo.create_dataset("folder", root, **options)
    model = unetzoo.create_model("threshold", in_channels=dataset.info.channels, num_classes=2)
    return unetzoo.save_model(model, root, data=dataset.info.model_dump(), expected=Expected.of(dataset))


def predict(model: Path, images: list[Path] | Path, out: Path, **options: object) -> Result:
    paths = images if isinstance(images, list) else [images]
    return predict_files(model, paths, out, Options(device="cpu", **options), Watcher())


def mask(path: Path) -> np.ndarray:
    return np.array(Image.open(path)) > 0


def test_every_kind_trained_on_by_every_kind_predicted_on(tmp_path: Path) -> None:
    """Equal masks or a refusal; and equal ones wherever that can be known."""
    seen = {name: picture(100) for name in KINDS}
    files = {}
    for index, (name, grey) in enumerate(seen.items()):
        files[name] = KINDS[name](tmp_path / f"p{index:02d}", grey)
    truth, outcome = picture(100) > 127, {}
    for number, trained in enumerate(KINDS):
        model = train(tmp_path / f"m{number}", KINDS[trained])
        result = predict(model, list(files.values()), out := tmp_path / f"out{number}")
        refused = {str(item.path): why for item, why in result.failed.items()}
        for name, path in files.items():
            why = refused.get(str(path))
            outcome[trained, name] = why is None
            if why is None:
                assert np.array_equal(mask(out / f"{path.stem}.png"), truth), (trained, name)
            else:
                assert "\n" not in why
                assert "--range" in why or "--as-trained" in why, why
        assert not result.far, (trained, result.far)
        assert outcome[trained, trained], refused[str(files[trained])]
    grey8 = ["8 bits", "8 bits in TIFF", "0 is white", "RGB of grey", "RGBA of grey"]
    assert all(outcome[one, other] for one in grey8 for other in grey8)
    for one in grey8:
        converted = {"16 bits", "float 0 to 1", "float 0 to 255", "double 0 to 1"}
        assert {name for name in KINDS if outcome[one, name]} == {*grey8, *converted}


def test_options_read_what_is_refused(tmp_path: Path) -> None:
    model, truth = train(tmp_path / "m", png), picture(100) > 127
    twelve = KINDS["12 bits"](tmp_path / "b", picture(100))
    why = next(iter(predict(model, twelve, tmp_path / "o").failed.values()))
    assert why.endswith(
        "b.tif: 16-bit with values 0 to 4095, but the model was trained on 8-bit images; --range 0,4095 reads it"
    )
    assert not predict(model, twelve, tmp_path / "o1", range=(0, 4095)).failed
    assert np.array_equal(mask(tmp_path / "o1/b.png"), truth)
    dark = tif(tmp_path / "c", picture(100).astype(np.uint16))
    assert "--range 0,65535 reads it as dark or --as-trained as 8-bit" in str(
        predict(model, dark, tmp_path / "o2").failed
    )
    assert not predict(model, dark, tmp_path / "o3", as_trained=True).failed
    assert np.array_equal(mask(tmp_path / "o3/c.png"), truth)
    negative = png(tmp_path / "d", 255 - picture(100))
    assert not predict(model, negative, tmp_path / "o4", range=(255, 0)).failed
    assert np.array_equal(mask(tmp_path / "o4/d.png"), truth)


def test_arrays_are_read_by_the_same_rules(tmp_path: Path) -> None:
    twelve = KINDS["12 bits"]
    model = unetzoo.load_model(train(tmp_path / "m12", twelve))
    truth = picture(100) > 127
    file = twelve(tmp_path / "a", picture(100))

    def classes(image: object, **options: object) -> np.ndarray:
        return unetzoo.predict(model, image, output="classes", **options).astype(bool)

    for image in (tifffile.memmap(file, mode="r"), torch.from_numpy(tifffile.imread(file)), picture(100) / 255):
        assert np.array_equal(classes(image), truth)
    with pytest.raises(UnetzooError, match=r"the image: 8-bit with values .*; range=\(0, 255\) reads it or as_trained"):
        classes(picture(100))
    assert np.array_equal(classes(picture(100), range=(0, 255)), truth)
    for bad in (np.nan, np.inf):
        with pytest.raises(UnetzooError, match="the image: holds NaN or infinity"):
            classes(np.where(picture(100) > 250, bad, 0.5))
    with pytest.warns(UserWarning, match="one channel was read of grey stored as RGB"):
        assert np.array_equal(classes(np.stack([tifffile.imread(file)] * 3)), truth)
    white = tif(tmp_path / "w", 65535 - scaled(16)(picture(100)), photometric="miniswhite")
    with pytest.raises(UnetzooError, match=r"a TIFF in which 0 is white \(w.tif\); range=\(65535, 0\) inverts it"):
        classes(tifffile.memmap(white, mode="r"))
    assert np.array_equal(classes(tifffile.memmap(white, mode="r"), range=(65535, 0)), truth)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"range": (3, 3)}, r"range = \(3, 3\) must be two different numbers"),
        ({"range": 255}, "range = 255 must be two different numbers"),
        ({"range": (0, float("nan"))}, "must be two different numbers"),
        ({"range": (0, 1), "as_trained": True}, "range and as_trained exclude each other"),
        ({"downscale": 0}, "downscale = 0 must be a whole number"),
        ({"downscale": 2.0}, r"downscale = 2.0 must be a whole number"),
    ],
)
def test_wrong_options(options: dict, message: str) -> None:
    model = unetzoo.create_model("threshold", in_channels=1, num_classes=2)
    with pytest.raises(UnetzooError, match=message):
        unetzoo.predict(model, picture(0), **options)
    with pytest.raises(UnetzooError, match=message):
        Options(**options)


def test_colours(tmp_path: Path) -> None:
    def colour(path: Path, grey: np.ndarray) -> Path:
        return png(path, np.dstack([grey, np.roll(grey, 1), 255 - grey]))

    model = train(tmp_path / "m", colour)
    assert unetzoo.load_model(model).unetzoo_expected.meaning == "RGB"
    grey = png(tmp_path / "g", picture(3))
    why = str(predict(model, grey, tmp_path / "o").failed)
    assert "1 channel, but the model takes 3; --as-trained reads grey as three equal channels" in why
    assert list(predict(model, grey, tmp_path / "o2", as_trained=True).converted) == [
        "grey was read as three equal channels"
    ]
    alpha = png(tmp_path / "h", np.dstack([np.array(Image.open(colour(tmp_path / "c", picture(3)))), picture(4)]))
    result = predict(model, [tmp_path / "c.png", alpha], tmp_path / "o3")
    assert list(result.converted) == ["an alpha channel was not read"]
    assert np.array_equal(mask(tmp_path / "o3/c.png"), mask(tmp_path / "o3/h.png"))


def test_downscale_averages_first_and_masks_have_the_images_size(tmp_path: Path) -> None:
    model = train(tmp_path / "m", png, downscale=4)
    grey = picture(100, (50, 43))  # two rows and three columns beyond the last block
    Image.fromarray(grey).save(tmp_path / "a.png")
    means = grey[:48, :40].reshape(12, 4, 10, 4).mean(axis=(1, 3)) / 255 > 0.5
    expected = np.pad(np.kron(means, np.ones((4, 4), bool)), ((0, 2), (0, 3)), mode="edge")
    predict(model, tmp_path / "a.png", tmp_path / "o", probabilities=True, overlay=True, tile=5, overlap=1)
    assert np.array_equal(mask(tmp_path / "o/a.png"), expected)
    assert tifffile.imread(tmp_path / "o/a.probabilities.tif").shape == (2, 50, 43)
    loaded = unetzoo.load_model(model)
    for tile in (None, 7):
        assert np.array_equal(unetzoo.predict(loaded, grey, output="classes", tile=tile), expected)
    with pytest.warns(UserWarning, match="intensities unlike those of training"):  # single pixels of noise vary more
        assert np.array_equal(unetzoo.predict(loaded, grey, output="classes", downscale=1), grey > 127)
    with pytest.raises(UnetzooError, match="the image: 3x9 is too small for downscale = 4"):
        unetzoo.predict(loaded, grey[:3, :9])


def test_intensities_unlike_those_of_training_are_told(tmp_path: Path) -> None:
    def dark(path: Path, grey: np.ndarray) -> Path:
        return png(path, np.where(grey > 250, 255, grey // 4).astype(np.uint8))

    model = train(tmp_path / "m", dark)
    usual, other = dark(tmp_path / "a", picture(50)), png(tmp_path / "b", picture(50) // 2 + 60)
    result = predict(model, [usual, other], tmp_path / "o")
    assert [item.path.name for item in result.far] == ["b.png"]
    negative = png(tmp_path / "n", 255 - np.array(Image.open(usual)))
    why = str(predict(model, negative, tmp_path / "o2").failed)
    assert "those of its negative are like them" in why
    assert "--range 255,0 inverts it or --as-trained reads it" in why
    loaded = unetzoo.load_model(model)
    with pytest.warns(UserWarning, match="the image: intensities unlike those of training"):
        unetzoo.predict(loaded, np.array(Image.open(other)))


def test_values_that_training_clipped_may_be_clipped_again(tmp_path: Path) -> None:
    root = tmp_path / "m"
    train(root, KINDS["12 bits"])
    folder = unetzoo.create_dataset("folder", root)
    assert isinstance(folder, FileDataset)
    reading = folder.reading.model_copy(update={"range": (500.0, 3000.0)})
    dataset = FileDataset(reading, folder._pairs, folder.splits)
    model = unetzoo.create_model("threshold", in_channels=1, num_classes=2)
    path = unetzoo.save_model(model, root, data=dataset.info.model_dump(), expected=Expected.of(dataset))
    result = predict(
        path,
        [KINDS["12 bits"](tmp_path / "a", picture(9)), KINDS["16 bits"](tmp_path / "b", picture(9))],
        tmp_path / "o",
    )
    assert [item.path.name for item in result.failed] == ["b.tif"]
    assert np.array_equal(mask(tmp_path / "o/a.png"), scaled(12)(picture(9)) > 1750)


def test_weights_without_the_facts_load_and_say_what_they_do_not_know(tmp_path: Path) -> None:
    path = train(tmp_path / "m", KINDS["12 bits"])
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["unetzoo"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
    assert header["expected"]["version"] == 1
    del header["checksum"]  # the tensors are saved anew
    later = {**header, "expected": {**header["expected"], "version": 2}}
    save_file(tensors, tmp_path / "later.safetensors", {"unetzoo": json.dumps(later)})
    with pytest.raises(UnetzooError, match=r"later.safetensors: expected.version = 2 is not known"):
        unetzoo.load_model(tmp_path / "later.safetensors")
    del header["expected"]
    save_file(tensors, path, {"unetzoo": json.dumps(header)})
    files = [KINDS[name](tmp_path / f"p{i}", picture(5)) for i, name in enumerate(("12 bits", "8 bits", "16 bits"))]
    result = predict(path, files, tmp_path / "o")
    assert result.unknown == (
        "these weights do not tell the bit depth, downscale and intensities of their training images, only the range "
        "[0, 4095]; --downscale N averages blocks if training did"
    )
    assert [item.path.name for item in result.failed] == ["p1.png", "p2.tif"]
    assert np.array_equal(mask(tmp_path / "o/p0.png"), picture(5) > 127)
    model = unetzoo.load_model(path)
    with pytest.warns(UserWarning, match="these weights do not tell"):
        unetzoo.predict(model, tifffile.memmap(files[0], mode="r"))
    unetzoo.predict(model, tifffile.memmap(files[0], mode="r"))  # says it once


def test_facts_survive_saving_again(tmp_path: Path) -> None:
    first = unetzoo.load_model(train(tmp_path / "m", png))
    again = unetzoo.load_model(unetzoo.save_model(first, tmp_path / "n.safetensors"))
    assert again.unetzoo_expected == first.unetzoo_expected
    expected = again.unetzoo_expected
    assert (expected.dtypes, expected.bits, expected.channels, expected.meaning) == (("uint8",), 8, 1, "grey")
    assert (expected.range, expected.downscale, expected.high) == ((0.0, 255.0), 1, 255.0)
    assert sum(expected.histogram[0]) == pytest.approx(1, abs=1e-4)
