"""State-space networks: the function of their references, options that have an effect, bad options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import unetzoo
from parity.parity import build, fill, make_input
from support.entries import refused_in_one_line

# Entry: options, H, W, then statistics of every output of a transcription of the reference (the main one first), filled
# as tests/parity/parity.py does ("exact"): mean, SD, and first, middle and last value of the flattened output.
FUNCTIONS: dict[str, tuple[dict[str, Any], int, int, tuple[tuple[float, ...], ...]]] = {
    "ultralight_vm_unet": ({}, 64, 96, ((-1.81471681, 1.154585542, -4.363479583, -0.8866254057, -4.263456727),)),
    "vm_unet": ({}, 64, 96, ((0.2633449265, 1.70561504, -2.475536028, -2.225270657, -1.795243484),)),
    "vm_unet_v2": ({}, 64, 64, ((0.04734258908, 0.5166714966, 0.04954570537, 0.1182963646, -0.2525092102),)),
    "lightm_unet": ({}, 32, 48, ((0.4858726153, 1.363026301, 1.391508951, 1.056151385, 0.2581650617),)),
    "u_mamba_bot": (
        {},
        64,
        128,
        (
            (14.25899969, 12.94344126, 0.501647942, 1.481629066, 28.52564433),
            (-0.9717064694, 7.488437876, 5.730457324, -1.83941622, -16.84205099),
            (-29.11970252, 22.74522707, -10.02843039, -5.869465881, -45.45575686),
            (-15.95017625, 15.4092022, -1.655198014, -2.348485039, -36.25989883),
            (16.10061324, 15.39492111, 3.101724151, 6.596282802, 30.55997846),
            (-13.32633006, 12.18365551, -1.739310629, -3.515739895, -25.56985055),
        ),
    ),
    "u_mamba_enc": (
        {"size": [64, 128]},
        64,
        128,
        (
            (226.9945811, 163.6837351, 68.49774646, -1.605797978, 228.724069),
            (280.5031906, 258.4558285, -17.33842169, -61.36155677, 83.4412654),
            (-329.6389108, 269.0877733, -68.80940161, 81.43264162, -759.575468),
            (-199.6217772, 162.6677795, -206.9358566, -249.1851095, -253.4422352),
            (387.0015269, 282.4047767, 106.9051381, 146.8271168, 616.096092),
            (-33.53737919, 74.02779504, 57.95694848, 29.02477218, -133.4417217),
        ),
    ),
    "swin_umamba": (
        {},
        64,
        96,
        (
            (0.9465019804, 1.361897396, 1.520281499, 1.24330915, 1.933993109),
            (-0.4172552011, 1.23511765, -0.2799026906, -0.5898146247, 0.3376009123),
            (0.02114098366, 1.303954153, -0.9132311501, -1.79118229, 0.2616706921),
            (0.2313213136, 1.233599986, -0.2979779013, -0.8633655938, 0.1228146743),
        ),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_function_as_a_transcription_of_the_reference(name: str) -> None:
    options, height, width, expected = FUNCTIONS[name]
    model = fill(build({}, lambda: unetzoo.create_model(name, **options)), "exact")
    forward_all = getattr(model, "forward_all", lambda x: [model(x)])
    with torch.inference_mode():
        outputs = forward_all(make_input((1, 3, height, width)))
    assert len(outputs) == len(expected)
    for output, values in zip(outputs, expected, strict=True):
        flat = output.numpy().ravel()
        found = (flat.mean(), flat.std(), flat[0], flat[flat.size // 2], flat[-1])
        np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6 * values[1])


def test_the_chunk_changes_no_logits() -> None:
    images = torch.rand(1, 3, 40, 32)
    logits = []
    for chunk in (7, 4096):
        torch.manual_seed(0)
        model = unetzoo.create_model("vm_unet", width=4, depths=[1, 1, 1, 1], depths_up=[1, 1, 1, 1], chunk=chunk)
        with torch.inference_mode():
            logits.append(model.eval()(images))
    torch.testing.assert_close(*logits)


@pytest.mark.parametrize("name", ["u_mamba_bot", "u_mamba_enc"])
def test_u_mamba_runs_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        network = unetzoo.create_model(name, in_channels=1, num_classes=2, width=4).eval()
        assert network(torch.empty(1, 1, 96, 64)).shape == (1, 2, 96, 64)


def test_u_mamba_of_one_size_refuses_others() -> None:
    model = unetzoo.create_model("u_mamba_enc", width=4, stages=4, size=[16, 24]).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 16, 24)).shape == (1, 1, 16, 24)
    refused_in_one_line(
        ["images of 24x16 px", "built for size = 16x24 px alone"], lambda: model(torch.rand(1, 3, 24, 16))
    )


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        *((name, {"chunk": 0}, ["option chunk = 0: must be a whole number of tokens"]) for name in FUNCTIONS),
        ("vm_unet", {"depths": [1, 1]}, ["option depths = [1, 1]: must be a list of 4 whole numbers"]),
        ("vm_unet", {"states": 0}, ["option states = 0: must be a whole number of at least 1"]),
        ("vm_unet_v2", {"few": 0}, ["option few = 0: must be a whole number of at least 1"]),
        ("ultralight_vm_unet", {"bridge": "chanel"}, ["option bridge = 'chanel'", "did you mean channel"]),
        ("lightm_unet", {"blocks_down": [1]}, ["option blocks_down = [1]: must list at least 2 levels"]),
        ("u_mamba_bot", {"mamba": "encodr"}, ["option mamba = 'encodr'", "did you mean encoder"]),
        ("u_mamba_bot", {"size": [64, 64]}, ["applies only to mamba = 'encoder'", "'bottleneck'"]),
        ("u_mamba_enc", {"size": [64, 65]}, ["option size = [64, 65]", "multiples of 64 px"]),
        ("swin_umamba", {"drop_path": 1}, ["option drop_path = 1: must be at least 0 and below 1"]),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, changes: dict[str, Any], words: list[str]) -> None:
    refused_in_one_line(words, lambda: unetzoo.create_model(name, **changes))
