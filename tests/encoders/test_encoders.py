"""timm's encoders: each gives a pyramid for every decoder, or is refused with a reason."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import unetzoo
from support.entries import refused_in_one_line
from unetzoo import UnetzooError
from unetzoo.cli.main import app
from unetzoo.encoders import timm_encoder
from unetzoo.encoders.mix_transformer import VARIANTS, MixTransformer
from unetzoo.encoders.timm_encoder import TimmEncoder, names, pyramid
from unetzoo.grid import assembly
from unetzoo.grid.spec import UNetSpec
from unetzoo.measure.counts import count_parameters

DECODERS: tuple[dict[str, Any], ...] = (
    {},
    {"decoder": "nested", "up": "bilinear_aligned", "up_width": "kept"},
    {"decoder": "full_scale", "up": "bilinear"},
)
# The smallest fast encoder of each family, by its file in timm.
ENCODERS = (
    "lcnet_035", "repghostnet_050", "test_mambaout", "ghostnet_050", "starnet_s050", "efficientvit_b0", "mobilevit_xxs",
    "edgenext_xx_small", "ese_vovnet19b_slim_dw", "hgnetv2_b0", "lcnetv2_small", "efficientvit_m0", "cpubone_nano",
    "fasternet_t0", "regnetx_002", "cspnext_tiny", "cs3darknet_focus_s", "inception_next_atto", "rexnet_100",
    "convnext_atto_rms", "pvt_v2_b0", "efficientnet_b0", "repvit_m1", "efficientvim_m1", "shvit_s1", "dla46x_c",
    "test_resnet", "test_nfnet", "test_byobnet", "mit_b0", "iformer_t", "hardcorenas_a", "swiftformer_xs",
    "tiny_vit_5m_224", "resnest14d", "vgg11", "resnetv2_18", "legacy_seresnet18", "skresnet18",
    "swin_tiny_patch4_window7_224",
)  # fmt: skip


def build(encoder: str, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return assembly.build(UNetSpec(**{"encoder": encoder, "width": 4, "depth": deepest(encoder), **changes}), 2, 3)


def deepest(encoder: str) -> int:
    offered = pyramid(encoder)
    return offered.first + len(offered.channels)


class Once(nn.Module):
    """An encoder that computes its maps only once; each decoder reads copies, which keep that decoder's gradients."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder, self.channels, self.multiple = encoder, encoder.channels, encoder.multiple
        self.maps: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        self.maps = self.maps or self.encoder(x)
        self.read = [level.detach().requires_grad_() for level in self.maps]
        return self.read


@pytest.mark.parametrize(
    ("name", "decoders"),
    [
        *((name, [DECODERS[i % len(DECODERS)]]) for i, name in enumerate(ENCODERS)),
        *(pytest.param(name, DECODERS, marks=pytest.mark.nightly) for name in ENCODERS),
    ],
)
def test_every_encoder_under_its_decoders(
    name: str, decoders: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two channels in and odd sizes, logits have the image's size and all trainable parameters get a gradient."""
    encoder = Once(build(name).encoder)
    assert list(encoder.channels)[pyramid(name).first :] == list(pyramid(name).channels)
    monkeypatch.setattr(assembly, "_timm", lambda *_: encoder)
    images = torch.rand(2, 2, 37, 50)
    for changes in decoders:
        model = build(name, **changes)
        logits = model(images)
        assert logits.shape == (2, 3, 37, 50)
        logits.square().mean().backward()
        gradients = [level.grad for level in encoder.read]
        gradients += [p.grad for part in (model.decoder, model.head) for p in part.parameters()]
        assert all(g is not None and g.isfinite().all() for g in gradients)
    torch.autograd.backward(encoder.maps, [level.grad for level in encoder.read])
    for key, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key
        assert parameter.grad is None or parameter.grad.isfinite().all(), key


def test_at_least_forty_encoders_are_tried() -> None:
    assert len(set(ENCODERS)) >= 40


@pytest.mark.parametrize("encoder", ["test_resnet", "test_convnext"])
def test_every_depth_has_the_levels_it_says(encoder: str) -> None:
    for depth in range(pyramid(encoder).first + 1, deepest(encoder) + 1):
        model = build(encoder, depth=depth)
        maps = model.eval().encoder(torch.rand(1, 2, 64, 96))
        assert [tuple(y.shape[1:]) for y in maps] == [
            (c, 64 // 2**i, 96 // 2**i) for i, c in enumerate(model.encoder.channels)
        ]
        assert len(maps) == depth
        model(torch.rand(2, 2, 33, 64)).mean().backward()
        assert all(p.grad is not None for p in model.parameters())


UPS = UNetSpec.model_fields["up"].annotation.__args__
SKIPS = UNetSpec.model_fields["skip"].annotation.__args__


@pytest.mark.parametrize("changes", [*({"up": up} for up in UPS), *({"skip": skip} for skip in SKIPS)], ids=str)
@pytest.mark.parametrize("decoder", ["chain", "nested", "full_scale"])
def test_every_up_and_skip_works_or_is_refused(decoder: str, changes: dict[str, Any]) -> None:
    extra = {"up": "bilinear"} if decoder == "full_scale" and "up" not in changes else {}
    options = {"encoder": "test_resnet", "width": 4, "depth": 6, "decoder": decoder, **extra, **changes}
    up, skip = options.get("up", "transposed"), options.get("skip", "concat")
    refused = {
        "chain": False,
        "nested": skip in ("add", "none"),
        "full_scale": skip != "concat" or not up.startswith(("bilinear", "bicubic", "nearest")) or "conv" in up,
    }
    if refused[decoder]:
        with pytest.raises(UnetzooError, match="decoder = "):
            UNetSpec(**options)
        return
    model = assembly.build(UNetSpec(**options), 2, 3)
    logits = model(torch.rand(2, 2, 33, 47))
    assert logits.shape == (2, 3, 33, 47)
    logits.mean().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_an_encoder_is_timms_own() -> None:
    """The levels equal timm's for the same image, always as (N, C, H, W), even where timm's are not."""
    import timm

    for name, first in (("test_resnet", 1), ("swin_tiny_patch4_window7_224", 2)):
        torch.manual_seed(0)
        model = assembly.build(UNetSpec(encoder=name, width=4, depth=6), 3, 2).eval()
        image = torch.rand(1, 3, 224, 224)
        theirs = timm.create_model(name, features_only=True).eval()
        own = {key.removeprefix("model."): value for key, value in model.encoder.body.state_dict().items()}
        theirs.load_state_dict({key: own[key.removeprefix("model.")] for key in theirs.state_dict()})
        with torch.no_grad():
            for ours, maps in zip(model.encoder(image)[first:], theirs(image), strict=True):
                expected = maps if maps.shape[1] == ours.shape[1] else maps.permute(0, 3, 1, 2)
                torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("name", ["mit_b0", "mit_b1"])
def test_mix_transformers_are_those_of_segmentation_models_pytorch(name: str) -> None:
    encoders = pytest.importorskip("segmentation_models_pytorch.encoders")
    theirs, ours = encoders.get_encoder(name).eval(), MixTransformer(name, 3).eval()
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for ours_map, theirs_map in zip(ours(image), theirs(image)[2:], strict=True):
            torch.testing.assert_close(ours_map, theirs_map, rtol=1e-4, atol=1e-5)
    assert set(VARIANTS) <= set(names())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder": "resnt34"}, ["'resnt34'", "no such model", "did you mean resnet34"]),
        ({"encoder": "qqqqqqqqqq"}, ["no such model", "unetzoo list --encoders"]),
        ({"encoder": "resnet34.imagenett"}, ["'imagenett'", "resnet34.a1_in1k"]),
        ({"encoder": "resnet34."}, ["no weights ''", "resnet34.a1_in1k"]),
        ({"encoder": "hf-hub:timm/resnet34"}, ["no such model"]),
        ({"encoder": ""}, ["encoder = ''"]),
        ({"encoder": "test_vit"}, ["one stride, 16", "strides that double"]),
        ({"encoder": "crossvit_9_240"}, ["strides 12, 17", "double"]),
        ({"encoder": "efficientformerv2_s0"}, ["'efficientformerv2_s0' does not take images of arbitrary size"]),
        ({"encoder": "visformer_tiny"}, ["does not take images of arbitrary size"]),
        ({"skip": "none", "up": "unpool"}, ["up = 'unpool'", "levels that encoder"]),
        ({"encoder": "pit_ti_224"}, ["does not take images of arbitrary size"]),
        ({"encoder": "csatv2", "in_channels": 1}, ["'csatv2' does not take 1-channel images of arbitrary size"]),
        ({"encoder": "botnet26t_256"}, ["'botnet26t_256' does not take images of arbitrary size"]),
        ({"encoder": "tresnet_m"}, ["timm cannot return its feature maps"]),
        ({"encoder": "hardcorenas_a", "depth": 5}, ["cannot leave out its coarsest levels", "depth = 5 must be 6"]),
        ({"depth": 7}, ["depth = 7", "strides 2 to 32", "2 to 6"]),
        ({"encoder": "test_convnext", "depth": 2}, ["depth = 2", "3 to 6"]),
        ({"padding": "valid"}, ["padding = 'valid'", "encoder = 'plain'"]),
        ({"down": "strided"}, ["down = 'strided'", "encoder = 'plain'"]),
        ({"halve_before_up": True}, ["halve_before_up = True", "encoder = 'plain'"]),
        ({"bottleneck": "spatial_attention"}, ["spatial_attention", "'test_resnet'"]),
        ({"dropout": 0.5}, ["dropout_at = 'coarsest_two'", "'decoder' and 'layers'"]),
        ({"encoder": "plain", "pretrained": True}, ["pretrained = True", "needs an encoder"]),
    ],
    ids=str,
)
def test_what_is_refused_says_why(changes: dict[str, Any], words: list[str]) -> None:
    refused_in_one_line(words, lambda: unetzoo.create_model("unet", **{"encoder": "test_resnet", **changes}))


def test_options_reach_the_plain_parts_alone() -> None:
    """Norm, block and dropout apply to the decoder and the fine levels; he_normal leaves timm's encoder alone."""
    plain, other = (build("test_convnext", **c) for c in ({}, {"norm": "group", "init": "he_normal", "act": "elu"}))
    theirs = dict(plain.encoder.body.named_parameters())
    for name, parameter in other.encoder.body.named_parameters():
        assert torch.equal(parameter, theirs[name]), name
    assert not any(isinstance(m, nn.BatchNorm2d) for m in other.modules())
    assert any(isinstance(m, nn.Dropout) for m in build("test_resnet", dropout=0.1, dropout_at="layers").modules())
    assert build("test_resnet", bottleneck="aspp").eval()(torch.rand(1, 2, 40, 40)).shape == (1, 3, 40, 40)


def test_weights_do_not_depend_on_who_asked_before() -> None:
    timm_encoder.pyramid.cache_clear()
    timm_encoder._trial_run.cache_clear()
    first, second = (build("test_resnet").state_dict() for _ in range(2))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_it_is_found_out_anywhere() -> None:
    """Facts about a new encoder are found even in inference mode, on fake tensors and on the meta device."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    for name, mode in (
        ("test_resnet", torch.inference_mode()),
        ("test_convnext", FakeTensorMode(allow_non_fake_inputs=True)),  # as `Rehearsal` does
        ("test_efficientnet", torch.device("meta")),
    ):
        timm_encoder.pyramid.cache_clear()
        timm_encoder._trial_run.cache_clear()
        with mode:
            assert build(name).eval()(torch.rand(1, 2, 33, 40)).shape == (1, 3, 33, 40)


def test_nothing_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("somebody asked the network")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    for name in ("unet_efficientnet_b0", "unet_swin_tiny", "unet_mit_b0"):
        with torch.device("meta"):
            assert isinstance(unetzoo.create_model(name).encoder, TimmEncoder)
    model = unetzoo.create_model("unet_mobilenetv3_large", width=4).eval()
    assert model(torch.rand(1, 3, 32, 32)).shape == (1, 1, 32, 32)
    assert CliRunner().invoke(_app(), ["list", "--encoders", "test_res*"]).exit_code == 0


def _app() -> Any:

    return app


def test_timm_and_smp_are_imported_only_for_a_network_of_theirs() -> None:
    code = (
        "import sys, unetzoo; unetzoo.list_models(); unetzoo.model_info('smp_unet').options;"
        "unetzoo.create_model('unet', width=2);"
        "print([n for n in ('timm', 'huggingface_hub', 'segmentation_models_pytorch') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_list_encoders() -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(_app(), ["list", *arguments])

    shown = run("--encoders", "test_*net", "--json")
    rows = {row["name"]: row for row in json.loads(shown.stdout)}
    assert rows["test_resnet"]["strides"] == [2, 4, 8, 16, 32]
    body = build("test_resnet", width=4).encoder.body
    bare = assembly.build(UNetSpec(encoder="test_resnet", depth=6), 3, 1).encoder.body
    assert rows["test_resnet"]["parameters"] == sum(p.numel() for p in bare.parameters())
    assert sum(p.numel() for p in body.parameters()) < rows["test_resnet"]["parameters"]  # two channels, not three
    assert "one stride, 16" in run("--encoders", "test_vit").stdout
    assert {row["name"] for row in json.loads(run("--pretrained", "--json").stdout)} == {
        name for name in unetzoo.list_models() if unetzoo.model_info(name).can_be_pretrained
    }
    with_filters = run("--encoders", "test_*net", "--family", "nested", "--pretrained")
    assert with_filters.exit_code != 0
    assert "leave out --family, --pretrained" in str(with_filters.exception or with_filters.output)
    for pattern, words in (("qqq*", "no such model"), ("*", "models match"), ("resnt34", "did you mean resnet34")):
        refused = run("--encoders", pattern)
        assert refused.exit_code != 0
        assert words in str(refused.exception or refused.output)


def test_list_says_of_an_encoder_what_building_it_would() -> None:
    (row,) = json.loads(CliRunner().invoke(app, ["list", "--encoders", "inception_v3", "--json"]).stdout)
    assert "does not take images of arbitrary size" in row["reason"]


def test_list_leaves_out_levels_that_no_network_can_have() -> None:
    (row,) = json.loads(CliRunner().invoke(app, ["list", "--encoders", "volo_d1_224", "--json"]).stdout)
    assert row["strides"] == [8]
    model = unetzoo.create_model("unet", encoder="volo_d1_224", depth=4, width=4)
    assert row["parameters"] == count_parameters(model.encoder.body)
    assert model(torch.rand(2, 3, 37, 61)).shape == (2, 1, 37, 61)
    refused_in_one_line(["at depth = 5"], lambda: unetzoo.create_model("unet", encoder="volo_d1_224", depth=5, width=4))


def test_list_of_tags() -> None:
    rows = json.loads(CliRunner().invoke(app, ["list", "--encoders", "resnet18.a*_in1k", "--json"]).stdout)
    assert {"resnet18.a1_in1k", "resnet18.a2_in1k"} <= {row["name"] for row in rows}
    assert len({row["parameters"] for row in rows}) == 1
