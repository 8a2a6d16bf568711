"""Checkerboard energy, gradient norms and the bytes of skips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unetzoo import create_model
from unetzoo.errors import UnetzooError
from unetzoo.measure.checkerboard import checkerboard_energy
from unetzoo.measure.gradients import first_to_last, gradient_norm
from unetzoo.measure.skip_memory import skip_bytes
from unetzoo.models.factory import resolve_model


@pytest.mark.parametrize(("stride", "shape"), [(2, (16, 24)), (4, (32, 16))])
def test_checkerboard_energy_is_the_spectrum_at_the_stride(stride: int, shape: tuple[int, int]) -> None:
    maps = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    power = np.abs(np.fft.fft2(maps.double().numpy())) ** 2
    at = power[:, :: shape[0] // stride, :: shape[1] // stride].sum((1, 2)) - power[:, 0, 0]
    share = at / (power.sum((1, 2)) - power[:, 0, 0])
    assert checkerboard_energy(maps, stride).numpy() == pytest.approx(share)


def test_constant_smooth_and_checkered_maps() -> None:
    ramp = torch.linspace(0, 1, 32)[None, :] + torch.linspace(0, 1, 32)[:, None]
    board = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).tile(16, 16)
    assert checkerboard_energy(torch.full((8, 8), 0.3)) == 0
    assert checkerboard_energy(ramp) < 0.005
    assert checkerboard_energy(ramp + board) > 0.5


def test_a_map_without_two_blocks_is_refused() -> None:
    with pytest.raises(UnetzooError, match="two blocks a side"):
        checkerboard_energy(torch.zeros(3, 8))
    with pytest.raises(UnetzooError, match="stride of 2 or more"):
        checkerboard_energy(torch.zeros(8, 8), 1)


def test_gradient_ratio_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False))
    with pytest.raises(UnetzooError, match="call backward"):
        gradient_norm(network[0])
    with torch.no_grad():
        network[0].weight.fill_(3.0)
        network[1].weight.fill_(0.5)
    network(torch.ones(1, 1, 1, 1)).sum().backward()  # d/dw1 = w2 = 0.5, d/dw2 = w1 = 3
    assert first_to_last(network) == pytest.approx(0.5 / 3)
    with pytest.raises(UnetzooError, match="two are needed"):
        first_to_last(nn.Conv2d(1, 1, 1))


def test_skip_bytes_by_hand_and_without_skips() -> None:
    options = {"width": 4, "depth": 3}
    expected = 4 * (4 * 32 * 48 + 8 * 16 * 24)
    assert skip_bytes(resolve_model("unet", options=options), 32, 48) == expected
    assert skip_bytes(resolve_model("unet", options=options), 32, 48, 2) == expected // 2
    assert skip_bytes(resolve_model("unet_noskip", options=options), 32, 48) == 0
    assert create_model("unet", **options)(torch.zeros(1, 3, 32, 48)).shape[-2:] == (32, 48)


def test_a_model_without_a_pyramid_is_refused() -> None:
    with pytest.raises(UnetzooError, match="skips are not known"):
        skip_bytes(resolve_model("segnet"), 32, 32)
