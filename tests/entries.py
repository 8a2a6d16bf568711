"""Entries made small: the options of a registered name that keep a test of all of them fast."""

from __future__ import annotations

from typing import Any

import unetzoo

# The smallest encoders of timm, with a few thousand parameters: they are there for tests.
SMALLEST = {"smp_dpt": "tu-test_vit"}
LEAST = {"smp_fpn": 64}  # of the width, where not any whole number will do


def narrow(name: str, width: int = 4) -> dict[str, Any]:
    """``width`` where the entry has such an option, and a peer's smallest encoder."""
    entry = unetzoo.model_info(name)
    changes: dict[str, Any] = {}
    if "width" in entry.options:
        changes["width"] = max(width, LEAST.get(name, 1))
    if entry.family == "peer":
        changes["encoder"] = SMALLEST.get(name, "tu-test_resnet")
    return changes
