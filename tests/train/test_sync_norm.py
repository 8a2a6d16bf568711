"""Batch norms of distributed training, as far as a CPU can tell."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct
from torch import Tensor, nn

import unetzoo
from unetzoo.bench.choice import synchronised
from unetzoo.train.sync_norm import synchronise_batch_norms


@pytest.mark.parametrize(("name", "options"), [("unet", {}), ("unet", {"encoder": "tf_efficientnet_lite0"})])
def test_weights_keep_their_names_and_the_network_its_function(name: str, options: dict[str, str]) -> None:
    before = unetzoo.create_model(name, in_channels=1, num_classes=2, width=4, depth=3, **options)
    after = copy.deepcopy(before)
    synchronise_batch_norms(after)
    batch_norms = [m for m in before.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert len(batch_norms) > 4
    assert sum(isinstance(m, nn.SyncBatchNorm) for m in after.modules()) == len(batch_norms)
    assert list(after.state_dict()) == list(before.state_dict())
    before.load_state_dict(after.state_dict())
    images = torch.rand(2, 1, 32, 32)
    for mode in (True, False):  # in one process, training mode as well
        outputs = [network.train(mode)(images) for network in (before, after)]
        torch.testing.assert_close(*outputs, rtol=0, atol=0)


def test_the_activation_of_timms_norms_is_kept() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), BatchNormAct2d(2))
    images = torch.randn(4, 1, 3, 3)
    expected = network(images)
    synchronise_batch_norms(network)
    assert type(network[1]) is SyncBatchNormAct
    torch.testing.assert_close(network(images), expected)


def test_derived_norms_are_left_alone() -> None:
    class Shifted(nn.BatchNorm2d):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) + 1

    network = nn.Sequential(Shifted(1), nn.InstanceNorm2d(1))
    synchronise_batch_norms(network)
    assert [type(module) for module in network] == [Shifted, nn.InstanceNorm2d]


@pytest.mark.parametrize(
    ("processes", "device", "expected"), [(2, "cuda", True), (1, "cuda", False), (2, "cpu", False)]
)
def test_only_several_gpus_synchronise(processes: int, device: str, expected: bool) -> None:
    assert synchronised(processes, device) is expected
