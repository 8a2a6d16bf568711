"""Peers compute the same function as smp at any size; their records; refused options."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

import unetzoo
from support.entries import narrow, refused_in_one_line
from unetzoo import UnetzooError
from unetzoo.machine.environment import environment
from unetzoo.measure.counts import count_parameters, stages
from unetzoo.models.factory import resolve_model
from unetzoo.nn.sizes import mirror_pad

# Entry: smp's class; image sides must be multiples of the first number, at least the second.
PEERS = {
    "smp_unet": (smp.Unet, 1, 32),
    "smp_unetpp": (smp.UnetPlusPlus, 32, 32),
    "smp_manet": (smp.MAnet, 32, 32),
    "smp_linknet": (smp.Linknet, 32, 32),
    "smp_fpn": (smp.FPN, 32, 32),
    "smp_pspnet": (smp.PSPNet, 8, 8),
    "smp_pan": (smp.PAN, 16, 128),
    "smp_deeplabv3plus": (smp.DeepLabV3Plus, 16, 16),
    "smp_upernet": (smp.UPerNet, 32, 32),
    "smp_segformer": (smp.Segformer, 32, 32),
    "smp_dpt": (smp.DPT, 32, 32),
}


def both(name: str, theirs: dict[str, Any] | None = None, **ours: Any) -> tuple[nn.Module, nn.Module]:
    """Return the entry and the model that a user of smp would build, with the same weights."""
    torch.manual_seed(0)
    encoder = {"encoder": narrow(name)["encoder"], **ours}.pop("encoder")
    more = {"dynamic_img_size": True} if name == "smp_dpt" else {}
    direct = PEERS[name][0](encoder, encoder_weights=None, in_channels=2, classes=3, **(theirs or {}), **more)
    peer = unetzoo.create_model(name, in_channels=2, num_classes=3, **{**ours, "encoder": encoder})
    peer.network.load_state_dict(direct.state_dict())
    return peer, direct


def mirrored(images: Tensor, multiple: int, least: int) -> Tensor:
    h, w = images.shape[-2:]
    below, right = (max(-(-side // multiple) * multiple, least) - side for side in (h, w))
    return mirror_pad(images, 0, below, 0, right)


def test_these_are_all_the_peers() -> None:
    assert set(PEERS) == {name for name in unetzoo.list_models() if unetzoo.model_info(name).family == "peer"}


@pytest.mark.parametrize("name", PEERS)
def test_the_same_function_as_smp(name: str) -> None:
    """Outputs agree in inference, with mirrored borders if the size does not fit, and in training with dropout."""
    peer, direct = both(name)
    _, multiple, least = PEERS[name]
    peer.eval()
    direct.eval()
    with torch.inference_mode():
        for n, h, w in ((1, least, least + 64), (1, 33, 47), (2, 5, 70)):
            images = torch.rand(n, 2, h, w)
            expected = direct(mirrored(images, multiple, least))[..., :h, :w]
            assert torch.equal(peer(images), expected)
    images = torch.rand(2, 2, max(64, least), max(64, least))
    found: list[dict[str, Tensor | None]] = []
    for model in (peer, direct):
        torch.manual_seed(1)
        model.train()(images).square().mean().backward()
        found.append({n.removeprefix("network."): p.grad for n, p in model.named_parameters()})
    ours, theirs = found
    assert ours.keys() == theirs.keys()
    for key, gradient in theirs.items():
        # Parameters without a gradient in smp require none here: they are not counted, and DDP does not wait for them.
        assert (gradient is None) == (not dict(peer.network.named_parameters())[key].requires_grad), key
        assert gradient is None or torch.equal(gradient, ours[key]), key


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("smp_unet", {"width": 4}, {"decoder_channels": (64, 32, 16, 8, 4)}),
        ("smp_unetpp", {"width": 8, "encoder_depth": 3}, {"decoder_channels": (32, 16, 8), "encoder_depth": 3}),
        ("smp_manet", {"width": 4}, {"decoder_channels": (64, 32, 16, 8, 4)}),
        ("smp_fpn", {"width": 64}, {"decoder_pyramid_channels": 128, "decoder_segmentation_channels": 64}),
        ("smp_fpn", {"merge": "cat"}, {"decoder_merge_policy": "cat"}),
        ("smp_pspnet", {"width": 20}, {"psp_out_channels": 20}),
        ("smp_pspnet", {"encoder": "resnet18"}, {}),
        ("smp_pan", {"width": 8}, {"decoder_channels": 8}),
        (
            "smp_deeplabv3plus",
            {"width": 8, "output_stride": 8, "separable": False},
            {"decoder_channels": 8, "encoder_output_stride": 8, "decoder_aspp_separable": False},
        ),
        ("smp_upernet", {"width": 8}, {"decoder_channels": 8}),
        ("smp_segformer", {"width": 8, "encoder": "mit_b0"}, {"decoder_segmentation_channels": 8}),
        (
            "smp_dpt",
            {"width": 8, "readout": "add"},
            {"decoder_fusion_channels": 8, "decoder_intermediate_channels": (8, 16, 32, 32), "decoder_readout": "add"},
        ),
    ],
)
def test_options_are_smps(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    peer, direct = both(name, theirs, **ours)
    images = torch.rand(1, 2, 128, 128)
    with torch.inference_mode():
        assert torch.equal(peer.eval()(images), direct.eval()(images))


@pytest.mark.parametrize("encoder", ["mobilenet_v2", "vgg11_bn", "mit_b0", "tu-test_convnext"])
def test_encoders_of_other_kinds_take_any_size(encoder: str) -> None:
    """Covers encoders without a map at half the size, with one at full size, and with tokens."""
    model = unetzoo.create_model("smp_unet", in_channels=1, num_classes=2, encoder=encoder, width=2).eval()
    with torch.inference_mode():
        for size in ((1, 1), (33, 47), (40, 95)):
            assert model(torch.rand(1, 1, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize("name", ["smp_unet", "smp_segformer"])
def test_the_encoder_of_segformer_is_built_on_no_memory_too(name: str) -> None:
    config = resolve_model(name, num_classes=2, options={"encoder": "mit_b0"})
    config.check()
    with torch.device("meta"):
        network = config.build()
    assert {p.device.type for p in network.parameters()} == {"meta"}
    assert count_parameters(network) == count_parameters(config.build())


def test_what_is_never_read_is_kept_and_not_counted() -> None:
    with torch.device("meta"):
        network = unetzoo.create_model("smp_pspnet").network
    still = {name.rpartition(".layer")[2][0] for name, p in network.named_parameters() if not p.requires_grad}
    assert still == {"3", "4"}
    assert network.training


def test_a_peer_is_shown_part_by_part() -> None:
    names = [stage.name for stage in stages(resolve_model("smp_linknet", options=narrow("smp_linknet")), 64, 64)]
    assert names == ["network.encoder", *(f"network.decoder.blocks.{i}" for i in range(5)), "network.segmentation_head"]


NEEDS_TWO = {"smp_pan", "smp_deeplabv3plus", "smp_upernet"}


@pytest.mark.parametrize("name", PEERS)
def test_a_training_batch_of_one(name: str) -> None:
    """It is refused where smp's batch norm follows a pooling to one pixel, as the entry says."""
    model = unetzoo.create_model(name, **narrow(name)).train()
    assert any("at least 2 images" in text for text in unetzoo.model_info(name).deviations) == (name in NEEDS_TWO)
    images = torch.rand(1, 3, 64, 64)
    if name in NEEDS_TWO:
        with pytest.raises(UnetzooError, match=r"^smp's \w+ has batch norm .* at least 2 images, got 1 of \d+x\d+$"):
            model(images)
    else:
        model(images).sum().backward()


def test_other_mistakes_of_the_network_are_not_hidden() -> None:
    model = unetzoo.create_model("smp_linknet", **narrow("smp_linknet"))
    with pytest.raises(RuntimeError, match="channels"):
        model(torch.rand(1, 1, 32, 32))


def test_a_record_says_which_smp_built_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is in its environment, and a trial under another version has another id."""
    found = environment("cpu", "float32")
    assert found["segmentation-models-pytorch"] == smp.__version__
    assert found["timm"]
    entry, own = unetzoo.model_info("smp_unet"), unetzoo.model_info("linknet")
    before = entry.fingerprint(), own.fingerprint()
    monkeypatch.setattr("unetzoo.models.factory_entry.installed_version", lambda package: "9.9")
    assert entry.fingerprint() != before[0]
    assert own.fingerprint() == before[1]


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with torch.device("meta"):
        for name in PEERS:
            unetzoo.create_model(name)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("smp_unet", {"encoder": "resnet43"}, ["encoder = 'resnet43'", "did you mean resnet34"]),
        ("smp_fpn", {"encoder": "convnext_tiny"}, ["encoder = 'convnext_tiny'", "did you mean tu-convnext_tiny"]),
        ("smp_unet", {"encoder": "tu-resnet43"}, ["encoder = 'tu-resnet43'", "tu-resnet34"]),
        ("smp_unet", {"encoder": None}, ["encoder = None"]),
        ("smp_dpt", {"encoder": "resnet34"}, ["encoder = 'resnet34'", "smp's DPT cannot use it", "tu-"]),
        ("smp_unetpp", {"encoder": "mit_b0"}, ["encoder = 'mit_b0'", "smp's UnetPlusPlus cannot use it"]),
        ("smp_unet", {"encoder": "tu-vit_tiny_patch16_224"}, ["smp's Unet cannot use it"]),
        ("smp_pan", {"encoder": "tu-test_vit"}, ["smp's PAN cannot use it"]),
        ("smp_unet", {"width": 0}, ["width = 0"]),
        ("smp_unetpp", {"encoder_depth": 6}, ["encoder_depth = 6", "3, 4, 5"]),
        ("smp_fpn", {"width": 48}, ["width = 48", "multiple of 32 and at least 64"]),
        ("smp_fpn", {"merge": "sum"}, ["merge = 'sum'", "add, cat"]),
        ("smp_deeplabv3plus", {"output_stride": 32}, ["output_stride = 32", "16, 8"]),
        ("smp_dpt", {"readout": "ignor"}, ["readout = 'ignor'", "did you mean ignore"]),
        ("smp_linknet", {"width": 8}, ["unknown option 'width'", "encoder"]),
        ("smp_unet", {"pretrained": True}, ["'smp_unet' has no pretrained weights"]),
    ],
)
def test_one_line_names_the_culprit(name: str, options: dict[str, Any], words: list[str]) -> None:
    refused_in_one_line(words, lambda: unetzoo.create_model(name, **options))
