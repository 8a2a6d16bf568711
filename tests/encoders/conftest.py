"""Weights of a tiny encoder, and a file of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {key: value.contiguous() for key, value in timm.create_model("test_resnet").state_dict().items()}


@pytest.fixture
def file(state: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    save_file(state, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"
