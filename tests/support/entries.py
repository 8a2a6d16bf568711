"""Options that keep entries small, so that tests of all of them are fast, and a check for refusals."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

import unetzoo
from unetzoo.grid.spec import replace
from unetzoo.models.factory import ModelConfig, resolve_model
from unetzoo.models.grid_entry import GridEntry

# timm's smallest encoders, with a few thousand parameters, which it has for tests.
SMALLEST = {"smp_dpt": "tu-test_vit", "unet_v2": "test_resnet", "fcb_former": "test_resnet"}
# Least width: smp_fpn does not take every whole number; lightm_unet, whose norms then see few channels, magnifies
# rounding; and vm_unet normalises a quarter of its width.
LEAST = {"smp_fpn": 64, "lightm_unet": 8, "vm_unet": 16}


def different(names: list[str]) -> list[str]:
    """Drop entries that differ from another only in their encoder; tests/encoders/test_encoders.py sweeps those."""
    found: dict[str, str] = {}
    for name in names:
        entry = unetzoo.model_info(name)
        if entry.can_be_pretrained and isinstance(entry, GridEntry):
            found.setdefault(replace(entry.spec, encoder="test_resnet").model_dump_json(), name)
        else:
            found[name] = name
    return list(found.values())


def of_each_class(names: list[str]) -> list[str]:
    """Return one entry of each class, one peer, one with timm's encoder, and every entry of the grid but the ablations.

    Other entries of a class differ from it in widths and counts; other peers are networks of the same libraries.
    """
    entries = ((name, unetzoo.model_info(name)) for name in names)
    kinds = {
        entry.family if entry.family in ("peer", "pretrained") else getattr(entry, "source", name): name
        for name, entry in entries
        if entry.family != "ablation"
    }
    return list(kinds.values())


def rest_nightly(names: list[str], kept: Collection[str]) -> list[Any]:
    """Return parameters for all names, with those outside ``kept`` for the nightly run alone."""
    return [name if name in kept else pytest.param(name, marks=pytest.mark.nightly) for name in names]


def narrow(name: str, width: int = 4) -> dict[str, Any]:
    """Return options that make an entry small: ``width``, if it has that option, and its smallest encoder."""
    entry = unetzoo.model_info(name)
    options: dict[str, Any] = {}
    if "width" in entry.options:
        options["width"] = max(width, LEAST.get(name, 1))
    usual = {"pretrained": "test_resnet", "peer": "tu-test_resnet"}
    if encoder := SMALLEST.get(name, usual.get(entry.family)):
        options["encoder"] = encoder
    return options


def refused_in_one_line(words: Sequence[str], build: Callable[[], object]) -> None:
    """Check that ``build`` raises `UnetzooError` with one line that has all ``words``."""
    with pytest.raises(unetzoo.UnetzooError) as caught:
        build()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def narrow_config(name: str, **changes: object) -> ModelConfig:
    """Resolve a small entry for one channel and two classes."""
    return resolve_model(name, in_channels=1, num_classes=2, options={**narrow(name, width=8), **changes})
