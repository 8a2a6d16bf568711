"""Networks on encoders of timm and torchvision, and MK-UNet: the function of their references, options, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import unetzoo
from parity.parity import build, fill, make_input
from support.entries import refused_in_one_line

# Entry: H, W, then statistics of every output of a transcription of the reference (the main one first), filled as
# tests/parity/parity.py does ("exact"): mean, SD, and first, middle and last value of the flattened output.
FUNCTIONS: dict[str, tuple[int, int, tuple[tuple[float, ...], ...]]] = {
    "unet_v2": (
        64,
        64,
        (
            (0.05771762108, 0.1945275889, 0.03907751476, 0.2290027335, 0.07821686112),
            (0.05135315985, 0.1329015864, 0.05029989599, 0.1404242662, -0.007652422498),
        ),
    ),
    "fcb_former": (64, 64, ((63.26254266, 410.392942, 28.41316437, -123.4659967, -18.63139716),)),
    "lv_unet": (128, 256, ((1.6579872, 3.390263714, 1.252247743, 4.346023103, 4.377284604),)),
    "mk_unet": (64, 96, ((-8.001354261, 5.97679059, -6.881968111, -5.497266246, -16.78400614),)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_function_as_a_transcription_of_the_reference(name: str) -> None:
    height, width, expected = FUNCTIONS[name]
    model = fill(build({}, lambda: unetzoo.create_model(name)), "exact")
    forward_all = getattr(model, "forward_all", lambda x: [model(x)])
    with torch.inference_mode():
        outputs = forward_all(make_input((1, 3, height, width)))
    assert len(outputs) == len(expected)
    for output, values in zip(outputs, expected, strict=True):
        flat = output.numpy().ravel()
        found = (flat.mean(), flat.std(), flat[0], flat[flat.size // 2], flat[-1])
        np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6 * values[1])


def test_any_encoder_with_four_levels() -> None:
    """One whose finest map has stride 4, and one that has finer maps, which are left out."""
    for encoder, channels in (("test_convnext", (24, 32, 48, 64)), ("test_resnet", (32, 48, 192, 96))):
        model = unetzoo.create_model("unet_v2", width=4, encoder=encoder).eval()
        assert model.encoder.channels == channels
        assert [tuple(x.shape[2:]) for x in model.encoder(torch.rand(1, 3, 64, 96))] == [
            (64 // stride, 96 // stride) for stride in (4, 8, 16, 32)
        ]


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("unet_v2", {"width": 0}, ["option width = 0: must be a whole number of at least 1"]),
        ("fcb_former", {"width": True}, ["option width = True: must be a whole number of at least 1"]),
        ("lv_unet", {"reach": 0}, ["option reach = 0: must be a whole number of at least 1"]),
        ("lv_unet", {"slope": -1}, ["option slope = -1: must be a number of at least 0"]),
        ("mk_unet", {"kernels": [3, 4]}, ["option kernels = 4: must be an odd number"]),
        ("mk_unet", {"multiples": [1, 2]}, ["option multiples = [1, 2]: must be a list of 5 whole numbers"]),
        ("unet_v2", {"encoder": "pvt_v2_b22"}, ["encoder = 'pvt_v2_b22'", "did you mean pvt_v2_b2"]),
        ("unet_v2", {"encoder": "vit_tiny_patch16_224"}, ["has one stride, 16"]),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, changes: dict[str, Any], words: list[str]) -> None:
    refused_in_one_line(words, lambda: unetzoo.create_model(name, **changes))
