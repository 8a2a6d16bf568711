"""Every registered model: shapes, gradients, counts, weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import unetzoo
from support.entries import different, narrow, of_each_class, rest_nightly
from support.networks import without_dead_units
from unetzoo import UnetzooError
from unetzoo.measure.counts import count_parameters
from unetzoo.models.grid_entry import GridEntry
from unetzoo.nn.sizes import SameSize, ValidSizes, mirror_pad
from unetzoo.nn.skips import crop_to_up, pad_to_skip
from unetzoo.testing import CHECKS, check_model

MODELS = different(unetzoo.list_models())
GRID = [name for name in MODELS if isinstance(unetzoo.model_info(name), GridEntry)]
VALID = [name for name in GRID if unetzoo.model_info(name).options["padding"] == "valid"]
PADDED = [name for name in MODELS if name not in VALID]
SIDES = {**dict.fromkeys(VALID, 220), "mt_unet": 160}
CLASSES = of_each_class(MODELS)

# Exports of more than about two seconds. Their parts are in others: the scan in ultralight_vm_unet, windows in
# swin_unet, attention in utnet; and reports/zoo has each entry's export.
LONG_EXPORTS = {
    "cbam_unet", "ce_net", "cmunet", "cmunext_s", "dae_former", "dcsau_net", "dcunet", "double_unet", "egeunet",
    "enet", "fcb_former", "fcdensenet67", "fr_unet", "gated_axial_unet", "hi_former", "levit_unet", "lightm_unet",
    "lv_unet", "malunet", "medt", "missformer", "mk_unet", "mt_unet", "multiresunet", "nnunet_residual",
    "r2attention_unet", "resunetpp", "rolling_unet", "swin_umamba", "swin_unetr_2d", "tiny_unet", "trans_fuse",
    "transunet", "u2netp", "u_mamba_enc", "u_transformer", "uctransnet", "udtransnet", "ukan_s", "unet_inception",
    "unetpp_resnet34", "vm_unet", "vm_unet_v2",
}  # fmt: skip


def small(name: str, width: int = 4, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return unetzoo.create_model(name, **{"in_channels": 2, "num_classes": 3, **narrow(name, width), **options})


@pytest.mark.parametrize("name", MODELS)
def test_it_passes_what_is_asked_of_every_model(name: str) -> None:
    """All but ``export``, which takes seconds, and ``train``: test_every_parameter_gets_a_gradient asks more."""
    checks = [check for check in CHECKS if check not in ("export", "train")]
    width = 2 if name == "kiunet" else 4  # its maps have 64 times the image's pixels
    check_model(name, sizes=[(1, 1), (1, 9), (7, 2), (33, 47), (64, 64)], checks=checks, **narrow(name, width))


@pytest.mark.parametrize("name", rest_nightly(CLASSES, set(CLASSES) - LONG_EXPORTS))
def test_exported_it_is_the_same_function(name: str) -> None:
    check_model(name, checks="export", **narrow(name))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from(PADDED))
def test_padded_networks_take_any_size_at_random(h: int, w: int, name: str) -> None:
    with torch.inference_mode():
        assert small(name, width=2).eval()(torch.rand(1, 2, h, w)).shape == (1, 3, h, w)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 9), st.integers(2, 5), st.sampled_from(GRID))
def test_a_fractional_width_fits_together_in_every_network(width: float, depth: int, name: str) -> None:
    side, out = 37, 37
    entry = unetzoo.model_info(name)
    if name in VALID:
        side = ValidSizes(depth).input(1)
        out = ValidSizes(depth).output(side)
    options = {k: v for k, v in narrow(name).items() if k != "width"}
    with torch.device("meta"):
        model = unetzoo.create_model(name, in_channels=2, num_classes=3, width=width, depth=depth, **options)
        assert model.eval()(torch.empty(1, 2, side, side)).shape == (1, 3, out, out)
    halved = depth - 2 if entry.options["halve_before_up"] else depth - 1
    own = len(model.encoder.levels)  # with another encoder only the finest
    assert list(model.encoder.channels)[:own] == [max(1, round(width * 2 ** min(i, halved))) for i in range(own)]
    assert own == depth or entry.can_be_pretrained


def trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return all parameters but those that are not trained.

    These are MedT's frozen gates, HiFormer's fusion, which has no effect by default (test_hybrids.py), and those that a
    peer's library never reads (test_peers.py).
    """
    entry = unetzoo.model_info(model.unetzoo_config.name)
    return [
        (n, p)
        for n, p in model.named_parameters()
        if (p.requires_grad or (entry.family != "peer" and ".gates." not in n))
        and not (entry.name == "hi_former" and n.startswith("fusion."))
    ]


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    # A block that both images skip would get none.
    never = {"drop_path": 0.0} if "drop_path" in unetzoo.model_info(name).options else {}
    model = without_dead_units(small(name, **never)).train()
    # Two pixels at the coarsest level, since a norm over a map of one pixel gives zero.
    # For MT-UNet two windows, since attention among windows does nothing with one.
    side = SIDES.get(name) or max(64, min(2 * getattr(model, "multiple", 1), 128))
    images = torch.randn(2, 2, side, side)
    scales = model.forward_all(images) if hasattr(model, "forward_all") else [model(images)]
    torch.stack([scale.square().mean() for scale in scales]).sum().backward()
    for parameter_name, parameter in trained(model):
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        # A bias before batch norm, as some references have it, gets a gradient that is zero but for rounding.
        assert parameter.grad.abs().sum() > 0 or parameter_name.endswith("bias"), parameter_name


@pytest.mark.parametrize("name", MODELS)
def test_with_weights_in_bfloat16_too(name: str) -> None:
    model = small(name).eval().bfloat16().to(memory_format=torch.channels_last)
    images = torch.rand(2, 2, *((188, 204) if name in VALID else (20, 28))).bfloat16()
    with torch.inference_mode():
        assert model(images.to(memory_format=torch.channels_last)).isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_forward_is_the_finest_of_forward_all(name: str) -> None:
    model = small(name).eval()
    side = 188 if name in VALID else 32
    images = torch.rand(1, 2, side, side)
    outputs = model.forward_all(images) if hasattr(model, "forward_all") else [model(images)]
    assert torch.equal(model(images), outputs[0])
    sizes = [logits.shape[-1] for logits in outputs]
    assert sizes == sorted(sizes, reverse=True)
    assert all(logits.shape[1] == 3 for logits in outputs)


@pytest.mark.parametrize(
    ("name", "channels", "classes", "parameters"),
    [
        ("unet_paper", 1, 2, 31_030_658),  # arithmetic on the paper's figure 1
        ("unet_2015_release", 1, 2, 31_100_354),  # the released Caffe network
        ("unet", 3, 2, 31_037_698),  # milesial/Pytorch-UNet, bilinear=False
        ("unet_bilinear_halved", 3, 2, 17_263_042),  # the same, bilinear=True (FACTS: its published count)
        ("unet_brain_mri", 3, 1, 7_763_041),  # unet at width 32 with one class, published on its PyTorch Hub page
        # golden r2unet, plus the surplus of golden attention_unet over golden unet_upconv
        ("r2attention_unet", 3, 1, 39_091_393 + (34_878_573 - 34_527_041)),
        # golden unet3plus, plus 3x3 heads of three levels of 320 and of the bottleneck's 1024 channels
        ("unet3plus_ds", 3, 1, 26_971_777 + 3 * (9 * 320 + 1) + 9 * 1024 + 1),
        ("unet3plus_cgm", 3, 1, 26_971_777 + 3 * (9 * 320 + 1) + 9 * 1024 + 1 + 2 * (1024 + 1)),
        # Keras says 538,707, of which 1,408 are running means and variances
        ("sa_unet", 3, 1, 538_707 - 1_408),
        # stem, blocks with two and with one change of width, squeeze, bridge, attention, head: by hand from the code
        ("resunetpp", 3, 1, 14_482_564),
        ("half_unet", 3, 1, 12 * (64 + 288) + 11 * 9 * 64 * 32 + 9 * 3 * 32 + 65),  # 0.21 M in the paper
    ],
)
def test_parameter_counts(name: str, channels: int, classes: int, parameters: int) -> None:
    with torch.device("meta"):
        model = unetzoo.create_model(name, in_channels=channels, num_classes=classes)
    assert count_parameters(model) == parameters


def test_paper_network_maps_572_to_388() -> None:
    with torch.device("meta"):
        model = unetzoo.create_model("unet_paper", in_channels=1, num_classes=2)
        assert model(torch.empty(1, 1, 572, 572)).shape == (1, 2, 388, 388)
        assert model(torch.empty(1, 1, 188, 220)).shape == (1, 2, 4, 36)


@pytest.mark.parametrize("name", VALID)
def test_valid_networks_say_what_they_take(name: str) -> None:
    with pytest.raises(UnetzooError, match=r"188, 204, 220, .* \(16k \+ 12\).*184 px less; next.*188x572"):
        small(name)(torch.rand(1, 2, 187, 572))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 4), st.integers(1, 150))
def test_valid_sizes_are_what_the_network_does(depth: int, size: int) -> None:
    model = small("unet_paper", width=1, depth=depth).eval()
    output = ValidSizes(depth).output(size)
    images = torch.rand(1, 2, size, size)
    if output is None:
        with pytest.raises(UnetzooError):
            model(images)
    else:
        assert model(images).shape[-2:] == (output, output)
    needed = ValidSizes(depth).input(size)
    assert (ValidSizes(depth).output(needed) or 0) >= size


@pytest.mark.parametrize("name", ["unet_paper", "unet"])
@pytest.mark.parametrize("size", [(1, 1), (30, 41)])
def test_same_size_gives_every_pixel_its_logits(name: str, size: tuple[int, int]) -> None:
    assert SameSize(small(name).eval(), 3)(torch.rand(1, 2, *size))[0].shape == (1, 3, *size)


def test_same_size_is_the_valid_output_itself_where_it_fits() -> None:
    model = small("unet_paper").eval()
    image = torch.rand(1, 2, 220, 220)
    inner = SameSize(model, 3)(image)[0][..., 92:-92, 92:-92]
    torch.testing.assert_close(inner, model(image), rtol=1e-4, atol=1e-5)


def test_same_size_refuses_other_shapes() -> None:
    with pytest.raises(UnetzooError, match=r"Conv2d must return logits of shape \(1, 2, 8, 8\), got \(1, 2, 6, 6\)"):
        SameSize(nn.Conv2d(1, 2, 3), 2)(torch.rand(1, 1, 8, 8))


@given(st.integers(1, 6), st.integers(0, 15), st.integers(0, 15))
def test_mirror_pad_is_numpys_reflect(size: int, before: int, after: int) -> None:
    import numpy as np

    x = torch.arange(size).float()[None, None].expand(1, size, size)
    mode = "reflect" if size > 1 else "edge"
    expected = np.pad(x.numpy(), ((0, 0), (before, after), (after, before)), mode=mode)
    assert (mirror_pad(x, before, after, after, before).numpy() == expected).all()


def test_skips_are_aligned_at_the_centre() -> None:
    skip, up = torch.arange(25.0).reshape(1, 1, 5, 5), torch.ones(1, 1, 4, 4)
    padded = pad_to_skip(skip, up)[1]
    assert padded.shape == skip.shape
    assert padded[..., -1, :].sum() == 0
    cropped = crop_to_up(skip, torch.ones(1, 1, 3, 3))[0]
    assert cropped.flatten().tolist() == [6, 7, 8, 11, 12, 13, 16, 17, 18]


@pytest.mark.parametrize("up", ["bilinear", "nearest", "pixelshuffle"])
def test_one_option_changes_one_thing(up: str) -> None:
    """Another kind of upsampling leaves every parameter outside the Ups as it is."""

    def outside(model: nn.Module) -> dict[str, tuple[int, ...]]:
        return {n: tuple(p.shape) for n, p in model.named_parameters() if ".up." not in n}

    assert outside(small("unet", up=up)) == outside(small("unet"))


def test_initial_weights_of_the_paper() -> None:
    """N(0, sqrt(2 / N)): for a 3x3 convolution on 64 channels N = 576 (the paper's own example)."""
    model = unetzoo.create_model("unet_paper", in_channels=1, num_classes=2, width=64, depth=2)
    convolution = model.encoder.levels[0].block[0][1][0]
    assert convolution.weight.shape == (64, 64, 3, 3)
    assert float(convolution.weight.detach().std()) == pytest.approx((2 / 576) ** 0.5, rel=0.02)
    up = model.decoder.stages[0].up  # 2x2, stride 2: each output pixel has 128 incoming nodes
    assert float(up.weight.detach().std()) == pytest.approx((2 / 128) ** 0.5, rel=0.02)
    assert not up.bias.detach().any()


def test_release_has_dropout_at_its_two_coarsest_levels() -> None:
    model = unetzoo.create_model("unet_2015_release", width=2)
    levels = [any(isinstance(m, nn.Dropout) for m in level.modules()) for level in model.encoder.levels]
    assert levels == [False, False, False, True, True]


def test_the_weights_file_has_its_name_and_all_of_the_config(tmp_path: Path) -> None:
    model = small("unet")
    path = unetzoo.save_model(model, tmp_path / "weights", normalization={"mean": [0.5]})
    assert path == tmp_path / "weights" / "model.safetensors"
    assert unetzoo.load_model(tmp_path / "weights").unetzoo_config == model.unetzoo_config


def test_tied_weights_are_saved_in_any_layout(tmp_path: Path, clean_registry: dict) -> None:
    class Tied(nn.Module):
        def __init__(self, in_channels: int, num_classes: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(4, 4, 3, padding=1)
            self.second = nn.Conv2d(4, 4, 3, padding=1)
            self.second.weight = self.first.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x))

    unetzoo.register_model("tied")(Tied)
    model = unetzoo.create_model("tied").to(memory_format=torch.channels_last).eval()
    loaded = unetzoo.load_model(unetzoo.save_model(model, tmp_path / "tied"))
    images = torch.rand(1, 4, 8, 8)
    torch.testing.assert_close(loaded(images), model(images))


def test_loading_says_what_is_wrong(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(UnetzooError, match="no such file"):
        unetzoo.load_model(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(UnetzooError, match=r"text\.safetensors: not a model saved by unetzoo"):
        unetzoo.load_model(tmp_path / "text.safetensors")
    header = {"unetzoo": json.dumps({"model": {"name": "unet", "options": {"width": 1}}})}
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors", metadata=header)
    with pytest.raises(UnetzooError, match="does not fit model 'unet'"):
        unetzoo.load_model(tmp_path / "other.safetensors")
    with pytest.raises(UnetzooError, match="not made by create_model"):
        unetzoo.save_model(nn.Conv2d(1, 1, 1), tmp_path / "x")
