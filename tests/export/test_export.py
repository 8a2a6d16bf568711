"""Exported models: verified against torch, loaded for `predict` and `show`, and refused in one line."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import unetzoo
from support.command import run
from unetzoo import UnetzooError
from unetzoo.data.expected import Expected
from unetzoo.data.stream import Normalization
from unetzoo.export import backend as backends
from unetzoo.export import runtimes, verify
from unetzoo.export.card import card
from unetzoo.export.module import Exported
from unetzoo.export.runtimes import open_run
from unetzoo.export.sidecar import SideCar, read_sidecar, write_sidecar

SMALL: dict[str, Any] = {"in_channels": 1, "num_classes": 2, "width": 2, "depth": 2, "up": "bilinear"}
DATA = {
    "name": "dots",
    "channels": 1,
    "class_names": ["ground", "dot"],
    "foreground": [1],
    "values": [0, 200],
    "range": [0.0, 255.0],
}


def small(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    return unetzoo.create_model("unet", **{**SMALL, **options}).eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that know normalisation, data and training images."""
    model = small()
    object.__setattr__(model, "unetzoo_normalization", Normalization((0.4,), (0.2,)))
    expected = Expected(dtypes=("uint8",), bits=8, channels=1, meaning="grey", range=(0.0, 255.0), downscale=1)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    return unetzoo.save_model(model, path, expected=expected, data=DATA, trial="abc")


@pytest.fixture(scope="module")
def exported(weights: Path) -> Path:
    folder = weights.parent / "onnx"
    unetzoo.export_model(weights, folder)
    return folder


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (45, 61), dtype=np.uint8)


def test_the_side_car_tells_what_a_runtime_needs(exported: Path, weights: Path) -> None:
    found = read_sidecar(exported)
    assert (found.to, found.batched, found.trained, found.tile, found.overlap) == ("onnx", True, True, 512, 128)
    assert found.input.shape == ("images", 1, "height", "width")
    assert found.output.shape == ("images", 2, "height", "width")
    assert (found.sides.multiple, found.sides.least, found.sides.fixed) == (1, 2, None)
    assert found.normalization == {"mean": (0.4,), "std": (0.2,)}
    assert found.range == (0, 255)
    assert [(each.name, each.value) for each in found.classes] == [("ground", 0), ("dot", 200)]
    assert found.papers[0].year == 2015
    assert found.weights is not None
    assert found.weights["file"] == weights.name
    assert found.header["trial"] == "abc"
    assert found.header["model"]["options"]["up"] == "bilinear"
    assert set(found.files) == {"model.onnx"}
    assert found.versions["torch"] == torch.__version__.partition("+")[0] or found.versions["torch"]
    (check,) = found.verification
    assert [each.shape[-2:] for each in check.differences] == [(96, 128), (97, 67), (61, 131)]
    assert 0 <= check.worst.relative <= 1e-4
    text = (exported / "README.md").read_text()
    assert text == card(found)
    for words in ("dots", "0.4", "Class 1: dot (200 in masks)", "images x 1 x height x width", "allowed: 0.0001"):
        assert words in text


def test_predict_on_the_folder_equals_predict_on_the_weights(exported: Path, weights: Path, image: np.ndarray) -> None:
    options: dict[str, Any] = {"tile": 32, "precision": "float32"}
    wanted = unetzoo.predict(unetzoo.load_model(weights), image, **options)
    model = unetzoo.load_exported(exported)
    assert not list(model.parameters())
    for backend in (None, "openvino", "onnxruntime"):
        found = unetzoo.predict(model, image, backend=backend, **options)
        assert np.abs(found - wanted).max() < 1e-5
    with pytest.raises(UnetzooError, match="backend = 'torch' does not read ONNX files; this one runs with onnx"):
        unetzoo.predict(model, image, backend="torch")
    with pytest.raises(UnetzooError, match="onnxruntime' computes in float32 only"):
        unetzoo.predict(model, image, precision="bfloat16")


def test_the_commands_take_the_folder(exported: Path, weights: Path, image: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(image).save(tmp_path / "a.png")
    for model, out in ((weights, "one"), (exported, "two"), (exported / "model.onnx", "three")):
        done = run("predict", model, "a.png", "--out", out, "--precision", "float32", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, two, three = ((tmp_path / out / "a.png").read_bytes() for out in ("one", "two", "three"))
    assert one == two == three
    assert set(np.unique(np.array(Image.open(tmp_path / "one" / "a.png")))) <= {0, 200}
    shown = run("show", exported)
    assert shown.returncode == 0
    for words in (
        "unet, exported to ONNX; trained on dots",
        "images: float32",
        "any side from 2 px",
        "classes: ground, dot",
    ):
        assert words in shown.stdout
    done = run("predict", exported, "a.png", "--device", "cuda", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "device = 'cuda': an exported model computes on the CPU" in done.stderr


def test_a_changed_file_is_refused(copied: Path) -> None:
    file = copied / "model.onnx"
    file.write_bytes(file.read_bytes() + b"\0")
    for command in (("predict", copied, "x.png"), ("show", copied)):
        done = run(*command, cwd=copied)
        assert done.returncode == 2
    assert f"{file}: was changed, its content does not match its checksum in export.json" in done.stderr
    file.unlink()
    with pytest.raises(UnetzooError, match=r"model.onnx: is missing, but export.json lists it"):
        unetzoo.load_exported(copied)


@pytest.mark.parametrize("change", ['"tile": 512>"tile": 256', '"mean": [>"mean": [1.0,', "}>", "1>2"])
def test_a_changed_side_car_is_refused(copied: Path, change: str) -> None:
    path = copied / "export.json"
    old, new = change.split(">")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UnetzooError, match=r"export\.json: ") as caught:
        unetzoo.load_exported(copied)
    assert "\n" not in str(caught.value)


def test_a_side_car_of_a_later_version_is_refused(copied: Path) -> None:
    path = copied / "export.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2', 1))
    with pytest.raises(UnetzooError, match=r"version = 2 is not known \(known: 1\); update unetzoo"):
        unetzoo.load_exported(copied)


def without(*packages: str) -> Any:
    """Return an ``import_module`` that finds none of some packages."""

    def found(name: str) -> Any:
        if name in packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return import_module(name)

    return found


def test_a_missing_runtime_names_the_extra(
    exported: Path, weights: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runtimes, "import_module", without("onnxruntime", "onnxscript", "openvino"))
    hint = r"pip install 'unetzoo\[export\]'"
    with pytest.raises(UnetzooError, match=rf"package onnxruntime, which is not installed: {hint}"):
        unetzoo.load_exported(exported)
    with pytest.raises(UnetzooError, match=rf"an export to ONNX needs the package onnxscript, .* {hint}"):
        unetzoo.export_model(weights, tmp_path / "e")
    with pytest.raises(UnetzooError, match=rf"backend = 'openvino' needs the package openvino, .* {hint}"):
        unetzoo.predict(small(), image, backend="openvino")
    done = run("predict", exported, "a.png", "--backend", "openvino", cwd=tmp_path)
    assert done.returncode == 2
    Image.fromarray(image).save(tmp_path / "a.png")
    done = run("predict", exported, "a.png", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = run("export", weights, "--to", "openvino", "--out", tmp_path / "e", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("to", ["openvino", "pt2"])
def test_other_formats(to: str, weights: Path, image: np.ndarray, tmp_path: Path) -> None:
    found = unetzoo.export_model(weights, tmp_path, to=to)
    assert set(found.files) == {"openvino": {"model.xml", "model.bin"}, "pt2": {"model.pt2"}}[to]
    wanted = unetzoo.predict(unetzoo.load_model(weights), image, tile=32, precision="float32")
    assert np.abs(unetzoo.predict(unetzoo.load_exported(tmp_path), image, tile=32) - wanted).max() < 1e-5
    with pytest.raises(UnetzooError, match="holds an exported model; --overwrite"):
        unetzoo.export_model(weights, tmp_path)


def test_overwrite_leaves_nothing_of_the_earlier_export(copied: Path, weights: Path) -> None:
    unetzoo.export_model(weights, copied, to="pt2", overwrite=True)
    assert sorted(path.name for path in copied.iterdir()) == ["README.md", "export.json", "model.pt2"]
    (copied / "export.json").unlink()
    with pytest.raises(UnetzooError, match=r"holds README.md, which is not of an exported model"):
        unetzoo.export_model(weights, copied, overwrite=True)


def test_sizes_that_do_not_fit_are_refused(exported: Path) -> None:
    model = unetzoo.load_exported(exported)
    with pytest.raises(
        UnetzooError, match="1x9 px does not fit this exported model, which takes any side from 2 px; next"
    ):
        unetzoo.predict(model, np.zeros((1, 9), np.uint8))


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the backend of each conversion."""
    done: list[str] = []
    convert = backends.converted
    monkeypatch.setattr(backends, "converted", lambda model, name: done.append(name) or convert(model, name))
    return done


def test_a_backend_converts_once_until_the_weights_change(conversions: list[str], image: np.ndarray) -> None:
    model = small()
    options: dict[str, Any] = {"tile": 48, "precision": "float32"}
    for _ in range(2):
        found = unetzoo.predict(model, image, backend="onnxruntime", **options)
        assert np.abs(found - unetzoo.predict(model, image, **options)).max() < 1e-5
    assert conversions == ["onnxruntime"]
    with torch.no_grad():
        next(model.parameters()).mul_(-2)
    found = unetzoo.predict(model, image, backend="onnxruntime", **options)
    assert conversions == ["onnxruntime"] * 2
    assert np.abs(found - unetzoo.predict(model, image, **options)).max() < 1e-5
    with pytest.raises(UnetzooError, match="backend = 'onnx' is not a choice; did you mean onnxruntime"):
        unetzoo.predict(model, image, backend="onnx")


def test_openvino_computes_in_float32_unless_told_otherwise(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hints: list[str] = []

    class Core:
        def read_model(self, file: Path) -> Path:
            return file

        def compile_model(self, model: Any, device: str, options: dict[str, Any]) -> None:
            hints.append(options["INFERENCE_PRECISION_HINT"])

    monkeypatch.setattr(runtimes, "need", lambda what, *packages: type("openvino", (), {"Core": Core}))
    for precision in ("float32", "bfloat16", "auto"):
        open_run(exported / "model.onnx", "openvino", precision)
    assert hints == ["f32", "bf16", "f32"]
    with pytest.raises(UnetzooError, match="precision = 'float16': backend = 'openvino' computes in float32 and bfl"):
        open_run(exported / "model.onnx", "openvino", "float16")


def test_a_difference_above_the_tolerance_is_refused(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Exported.forward
    monkeypatch.setattr(Exported, "forward", lambda self, x: forward(self, x) * 1.001)
    with pytest.raises(UnetzooError, match=r"not exported: torch against torch, float32, images .* allowed: 0.0001"):
        unetzoo.export_model(weights, tmp_path / "e", to="pt2")
    assert not (tmp_path / "e").exists()
    assert list(tmp_path.iterdir()) == []


def test_nan_is_refused() -> None:
    none = verify.Verification(
        backend="x",
        differences=(verify.Difference.model_construct(shape=(1, 1, 1, 1), absolute=0, relative=float("nan")),),
    )
    with pytest.raises(UnetzooError, match="not exported"):
        verify.refuse(none)


def test_a_registered_model(tmp_path: Path) -> None:
    done = run(
        *("export", "unet", "--set", "width=2", "--set", "depth=2", "--in-channels", 1, "--to", "pt2"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "torch against torch, float32, images 2x1x96x128, 1x1x97x67, 2x1x61x131" in done.stdout
    found = SideCar.from_json((tmp_path / "exported/export.json").read_text(), "it")
    assert (found.trained, found.weights, found.input.shape[1], found.output.shape[1]) == (False, None, 1, 1)
    assert "its masks mean nothing" in (tmp_path / "exported/README.md").read_text()
    assert "not trained" in run("show", tmp_path / "exported").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["unett"], "unknown model 'unett'; did you mean unet"),
        (["none/model.safetensors"], "no such file"),
        (["{weights}", "--set", "width=3"], "its weights tell its channels and options; leave out --set"),
        (["{weights}", "--to", "tflite"], "to = 'tflite' is not a choice; known: onnx, openvino, pt2"),
        (["{weights}", "--out", "{weights}"], "is a file; choose another folder"),
        (["unet", "--set", "width=0"], "width"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: str, weights: Path, tmp_path: Path) -> None:
    done = run("export", *(text.format(weights=weights) for text in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_only_models_of_create_model_are_exported(tmp_path: Path) -> None:
    with pytest.raises(UnetzooError, match="Conv2d was not made by create_model"):
        unetzoo.export_model(nn.Conv2d(1, 1, 1), tmp_path / "e")


def test_header_and_checksum_survive_odd_names(copied: Path) -> None:
    found = read_sidecar(copied)
    odd = found.model_copy(update={"header": {**found.header, "note": "é \u2028 " + "0" * 64}, "checksum": "0" * 64})
    write_sidecar(copied, odd)
    assert read_sidecar(copied).header["note"] == odd.header["note"]
    assert json.loads((copied / "export.json").read_text())["checksum"] != "0" * 64
    assert isinstance(unetzoo.load_exported(copied)(torch.rand(1, 1, 8, 8)), Tensor)
