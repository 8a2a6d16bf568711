"""The suites of benchmarks/full are valid; those that a claim has, too, ask the same at another width."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetzoo.bench.collection import Collection
from unetzoo.bench.suite_file import read_suite
from unetzoo.claims.definition import claims_folder

FULL = Path(__file__).parents[2] / "benchmarks/full"


@pytest.mark.parametrize("path", sorted(FULL.glob("*.toml")), ids=lambda path: path.stem)
def test_they_are_valid_and_ask_the_same(path: Path) -> None:
    full, of_claim = read_suite(path), claims_folder() / "suites" / path.name
    members = list(full.suites) if isinstance(full, Collection) else [full.data.name]
    assert path.stem in (FULL / "README.md").read_text()
    if of_claim.exists():
        small = read_suite(of_claim)
        assert full.question == small.question
        assert members == (list(small.suites) if isinstance(small, Collection) else [small.data.name])
