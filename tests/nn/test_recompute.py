"""Recomputed maps: the same gradients, running statistics and random numbers as kept ones, and nothing left behind."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import unetzoo
from support.entries import narrow_config
from unetzoo import UnetzooError
from unetzoo.nn.recompute import Recompute, recomputing, segments
from unetzoo.nn.sizes import SameSize

SMALL: dict[str, Any] = {"in_channels": 1, "num_classes": 2, "width": 4, "depth": 3}
GRID: dict[str, dict[str, Any]] = {
    "batch norm": {},
    "dropout": {"dropout": 0.3, "dropout_at": "layers"},
    "dropped blocks": {"dropout": 0.3, "dropout_at": "blocks", "dropout_kind": "block"},
    "nested": {"decoder": "nested", "deep_supervision": True},
    "full scale": {"decoder": "full_scale", "up": "bilinear", "class_guided": True},
    "recurrent": {"block": "recurrent", "norm": "group"},
    "residual": {"block": "residual", "act": "elu", "skip": "attention"},
    "no skips": {"skip": "none", "up": "nearest"},
    "unpadded": {"padding": "valid", "norm": "none"},
}


def step(network: nn.Module, which: Recompute) -> tuple[list[Tensor], dict[str, Tensor], Tensor]:
    """Return gradients, state and the state of the random numbers after the backward pass of a training step."""
    network = copy.deepcopy(network).double().train()
    torch.manual_seed(3)
    images = torch.rand(2, 1, 32, 32, dtype=torch.float64, requires_grad=True)
    with recomputing(network, which):
        outputs = SameSize(network, 2).train()(images)
        sum(output.square().sum() for output in outputs).backward()  # type: ignore[union-attr]
    gradients = [p.grad for p in (images, *network.parameters()) if p.grad is not None]
    return gradients, network.state_dict(), torch.get_rng_state()


def check_equal(network: nn.Module, which: Recompute) -> None:
    (kept, state, random), (again, state_again, random_again) = (step(network, how) for how in ("none", which))
    assert len(kept) == len(again) > 1
    for a, b in zip(kept, again, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert all(torch.equal(value, state_again[name]) for name, value in state.items())
    assert torch.equal(random, random_again)


@pytest.mark.parametrize("which", ["skips", "decoder", "all"])
@pytest.mark.parametrize("options", GRID.values(), ids=GRID)
def test_a_step_of_the_grid_is_the_same(options: dict[str, Any], which: Recompute) -> None:
    check_equal(unetzoo.create_model("unet", **{**SMALL, **options}), which)


@pytest.mark.parametrize("which", ["skips", "all"])
def test_a_step_with_an_encoder_of_timm_is_the_same(which: Recompute) -> None:
    check_equal(unetzoo.create_model("unet", **SMALL, encoder="resnet18"), which)


@pytest.mark.parametrize("name", ["linknet", "unext", "missformer"])
def test_a_step_of_other_networks_is_the_same(name: str) -> None:
    check_equal(narrow_config(name).build(), "all")


def test_running_statistics_change_once_a_step() -> None:
    network = unetzoo.create_model("unet", **SMALL)
    counts = {int(v) for name, v in step(network, "all")[1].items() if name.endswith("num_batches_tracked")}
    assert counts == {1}


def test_buffers_that_decide_the_result_are_those_of_the_first_pass() -> None:
    """Spectral norm changes its vectors before it uses them."""
    layers = [nn.utils.parametrizations.spectral_norm(nn.Conv2d(c, 2, 3, padding=1)) for c in (1, 2)]
    check_equal(nn.Sequential(*layers), "all")


def test_modules_are_called_once_more_and_only_where_a_gradient_is_wanted() -> None:
    network = unetzoo.create_model("unet", **SMALL)
    calls: list[nn.Module] = []
    convolution = network.get_submodule("encoder.levels.0.block.0.0")
    convolution.register_forward_pre_hook(lambda module, inputs: calls.append(module))
    images = torch.rand(2, 1, 32, 32)
    with recomputing(network, "skips"):
        network.train()(images).sum().backward()
        assert len(calls) == 2
        network.eval()(images).sum().backward()
        assert len(calls) == 3
        with torch.no_grad():
            network.train()(images)
    assert len(calls) == 4
    network(images).sum().backward()  # after the block all is as before
    assert len(calls) == 5
    assert not any("forward" in vars(module) for module in network.modules())


def test_only_the_grid_has_skips_and_a_decoder() -> None:
    assert segments(nn.Sequential(nn.Conv2d(1, 1, 1)), "none") == []
    with pytest.raises(UnetzooError, match=r"^recompute = 'skips' needs a network of the grid; Sequential has only"):
        segments(nn.Sequential(nn.Conv2d(1, 1, 1)), "skips")


def test_a_network_that_changes_what_a_part_has_read_is_refused() -> None:
    """With ELU a second pass over the changed input would silently be another."""
    inner = nn.Sequential(nn.ELU(inplace=True), nn.Conv2d(2, 2, 1))
    network = nn.Sequential(nn.Conv2d(1, 2, 1), inner).train()
    refusal = pytest.raises(UnetzooError, match=r"^recompute: Sequential cannot be computed again, because its")
    with recomputing(network, "all"), refusal:
        network(torch.rand(1, 1, 4, 4))
