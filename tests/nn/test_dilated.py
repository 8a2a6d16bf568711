"""Grouped dilated convolutions: torch's float64 gradients in every precision and memory layout."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import unetzoo
from unetzoo.nn.dilated import DilatedGrouped, mend_dilated


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("how", ["float32", "autocast", "bfloat16", "float64"])
@pytest.mark.parametrize(
    ("channels", "groups", "dilation"), [(6, 6, 7), (8, 8, 5), (24, 24, 2), (16, 16, (1, 3)), (16, 4, 7)]
)
def test_gradients_are_those_of_float64(
    channels: int, groups: int, dilation: int | tuple[int, int], how: str, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(channels, channels, 3, padding="same", dilation=dilation, groups=groups))
    exact = copy.deepcopy(network).double()
    mend_dilated(network)
    assert type(network[0]) is DilatedGrouped
    images = torch.randn(4, channels, 32, 32)
    network.to(memory_format=layout)
    given = images.to(memory_format=layout)
    if how in ("bfloat16", "float64"):
        network.to(getattr(torch, how))
        given = given.to(getattr(torch, how))
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        out = network(given)
    assert out.dtype == {"autocast": torch.bfloat16}.get(how, given.dtype)
    out.double().square().mean().backward()
    exact(images.double()).square().mean().backward()
    found, wanted = network[0].weight.grad.double(), exact[0].weight.grad
    assert (found - wanted).abs().max() < 0.02 * wanted.abs().max()


def test_these_networks_have_some() -> None:
    for name in ("egeunet", "malunet", "ulite", "smp_deeplabv3plus"):
        assert any(isinstance(m, DilatedGrouped) for m in unetzoo.create_model(name).modules()), name
    assert not any(isinstance(m, DilatedGrouped) for m in unetzoo.create_model("unet", width=2).modules())


@pytest.mark.parametrize("name", ["egeunet", "malunet", "ulite"])
def test_they_train_on_maps_that_are_large(name: str) -> None:
    """A bfloat16 step in channels_last at 64x64 works, where the kernels' gradients were not finite or it failed."""
    torch.manual_seed(0)
    model = unetzoo.create_model(name, in_channels=1, num_classes=2).train().to(memory_format=torch.channels_last)
    images = torch.randn(4, 1, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        scales = model.forward_all(images) if hasattr(model, "forward_all") else [model(images)]
    torch.stack([scale.float().square().mean() for scale in scales]).sum().backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert parameter.grad.abs().max() < 1e4, key
