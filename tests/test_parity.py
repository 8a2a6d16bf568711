"""Entries against the authors' code: the same function, whatever the names and order of parameters.

`tests/parity/parity.py` (its docstring says how) fills a model by the shapes of its parameters and compares outputs
with golden files made from the reference code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from parity.parity import check
from torch import Tensor, nn

import unetzoo

GOLDEN = Path(__file__).parent / "parity" / "golden"

# golden file -> entry, its options, level: "exact", or "sym" for the same up to the order of concatenation
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "unet_milesial": ("unet", {"in_channels": 3, "num_classes": 2}, "exact"),
    "unet_paper": ("unet_paper", {"in_channels": 1, "num_classes": 2}, "exact"),
    "unet_leejunhyun": ("unet_upconv", {}, "exact"),
    "attunet_leejunhyun": ("attention_unet", {}, "exact"),
    "r2unet_leejunhyun_t2": ("r2unet", {}, "exact"),
    "unetpp_nested": ("unetpp", {}, "exact"),
    "unetpp_nested_ds": ("unetpp_ds", {}, "exact"),
    "unet3plus": ("unet3plus", {}, "exact"),
    "resunet_rishikksh20": ("resunet", {}, "exact"),
    "u2netp": ("u2netp", {"in_channels": 3, "num_classes": 1}, "exact"),
    "multiresunet": ("multiresunet", {"in_channels": 3, "num_classes": 2}, "exact"),
    "dcsaunet": ("dcsau_net", {"in_channels": 3, "num_classes": 1}, "exact"),
    "tinyunet": ("tiny_unet", {"in_channels": 3, "num_classes": 2}, "exact"),
    "unext": ("unext", {"in_channels": 3, "num_classes": 1}, "exact"),
    "transunet_r50_vit_b16": ("transunet", {"in_channels": 3, "num_classes": 9}, "exact"),
    "swinunet_tiny": ("swin_unet", {"in_channels": 3, "num_classes": 9}, "exact"),
    "utnet": ("utnet", {"in_channels": 1, "num_classes": 4}, "exact"),
    "ternausnet_unet16": ("ternausnet16", {"in_channels": 3, "num_classes": 1}, "exact"),
}


class AllScales(nn.Module):
    """A network that gives every supervised scale: the golden files hold those too."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> list[Tensor]:
        forward_all = getattr(self.network, "forward_all", None)
        return forward_all(x) if forward_all else [self.network(x)]


@pytest.mark.slow
@pytest.mark.parametrize("golden", CASES)
def test_same_function_as_the_reference(golden: str) -> None:
    name, options, level = CASES[golden]
    found = check(GOLDEN / f"{golden}.json", lambda: AllScales(unetzoo.create_model(name, **options)), quick=True)
    assert found["params"] in ("OK", "OK-unused"), found
    assert found["shapes"].startswith("OK"), found
    assert found[level] == "OK", found
    if f"aux_{level}" in found:  # every auxiliary output of the reference is among ours
        count, total = found[f"aux_{level}"].split("/")
        assert count == total, found


def test_golden_files_are_whole() -> None:
    for path in GOLDEN.glob("*.json"):
        golden = json.loads(path.read_text())
        assert golden["name"] == path.stem
        assert golden["params"] > 0
