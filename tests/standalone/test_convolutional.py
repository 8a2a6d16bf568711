"""Standalone convolutional entries: the authors' function at any size, in any memory layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import unetzoo
from parity.parity import fill, make_input
from unetzoo import UnetzooError
from unetzoo.measure.counts import count_parameters

# Entry: input channels, classes, parameters. The counts are the reference's (named in issue 5), without parameters it
# registers and never uses: from its golden file if there is one, else from a transcription of its newest code.
# Published: U²-Net 176.3 MB of float32, LinkNet 11.5 M, ENet 0.37 M, FR-UNet 5.72 M, UNeXt 1.47 M, UNeXt-S 0.25 M.
PARAMETERS = {
    "u2net": (3, 1, 44_009_869),
    "u2netp": (3, 1, 1_131_181),
    "multiresunet": (3, 2, 7_251_376),
    "dcsau_net": (3, 1, 2_598_785),
    "tiny_unet": (3, 2, 481_170),
    "unext": (3, 1, 1_471_921),
    "unext_s": (3, 1, 253_561),
    "ternausnet11": (3, 1, 22_927_393),
    "ternausnet16": (3, 1, 29_306_465),
    "dcunet": (3, 1, 10_811_071),
    "fcdensenet57": (3, 12, 1_376_988),
    "fcdensenet67": (3, 12, 3_463_532),
    "fcdensenet103": (3, 12, 9_322_348),
    "kiunet": (1, 2, 216_546),
    "fr_unet": (1, 1, 5_719_621),
    "ce_net": (3, 1, 29_003_093),
    "linknet": (3, 12, 11_534_796),
    "ladder_net": (1, 2, 1_381_652),
    "enet": (3, 12, 350_652),
    "segnet": (3, 12, 29_449_932),
}

# Entry: H, W, then statistics of the logits of a transcription of the reference, filled as tests/parity/parity.py does
# ("exact"): mean, standard deviation, and the first, middle and last value of the flattened output.
FUNCTIONS: dict[str, tuple[int, int, tuple[float, ...]]] = {
    "dcunet": (32, 64, (-3949.018565, 3488.189807, -6716.348723, -5460.799585, -2722.115959)),
    "fcdensenet57": (43, 58, (1.058988416, 3.227869356, -0.2361436475, -0.932483839, -0.3508659276)),
    "fcdensenet67": (32, 64, (0.3137251147, 3.750746146, -0.881522189, 3.633306928, -1.852785244)),
    "fcdensenet103": (32, 64, (-0.3653947367, 5.496315485, -0.7031579799, -3.342523893, 4.161720232)),
    "kiunet": (16, 24, (10.60597121, 12.48110084, 0.0, 18.48365352, 8.64310295)),
    "fr_unet": (16, 24, (-3.210933724, 51.13023444, -15.51317369, 12.71371673, 8.187683328)),
    "ce_net": (192, 192, (46721.01194, 32809.976, -5335.741818, -5983.102521, 5043.223809)),
    "linknet": (32, 64, (4.086377287, 51.86041618, 48.04043356, 19.19066464, -0.1631447231)),
    "ladder_net": (32, 64, (864.5396345, 1221.968278, 591.9889482, 337.8472623, -38.71983669)),
    "enet": (43, 58, (-13691.75768, 265501.2461, -238996.4868, -249146.9515, -1129.232407)),
    "segnet": (43, 58, (-0.004200900784, 0.2774040693, -0.05256974507, -0.01573590045, -0.04133693819)),
    "ternausnet11": (32, 64, (-0.8908491714, 1.316289413, -0.5085013797, 0.3170117906, -0.3842002966)),
    "u2net": (43, 58, (7.733368945, 16.1508769, -8.660075387, 28.37594477, 31.29432173)),
}


def narrow(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return unetzoo.create_model(name, **{"in_channels": 2, "num_classes": 3, "width": 4, **options})


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_references(name: str) -> None:
    channels, classes, parameters = PARAMETERS[name]
    with torch.device("meta"):
        model = unetzoo.create_model(name, in_channels=channels, num_classes=classes)
    assert count_parameters(model) == parameters


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_function_as_a_transcription_of_the_reference(name: str) -> None:
    channels, classes, _ = PARAMETERS[name]
    height, width, expected = FUNCTIONS[name]
    model = fill(unetzoo.create_model(name, in_channels=channels, num_classes=classes).double().eval(), "exact")
    with torch.inference_mode():
        logits = model(make_input((1, channels, height, width))).numpy().ravel()
    found = (logits.mean(), logits.std(), logits[0], logits[logits.size // 2], logits[-1])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * expected[1])


def test_deep_supervision_of_u2net() -> None:
    images = torch.rand(1, 2, 33, 20)
    scales = narrow("u2netp").eval().forward_all(images)
    assert [scale.shape for scale in scales] == [(1, 3, 33, 20)] * 7
    assert len(narrow("u2netp", deep_supervision=False).eval().forward_all(images)) == 1


def test_final_relu_of_kiunet() -> None:
    images = torch.rand(1, 2, 16, 24)
    logits = narrow("kiunet", final_relu=False).eval()(images)
    assert logits.min() < 0
    torch.testing.assert_close(narrow("kiunet").eval()(images), logits.relu())


def test_enet_takes_more_channels_than_its_first_block_has() -> None:
    assert narrow("enet", in_channels=30).eval()(torch.rand(1, 30, 16, 16)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ternausnet16", {"up": "transposed_4x4", "num_filters": 3}),
        ("fr_unet", {"fuse": False, "average": False, "depth": 3}),
        ("ce_net", {"dac": False, "rmp": False}),
        ("ce_net", {"atrous": False}),
        ("ladder_net", {"unets": 3, "levels": 2, "dropout": 0.0}),
        ("fcdensenet57", {"layers": [2, 3], "bottleneck_layers": 2}),
        ("enet", {"encoder_relu": True, "decoder_relu": False}),
        ("unext", {"dropout": 0.1, "drop_path": 0.2, "multiples": [1, 1, 2, 2, 3]}),
        ("dcunet", {"dropout": 0.5, "alpha": 1.0}),
        ("tiny_unet", {"cascade": 4}),
    ],
)
def test_options_change_the_network_and_it_trains(name: str, options: dict[str, object]) -> None:
    plain, changed = narrow(name), narrow(name, **options).train()
    shapes, others = ([tuple(p.shape) for p in m.parameters()] for m in (plain, changed))
    drops = any(key in options for key in ("dropout", "drop_path", "atrous"))
    assert shapes != others or drops
    logits = changed(torch.randn(2, 2, 64, 64))
    assert logits.shape == (2, 3, 64, 64)
    logits.square().mean().backward()
    assert all(p.grad is not None for p in changed.parameters())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("u2net", {"width": 0}, "option width = 0: must be a whole number of at least 1"),
        ("u2net", {"width": 1.5}, "option width = 1.5: must be a whole number"),
        ("multiresunet", {"alpha": -1}, "option alpha = -1: must be a number of at least 0.1"),
        ("fr_unet", {"dropout": 1}, "option dropout = 1: must be at least 0 and below 1"),
        ("unext", {"multiples": [1, 2]}, r"option multiples = \[1, 2\]: must be a list of 5 whole numbers"),
        ("fcdensenet103", {"layers": []}, r"option layers = \[\]: must be a list of whole numbers"),
        ("ternausnet16", {"encoder": "vgg19"}, "option encoder = 'vgg19': did you mean vgg16 or vgg11"),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UnetzooError, match=message):
        unetzoo.create_model(name, **options)
