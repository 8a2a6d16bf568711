"""Further networks: the function of their references, options that have an effect, bad options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import unetzoo
from parity.parity import build, fill, make_input
from support.entries import refused_in_one_line
from unetzoo.measure.counts import count_parameters

# Entry: H, W, then statistics of the logits of a transcription of the reference, filled as tests/parity/parity.py does
# ("exact"): mean, standard deviation, and first, middle and last value of the flattened output.
FUNCTIONS: dict[str, tuple[int, int, tuple[float, ...]]] = {
    "ukan_s": (64, 96, (-1.990985616, 0.9167042367, -0.001389089689, -0.4855835232, -0.7023087102)),
    "lw_unet": (64, 96, (-17.21113543, 25.66734402, 0.3316393092, -27.5225537, 23.18009573)),
    "cmunet": (32, 48, (-4.875247716, 2.331085377, -3.652189056, -2.735299926, -0.4806108562)),
    "gated_axial_unet": (128, 128, (49.37761468, 14.44700053, 15.72824104, 11.80372494, 4.787451857)),
    "mednext_s_k5": (48, 64, (1.404023878, 13.69484712, -2.77121449, -0.3857936057, 116.1850749)),
    "mednext_s_grn": (48, 64, (3.329138183, 19.30111634, -1.210912779, -4.939842444, 427.7061062)),
}


def narrow(name: str, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    return unetzoo.create_model(name, **{"in_channels": 2, "num_classes": 3, "width": 4, **changes})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_function_as_a_transcription_of_the_reference(name: str) -> None:
    height, width, expected = FUNCTIONS[name]
    model = fill(build({}, lambda: unetzoo.create_model(name)), "exact")
    with torch.inference_mode():
        flat = model(make_input((1, 3, height, width))).numpy().ravel()
    found = (flat.mean(), flat.std(), flat[0], flat[flat.size // 2], flat[-1])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * expected[1])


def test_monais_attention_unet() -> None:
    nets = pytest.importorskip("monai.networks.nets", reason="MONAI is not installed (pip install unetzoo[test])")
    reference = nets.AttentionUnet(2, 2, 3, (4, 8, 16, 32), (2, 2, 2))
    reference = fill(reference.double().eval(), "exact")
    model = fill(narrow("monai_attention_unet", multiples=[1, 2, 4, 8]).double().eval(), "exact")
    assert count_parameters(model) == count_parameters(reference)
    images = make_input((2, 2, 32, 48))
    with torch.inference_mode():
        wanted = reference(images)
        torch.testing.assert_close(model(images), wanted, rtol=1e-9, atol=1e-9 * float(wanted.std()))


def test_nnunets_residual_unet() -> None:
    nets = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    kinds = {"norm_op": nn.InstanceNorm2d, "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "nonlin": nn.LeakyReLU}
    reference = nets.ResidualUNet(
        2,
        4,
        [4, 8, 16, 16],
        nn.Conv2d,
        3,
        [1, 2, 2, 2],
        (1, 3, 4, 4),
        num_classes=3,
        n_conv_per_stage_decoder=(2,) * 3,
        conv_bias=True,
        deep_supervision=True,
        **kinds,
    )
    reference = fill(reference.double().eval(), "exact")
    model = fill(narrow("nnunet_residual", stages=4, max_width=16, blocks=[1, 3, 4], convs=2).double().eval(), "exact")
    assert count_parameters(model) == count_parameters(reference)
    images = make_input((2, 2, 32, 48))
    with torch.inference_mode():
        for found, wanted in zip(model.forward_all(images), reference(images), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9 * float(wanted.std()))


def test_positions_of_another_size_are_interpolated() -> None:
    """A network for 64 px takes 32 px, and equals one for 32 px whose positions are every second one of them."""
    large, small = (narrow("gated_axial_unet", side=side).eval() for side in (64, 32))
    state = large.state_dict()
    for name, value in small.state_dict().items():
        if name.endswith("positions"):
            size = (value.shape[-1],)
            state[name] = nn.functional.interpolate(state[name][None], size, mode="linear", align_corners=True)[0]
    small.load_state_dict(state)
    images = torch.rand(1, 2, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(large(images), small(images))


@pytest.mark.parametrize("name", ["medt", "gated_axial_unet"])
def test_gates_are_frozen_unless_they_are_learnt(name: str) -> None:
    gates = {
        learn: {p.requires_grad for n, p in narrow(name, learn_gates=learn).named_parameters() if ".gates." in n}
        for learn in (False, True)
    }
    assert gates == {False: {False}, True: {True}}


def test_the_second_network_of_double_unet_sees_what_the_first_found() -> None:
    """The second network sees an image of zeros where the first is sure of background everywhere."""
    model = narrow("double_unet").eval()
    with torch.no_grad():
        model.heads[0].weight.zero_()
        model.heads[0].bias.copy_(torch.tensor([100.0, 0, 0]))
    seen: list[torch.Tensor] = []
    model.encoder[0].register_forward_pre_hook(lambda module, inputs: seen.extend(inputs))
    with torch.inference_mode():
        model(torch.rand(1, 2, 32, 32))
    assert not seen[0].any()


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("lw_unet", {"levels": 1}, ["option levels = 1: must be a whole number of at least 2"]),
        ("double_unet", {"width": 1}, ["option width = 1: must be a whole number of at least 2"]),
        ("medt", {"side": 64}, ["option side = 64: must be a multiple of 128 px"]),
        ("gated_axial_unet", {"side": 100}, ["option side = 100: must be a multiple of 32 px"]),
        ("rolling_unet", {"dropout": 1}, ["option dropout = 1: must be at least 0 and below 1"]),
        ("cmunet", {"kernel": 4}, ["option kernel = 4: must be an odd number"]),
        ("monai_attention_unet", {"multiples": [1]}, ["option multiples = [1]: must list at least 2 levels"]),
        ("u_transformer", {"width": 0}, ["option width = 0: must be a whole number of at least 1"]),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, changes: dict[str, Any], words: list[str]) -> None:
    refused_in_one_line(words, lambda: unetzoo.create_model(name, **changes))
