"""`check_model` on networks that are right and wrong, and the adapters that it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import unetzoo
from support.entries import refused_in_one_line
from support.heads import (
    BatchStatistics,
    Branches,
    Classes,
    Detached,
    Dict,
    Dropout,
    Eights,
    Frozen,
    Half,
    Head,
    Imprecise,
    NotANumber,
    NotANumberInGradients,
    Nothing,
    OneClass,
    OneSize,
    Raises,
    Remembers,
    RoundsDown,
    Strided,
    ThreeChannels,
    Tuple,
    TupleInTraining,
    TwoClasses,
    Unsaved,
    Unused,
    no_module,
)
from unetzoo import UnetzooError
from unetzoo.bench.run import run
from unetzoo.bench.suite_file import read_suite
from unetzoo.nn.adapt import Adapted
from unetzoo.records.record import read_record
from unetzoo.testing import ModelCheckError, check_model

pytestmark = pytest.mark.usefixtures("clean_registry")


def test_a_right_model_passes_and_says_what_was_checked() -> None:
    before = torch.get_rng_state()
    lines = check_model(Head)
    assert torch.equal(torch.get_rng_state(), before)
    names = ["shape", "channels", "train", "eval", "save", "channels_last", "bfloat16", "export"]
    assert [line.partition(":")[0] for line in lines] == names
    assert lines[0] == "shape: finite logits at 64x64, 37x53, 50x80"
    assert "Head" not in unetzoo.list_models()


def test_a_registered_name_its_class_and_its_options() -> None:
    unetzoo.register_model("mine", output="out")(Dict)
    assert check_model("mine", checks="shape") == check_model(Dict, checks=["shape"])
    lines = check_model("unet_paper", width=2, depth=2, checks={"train", "shape"})
    assert lines[0] == "shape: finite logits at 80x80, 54x70, 66x96"  # whose logits have at least the pixels asked for
    assert lines[1].startswith("train: ")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Tuple, ["Tuple: at 64x64 it returns a tuple of 2", "one tensor: register_model(..., output=1)"]),
        (Dict, ["returns a dict with keys out, aux; the logits must be one tensor: register_model(..., output='out')"]),
        (Nothing, ["returns None; the logits must be one tensor"]),
        (TupleInTraining, ["in training step 1 it returns a list of 3", "register_model(..., output=0)"]),
        (Half, ["Half: at 64x64 it returns (1, 2, 32, 32); wanted (1, 2, 64, 64)"]),
        (Eights, ["at 37x53 it raised RuntimeError", "multiples of 8 work: register_model(..., multiple_of=8)"]),
        (RoundsDown, ["at 37x53 it returns (1, 2, 36, 52); wanted (1, 2, 37, 53)", "(..., multiple_of=4)"]),
        (OneSize, ["OneSize: at 37x53 it raised RuntimeError: the position embedding"]),
        (NotANumber, ["at 64x64 its logits contain NaN"]),
        (NotANumberInGradients, ["in training step 1 the gradient of parameter conv.weight contains NaN or Inf"]),
        (Classes, ["its logits are torch.int64; wanted floating-point numbers"]),
        (OneClass, ["at 64x64 it returns (1, 1, 64, 64); wanted (1, 2, 64, 64)"]),
        (TwoClasses, ["with in_channels=1, num_classes=4 it returns (1, 2, 64, 64); wanted (1, 4, 64, 64)"]),
        (ThreeChannels, ["with in_channels=1, num_classes=4 it raised RuntimeError", "3 channels"]),
        (Unused, ["no gradient reaches parameter spare.weight (nor 1 more)"]),
        (Detached, ["no gradient reaches any parameter"]),
        (Frozen, ["no trainable parameter"]),
        (Remembers, ["in training step 2 the backward pass raised RuntimeError"]),
        (Dropout, ["in eval mode two calls on the same images differ by", "dropout"]),
        (BatchStatistics, ["the logits of an image depend on the others in its batch"]),
        (Unsaved, ["saved and loaded again, its logits differ by", "outside its state dict"]),
        (Imprecise, ["in bfloat16 autocast its logits are off by", "wanted less than 0.25 SD"]),
        (Strided, ["in channels_last it raised RuntimeError: view"]),
        (Branches, ["torch.export raised", "leave 'export' out of checks"]),
        (Raises, ["Raises: building it with in_channels=3, num_classes=2 raised KeyError: 'stem'"]),
        (no_module, ["no_module", "gave 3, not a nn.Module"]),
    ],
)
def test_what_is_wrong_is_one_line(model: Callable[..., nn.Module], words: list[str]) -> None:
    refused_in_one_line(words, lambda: check_model(model))
    assert model.__name__ not in unetzoo.list_models()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check_model("unett"), ["unknown model 'unett'", "did you mean unet"]),
        (lambda: check_model("unet", widht=4), ["'widht'", "did you mean width"]),
        (lambda: check_model(Head, width=4), ["'Head'", "unknown option 'width'"]),
        (lambda: check_model(lambda in_channels: None), ["takes no parameter 'num_classes'"]),
        (lambda: check_model(3), ["check_model(3)", "registered name"]),
        (lambda: check_model("unet", checks=["shapes"]), ["checks: 'shapes' is unknown; did you mean shape"]),
        (lambda: check_model("unet", sizes=[64]), ["sizes: 64 must be (height, width)"]),
        (lambda: check_model("unet", sizes=[(0, 4)]), ["sizes: (0, 4) must be (height, width)"]),
    ],
)
def test_a_wrong_call_is_one_line(call: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(UnetzooError) as caught:
        call()
    assert not isinstance(caught.value, ModelCheckError)
    refused_in_one_line(words, call)


@pytest.mark.parametrize(
    ("adapters", "words"),
    [
        ({"multiple_of": 0}, ["model 'mine': multiple_of = 0 must be a whole number of pixels from 1 up"]),
        ({"multiple_of": "8"}, ["multiple_of = '8' must be a whole number"]),
        ({"multiple_of": True}, ["multiple_of = True must be a whole number"]),
        ({"output": 1.5}, ["output = 1.5 must be a key (a str) or an index (an int)"]),
        ({"output": False}, ["output = False must be a key"]),
    ],
)
def test_adapters_that_are_none(adapters: dict[str, Any], words: list[str]) -> None:
    refused_in_one_line(words, lambda: unetzoo.register_model("mine", **adapters)(Head))
    assert "mine" not in unetzoo.list_models()


def test_a_spec_needs_no_adapter() -> None:
    with pytest.raises(UnetzooError, match="multiple_of and output adapt a class or function, not a UNetSpec"):
        unetzoo.register_model("mine", unetzoo.UNetSpec(), multiple_of=8)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("model", "output", "words"),
    [
        (Tuple, 5, ["Tuple returns a tuple of 2: output = 5; indices are 0 to 1"]),
        (Tuple, "out", ["Tuple returns a tuple of 2: output = 'out' must be an index"]),
        (Dict, "oot", ["Dict returns a dict with keys out, aux: output = 'oot'; did you mean out?"]),
        (Dict, 0, ["output = 0 must be a key"]),
        (Nothing, 0, ["Nothing returns None: output = 0"]),
    ],
)
def test_an_output_that_is_not_there(model: type[Head], output: str | int, words: list[str]) -> None:
    unetzoo.register_model("mine", output=output)(model)
    refused_in_one_line(["mine: at 64x64", *words], lambda: check_model("mine"))


@pytest.mark.parametrize(
    ("model", "adapters"),
    [
        (Tuple, {"output": 1}),
        (Tuple, {"output": -1}),
        (Dict, {"output": "out"}),
        (TupleInTraining, {"output": 0}),
        (Eights, {"multiple_of": 8}),
        (RoundsDown, {"multiple_of": 4}),
    ],
)
def test_adapted_it_passes(model: type[Head], adapters: dict[str, Any]) -> None:
    unetzoo.register_model("mine", **adapters)(model)
    check_model("mine", sizes=[(1, 1), (1, 9), (37, 53), (64, 64)])


def test_adapters_are_part_of_what_a_model_is() -> None:
    for name, adapters in {"plain": {}, "eight": {"multiple_of": 8}, "out": {"output": 1}}.items():
        unetzoo.register_model(name, **adapters)(Head)
    plain, eight, out = (unetzoo.model_info(name) for name in ("plain", "eight", "out"))
    assert len({plain.fingerprint(), eight.fingerprint(), out.fingerprint()}) == 3
    assert (plain.adapters, eight.adapters, out.adapters) == ({}, {"multiple_of": 8}, {"output": 1})
    assert not isinstance(unetzoo.create_model("plain"), Adapted)


def test_adapted_logits_are_those_of_the_mirrored_image() -> None:
    network = Head(1, 1).eval()
    image = torch.rand(1, 1, 6, 5)
    padded = nn.functional.pad(image, (0, 3, 0, 2), mode="reflect")
    adapted = Adapted(network, 8)
    assert torch.equal(adapted(image), network(padded)[..., :6, :5])
    assert torch.equal(adapted(padded), network(padded))


def test_weights_have_the_networks_own_names(tmp_path: Path) -> None:
    from unetzoo.nn.sizes import SameSize

    unetzoo.register_model("mine", multiple_of=8)(Eights)
    model = unetzoo.create_model("mine", in_channels=1)
    assert set(model.state_dict()) == {"conv.weight", "conv.bias"}
    bare = Eights(1, 1)
    bare.load_state_dict(model.state_dict())
    assert torch.equal(model.network.conv.weight, bare.conv.weight)
    wrapped = SameSize(unetzoo.create_model("mine", in_channels=1), 1)  # as a trial has it
    wrapped.load_state_dict(SameSize(model, 1).state_dict())
    assert torch.equal(wrapped.network.network.conv.weight, model.network.conv.weight)
    with pytest.raises(RuntimeError, match=r"Missing key.*conv\.weight"):
        wrapped.load_state_dict({})


def test_supervised_scales_are_adapted_too() -> None:
    class Scales(Eights):
        def forward_all(self, x: Tensor) -> list[Tensor]:
            return [self.forward(x), self.forward(x)[..., ::2, ::2]]

    adapted = Adapted(Scales(3, 2), 8)
    assert [tuple(y.shape) for y in adapted.forward_all(torch.rand(1, 3, 16, 24))] == [(1, 2, 16, 24), (1, 2, 8, 12)]
    assert [tuple(y.shape) for y in adapted.forward_all(torch.rand(1, 3, 13, 24))] == [(1, 2, 13, 24)] * 2
    assert not hasattr(Adapted(Head(3, 2), 8), "forward_all")


def test_a_valid_network_says_its_sizes_itself() -> None:
    network = unetzoo.create_model("unet_paper", width=2)
    assert Adapted(network, output=0).sizes == network.sizes
    with pytest.raises(UnetzooError, match="multiple_of = 8: UNet has sizes of its own"):
        Adapted(network, 8)


# What stops a trial today, made small, and how it is adapted.
BROUGHT = '''
import unetzoo
from monai.networks.nets import SegResNet
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large
from unetzoo.measure import latency

latency.PRODUCT_SIDE["cpu"] = 64  # nothing here depends on a timing

def own_segresnet(in_channels, num_classes, width=8):
    """MONAI's SegResNet: sides in multiples of 8."""
    return SegResNet(2, width, in_channels, num_classes)

def own_deeplab(in_channels, num_classes):
    """torchvision's DeepLabV3: a dict, and three channels."""
    model = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=num_classes)
    stem = model.backbone["0"][0]
    model.backbone["0"][0] = type(stem)(in_channels, stem.out_channels, 3, stride=2, padding=1, bias=False)
    return model

unetzoo.register_model("own_segresnet", multiple_of=8)(own_segresnet)
unetzoo.register_model("own_deeplab", output="out")(own_deeplab)
unetzoo.register_model("own_segresnet_bare")(own_segresnet)
unetzoo.register_model("own_deeplab_bare")(own_deeplab)
'''
NAMES = ("own_segresnet", "own_deeplab")
SUITE = """
seeds = 1
models = ["own_segresnet", "own_deeplab"]
imports = ['{file}']
baselines = false
[data]
name = "cells"
options = {{ n_train = 3, n_val = 1, n_test = 2, size = 52 }}
[train]
steps = 2
batch_size = 2
crop = 44
validate_every = 2
threads = 1
[measure]
size = 50
repeats = 5
attempts = 1
"""


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    from unetzoo._util.plugins import import_plugins

    file = tmp_path / "brought.py"
    file.write_text(BROUGHT)
    import_plugins([str(file)])
    return file


def test_what_other_libraries_build_is_adapted_as_the_check_says(brought: Path) -> None:
    with pytest.raises(ModelCheckError, match=r"^own_segresnet_bare: at 37x53 it raised .*\(\.\.\., multiple_of=8\)$"):
        check_model("own_segresnet_bare")
    with pytest.raises(ModelCheckError, match=r"^own_deeplab_bare: .* keys out; .*\(\.\.\., output='out'\)$"):
        check_model("own_deeplab_bare")
    for name in NAMES:
        check_model(name)


def test_show_tells_of_adapters(brought: Path) -> None:
    from typer.testing import CliRunner

    from unetzoo.cli.main import app

    for name, words in {"own_segresnet": "multiples of 8", "own_deeplab": "output 'out'"}.items():
        done = CliRunner().invoke(app, ["show", name, "--size", "50"])
        assert done.exit_code == 0, done.output
        (line,) = [line for line in done.output.splitlines() if line.startswith("adapted: ")]
        assert words in line


@pytest.mark.filterwarnings("ignore:the image. intensities unlike those of training")
def test_a_trial_of_what_is_adapted_is_ok(brought: Path, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE.format(file=brought))
    trials = run(read_suite(tmp_path / "suite.toml"), tmp_path / "out")
    assert list(trials["status"]) == ["ok", "ok"], list(trials["reason"])
    sources = {r.trial["model"]["source"] for r in map(read_record, (tmp_path / "out" / "records").glob("*.json"))}
    assert len(sources) == 2
    for folder in (tmp_path / "out" / "trials").iterdir():
        model = unetzoo.load_model(folder)
        assert isinstance(model, Adapted)
        assert unetzoo.predict(model, torch.rand(1, 41, 70).numpy(), tile=33).shape == (2, 41, 70)
