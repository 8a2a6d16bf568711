"""Entries compute the same function as the authors' code, whatever the names and order of parameters.

`tests/parity/parity.py` (its docstring says how) fills a model by the shapes of its parameters and compares outputs
with golden files made from the reference code; `tests/parity/cases.py` names the entry of each.
"""

from __future__ import annotations

import json

import pytest

import unetzoo
from parity.cases import CASES, GOLDEN, found, wrong


@pytest.mark.parametrize("golden", CASES)
def test_same_function_as_the_reference(golden: str) -> None:
    result = found(golden, quick=True)
    assert not wrong(golden, result), result


def test_the_golden_ones_say_so() -> None:
    """The golden entries pass, and a wrong one would be seen."""
    claimed = {name for name in unetzoo.list_models() if _proof(name) == "golden"}
    assert claimed == {name for name, _, _ in CASES.values()}
    fine = {"params": "OK", "shapes": "OK", "exact": "OK", "aux_exact": "4/4"}
    assert not wrong("unet_milesial", fine)
    for key, value in (("params", "1 != 2"), ("shapes", "differ"), ("exact", "1e-2"), ("aux_exact", "3/4")):
        assert len(wrong("unet_milesial", {**fine, key: value})) == 1


def _proof(name: str) -> str | None:
    reference = unetzoo.model_info(name).reference
    return reference.proof if reference else None


def test_golden_files_are_whole() -> None:
    for path in GOLDEN.glob("*.json"):
        golden = json.loads(path.read_text())
        assert golden["name"] == path.stem
        assert golden["params"] > 0
