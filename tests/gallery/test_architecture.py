"""The architecture of a record's network: shown if the registry still builds the same, else the reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from torch import nn

import unetzoo
from support.records import record
from unetzoo.gallery.architecture import describe
from unetzoo.models.factory import resolve_model
from unetzoo.records.record import Record
from unetzoo.report.architecture import Architecture


def recorded(name: str = "unet", params: int = 490, **change: Any) -> Record:
    known = "unet" if name == "gone" else name
    config = resolve_model(known, in_channels=1, num_classes=2, options={"width": 2, "depth": 2})
    made = record(name)
    made["trial"]["model"] = {**config.model_dump(), "name": name, "label": name, "source": "", **change}
    made["cost"]["params"] = params
    return Record.model_validate_json(json.dumps(made))


def test_stages_and_drawing() -> None:
    model = unetzoo.create_model("unet", in_channels=1, num_classes=2, width=2, depth=2)
    params = sum(p.numel() for p in model.parameters())
    found = describe(recorded(params=params))
    assert isinstance(found, Architecture)
    assert found.side == 64
    assert sum(stage.params for stage in found.stages) == params
    by_name = {stage.name: stage for stage in found.stages}
    deepest = by_name["encoder.levels.1"]
    assert (deepest.level, deepest.channels, deepest.output) == (1.0, 4, "32x32")
    assert found.drawing.startswith("<svg")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"params": 7}, "parameters now, and 7 when it was measured"),
        ({"source": "v2"}, "another version now"),
        ({"name": "gone"}, "it cannot be built now: "),
        ({"options": {"no_option": 1}}, "it cannot be built now: "),
        ({"in_channels": "<b>"}, "it cannot be built now: "),
    ],
)
def test_what_is_not_the_same_is_not_shown(change: dict[str, Any], words: str) -> None:
    found = describe(recorded(**change))
    assert isinstance(found, str)
    assert words in found
    assert "\n" not in found


def test_a_model_of_the_users_own_is_not_built(clean_registry: object) -> None:
    @unetzoo.register_model("mine")
    def build(in_channels: int, num_classes: int, width: int = 2, depth: int = 2) -> nn.Module:
        raise AssertionError("built")

    found = describe(recorded("mine"))
    assert isinstance(found, str)
    assert "a model of your own" in found
