"""Entries made small, the options of a registered name that keep a test of all of them fast; and how one is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

import unetzoo
from unetzoo.grid.spec import replace
from unetzoo.models.entry import GridEntry

# The smallest encoders of timm, with a few thousand parameters: they are there for tests.
SMALLEST = {"smp_dpt": "tu-test_vit"}
LEAST = {"smp_fpn": 64}  # of the width, where not any whole number will do


def different(names: list[str]) -> list[str]:
    """Without those that differ from another in their timm encoder alone, which tests/test_encoders.py sweeps."""
    found: dict[str, str] = {}
    for name in names:
        entry = unetzoo.model_info(name)
        if entry.can_be_pretrained and isinstance(entry, GridEntry):
            found.setdefault(replace(entry.spec, encoder="test_resnet").model_dump_json(), name)
        else:
            found[name] = name
    return list(found.values())


def narrow(name: str, width: int = 4) -> dict[str, Any]:
    """``width`` where the entry has such an option, and the smallest encoder of a peer or of timm's."""
    entry = unetzoo.model_info(name)
    changes: dict[str, Any] = {}
    if "width" in entry.options:
        changes["width"] = max(width, LEAST.get(name, 1))
    if entry.family == "pretrained":
        changes["encoder"] = "test_resnet"
    if entry.family == "peer":
        changes["encoder"] = SMALLEST.get(name, "tu-test_resnet")
    return changes


def refused_in_one_line(words: Sequence[str], build: Callable[[], object]) -> None:
    """``build`` raises `UnetzooError` with one line that has all ``words``."""
    with pytest.raises(unetzoo.UnetzooError) as caught:
        build()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text
