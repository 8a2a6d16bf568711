"""Entries from MONAI, nnU-Net and MedNeXt: the same function, compared live with MONAI; scales; options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import unetzoo
from parity.parity import fill, make_input
from unetzoo import UnetzooError
from unetzoo.measure.counts import count_parameters

# Entry: parameters with 1 channel and 2 classes. The counts are the reference's (named in issue 5), without parameters
# it never uses: from its golden file, MONAI 1.6.1, dynamic-network-architectures 0.4.4 or a transcription.
# Unused are MedNeXt's dummy value and UNETR's 24 vectors of 768 channels (norms of a cross attention it does not have).
PARAMETERS = {
    "monai_unet": 1_625_161,
    "basic_unet": 1_978_466,
    "basic_unetpp": 2_410_312,
    "vnet_2d": 9_358_730,
    "segresnet_2d": 394_986,
    "dynunet": 20_611_170,
    "nnunet_plain": 33_471_820,
    "nnunet_resenc": 105_916_812,
    "mednext_s": 5_472_003 - 1,
    "mednext_b": 10_447_394,
    "mednext_m": 17_418_210,
    "mednext_l": 61_556_354,
    "unetr_2d": 87_155_650 - 24 * 768 + (6 * 6 - 4 * 6) * 768,  # positions for 96x96 px, where the issue has 64x96
    "swin_unetr_2d": 6_302_228,
}

# Entry: options, H, W, then statistics of the reference's logits, filled as tests/parity/parity.py does ("exact"):
# mean, standard deviation, and first, middle and last value of the flattened output. nnU-Net's come from its own code,
# MedNeXt's from a transcription; these and MONAI's transformers are listed here because the tests that run the
# references themselves need packages that may be missing.
FUNCTIONS: dict[str, tuple[dict[str, Any], int, int, tuple[float, ...]]] = {
    "nnunet_resenc": ({}, 64, 128, (0.1785086345, 1.089277523, 1.621358986, -0.5668450934, -0.6573741636)),
    "mednext_b": ({}, 48, 64, (0.257651748, 11.32042478, 2.707855564, -3.860320256, -242.8676174)),
    "mednext_m": ({}, 48, 64, (-0.04097891927, 18.73167804, 4.046260285, -4.377179729, -497.5707654)),
    "mednext_l": ({}, 48, 64, (2.543571648, 23.90573313, 7.23574251, -1.263089334, 135.9354471)),
    "unetr_2d": (
        {"img_size": [64, 96]},
        64,
        96,
        (0.6548792857, 1.012190361, -1.139582551, 0.4718997125, 1.334420324),
    ),
    "swin_unetr_2d": (
        {"feature_size": 24},
        64,
        96,
        (0.001932719413, 1.563881434, -1.065275192, 0.1537210293, 0.7352510119),
    ),
}

# Entry, its options, MONAI's class and arguments beside 2 channels in, 3 classes and 2 dimensions; H, W.
LIVE: list[tuple[str, dict[str, Any], str, dict[str, Any], tuple[int, int]]] = [
    (
        "monai_unet",
        {"num_res_units": 0},
        "UNet",
        {"channels": (16, 32, 64, 128, 256), "strides": (2,) * 4, "num_res_units": 0, "norm": "batch"},
        (32, 48),
    ),
    (
        "monai_unet",
        {"num_res_units": 2},
        "UNet",
        {"channels": (16, 32, 64, 128, 256), "strides": (2,) * 4, "num_res_units": 2},
        (32, 48),
    ),
    (
        "monai_unet",
        {"num_res_units": 3, "norm": "batch", "width": 5, "depth": 3},
        "UNet",
        {"channels": (5, 10, 20), "strides": (2, 2), "num_res_units": 3, "norm": "batch"},
        (20, 12),
    ),
    (
        "monai_unet",
        {"num_res_units": 0, "norm": "instance", "width": 5, "depth": 2},
        "UNet",
        {"channels": (5, 10), "strides": (2,)},
        (20, 12),
    ),
    ("basic_unet", {}, "BasicUNet", {}, (53, 47)),
    ("basic_unetpp", {}, "BasicUNetPlusPlus", {}, (32, 48)),
    (
        "basic_unetpp",
        {"width": 4},
        "BasicUNetPlusPlus",
        {"features": (4, 4, 8, 16, 32, 4), "deep_supervision": True},
        (53, 47),
    ),
    ("vnet_2d", {}, "VNet", {}, (32, 48)),
    ("vnet_2d", {"act": "prelu"}, "VNet", {"act": "prelu"}, (16, 16)),
    ("segresnet_2d", {}, "SegResNet", {}, (32, 48)),
    (
        "segresnet_2d",
        {"width": 16, "up": "transposed", "groups": 4, "blocks_down": [1, 2, 3], "blocks_up": [2, 1]},
        "SegResNet",
        {
            "init_filters": 16,
            "norm": ("GROUP", {"num_groups": 4}),
            "upsample_mode": "deconv",
            "blocks_down": (1, 2, 3),
            "blocks_up": (1, 2),
        },
        (32, 48),
    ),
    (
        "dynunet",
        {"width": 4, "max_width": 64},
        "DynUNet",
        {
            "kernel_size": [3] * 6,
            "strides": [1] + [2] * 5,
            "upsample_kernel_size": [2] * 5,
            "filters": [4, 8, 16, 32, 64, 64],
        },
        (64, 96),
    ),
    (
        "dynunet",
        {"width": 4, "stages": 4, "residual": True},
        "DynUNet",
        {
            "kernel_size": [3] * 4,
            "strides": [1, 2, 2, 2],
            "upsample_kernel_size": [2] * 3,
            "filters": [4, 8, 16, 32],
            "res_block": True,
        },
        (32, 48),
    ),
    (
        "unetr_2d",
        {"img_size": [64, 96], "width": 2},
        "UNETR",
        {"img_size": (64, 96), "feature_size": 2, "hidden_size": 96, "mlp_dim": 384},
        (64, 96),
    ),
    (
        "unetr_2d",
        {"img_size": 32, "width": 2, "heads": 6, "qkv_bias": True, "residual": False},
        "UNETR",
        {
            "img_size": 32,
            "feature_size": 2,
            "hidden_size": 96,
            "mlp_dim": 384,
            "num_heads": 6,
            "qkv_bias": True,
            "res_block": False,
        },
        (32, 32),
    ),
    ("swin_unetr_2d", {"feature_size": 12}, "SwinUNETR", {"feature_size": 12}, (64, 96)),
    (  # windows of a side of 16, of 4 and of 2 x 4 tokens
        "swin_unetr_2d",
        {"width": 12, "window": 4, "depths": [1, 2, 3, 2], "v2": True},
        "SwinUNETR",
        {"feature_size": 12, "window_size": 4, "depths": (1, 2, 3, 2), "use_v2": True},
        (32, 160),
    ),
]


def narrow(name: str, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    return unetzoo.create_model(name, **{"in_channels": 2, "num_classes": 3, "width": 4, **changes})


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_references(name: str) -> None:
    with torch.device("meta"):
        model = unetzoo.create_model(name, in_channels=1, num_classes=2)
    assert count_parameters(model) == PARAMETERS[name]


@pytest.mark.filterwarnings("ignore::FutureWarning:monai", "ignore::DeprecationWarning:monai")
@pytest.mark.parametrize(("name", "options", "theirs", "arguments", "size"), LIVE)
def test_same_function_as_monai(
    name: str, options: dict[str, Any], theirs: str, arguments: dict[str, Any], size: tuple[int, int]
) -> None:
    nets = pytest.importorskip("monai.networks.nets", reason="MONAI is not installed (pip install unetzoo[test])")
    if name in ("unetr_2d", "swin_unetr_2d"):
        pytest.importorskip("einops", reason="MONAI needs einops for this network")
    reference = getattr(nets, theirs)(in_channels=2, out_channels=3, spatial_dims=2, **arguments)
    reference = fill(reference.double().eval(), "exact")
    model = fill(unetzoo.create_model(name, in_channels=2, num_classes=3, **options).double().eval(), "exact")
    unused = sum(p.numel() for n, p in reference.named_parameters() if "norm_cross_attn" in n)
    assert count_parameters(model) == count_parameters(reference) - unused
    images = make_input((2, 2, *size))
    with torch.inference_mode():
        expected = reference(images)
        expected = expected if isinstance(expected, list) else [expected]
        scales = model.forward_all(images) if len(expected) > 1 else [model(images)]
    for found, wanted in zip(scales, reversed(expected), strict=True):  # MONAI's last is the main one
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9 * float(wanted.std()))


@pytest.mark.parametrize(
    ("name", "theirs", "arguments"),
    [
        ("nnunet_plain", "PlainConvUNet", {"n_conv_per_stage": 2, "n_conv_per_stage_decoder": 2}),
        (
            "nnunet_resenc",
            "ResidualEncoderUNet",
            {"n_blocks_per_stage": (1, 3, 4, 6, 6, 6), "n_conv_per_stage_decoder": (1,) * 5},
        ),
        ("nnunet_resenc_s", "ResidualEncoderUNet", {"n_blocks_per_stage": 2, "n_conv_per_stage_decoder": 1}),
    ],
)
def test_same_function_as_nnunet(name: str, theirs: str, arguments: dict[str, Any]) -> None:
    """All scales agree, with six stages of which the last is no wider than the one before."""
    nets = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    kinds = {"norm_op": nn.InstanceNorm2d, "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "nonlin": nn.LeakyReLU}
    reference = getattr(nets, theirs)(
        2,
        6,
        [4, 8, 16, 32, 64, 64],
        nn.Conv2d,
        3,
        [1, 2, 2, 2, 2, 2],
        num_classes=3,
        conv_bias=True,
        deep_supervision=True,
        **kinds,
        **arguments,
    )
    reference = fill(reference.double().eval(), "exact")
    model = fill(narrow(name, stages=6, max_width=64).double().eval(), "exact")
    assert count_parameters(model) == count_parameters(reference)
    images = make_input((2, 2, 64, 96))
    with torch.inference_mode():
        for found, wanted in zip(model.forward_all(images), reference(images), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9 * float(wanted.std()))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_function_as_the_reference(name: str) -> None:
    options, height, width, expected = FUNCTIONS[name]
    model = fill(unetzoo.create_model(name, in_channels=1, num_classes=2, **options).double().eval(), "exact")
    with torch.inference_mode():
        logits = model(make_input((1, 1, height, width))).numpy().ravel()
    found = (logits.mean(), logits.std(), logits[0], logits[logits.size // 2], logits[-1])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * expected[1])


@pytest.mark.parametrize(
    ("name", "changes", "strides"),
    [
        ("basic_unetpp", {}, (1, 1, 1, 1)),
        ("nnunet_plain", {"stages": 4}, (1, 2, 4)),
        ("nnunet_resenc", {"stages": 3, "blocks": [1, 2]}, (1, 2)),
        ("mednext_s", {"deep_supervision": True}, (1, 2, 4, 8, 16)),
        ("dynunet", {"deep_supervision": True, "supervised": 2, "stages": 4}, (1, 2, 4)),
    ],
)
def test_supervised_scales(name: str, changes: dict[str, object], strides: tuple[int, ...]) -> None:
    """Coarse scales have their own size; if the image had to be padded, they are cut to the image."""
    model = narrow(name, **changes).eval()
    scales = model.forward_all(torch.rand(1, 2, 32, 48))
    assert [scale.shape for scale in scales] == [(1, 3, 32 // stride, 48 // stride) for stride in strides]
    images = torch.rand(1, 2, 29, 34)
    scales = model.forward_all(images)
    assert [scale.shape for scale in scales] == [(1, 3, 29, 34)] * len(strides)
    assert torch.equal(scales[0], model(images))
    assert len(narrow(name, **{**changes, "deep_supervision": False}).eval().forward_all(images)) == 1


def test_a_residual_encoder_starts_as_its_shortcuts() -> None:
    first = narrow("nnunet_resenc").encoder[1][0]
    x = torch.randn(1, 4, 8, 8)
    assert torch.equal(first(x), nn.functional.leaky_relu(first.shortcut(x), 0.01))


def test_blocks_of_a_residual_encoder_go_on_as_the_last() -> None:
    with torch.device("meta"):
        model = unetzoo.create_model("nnunet_resenc", stages=8)
    assert [len(stage) for stage in (model.encoder[0][1], *model.encoder[1:])] == [1, 3, 4, 6, 6, 6, 6, 6]


def test_norm_of_monai_unet_follows_its_units() -> None:
    kinds = {
        (units, norm): {type(m).__name__ for m in narrow("monai_unet", num_res_units=units, norm=norm).modules()}
        for units in (0, 2)
        for norm in ("auto", "batch", "instance")
    }
    for (units, norm), names in kinds.items():
        expected = {"auto": "InstanceNorm" if units else "BatchNorm2d", "batch": "BatchNorm2d"}
        assert names & {"InstanceNorm", "BatchNorm2d"} == {expected.get(norm, "InstanceNorm")}


@pytest.mark.parametrize("channels", [3, 20])
def test_vnet_takes_channels_that_do_not_divide_its_width(channels: int) -> None:
    model = narrow("vnet_2d", in_channels=channels, width=16).train()
    images = torch.rand(1, channels, 32, 32)
    assert model(images).shape == (1, 3, 32, 32)


def dropped(name: str, **changes: object) -> bool:
    """Return True if two runs in training mode differ, with batch norm in evaluation mode."""
    model = narrow(name, **changes).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    images = torch.randn(2, 2, 64, 64)
    with torch.inference_mode():
        return not torch.equal(model(images), model(images))


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("monai_unet", "dropout"),
        ("basic_unet", "dropout"),
        ("basic_unetpp", "dropout"),
        ("vnet_2d", "dropout"),
        ("vnet_2d", "skip_dropout"),
        ("segresnet_2d", "dropout"),
        ("dynunet", "dropout"),
        ("swin_unetr_2d", "dropout"),
        ("swin_unetr_2d", "drop_path"),
    ],
)
def test_dropout_is_what_differs_between_two_runs(name: str, option: str) -> None:
    off = {o: 0.0 for o in ("dropout", "skip_dropout", "drop_path") if o in unetzoo.model_info(name).options}
    assert not dropped(name, **off)
    assert dropped(name, **{**off, option: 0.5})


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (
            "mednext_s",
            {"kernel_size": 5, "expansion": [1, 2, 3, 4, 5, 4, 3, 2, 1], "blocks": [1, 2, 1, 1, 1, 1, 1, 2, 1]},
        ),
        ("mednext_s", {"resample_shortcuts": False}),
        ("mednext_s", {"grn": True}),
        ("nnunet_plain", {"convs": 1, "stages": 5, "max_width": 16}),
        ("nnunet_resenc", {"convs": 2, "blocks": [2], "stages": 3}),
    ],
)
def test_options_change_the_network_and_it_trains(name: str, changes: dict[str, object]) -> None:
    plain, changed = narrow(name), narrow(name, **changes).train()
    shapes, others = ([tuple(p.shape) for p in m.parameters()] for m in (plain, changed))
    assert shapes != others
    scales = changed.forward_all(torch.randn(1, 2, 64, 64))
    assert scales[0].shape == (1, 3, 64, 64)
    torch.stack([scale.square().mean() for scale in scales]).sum().backward()
    assert all(p.grad is not None for p in changed.parameters())


def test_shortcuts_of_mednext() -> None:
    images = torch.rand(1, 2, 32, 32)
    model, without = narrow("mednext_s"), narrow("mednext_s", shortcuts=False)
    without.load_state_dict(model.state_dict())
    assert not torch.allclose(model(images), without(images))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("monai_unet", {"norm": "intance"}, "option norm = 'intance': did you mean instance"),
        ("monai_unet", {"depth": 1}, "option depth = 1: must be a whole number of at least 2"),
        ("monai_unet", {"num_res_units": -1}, "option num_res_units = -1: must be a whole number of at least 0"),
        ("basic_unet", {"width": 0}, "option width = 0: must be a whole number of at least 1"),
        ("basic_unetpp", {"dropout": 1.0}, "option dropout = 1.0: must be at least 0 and below 1"),
        ("vnet_2d", {"act": "relu"}, "option act = 'relu': .*elu"),
        ("segresnet_2d", {"blocks_down": [1, 2]}, r"option blocks_up = .*: must be a list of 1 whole numbers"),
        ("segresnet_2d", {"blocks_down": [1]}, r"option blocks_down = \[1\]: must list at least 2 levels"),
        ("dynunet", {"supervised": 5}, "option supervised = 5: must be at most 4 with stages = 6"),
        ("nnunet_plain", {"stages": 1}, "option stages = 1: must be a whole number of at least 2"),
        ("nnunet_resenc", {"stages": 3}, r"option blocks = .*: must list at most one number for each of the 3 stages"),
        ("mednext_s", {"kernel_size": 4}, "option kernel_size = 4: must be odd"),
        ("mednext_b", {"expansion": [2, 3]}, r"option expansion = \[2, 3\]: must be a list of 9 whole numbers"),
        ("unetr_2d", {"img_size": [64, 90]}, r"option img_size = \[64, 90\]: must be multiples of 16"),
        ("unetr_2d", {"img_size": [64]}, r"option img_size = \[64\]: must be a list of 2 whole numbers"),
        ("swin_unetr_2d", {"feature_size": 0}, "option feature_size = 0: must be a whole number"),
        ("swin_unetr_2d", {"heads": [1, 2]}, r"option heads = \[1, 2\]: must be a list of 4 whole numbers"),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UnetzooError, match=message) as refused:
        unetzoo.create_model(name, **changes)
    assert "\n" not in str(refused.value)
