"""The sizes of saved weights are compared with those of the model before the model takes memory."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from unetzoo import UnetzooError, create_model, load_model, register_model, save_model


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_a_tiny_file_of_a_huge_width_is_refused(tmp_path: Path) -> None:
    model = create_model("unet", in_channels=1, width=2, depth=2)
    config = model.unetzoo_config.model_copy(update={"options": {**model.unetzoo_config.options, "width": 100_000}})
    object.__setattr__(model, "unetzoo_config", config)
    save_model(model, tmp_path / "a.safetensors")
    header = {"unetzoo": json.dumps({"model": config.model_dump(mode="json")})}
    safetensors.torch.save_file({"other": torch.zeros(1)}, tmp_path / "b.safetensors", metadata=header)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnetzooError, match=r"does not fit model 'unet': .* is \(.*\) in the file, \(.*\) in the model"):
        load_model(tmp_path / "a.safetensors")
    with pytest.raises(UnetzooError, match="does not fit model 'unet': the file has 1 numbers, the model"):
        load_model(tmp_path / "b.safetensors")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_shared_weights_and_networks_that_need_numbers_load(tmp_path: Path, clean_registry: object) -> None:
    @register_model("tied")
    class Tied(nn.Module):
        def __init__(self, in_channels: int, num_classes: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(in_channels, in_channels, 3, padding=1)
            self.second = self.first
            self.head = nn.Conv2d(in_channels, num_classes, 1)
            self.scale = float(torch.ones(1))  # fails without memory

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.second(self.first(x))) * self.scale

    model = create_model("tied", in_channels=2, num_classes=2).eval()
    image = torch.rand(1, 2, 8, 8)
    assert torch.equal(load_model(save_model(model, tmp_path))(image), model(image))


def test_loading_draws_as_many_random_numbers_as_building(tmp_path: Path) -> None:
    path = save_model(create_model("unet", width=2, depth=2), tmp_path)
    torch.manual_seed(0)
    create_model("unet", width=2, depth=2)
    after = torch.rand(1)
    torch.manual_seed(0)
    load_model(path)
    assert torch.equal(torch.rand(1), after)
