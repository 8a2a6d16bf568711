"""Light networks and U-KAN: the authors' function, and options that have an effect."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import unetzoo
from parity.parity import build, fill, make_input
from unetzoo import UnetzooError
from unetzoo.measure.counts import count_parameters
from unetzoo.standalone.ukan import SplineLinear, splines

# Entry: parameters with 3 input channels and 1 class, counted on a transcription of the code named in issue 5.
# Published: U-Lite 878 K, CMUNeXt 3.15 M, CMUNeXt-S 0.42 M, CMUNeXt-L 8.29 M, MALUNet 0.175 M, EGE-UNet 0.053 M.
PARAMETERS = {
    "ulite": 878_417,
    "cmunext": 3_149_185,
    "cmunext_s": 417_505,
    "cmunext_l": 8_286_721,
    "malunet": 177_943,
    "egeunet": 53_374,
    "ukan": 25_359_265,
}

# Entry: statistics of the logits at 64x96 of a transcription of the reference, filled as tests/parity/parity.py does
# ("exact"): mean, standard deviation, and the first, middle and last value of the flattened output.
FUNCTIONS: dict[str, tuple[float, ...]] = {
    "ulite": (79550.37174, 29529.89101, 46874.43656, 84971.20626, 10947.13472),
    "cmunext": (2.716033569, 1.925247513, 0.9525654037, 1.610419751, 0.8624855466),
    "cmunext_s": (-0.4238500544, 0.3364940834, -0.2050951199, -0.1383754198, -0.3348961815),
    "cmunext_l": (3.654396277, 130.4136253, 45.64398067, 290.0855596, -7.657814766),
    "malunet": (-1.956399512, 1.149591258, -4.148199, -0.6841443869, -4.372018428),
    "egeunet": (0.4040346432, 1.212538227, 1.033748637, -1.614356485, 0.04795337068),
    "ukan": (2.581844558, 1.324233839, 1.803014079, 2.759028755, -0.6674678773),
}
# The same of its five auxiliary outputs, finest first.
MASKS = (
    (-0.6659839187, 0.5766944655, 0.2266114749, -0.7322588468, 0.08088789182),
    (1.141610527, 1.126744, 0.659872773, 1.02724361, 0.07733287821),
    (0.798915317, 0.586569452, 0.8196793957, 1.493042542, 0.6323276902),
    (0.3828071235, 0.3788235762, 1.653684503, 1.007372822, 0.4341029936),
    (-0.4080606348, 0.2663330414, -0.2956379207, -0.3956161456, -0.1095544074),
)


def narrow(name: str, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    return unetzoo.create_model(name, **{"in_channels": 2, "num_classes": 3, "width": 4, **changes})


def summary(logits: torch.Tensor) -> tuple[float, ...]:
    flat = logits.numpy().ravel()
    return flat.mean(), flat.std(), flat[0], flat[flat.size // 2], flat[-1]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_references(name: str) -> None:
    with torch.device("meta"):
        assert count_parameters(unetzoo.create_model(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_function_as_a_transcription_of_the_reference(name: str) -> None:
    model = fill(build({}, lambda: unetzoo.create_model(name)), "exact")
    with torch.inference_mode():
        main, *masks = model.forward_all(make_input((1, 3, 64, 96)))
    np.testing.assert_allclose(summary(main), FUNCTIONS[name], rtol=1e-6, atol=1e-6 * FUNCTIONS[name][1])
    assert len(masks) == (len(MASKS) if name == "egeunet" else 0)
    for mask, expected in zip(masks, MASKS, strict=False):
        np.testing.assert_allclose(summary(mask), expected, rtol=1e-6, atol=1e-6 * expected[1])


@pytest.mark.parametrize("name", PARAMETERS)
def test_one_image_at_a_time_trains(name: str) -> None:
    narrow(name).train()(torch.rand(1, 2, 64, 64)).square().mean().backward()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ulite", {"kernel": 3}),
        ("cmunext", {"kernels": [3, 3, 5, 5, 5]}),
        ("cmunext", {"depths": [1, 1, 1, 1, 1], "multiples": [1, 1, 2, 2, 3]}),
        *(("malunet", {"bridge": bridge}) for bridge in ("spatial", "channel", "none")),
        ("malunet", {"gated": False}),
        ("malunet", {"external": False}),
        ("egeunet", {"hadamard": False}),
        ("egeunet", {"bridge": False}),
        ("egeunet", {"bridge": False, "deep_supervision": False}),
        ("egeunet", {"deep_supervision": False}),
        ("ukan", {"kan": False}),
        ("ukan", {"layers": 1, "multiples": [1, 1, 2, 2, 3]}),
    ],
)
def test_options_change_the_network_and_it_trains(name: str, changes: dict[str, object]) -> None:
    plain, changed = narrow(name), narrow(name, **changes).train()
    shapes, others = ([tuple(p.shape) for p in m.parameters()] for m in (plain, changed))
    assert shapes != others
    scales = changed.forward_all(torch.randn(2, 2, 64, 64))
    assert [scale.shape for scale in scales] == [(2, 3, 64, 64)] * len(scales)
    torch.stack([scale.square().mean() for scale in scales]).sum().backward()
    assert all(p.grad is not None for p in changed.parameters())


def test_options_without_parameters_change_the_function() -> None:
    images = torch.rand(2, 2, 64, 64)
    with torch.inference_mode():
        dilated, undilated = (narrow("egeunet", **o).eval()(images) for o in ({}, {"dilations": [1, 1, 1, 1]}))
        assert not torch.equal(dilated, undilated)
        all_of_them, some = (narrow("ukan", drop_path=p).train()(images) for p in (0.0, 0.9))
        assert not torch.equal(all_of_them, some)


def test_deep_supervision_of_egeunet() -> None:
    scales = narrow("egeunet").eval().forward_all(torch.rand(1, 2, 33, 20))
    assert [scale.shape for scale in scales] == [(1, 3, 33, 20)] * 6
    assert len(narrow("egeunet", deep_supervision=False).eval().forward_all(torch.rand(1, 2, 33, 20))) == 1


def attentions(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if type(module).__name__ == "ExternalAttention"]


def tied(attention: nn.Module) -> bool:
    return attention.keys.weight.data_ptr() == attention.values.weight.data_ptr()


def test_keys_and_values_of_malunet_start_as_one_and_train_as_two(tmp_path: Path) -> None:
    model = narrow("malunet").eval()
    for attention in attentions(model):
        assert tied(attention)
        assert torch.equal(attention.keys.weight, attention.values.weight.transpose(0, 1))
    other, images = copy.deepcopy(model), torch.randn(2, 2, 64, 64)
    optimiser = torch.optim.SGD(model.train().parameters(), lr=1.0)
    model(images).square().mean().backward()
    optimiser.step()
    for attention in attentions(model):
        assert not tied(attention)
        assert not torch.equal(attention.keys.weight, attention.values.weight.transpose(0, 1))
    loaded = unetzoo.load_model(unetzoo.save_model(model.eval(), tmp_path / "trained"))
    assert torch.equal(loaded(images), model(images))
    assert not torch.equal(other(images), model(images))


def test_splines_are_the_cubic_ones() -> None:
    """The splines sum to 1 on [-1, 1], have the known values at a knot, and end 2.2 from the centre."""
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(splines(x).sum(dim=-1), torch.ones_like(x))
    knot = splines(torch.tensor(-0.2, dtype=torch.float64))
    torch.testing.assert_close(knot, torch.tensor([0, 0, 1, 4, 1, 0, 0, 0], dtype=torch.float64) / 6)
    assert not splines(torch.tensor([-2.3, 2.3, 100.0])).any()


def test_spline_layers_start_near_their_base() -> None:
    """They differ by noise of at most 0.01 at the knots, scaled by at most 1 / sqrt(inputs)."""
    torch.manual_seed(0)
    layer = SplineLinear(16, 5).double()
    x = torch.linspace(-1, 1, 6, dtype=torch.float64).expand(1, 16, 1, 6)
    values = (splines(x.movedim(1, -1))[..., None, :] @ layer.spline.movedim(0, -1)[None, None]).detach()
    assert 0.005 < float(values.abs().max()) <= 0.0100001
    assert float(layer.base.detach().abs().max()) <= 1 / math.sqrt(16)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("ulite", {"width": 0}, "option width = 0: must be a whole number of at least 1"),
        ("ulite", {"kernel": 4}, "option kernel = 4: must be an odd number of at least 1"),
        ("cmunext", {"kernels": [3, 3, 7, 7, 8]}, "option kernels = 8: must be an odd number"),
        ("cmunext", {"depths": [1, 1]}, r"option depths = \[1, 1\]: must be a list of 5 whole numbers"),
        ("malunet", {"bridge": "chanel"}, "option bridge = 'chanel': did you mean channel"),
        ("egeunet", {"dilations": [1, 2]}, r"option dilations = \[1, 2\]: must be a list of 4 whole numbers"),
        ("ukan", {"layers": 0}, "option layers = 0: must be a whole number of at least 1"),
        ("ukan", {"drop_path": 1}, "option drop_path = 1: must be at least 0 and below 1"),
    ],
)
def test_bad_options_are_refused_in_one_line(name: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UnetzooError, match=message):
        unetzoo.create_model(name, **changes)
