"""Entries without a golden file compute the same function as a transcription of the reference's code.

The transcriptions are of the last stored version of each repository and were run outside of this one.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unetzoo
from parity.parity import build, fill, make_input
from unetzoo.nn.unet import ClassificationGate

# Entry: classes, H, W, then statistics of every output of the transcription (logits, the main one first), filled as
# tests/parity/parity.py does ("exact"): mean, standard deviation, and first, middle and last value of the flattened
# output.
FUNCTIONS: dict[str, tuple[int, int, int, tuple[tuple[float, ...], ...]]] = {
    "r2attention_unet": (1, 32, 48, ((-5249321.568, 1814686.489, -388821.7702, -707656.3528, -603162.0752),)),
    "unet_brain_mri": (1, 32, 48, ((4.081067226, 2.59944226, 1.797812838, 5.317116132, -0.99446624),)),
    "unet_bilinear_halved": (2, 38, 53, ((-1.156440096, 0.9585005103, 1.029172239, -0.6515179906, -1.092989069),)),
    "unet3plus_ds": (
        1,
        32,
        48,
        (
            (0.481645211, 1.266828412, 0.0363790785, -1.002454549, -1.736738264),
            (0.1311619738, 1.38585601, -0.6825963958, -1.682552823, -1.238051515),
            (1.272556185, 1.241217834, 1.044858239, 0.7768797812, -0.2096152629),
            (1.439119674, 1.254190859, 1.37864959, 0.9517686676, 1.323590989),
            (-0.0796992737, 1.081188189, 0.3745585371, 1.218566092, -1.389488186),
        ),
    ),
    "unet3plus_cgm": (
        1,
        32,
        32,
        (
            (0.7304358963, 1.293331758, -0.1362548809, -0.4628673494, -0.690930697),
            (0.3906387996, 1.396558698, -0.806479231, -1.145672835, -0.5206602711),
            (1.140172102, 1.153024054, 0.3649405814, 0.8224664371, 0.3856087659),
            (0.9478217189, 1.237053717, 0.4246624592, 0.2307083342, 0.6685406663),
            (0.01871217449, 0.8000059325, -0.3780750759, 0.7144378596, -0.2400617188),
        ),
    ),
    "resunetpp": (1, 32, 48, ((-231.8522612, 342.6195361, -187.1868413, 52.39703039, 29.77225377),)),
    "unext_s": (1, 64, 96, ((-3.216362, 1.451049225, 0.01730763753, -4.394400701, 0.09778334092),)),
    "sa_unet": (1, 32, 48, ((1.532264386, 1.699221055, -1.458030501, -1.396609108, 0.8028485086),)),
    "half_unet": (1, 32, 48, ((-3.139713661, 1.579646676, -1.23909716, -2.209916465, 0.2361457738),)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_function_as_a_transcription_of_the_reference(name: str) -> None:
    classes, height, width, expected = FUNCTIONS[name]
    model = fill(build({}, lambda: unetzoo.create_model(name, num_classes=classes)), "exact")
    forward_all = getattr(model, "forward_all", lambda x: [model(x)])
    with torch.inference_mode():
        outputs = forward_all(make_input((1, 3, height, width)))
    assert len(outputs) == len(expected)
    for output, values in zip(outputs, expected, strict=True):
        flat = output.numpy().ravel()
        found = (flat.mean(), flat.std(), flat[0], flat[flat.size // 2], flat[-1])
        np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6 * values[1])


def test_an_image_that_shows_nothing_has_no_logits() -> None:
    """With these weights UNet 3+'s classification gate is shut at 32x48, as in the transcription."""
    model = fill(build({}, lambda: unetzoo.create_model("unet3plus_cgm")), "exact")
    with torch.inference_mode():
        assert not any(scale.any() for scale in model.forward_all(make_input((1, 3, 32, 48))))


def test_a_gate_of_equal_scores_is_shut() -> None:
    """The reference's argmax takes the first of equal scores, "nothing"; the least difference opens the gate."""
    gate = ClassificationGate(2).eval()
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.fill_(5)
    (shut,) = gate(torch.ones(1, 2, 3, 3), [torch.ones(1, 1, 6, 6)])
    assert not shut.any()
    with torch.no_grad():
        gate.classify[1].bias[1] += 0.1
    (opened,) = gate.to(torch.bfloat16)(torch.ones(1, 2, 3, 3).bfloat16(), [torch.ones(1, 1, 6, 6)])
    assert opened.all()


@pytest.mark.parametrize("classes", [1, 3])
def test_a_gate_learns_where_the_network_finds_something(classes: int) -> None:
    """The gate also leaves the gradient of the gated maps unchanged."""
    torch.manual_seed(0)
    gate = ClassificationGate(16)
    optimizer = torch.optim.Adam(gate.parameters(), 0.05)
    bottleneck = torch.rand(8, 16, 3, 3, requires_grad=True)
    logits = torch.full((8, classes, 6, 6), -1.0)
    logits[:, 0] += classes > 1  # the background's logits, if there is such a class
    with torch.no_grad():
        bottleneck[::2, :8] += 2
        logits[::2, -1, 2, 3] = 5
    coarse = torch.rand(8, classes, 3, 3)
    for _ in range(100):
        wanted = logits.clone().requires_grad_()
        first, second = gate(bottleneck, [wanted, coarse])
        assert torch.equal(first, logits)
        assert second is coarse
        optimizer.zero_grad()
        first.mul_(3).sum().backward()
        assert wanted.grad is not None
        assert (wanted.grad == 3).all()
        assert all(0 < p.grad.norm() < 0.2 for p in gate.parameters() if p.grad is not None)  # of little weight
        optimizer.step()
    assert bottleneck.grad is None
    first, second = gate.eval()(bottleneck, [logits, coarse])
    for given, let_through in ((logits, first), (coarse, second)):
        assert torch.equal(let_through[::2], given[::2])
        assert not let_through[1::2].any()
