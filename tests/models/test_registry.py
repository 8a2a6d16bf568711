"""Registered names: listing, changing, refusing, and registering one's own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import get_args

import pytest
import torch
from torch import nn

import unetzoo
from support.entries import refused_in_one_line
from unetzoo import UnetzooError
from unetzoo.grid.parts import callables
from unetzoo.grid.spec import UNetSpec, diff, replace
from unetzoo.measure.counts import count_parameters
from unetzoo.models import registry
from unetzoo.models.grid_entry import GridEntry
from unetzoo.models.papers import Paper
from unetzoo.models.parameters import parameters


def test_importing_and_listing_do_not_import_torch() -> None:
    code = "import sys, unetzoo; unetzoo.list_models(); unetzoo.model_info('unet'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_pattern() -> None:
    assert unetzoo.list_models("unet_d?") == ["unet_d2", "unet_d3", "unet_d4", "unet_d5", "unet_d6"]
    assert unetzoo.list_models("nothing*") == []


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_every_entry_has_its_paper_and_note(name: str) -> None:
    entry = unetzoo.model_info(name)
    assert isinstance(entry.paper, Paper)
    assert entry.paper.year >= 2015
    assert entry.paper.link
    assert entry.note
    assert entry.family != "own"


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_the_listed_parameters_are_the_networks(name: str) -> None:
    with torch.device("meta"):
        model = unetzoo.create_model(name)
    assert parameters(name) == count_parameters(model)


def test_a_family_that_is_none_is_refused(clean_registry: dict) -> None:
    with pytest.raises(UnetzooError, match="model 'x': family = 'nestd'; did you mean nested"):
        unetzoo.register_model("x", UNetSpec(), family="nestd")  # type: ignore[call-overload]
    assert "x" not in unetzoo.list_models()


@pytest.mark.parametrize("name", [n for n in unetzoo.list_models() if isinstance(unetzoo.model_info(n), GridEntry)])
def test_spec_survives_json_and_diff_rebuilds_it(name: str) -> None:
    entry = unetzoo.model_info(name)
    assert isinstance(entry, GridEntry)
    spec = entry.spec
    assert UNetSpec.from_json(spec.model_dump_json(), name) == spec
    options = {option: ours for option, (_, ours) in unetzoo.model_info(name).diff.items()}
    assert replace(UNetSpec(), **options) == spec


def test_unet_is_the_default_spec() -> None:
    assert unetzoo.model_info("unet").options == UNetSpec().model_dump()
    assert diff(UNetSpec(up="nearest"), UNetSpec()) == {"up": ("transposed", "nearest")}


def test_a_whole_width_is_an_integer_however_it_is_written() -> None:
    """Trial ids are hashes of the options' JSON."""
    texts = {UNetSpec(width=w).model_dump_json() for w in (16, 16.0)}
    texts.add(UNetSpec.from_json('{"width": 16.0}', "").model_dump_json())
    assert len(texts) == 1
    assert '"width":16,' in texts.pop()
    for dumped in (UNetSpec(width=16.0).model_dump(), UNetSpec(width=16.0).model_dump(mode="json")):
        assert type(dumped["width"]) is int
    assert UNetSpec.from_json(UNetSpec(width=16.5).model_dump_json(), "").width == 16.5


def test_channels_of_a_fractional_width_are_rounded_level_by_level() -> None:
    assert UNetSpec(width=16).channels == [16, 32, 64, 128, 256]
    assert UNetSpec(width=10.3).channels == [10, 21, 41, 82, 165]
    assert UNetSpec(width=0.2).channels == [1, 1, 1, 2, 3]


def test_every_literal_has_its_part_and_every_part_its_literal() -> None:
    for option, values in callables(UNetSpec()).items():
        assert set(values) == set(get_args(UNetSpec.model_fields[option].annotation)), option


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("unett", {}, ["'unett'", "did you mean unet"]),
        ("unet", {"upp": "bilinear"}, ["'unet'", "'upp'", "did you mean up?"]),
        ("unet", {"up": "bilnear"}, ["up = 'bilnear'", "did you mean bilinear?", "pixelshuffle"]),
        ("unet", {"width": 0}, ["width = 0"]),
        ("unet", {"width": -0.5}, ["width = -0.5", "greater than 0"]),
        ("unet", {"width": "16"}, ["width = '16'", "number"]),
        ("unet", {"width": True}, ["width = True", "number"]),
        ("unet", {"depth": 9}, ["depth = 9"]),
        ("unet", {"dropout": 1.0}, ["dropout = 1.0"]),
        ("unet", {"skip": "add", "keep_last_up_width": True}, ["skip = 'add'", "keep_last_up_width"]),
        ("unet", {"in_channels": 0}, ["in_channels = 0"]),
        ("unetpp", {"up": "unpool"}, ["up = 'unpool'", "up_width = 'kept'"]),
        ("unet", {"up": "unpool", "down": "strided"}, ["up = 'unpool'", "max pool", "down = 'strided'"]),
        ("unet_paper", {"up": "unpool"}, ["up = 'unpool'", "padding = 'same'"]),
        ("unet_paper", {"block": "residual"}, ["padding = 'valid'", "block = 'residual'"]),
        ("unet_paper", {"decoder": "nested"}, ["padding = 'valid'", "decoder = 'nested'"]),
        ("unet_paper", {"deep_supervision": True}, ["padding = 'valid'", "deep_supervision"]),
        ("attention_unet", {"norm": "layer_per_pixel"}, ["skip = 'attention'", "one channel"]),
        ("unet", {"t": 3}, ["t = 3", "block = 'recurrent'"]),
        ("unet_residual", {"dropout_at": "layers"}, ["dropout_at = 'layers'", "block = 'residual'"]),
        ("unet_bilinear_halved", {"block": "dense"}, ["halve_before_up = True", "'dense'"]),
        ("sa_unet", {"block": "residual", "dropout": 0.0}, ["'residual'"]),
        ("unet_bilinear_halved", {"up_width": "kept"}, ["halve_before_up", "up_width = 'kept'"]),
        ("unet_bilinear_halved", {"decoder": "nested"}, ["halve_before_up", "'nested'"]),
        ("unetpp", {"skip": "add", "up_width": "halved"}, ["decoder = 'nested'", "skip = 'add'"]),
        ("unet_upconv", {"up_act": True}, ["up_act = True", "'nearest_conv3x3' already ends in an activation"]),
        ("unet3plus", {"up": "carafe"}, ["decoder = 'full_scale'", "bilinear, bilinear_aligned", "'carafe'"]),
        ("unet3plus", {"skip": "attention"}, ["decoder = 'full_scale'", "skip = 'attention'", "would have no effect"]),
        ("unet", {"head_kernel": 2}, ["head_kernel = 2", "1", "3"]),
        ("resunetpp", {"width": 0}, ["option width = 0", "at least 1"]),
        ("half_unet", {"width": 0}, ["width = 0", "at least 1"]),
        ("half_unet", {"depth": 1}, ["option depth = 1", "2, 3, 4"]),
        ("resunet", {"up": "carafee"}, ["resunet: up = 'carafee'", "did you mean carafe?"]),
        ("half_unet", {"depth": "x"}, ["option depth = 'x'", "2, 3, 4"]),
        ("resunetpp", {"width": 1.5}, ["option width = 1.5", "whole number"]),
        ("dynunet", {"deep_supervision": 2.5}, ["'dynunet'", "option deep_supervision = 2.5", "true or false"]),
        ("unet", {"pretrained": True}, ["'unet'", "pretrained"]),
        ("unet_resnet34", {"pretrained": 1}, ["pretrained = 1: must be True, False, None or the path of a file"]),
        ("unet_resnet34", {"pretrained": "x.txt"}, ["pretrained = 'x.txt'", ".safetensors"]),
    ],
)
def test_one_line_names_the_culprit(name: str, options: dict, words: list[str]) -> None:
    refused_in_one_line(words, lambda: unetzoo.create_model(name, **options))


def test_own_class_and_own_function(clean_registry: dict) -> None:
    @unetzoo.register_model("my_net", note="mine")
    class MyNet(nn.Module):
        def __init__(self, in_channels: int, num_classes: int, width: int = 8) -> None:
            super().__init__()
            self.head = nn.Conv2d(in_channels, num_classes, 1)
            self.width = width

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x)

    @unetzoo.register_model
    def my_function(in_channels: int, num_classes: int) -> nn.Module:
        """A function's first line is its note."""
        return MyNet(in_channels, num_classes)

    model = unetzoo.create_model("my_net", in_channels=2, num_classes=3, width=4)
    assert isinstance(model, MyNet)
    assert model.width == 4
    assert model(torch.zeros(1, 2, 5, 5)).shape == (1, 3, 5, 5)
    assert unetzoo.model_info("my_function").note == "A function's first line is its note."
    assert len(unetzoo.model_info("my_net").fingerprint()) == 16
    with pytest.raises(UnetzooError, match=r"'my_net'.*'widht'.*did you mean width"):
        unetzoo.create_model("my_net", widht=4)


def test_duplicate_name_and_wrong_signature_are_refused(clean_registry: dict) -> None:
    with pytest.raises(UnetzooError, match=r"'unet'.*registers a name that unetzoo itself has registered"):
        unetzoo.register_model("unet", UNetSpec())
    with pytest.raises(UnetzooError, match=r"'classless'.*'num_classes'"):

        @unetzoo.register_model("classless")
        def classless(in_channels: int) -> None: ...

    with pytest.raises(UnetzooError, match="must be a UNetSpec"):
        unetzoo.register_model("wrong", {"width": 3})  # type: ignore[call-overload]


def test_option_without_default_must_be_given(clean_registry: dict) -> None:
    @unetzoo.register_model("needy")
    def needy(in_channels: int, num_classes: int, width: int) -> nn.Module:
        return nn.Conv2d(in_channels, num_classes, width)

    with pytest.raises(UnetzooError, match="'width' has no default"):
        unetzoo.create_model("needy")
    assert unetzoo.create_model("needy", width=1)


def test_entry_points(clean_registry: dict, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "zoo_plugin.py").write_text(
        "import unetzoo\nunetzoo.register_model('unet_from_plugin', unetzoo.UNetSpec(width=2))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        EntryPoint("good", "zoo_plugin", registry.ENTRY_POINTS),
        EntryPoint("bad", "no_such_module_at_all", registry.ENTRY_POINTS),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    monkeypatch.setattr(registry._REGISTRY, "loaded", False)
    with pytest.warns(UserWarning, match=r"'bad'.*no_such_module_at_all"):
        assert "unet_from_plugin" in unetzoo.list_models()
