"""`unetzoo predict`: reading, writing, errors and memory use."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import unetzoo
from unetzoo.cli import main as cli
from unetzoo.data.base import DatasetInfo
from unetzoo.data.folders.files import read_stored
from unetzoo.inference import session
from unetzoo.train.weights import read_header

pytestmark = pytest.mark.filterwarnings("ignore:these weights do not tell")  # `tiny` gives no data set
MEAN = {"mean": (0.4,), "std": (0.2,)}


def tiny(path: Path, channels: int = 1, classes: int = 3, name: str = "unet", **extra: object) -> nn.Module:
    """Save a model whose predicted classes vary over noise."""
    torch.manual_seed(0)
    depth = {} if name == "unet_paper" else {"depth": 2}
    model = unetzoo.create_model(name, in_channels=channels, num_classes=classes, width=2, **depth).eval()
    with torch.no_grad():
        logits = model(torch.rand(2, channels, 188, 188))
        spread = logits.std(dim=(0, 2, 3)) + 1e-6
        model.head.weight /= spread[:, None, None, None]
        model.head.bias.copy_((model.head.bias - logits.mean(dim=(0, 2, 3))) / spread)
    unetzoo.save_model(model, path, **extra)
    return unetzoo.load_model(path)


def noise(*shape: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def data(**fields: object) -> dict:
    names = ("background", "cell", "border")[: len(fields.get("values") or fields.get("palette") or "123")]
    return DatasetInfo(name="d", channels=1, class_names=names, foreground=(1,), **fields).model_dump()


@dataclass
class Run:
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Run]:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["unetzoo", "predict", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Run(int(ended.value.code or 0), *capsys.readouterr())

    return call


# --- what is written --------------------------------------------------------------------------------------------


def test_the_command_writes_what_predict_gives(run: Callable[..., Run]) -> None:
    model = tiny(Path("m.safetensors"), normalization=MEAN)
    image = noise(90, 75)
    Image.fromarray(image).save("a.png")
    options = ["--tile", 40, "--overlap", 12, "--tta", 8, "--batch", 3, "--probabilities", "--overlay"]
    done = run("m.safetensors", "a.png", "--out", "p", "--precision", "float32", *options)
    assert done.code == 0, done.err
    assert done.out == "p: 1 predicted\n"
    assert "a.png: class0 " in done.err
    expected = unetzoo.predict(model, image, tile=40, overlap=12, tta=8, precision="float32")
    stored = tifffile.memmap("p/a.probabilities.tif", mode="r")
    np.testing.assert_allclose(stored, expected, atol=1e-5)
    mask = np.array(Image.open("p/a.png"))
    assert np.array_equal(mask, stored.argmax(0))
    assert len(np.unique(mask)) == 3
    row = next(csv.DictReader(Path("p/predictions.csv").read_text().splitlines()))
    assert [int(row[f"class{k} pixels"]) for k in range(3)] == np.bincount(mask.ravel()).tolist()
    assert float(row["class1 share"]) == pytest.approx((mask == 1).mean(), abs=1e-6)
    written = json.loads(Path("p/predictions.json").read_text())
    tiles = {"tile": 40, "overlap": 12, "tta": 8, "precision": "float32"}
    assert written["options"] == {**tiles, "range": None, "downscale": 1, "as_trained": False}
    assert written["model"]["name"] == "unet"


def test_the_papers_network(run: Callable[..., Run]) -> None:
    model = tiny(Path("trial/model.safetensors"), classes=2, name="unet_paper")
    image = noise(70, 130)
    tifffile.imwrite("a.tif", image)
    assert run("trial", "a.tif", "--tile", 36, "--probabilities").code == 0
    whole = unetzoo.predict(model, image, tile=None)
    np.testing.assert_allclose(tifffile.imread("predictions/a.probabilities.tif"), whole, atol=1e-5)
    mask = np.array(Image.open("predictions/a.png"))
    sure = np.abs(whole[1] - 0.5) > 1e-4
    assert np.array_equal(mask[sure], whole.argmax(0)[sure])
    assert 0 < mask.mean() < 1


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize(
    ("fields", "mode", "values", "colours"),
    [
        ({"values": (0, 255)}, "L", (0, 255), None),
        ({"values": (1, 2)}, "L", (1, 2), None),
        ({"values": (0, 1000, 40000)}, "I;16", (0, 1000, 40000), None),
        ({"values": (0, 3, 7), "palette": ("#000000", "#ff0010", "#00ff00")}, "P", (0, 3, 7), ((255, 0, 16), 3)),
        ({"palette": ("#102030", "#ff0010", "#00ff00")}, "P", (0, 1, 2), ((16, 32, 48), 0)),
        ({}, "P", (0, 1, 2), ((0xE6, 0x9F, 0x00), 1)),
    ],
)
def test_masks_store_classes_as_the_training_data_does(
    run: Callable[..., Run], kind: str, fields: dict, mode: str, values: tuple[int, ...], colours: tuple | None
) -> None:
    model = tiny(Path("m.safetensors"), classes=len(values), data=data(ignore_index=9, **fields))
    image = noise(60, 50)
    Image.fromarray(image).save("a.png")
    assert run("m.safetensors", "a.png", "--format", kind).code == 0
    path = Path(f"predictions/a.{kind}")
    with Image.open(path) as mask:
        assert mask.mode == mode
        pixels = np.array(mask)
        rgb = np.array(mask.convert("RGB"))
    classes = unetzoo.predict(model, image, output="classes")
    assert np.array_equal(pixels, np.array(values)[classes])
    assert np.array_equal(read_stored(path).pixels[0], pixels)  # as a data set would read it
    if colours:
        assert (rgb[pixels == colours[1]] == colours[0]).all()
    written = json.loads(Path("predictions/predictions.json").read_text())
    assert [c["value"] for c in written["classes"]] == list(values)
    assert [c["name"] for c in written["classes"]] == ["background", "cell", "border"][: len(values)]


def test_palettes_and_values_of_a_folder_come_back(run: Callable[..., Run]) -> None:
    """Masks on disk give facts of the data set; a model keeps them and writes masks of the same kind again."""
    entries = np.zeros((256, 3), np.uint8)
    entries[[0, 4, 7]] = (10, 20, 30), (250, 0, 0), (0, 250, 0)
    for seed in range(6):
        classes = np.random.default_rng(seed).choice([0, 4, 7], (40, 40)).astype(np.uint8)
        mask = Image.fromarray(classes)
        mask.putpalette(entries.tobytes())
        for folder, image in (("images", Image.fromarray(noise(40, 40, seed=seed))), ("masks", mask)):
            Path("data", folder).mkdir(parents=True, exist_ok=True)
            image.save(f"data/{folder}/{seed}.png")
    info = unetzoo.create_dataset("folder", "data").info
    assert info.palette == ("#0a141e", "#fa0000", "#00fa00")
    assert info.range == (0, 255)
    tiny(Path("m.safetensors"), data=info.model_dump())
    assert run("m.safetensors", "data/images/*.png").code == 0
    with Image.open("predictions/0.png") as found:
        assert set(np.unique(found)) <= {0, 4, 7}
        assert found.getpalette() == mask.getpalette()


def test_one_output_is_two_classes(run: Callable[..., Run]) -> None:
    model = tiny(Path("m.safetensors"), classes=1, data=data(values=(0, 255)))
    image = noise(40, 40)
    Image.fromarray(image).save("a.png")
    assert run("m.safetensors", "a.png", "--probabilities").code == 0
    mask = np.array(Image.open("predictions/a.png"))
    assert np.array_equal(mask, 255 * unetzoo.predict(model, image, output="classes"))
    assert tifffile.imread("predictions/a.probabilities.tif").shape[-2:] == (40, 40)


def test_overlay_outlines_the_classes(run: Callable[..., Run]) -> None:
    tiny(Path("m.safetensors"), classes=2)
    Image.fromarray(noise(60, 4100)).save("a.png")
    assert run("m.safetensors", "a.png", "--overlay").code == 0
    overlay = np.array(Image.open("predictions/a.overlay.png"))
    mask = np.array(Image.open("predictions/a.png"))[::3, ::3]
    assert overlay.shape == (20, 1367, 3)
    painted = (overlay == (0xE6, 0x9F, 0x00)).all(-1)
    assert painted.any()
    assert mask[painted].all()


# --- what is read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_stacks_are_predicted_page_by_page(run: Callable[..., Run], compression: str | None) -> None:
    model = tiny(Path("m.safetensors"))
    stack = noise(4, 60, 50)
    tifffile.imwrite("s.tif", stack, photometric="minisblack", compression=compression)
    assert run("m.safetensors", "s.tif").code == 0
    for page in range(4):
        mask = np.array(Image.open(f"predictions/s.page{page:04d}.png"))
        assert np.array_equal(mask, unetzoo.predict(model, stack[page], output="classes"))


def test_values_are_scaled_as_in_training(run: Callable[..., Run]) -> None:
    model = tiny(Path("m.safetensors"), data=data(range=(-1000.0, 3000.0)))
    image = noise(60, 50, dtype=np.uint16).astype(np.int32) // 8 - 2000
    scaled = np.clip((image + 1000) / 4000, 0, 1).astype(np.float32)
    tifffile.imwrite("a.tif", image.astype(np.int16))
    tifffile.imwrite("b.tif", image.astype(np.float32), compression="zlib")
    refused = run("m.safetensors", "a.tif", "b.tif", "--probabilities")
    assert "values -2000 to 6187 lie beyond those of training, [-1000, 3000]; --range LOW,HIGH reads it" in refused.err
    assert run("m.safetensors", "a.tif", "b.tif", "--probabilities", "--as-trained", "--overwrite").code == 0
    for name in "ab":
        found = tifffile.imread(f"predictions/{name}.probabilities.tif")
        np.testing.assert_allclose(found, unetzoo.predict(model, scaled), atol=1e-5)


# --- what goes wrong --------------------------------------------------------------------------------------------


def test_a_bad_file_does_not_stop_the_others(run: Callable[..., Run]) -> None:
    model = tiny(Path("m.safetensors"))
    Path("in").mkdir()
    grey = noise(50, 40)
    Image.fromarray(grey).save("in/a.png")
    Path("in/b.png").write_bytes(Path("in/a.png").read_bytes()[:300])
    Image.fromarray(noise(50, 40, 3)).save("in/c.png")
    Image.fromarray(np.dstack([grey] * 3 + [noise(50, 40)])).save("in/d.png")  # grey, with an alpha channel
    tifffile.imwrite("in/e.tif", grey.astype(np.float32))
    tifffile.imwrite("in/f.tif", np.dstack([grey] * 3), photometric="rgb")
    tifffile.imwrite("in/g.tif", np.where(grey > 9, np.nan, np.float32(0)))
    tifffile.imwrite("in/h.tif", grey.astype(np.int32))
    done = run("m.safetensors", "in")
    assert done.code == 1
    reasons = dict(line.split(": ", 1) for line in done.err.splitlines() if line.startswith("in/"))
    assert "cannot be read as an image" in reasons["in/b.png"]
    assert reasons["in/c.png"] == "3 channels, but the model takes 1; it is in colour, so it was not reduced to grey"
    assert "float values must lie in [0, 1], got" in reasons["in/e.tif"]
    assert reasons["in/g.tif"] == "holds NaN or infinity; replace these pixels by numbers"
    assert "pixels of type int32" in reasons["in/h.tif"]
    assert "5 failed: in/b.png, in/c.png, in/e.tif, in/g.tif, in/h.tif" in done.err
    assert "one channel was read of 2 grey images stored as RGB: in/d.png, in/f.tif" in done.err
    assert "Traceback" not in done.err
    expected = unetzoo.predict(model, grey, output="classes")
    for name in "adf":
        assert np.array_equal(np.array(Image.open(f"predictions/{name}.png")), expected)
    left = {path.name for path in Path("predictions").iterdir()}
    assert left == {"a.png", "d.png", "f.png", "predictions.json", "predictions.csv"}


def test_a_grey_image_for_a_model_of_colours(run: Callable[..., Run]) -> None:
    tiny(Path("m.safetensors"), channels=3)
    Image.fromarray(noise(50, 40)).save("a.png")
    done = run("m.safetensors", "a.png")
    assert done.code == 2
    assert "a.png: 1 channel, but the model takes 3\n" in done.err


WRONG = {
    "nowhere a.png": "nowhere",
    "a.png a.png": "a.png: not a model saved by unetzoo",
    "m.safetensors b.png": "b.png: no such file or folder",
    "m.safetensors empty": "empty: no images",
    "m.safetensors a.png one": "one/A.png: would be written to predictions/A.png, like a.png",
    "m.safetensors a.png --out .": "a.png: would overwrite an image",
    "m.safetensors a.png --tta 3": "tta = 3 is not a choice",
    "m.safetensors a.png --overlap 600": "overlap = 600",
    "m.safetensors a.png --range 5": "--range 5: must be two numbers, LOW,HIGH",
    "m.safetensors a.png --range 0,1 --as-trained": "range and as_trained exclude each other",
    "m.safetensors a.png --precision half": "precision = 'half' is not a choice",
    "m.safetensors a.png --precision float16 --device cpu": "precision = 'float16' needs a device 'cuda'",
    "m.safetensors a.png --batch 0": "batch = 0 must be a whole number of tiles, at least 1, or 'auto'",
    "m.safetensors a.png --batch few": "batch = 'few' must be a whole number",
    "m.safetensors a.png --device gpu": "device = 'gpu' is not available on this machine",
    "m.safetensors a.png --format jpg": "format = 'jpg' is not a choice",
    "m.safetensors a.png --out a.png": "a.png: cannot be used",
    "m.safetensors a.png --import none.py": "none.py: no such file",
    "other.safetensors a.png": "unknown model 'my_net'",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_input_is_one_line_and_exit_code_2(run: Callable[..., Run], line: str) -> None:
    tiny(Path("m.safetensors"))
    config = {**read_header("m.safetensors")["model"].model_dump(mode="json"), "name": "my_net"}
    save_file({}, "other.safetensors", {"unetzoo": json.dumps({"model": config})})
    for folder in ("one", "empty"):
        Path(folder).mkdir()
    for name in ("a.png", "one/A.png"):
        Image.fromarray(noise(50, 40)).save(name)
    done = run(*line.split())
    assert done.code == 2, done.err
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) == 1
    assert WRONG[line] in done.err
    assert not list(Path().glob("predictions/*.png"))


# --- how it is computed -----------------------------------------------------------------------------------------


def test_the_precision_and_its_difference_are_told(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetzoo.machine.device.cpu_has_bfloat16", lambda: True)
    model = tiny(Path("m.safetensors"))
    image = noise(50, 40)
    Image.fromarray(image).save("a.png")
    done = run("m.safetensors", "a.png")
    assert "computed in bfloat16, 6 batch norms folded, probabilities within 0.0" in done.err
    written = json.loads(Path("predictions/predictions.json").read_text())
    assert written["options"]["precision"] == "bfloat16"
    difference = np.abs(unetzoo.predict(model, image) - unetzoo.predict(model, image, precision="float32"))
    assert written["computed"]["largest"] == pytest.approx(difference.max(), abs=1e-7)
    assert "computed" not in run("m.safetensors", "a.png").err  # nothing was predicted
    assert json.loads(Path("predictions/predictions.json").read_text()) == written
    done = run("m.safetensors", "a.png", "--precision", "float32")
    assert done.code == 2
    assert "holds predictions of other options (precision = bfloat16)" in done.err


# --- what is there already --------------------------------------------------------------------------------------


def images(*names: str) -> None:
    for seed, name in enumerate(names):
        Image.fromarray(noise(50, 40, seed=seed)).save(name)


def test_what_is_done_is_not_done_again(run: Callable[..., Run]) -> None:
    tiny(Path("m.safetensors"))
    images("a.png", "b.png")
    assert run("m.safetensors", "a.png").code == 0
    before = Path("predictions/a.png").stat().st_mtime_ns
    done = run("m.safetensors", "a.png", "b.png")
    assert done.out == "predictions: 1 predicted, 1 already done\n"
    assert Path("predictions/a.png").stat().st_mtime_ns == before
    assert run("m.safetensors", "a.png", "b.png", "--overlay").out == "predictions: 2 predicted\n"
    Path("predictions/a.png").unlink()
    with Path("predictions/predictions.csv").open("a") as file:
        file.write("b.png,cut off in the mid")
    assert run("m.safetensors", "a.png", "b.png").out == "predictions: 1 predicted, 1 already done\n"
    assert [line.split(",")[0] for line in Path("predictions/predictions.csv").read_text().splitlines()[1:]] == [
        "a.png",
        "b.png",
    ]
    assert run("m.safetensors", "a.png", "--overwrite").out == "predictions: 1 predicted\n"


def test_what_is_of_something_else_is_not_written_over(run: Callable[..., Run]) -> None:
    tiny(Path("m.safetensors"))
    tiny(Path("other.safetensors"), classes=2)
    images("a.png", "b.png")
    Path("deep").mkdir()
    images("deep/a.png")
    Path("predictions").mkdir()
    Path("predictions/b.png").write_bytes(b"mine")
    done = run("m.safetensors", "a.png", "b.png")
    assert done.code == 1
    assert "b.png: predictions/b.png exists and is not a prediction of this image; --overwrite replaces it" in done.err
    assert Path("predictions/b.png").read_bytes() == b"mine"
    assert "is not a prediction of this image" in run("m.safetensors", "deep/a.png").err
    for arguments, reason in (
        (("other.safetensors", "a.png"), "another model (unet, "),
        (("other.safetensors", "a.png", "--tta", 8), "other options (tta = 1)"),
    ):
        done = run(*arguments)
        assert done.code == 2
        assert f"predictions: holds predictions of {reason}" in done.err
        assert run(*arguments, "--overwrite").code == 0


def test_ctrl_c_keeps_what_is_finished(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    tiny(Path("m.safetensors"))
    images("a.png", "b.png", "c.png")
    predict, calls = session.predict, []

    def interrupted(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict(*arguments, **options)

    monkeypatch.setattr(session, "predict", interrupted)
    done = run("m.safetensors", "a.png", "b.png", "c.png", "--probabilities")
    assert done.code == 130
    assert "interrupted; finished images are kept in predictions" in done.err
    names = {path.name for path in Path("predictions").iterdir()}
    assert names == {"a.png", "a.probabilities.tif", "predictions.json", "predictions.csv"}
    done = run("m.safetensors", "a.png", "b.png", "c.png", "--probabilities")
    assert done.out == "predictions: 2 predicted, 1 already done\n"
